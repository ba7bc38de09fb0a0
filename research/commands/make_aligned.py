"""The command that makes the aligned track."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.research.aligned.config import AlignedConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.aligned.make_aligned import AlignedReport


@command(AlignedConfig, "the same command begins again")
def make_aligned(config: AlignedConfig, session: Session) -> int:
    """Make the aligned track: the same photographs as they are and through each decoder, so that only the artefact differs."""
    from causalprint.research.aligned.make_aligned import make_aligned as run

    return session.present(session.watch(partial(run, config)), _print)


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
