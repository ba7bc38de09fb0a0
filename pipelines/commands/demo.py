"""The command that audits what it makes itself, and shows the verdicts beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.audit import run_audit
from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.report import AuditReport, print_report, share
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.options import Command, output

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class DemoConfig(Command):
    """One demo."""

    NAME = "demo"

    output: Annotated[Path, output("Write the demo's shards and its tables to this folder.")] = Path("demo")


@dataclass(frozen=True, slots=True)
class TruthRow:
    """What the audit said of the images of one true source.

    Attributes:
        source: who made them, by their sidecars.
        images: how many have a verdict, of any kind.
        right: attributed to that source.
        wrong: attributed to another.
        unknown: said to be unlike everything that was trained on.
        abstained: nothing said.
        mistaken_for: the most frequent wrong source, where there is one.
    """

    source: str
    images: int
    right: int
    wrong: int
    unknown: int
    abstained: int
    mistaken_for: str | None


@dataclass(frozen=True, slots=True)
class DemoReport:
    """What ``demo --json`` prints: the audit, and its verdicts beside the truth, a row a true source."""

    audit: AuditReport
    truth: tuple[TruthRow, ...]


@command(DemoConfig)
def demo(config: DemoConfig, session: Session) -> int:
    """Audit real photographs and images that real generative models make on the spot; show the verdicts beside the truth."""
    from causalprint.pipelines.shards.demo import build_shards

    shards, tables = config.output / "shards", config.output / "tables"
    with session.log.status("making images"):
        build_shards(shards)
    found, _ = run_audit(AuditConfig(inputs=(str(shards),), output=str(tables)), session)
    session.present(DemoReport(found, _compare(found.output, found.bundle_id)), print_demo)
    return found.exit_code


def _compare(tables: str, bundle_id: str) -> tuple[TruthRow, ...]:
    """The verdicts of one bundle beside the truth in the images' sidecars, a row a true source, sorted by name."""
    from causalprint.pipelines.open_audit import open_audit

    query = f"""
        WITH said AS (
            SELECT metadata ->> 'source' AS truth, coalesce(source, verdict) AS named, verdict
            FROM findings WHERE bundle = '{bundle_id}'
        )
        SELECT truth AS source,
               count(*) AS images,
               count(*) FILTER (named = truth) AS "right",
               count(*) FILTER (named <> truth AND verdict IN ('real', 'known')) AS wrong,
               count(*) FILTER (verdict = 'unknown') AS unknown,
               count(*) FILTER (verdict = 'abstain') AS abstained,
               mode(named ORDER BY named) FILTER (named <> truth AND verdict IN ('real', 'known')) AS mistaken_for
        FROM said GROUP BY truth ORDER BY truth
    """  # noqa: S608 - the name of a bundle
    with open_audit(tables) as opened:
        return tuple(TruthRow(**row) for row in opened.sql(query).rows())


def print_demo(found: DemoReport, out: Console) -> None:
    """The audit's closing tables, then the truth as a table, with the figures that a reader should take from it."""
    print_report(found.audit, out)
    table = new_table("truth", numbers=("images", "right", "unknown", "abstained", "wrong"))
    table.columns[0].no_wrap = True
    for row in found.truth:
        counts = (row.images, row.right, row.unknown, row.abstained, row.wrong)
        table.add_row(row.source, *(f"{n:,}" for n in counts))
    out.print(table)
    if mistakes := ", ".join(f"{row.source} for {row.mistaken_for}" for row in found.truth if row.mistaken_for):
        out.print(f"Most often mistaken: {mistakes}.")
    images, right, wrong = (sum(getattr(row, name) for row in found.truth) for name in ("images", "right", "wrong"))
    said = right + wrong
    out.print(
        f"{share(right, images)} of {images:,} images were attributed to their true source; where the audit named one "
        f"({said:,} images), it was right in {share(right, said)}."
    )
    out.print(
        "Most of the photographs also trained the prior and the autoencoders, and every image here is one generation from its "
        "source: expect less on the open web. The bundle's card has the figures by origin."
    )
