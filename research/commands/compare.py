"""The command that compares every method."""

from __future__ import annotations

from functools import partial

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.train import RESUMES
from causalprint.research.comparison.config import CompareConfig


@command(CompareConfig, RESUMES)
def compare(config: CompareConfig, session: Session) -> int:
    """Train and test every method of the literature and ours alike; write one table with intervals, audits and figures."""
    from causalprint.research.comparison.compare import compare as run
    from causalprint.research.comparison.report import summary

    found = session.watch(partial(run, config))
    return session.present(
        found, lambda found, out: out.print(f"{summary(found)}\nnext: {config.output / 'RESULTS.md'}", soft_wrap=True)
    )
