"""The command that tests how fragile a verdict is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.research.anonymization.config import AnonymizeConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.anonymization.records import Anonymization, Seen


@command(AnonymizeConfig, "nothing was written; the same command begins again")
def anonymize(config: AnonymizeConfig, session: Session) -> int:
    """Test how fragile a verdict is: change images invisibly until a bundle attributes them to another source.

    For those who train and audit attributors: a verdict that a change of a few levels overturns is no proof. Writes a PNG for
    each image, changed only in the crops that vote, and what the bundle, a JPEG and attributors not attacked make of it.
    """
    from causalprint.research.anonymization.anonymize import anonymize as run
    from causalprint.research.anonymization.study import study

    if config.study:
        studied = session.watch(partial(study, config))
        return session.present(studied, lambda _, out: out.print(f"next: {config.output / 'RESULTS.md'}", soft_wrap=True))
    found = session.watch(partial(run, config))
    return session.present(found, lambda found, out: _print(found, config.output, out))


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
