"""The command that makes the aligned track."""

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

    from causalprint.research.aligned.make_aligned import AlignedReport

RESUMES = "the same command begins again"


class EncodingName(StrEnum):
    """What ``--encoding`` takes: the keys of ``causalprint.transforms.images.encode.ENCODINGS``."""

    PNG = "png"
    JPEG95 = "jpeg95"


def make_aligned(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT…", help="Shards or folders of labelled images; those of source real are taken."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the tars, one a class.")],
    decoder: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=SPEC",
            help="What the photographs go through, a residual's spec such as sd=autoencoder:/path; may be given again.",
            show_default="those in the package",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Photographs at most, spread over their origins and drawn by the seed.")
    ] = None,
    encoding: Annotated[EncodingName, typer.Option(help="One encoder for every class: lossless, or JPEG 95 at 4:4:4.")] = (
        EncodingName.PNG
    ),
    label_field: LabelField = "source",
    seed: Seed = 0,
    device: Device = DeviceName.AUTO,
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Make the aligned track: the same photographs as they are and through each decoder, so that only the artefact differs."""
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.research.aligned.make_aligned import make_aligned as make
        from causalprint.research.aligned.make_aligned import parse_decoder
        from causalprint.research.aligned.photographs import AlignedConfig

        config = AlignedConfig(
            inputs=tuple(inputs),
            output=output,
            decoders=tuple(parse_decoder(text) for text in decoder or ()),
            limit=limit,
            encoding=encoding.value,
            label_field=label_field,
            seed=seed,
            device=device.value,
            storage=storage,
        )
        return session.present(lambda tell: make(config, tell), _print)

    return guarded(session, work, resumes=RESUMES)


def _print(made: AlignedReport, out: Console) -> None:
    left_out = {
        "of other sources": made.other,
        "too small": made.small,
        "damaged": made.damaged,
        "without a label": made.unlabelled,
        "repeated": made.repeated,
        "beyond the limit": made.beyond,
    }
    without = ", ".join(f"{count:,} {why}" for why, count in left_out.items() if count)
    out.print(
        f"{made.photographs:,} photographs in {len(made.files)} tars: {', '.join(file.name for file in made.files)}"
        + (f"; left out: {without}" if without else ""),
        soft_wrap=True,
    )
    for damage in made.damage:
        out.print(f"damaged, and used as far as it can be read: {damage}", soft_wrap=True)
    out.print(f"next: causalprint train {made.output} --output DIR", soft_wrap=True)
