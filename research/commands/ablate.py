"""The command that takes a recipe apart."""

from __future__ import annotations

from functools import partial

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.research.ablation.config import AblateConfig


@command(AblateConfig, "the same command begins again, and keeps the features")
def ablate(config: AblateConfig, session: Session) -> int:
    """Train and test a recipe without each of its parts, and each lens alone: one table with intervals."""
    from causalprint.research.ablation.ablate import ablate as run
    from causalprint.research.ablation.report import summary

    found = session.watch(partial(run, config))
    return session.present(
        found, lambda found, out: out.print(f"{summary(found)}\nnext: {config.output / 'RESULTS.md'}", soft_wrap=True)
    )
