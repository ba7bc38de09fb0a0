"""The command that says how much of a dataset is generated, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.schemas.prevalence import PrevalenceReport

SHOWN = 60
"""Rows that are printed; the table and --json have them all."""


@dataclass(frozen=True, slots=True)
class PrevalenceConfig(Command):
    """Which shares are asked for, and what they rest on."""

    NAME = "prevalence"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    by: Annotated[
        str,
        Option(
            "Shares of each group too: shard, domain (of the sidecar's url), year, a column of images or attributions, or a key "
            "of the sidecars.",
            "GROUP",
            DATA,
        ),
    ] = "all"
    labels: Annotated[
        str | None,
        Option(
            "Rest on these labels of a random sample, CSV or Parquet, as `causalprint sample` draws it: columns image_id and "
            "label (generated, real, graphic or a source).",
            "FILE",
            DATA,
        ),
    ] = None
    evaluation: Annotated[
        str | None,
        Option(
            "Take the bundle's errors from this output of `causalprint evaluate`, in place of the images that its training held "
            "out.",
            "DIR",
            DATA,
        ),
    ] = None
    bundle: Annotated[
        str | None, Option("The bundle whose verdicts are meant.", "BUNDLE", DATA, usual="that of the last run")
    ] = None
    output: Annotated[
        str | None, Option("Write table `prevalence` below this root.", "URL", DATA, ("--output", "-o"), usual="OUT")
    ] = None
    storage: StorageOptions = NO_OPTIONS


@command(PrevalenceConfig, again="the same command begins again")
def prevalence(config: PrevalenceConfig, session: Session) -> int:
    """Say how much of an audited dataset is generated, and by whom, with 95 % intervals that count the bundle's errors.

    Shares are of images that have scores. What is not known of them is a part of each interval: how the bundle errs on origins
    that it was not tried on, and what else a sample would have held. Where that makes an interval useless, it says so, and how
    many labels would mend it. Table `prevalence` below OUT has the rows.
    """
    from causalprint.pipelines.prevalence import prevalence_of, write_prevalence

    found = session.watch(
        lambda report: prevalence_of(
            config.audit,
            config.storage,
            by=config.by,
            bundle=config.bundle,
            evaluation=config.evaluation,
            labels=config.labels,
            report=report,
        )
    )
    session.present(write_prevalence(found, config.output or config.audit, config.storage), show)
    return ExitCode.COMPLETE


def show(found: PrevalenceReport, out: Console) -> None:
    """Prints the shares as a table, and what to know of them."""
    from causalprint.schemas.prevalence import ALL, Method

    out.print(f"bundle {found.bundle}; its errors are known from {found.calibrated_on}", soft_wrap=True)
    shown = [row for row in found.rows if row.what == "generated" or row.share > 0 or row.counted > 0][:SHOWN]
    grouped, mixed = any(row.group_by != ALL for row in shown), len({row.method for row in shown}) > 1
    names = (*["group"] * grouped, "share of", *["from"] * mixed)
    table = new_table(*names, numbers=("share", "95 % interval", "verdicts", "images"))
    for row in shown:
        interval = f"{row.low:.3f} to {row.high:.3f}" + (" !" if row.useless else "")
        name = row.name if row.what != "family" else f"family {row.name}"
        words = (*[row.group] * grouped, name, *[row.method] * mixed)
        table.add_row(*words, f"{row.share:.3f}", interval, f"{row.counted:.3f}", f"{row.images:,}")
    out.print(table)
    if len(shown) == SHOWN:
        out.print("more rows are in the table and in --json", soft_wrap=True)
    unscored = sum(row.unscored for row in found.rows if row.group_by == ALL and row.what == "generated")
    if unscored:
        out.print(f"of {unscored:,} images without scores (too small, damaged, flat) nothing is said", soft_wrap=True)
    for why in dict.fromkeys(row.why for row in shown if row.why):
        out.print(f"! {why}", soft_wrap=True)
    most = next((row for row in found.rows if row.what == "generated"), None)
    if most is not None and most.labels_needed:
        out.print(
            f"next: causalprint sample {found.output} --for-labels {most.labels_needed} --output DIR; with its labels the "
            "share of what is generated is known to 0.05 to each side",
            soft_wrap=True,
        )
    if any(row.method == Method.COUNTED for row in shown):
        out.print("shares are counted verdicts, false ones too; their interval counts sampling alone", soft_wrap=True)
    if found.file:
        out.print(f"{len(found.rows):,} rows in {found.file}", soft_wrap=True)
