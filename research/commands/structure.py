"""The command that studies whether fingerprints group as generators are built."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from causalprint.pipelines.commands.options import Json, Seed, Verbose, session_of
from causalprint.pipelines.commands.session import guarded

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.research.structure.evidence import Structure


def structure(
    context: typer.Context,
    evidence: Annotated[Path, typer.Argument(metavar="EVIDENCE", help="Folder that evaluate wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for structure.json and a section of RESULTS.md.")
    ],
    seed: Seed = 0,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Study whether the fingerprints of an evaluation group as their generators are built."""
    session = session_of(context, as_json=as_json, verbose=verbose)

    def work() -> int:
        from causalprint.research.structure.evidence import StructureConfig
        from causalprint.research.structure.evidence import structure as study

        config = StructureConfig(evidence, output, seed)
        return session.present(lambda tell: study(config, tell), lambda made, out: _print(made, output, out))

    return guarded(session, work, resumes="the same command begins again")


def _print(made: Structure, output: Path, out: Console) -> None:
    from causalprint.pipelines.report import new_table
    from causalprint.pipelines.results.sections import RESULTS

    for bundle in made.bundles:
        table = new_table(f"{bundle.bundle_id}: design choice", numbers=("generators", "NMI", "by chance", "p"))
        for row in bundle.rows:
            table.add_row(row.choice.replace("_", " "), f"{row.sources:,}", *(f"{share:.3f}" for share in row[4:]))
        out.print(table)
    out.print(f"section: {output / RESULTS}", soft_wrap=True)
