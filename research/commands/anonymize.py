"""The command that tests how fragile a verdict is."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from causalprint.pipelines.commands.options import (
    Device,
    DeviceName,
    Json,
    LabelField,
    Seed,
    StorageOptions,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import guarded

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.anonymization.records import Anonymization, Seen

AGAIN = "nothing was written; the same command begins again"
FOURS = "4/255"


class MethodName(StrEnum):
    """What ``--method`` takes."""

    PGD = "pgd"
    SWAP = "swap"
    NOISE = "noise"


def parse_epsilon(text: str) -> float:
    """``4/255`` or ``0.016`` as a number.

    Raises:
        typer.BadParameter: it is none above 0 and at most 1, or below one level of 8 bits.
    """
    above, slash, below = text.partition("/")
    try:
        value = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError) as error:
        raise typer.BadParameter(f"{text!r} is no number; give 4/255 or 0.016") from error
    if not 1 / 255 - 1e-6 <= value <= 1:
        raise typer.BadParameter(f"{text!r} is not from 1/255, one level of 8 bits, to 1; give 4/255 or 0.016")
    return value


def anonymize(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE…", help="Image files, globs of them, and shards or folders as audit takes them."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the changed images and the report.")],
    target: Annotated[
        str | None, typer.Option(metavar="SOURCE", help="Source to be named.", show_default="any but the present one")
    ] = None,
    bundle: Annotated[
        str | None, typer.Option(metavar="DIR", help="Bundle to attack.", show_default="the one in the package")
    ] = None,
    epsilon: Annotated[str, typer.Option(metavar="E", help="Largest change of a value, of an image in 0 to 1.")] = FOURS,
    method: Annotated[
        MethodName,
        typer.Option(help="pgd: descent along gradients; swap: exchange of mean residuals; noise: random, as a control."),
    ] = MethodName.PGD,
    steps: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Of the descent, at most; it ends when the verdict is safe.", show_default="30"),
    ] = None,
    survive_jpeg: Annotated[
        bool, typer.Option("--survive-jpeg", help="Let the descent reach a verdict that also holds after JPEG 75.")
    ] = False,
    held_out: Annotated[
        list[str] | None,
        typer.Option("--held-out", metavar="BUNDLE", help="Also ask this bundle, which is not attacked; may be given again."),
    ] = None,
    examples: Annotated[
        list[str] | None,
        typer.Option("--examples", metavar="INPUT", help="Labelled images that the swap learns from; may be given again."),
    ] = None,
    study: Annotated[
        bool,
        typer.Option(
            "--study", help="Of labelled images, attack those attributed rightly at 2, 4 and 8/255; write figures and RESULTS.md."
        ),
    ] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Attack at most so many images (--study).")] = None,
    label_field: LabelField = "source",
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Test how fragile a verdict is: change images invisibly until a bundle attributes them to another source.

    For those who train and audit attributors: a verdict that a change of a few levels overturns is no proof. Writes a PNG for
    each image, changed only in the crops that vote, and what the bundle, a JPEG and attributors not attacked make of it.
    """
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)
    radius = parse_epsilon(epsilon)

    def work() -> int:
        from causalprint.research.anonymization.anonymize import anonymize as run
        from causalprint.research.anonymization.attacks import AnonymizeConfig
        from causalprint.research.anonymization.study import StudyConfig
        from causalprint.research.anonymization.study import study as run_study

        config = AnonymizeConfig(
            inputs=tuple(inputs),
            output=output,
            bundle=bundle,
            target=target,
            epsilon=radius,
            method=method.value,
            steps=steps,
            survive_jpeg=survive_jpeg,
            held_out=tuple(held_out or ()),
            examples=tuple(examples or ()),
            label_field=label_field,
            seed=seed,
            device=device.value,
            storage=storage,
        )
        if study:
            return session.present(
                lambda tell: run_study(StudyConfig(config, limit=limit), tell),
                lambda _, out: out.print(f"next: {output / 'RESULTS.md'}", soft_wrap=True),
            )
        return session.present(lambda tell: run(config, tell), lambda found, out: _print(found, output, out))

    return guarded(session, work, resumes=AGAIN)


def _print(found: Anonymization, output: Path, out: Console) -> None:
    for row in found.attempts:
        psnr = "" if row.psnr is None else f", PSNR {row.psnr:.1f} dB"
        said = [f"{_words(row.before)} -> {_words(row.after)}", f"after JPEG 75 {_words(row.jpeg)}"]
        said += [f"{each.bundle}: {_words(each.before)} -> {_words(each.after)}" for each in row.held_out]
        said += [f"SSIM {row.ssim:.3f}{psnr}, at most {row.largest}/255"]
        out.print(f"{row.file}: {'; '.join(said)}", soft_wrap=True)
    for left in found.left_out:
        out.print(f"left out: {left.image}: {left.reason}", soft_wrap=True)
    done = sum(row.success for row in found.attempts)
    out.print(f"{done} of {len(found.attempts)} as aimed; images and report in {output}", soft_wrap=True)


def _words(seen: Seen) -> str:
    likely = "" if seen.source is None else f" {seen.source} {seen.probability:.2f}"
    return f"{seen.verdict}{likely}"
