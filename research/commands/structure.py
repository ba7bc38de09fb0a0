"""The command that studies whether fingerprints group as generators are built."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.research.structure.config import StructureConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.structure.evidence import Structure


@command(StructureConfig, "the same command begins again")
def structure(config: StructureConfig, session: Session) -> int:
    """Study whether the fingerprints of an evaluation group as their generators are built."""
    from causalprint.research.structure.evidence import structure as run

    return session.present(session.watch(partial(run, config)), partial(_print, config.output))


def _print(output: Path, made: Structure, out: Console) -> None:
    from causalprint.pipelines.report import new_table
    from causalprint.pipelines.results.sections import RESULTS

    for bundle in made.bundles:
        table = new_table(f"{bundle.bundle_id}: design choice", numbers=("generators", "NMI", "by chance", "p"))
        for row in bundle.rows:
            table.add_row(row.choice.replace("_", " "), f"{row.sources:,}", *(f"{share:.3f}" for share in row[4:]))
        out.print(table)
    out.print(f"section: {output / RESULTS}", soft_wrap=True)
