"""What an audit came to: tables for a person, one JSON object for a machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from causalprint.pipelines.console import new_table
from causalprint.pipelines.errors import ExitCode
from causalprint.pipelines.progress import duration
from causalprint.schemas.accounts import RejectCount, VerdictCount, spread
from causalprint.schemas.cascade import Tier
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.elements import SkippedCount
from causalprint.schemas.losses import LeftOut, counted
from causalprint.schemas.reasons import Stage
from causalprint.schemas.runs import Change, IncompleteShard, RunManifest, Scoring, Work

if TYPE_CHECKING:
    from rich.console import Console

NAMED = 10
"""Incomplete shards that the closing table names; the manifest names more, table ``shards`` all."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The object that ``audit --json`` prints.

    Attributes:
        exit_code: what the process leaves with.
        output: root of the tables.
        manifest: URL of the run's manifest.
        run_id, bundle_id, residual, device: those of the manifest's run.
        seconds: that the command took.
        shards, complete, limited, incomplete, retryable, slices, computed, moved, seen, attributed, rejected, forgotten,
            resampled, skipped, skipped_kinds: as of :class:`causalprint.schemas.runs.Totals`.
        verdicts: images by verdict and source.
        rejects: images by stage and reason.
        incomplete_shards: the first of them by URI, with what is missing.
        left_out: what the inputs match and what is no shard, by kind; what looks like one is ``missing``.
        previous: the run before over the same inputs; ``None`` where there was none.
        new, kept, changed, vanished: what became of shards since then, as of :class:`causalprint.schemas.runs.Changes`.
        now: all shards that the audit has now, by this run and by runs over other inputs.
        failed_if: the conditions of ``--fail-if`` that hold of these.
        work: what this run itself did, and how long its stages took.
        tiers: what the further tiers of a cascade came to.
    """

    exit_code: int
    output: str
    manifest: str
    run_id: str
    bundle_id: str
    residual: str
    device: str
    seconds: float
    shards: int
    complete: int
    limited: int
    incomplete: int
    retryable: int
    slices: int
    computed: int
    moved: int
    seen: int
    attributed: int
    rejected: int
    forgotten: int
    resampled: int
    skipped: int
    skipped_kinds: tuple[SkippedCount, ...]
    verdicts: tuple[VerdictCount, ...]
    rejects: tuple[RejectCount, ...]
    incomplete_shards: tuple[IncompleteShard, ...]
    left_out: tuple[LeftOut, ...]
    previous: str | None
    new: Change
    kept: Change
    changed: Change
    vanished: Change
    now: Change
    failed_if: tuple[str, ...]
    work: Work | None
    tiers: tuple[Tier, ...]


def report(manifest: RunManifest, now: Change, seconds: float, tiers: tuple[Tier, ...] = ()) -> AuditReport:
    """The report on a run that ended with ``manifest`` after ``seconds``, on its ``tiers``, and on the audit as it is ``now``."""
    run, totals = manifest.run, manifest.totals
    shown = {field.name for field in fields(AuditReport)}
    changes = manifest.changes
    assert changes is not None, "this version wrote it"
    verdicts = Counter[str]()
    for count in now.verdicts:
        verdicts[count.verdict] += count.images
    rejected = sum(count.images for count in now.rejects)
    conditions = run.config.fail_if if isinstance(run.config, AuditConfig) else ()
    failed_if = tuple(str(condition) for condition in conditions if condition.holds(verdicts, rejected))
    incomplete = totals.incomplete or not_computed(totals.reasons) or run.unread or any(tier.incomplete for tier in tiers)
    return AuditReport(
        exit_code=ExitCode.CONDITION if failed_if else ExitCode.INCOMPLETE if incomplete else ExitCode.COMPLETE,
        output=run.config.output,
        manifest=f"{run.config.output.rstrip('/')}/runs/{run.run_id}.json",
        run_id=run.run_id,
        bundle_id=run.bundle_id,
        residual=run.residual,
        device=run.device,
        seconds=round(seconds, 3),
        rejects=totals.reasons,
        incomplete_shards=totals.named,
        left_out=run.left_out,
        previous=changes.previous,
        new=changes.new,
        kept=changes.kept,
        changed=changes.changed,
        vanished=changes.vanished,
        now=now,
        failed_if=failed_if,
        work=manifest.work,
        tiers=tiers,
        **{name: value for name, value in spread(totals).items() if name in shown},
    )


@dataclass(frozen=True, slots=True)
class ScoringReport(AuditReport):
    """The object that ``attribute --json`` prints: as an audit's, and how the stored fingerprints were scored."""

    scoring: Scoring


def scoring_report(manifest: RunManifest, scoring: Scoring, now: Change, seconds: float) -> ScoringReport:
    """The report on a run that scored stored fingerprints, and left the audit as it is ``now``."""
    return ScoringReport(**spread(report(manifest, now, seconds)), scoring=scoring)


def stages(work: Work) -> str:
    """In a line, what a run did and where its time went."""
    taken = ", ".join(
        f"{duration(getattr(work, f'{stage}_seconds'))} {name}"
        for stage, name in (("read", "reading"), ("decode", "decoding"), ("compute", "computing"), ("write", "writing"))
    )
    idle = "" if work.idle is None else f"; idle for {work.idle:.0%} of the time of the threads that decode and compute"
    idle += "" if work.device_idle is None else f", the GPU for {work.device_idle:.0%}"
    images = f"{work.images:,} images of {work.encoded_bytes:,} bytes in {duration(work.seconds)}"
    return f"{images}; of all threads together {taken}{idle}"


def not_computed(rejects: tuple[RejectCount, ...]) -> int:
    """Images that were decoded and on which the model failed: another version, or another machine, may compute them."""
    return sum(count.images for count in rejects if count.stage == Stage.COMPUTE)


def print_report(found: AuditReport, console: Console) -> None:
    """The closing tables."""
    print_counts(found.verdicts, found.rejects, console)
    accounted = f"{found.seen:,} images seen = {found.attributed:,} attributed + {found.rejected:,} rejected"
    accounted += f" + {found.forgotten:,} forgotten" if found.forgotten else ""
    kept = (
        f" ({found.slices - found.computed:,} of {found.slices:,} slices were there already)"
        if found.computed < found.slices
        else ""
    )
    _line(console, f"{accounted}, in {found.shards:,} shards and {duration(found.seconds)}{kept}")
    if found.previous is not None:
        became = {"new": found.new, "changed": found.changed, "vanished": found.vanished, "as they were": found.kept}
        since = ", ".join(f"{counted(each.shards, 'shard')} {what} ({each.images:,} images)" for what, each in became.items())
        _line(console, f"since run {found.previous}: {since}")
    if found.now.shards != found.shards:
        _line(
            console,
            f"the audit now has {found.now.images:,} images of {found.now.shards:,} shards, of runs over other inputs too",
        )
    if found.limited:
        _line(console, f"{found.limited:,} shards were not read whole, as --limit or --sample asks")
    if found.incomplete:
        _print_incomplete(found, console)
    if failed := not_computed(found.rejects):
        _line(console, f"{failed:,} images were rejected at compute; --retry-rejects compute computes their slices again")
    if found.resampled:
        of = f"{found.resampled:,} of {found.attributed:,} images were resized before they were stored, as their sidecars say"
        _line(console, f"{of}: much of a generator's trace is lost there; see README, Before you download")
    if found.skipped:
        kinds = ", ".join(counted(each.members, each.kind) for each in found.skipped_kinds)
        _line(console, f"{found.skipped:,} members of shards are neither images nor their sidecars: {kinds}")
    print_left_out(found.left_out, console)
    _print_tiers(found.tiers, console)
    for condition in found.failed_if:
        _line(console, f"--fail-if: {condition} holds of the audit as it is now")
    _line(console, f"tables: {found.output}   manifest: {found.manifest}")
    if found.retryable:
        _line(console, "next: the same command again, to read what could not be read this time")
    else:
        _line(console, f"next: causalprint inspect {found.output}")


def _print_tiers(tiers: tuple[Tier, ...], console: Console) -> None:
    """What the further tiers of a cascade came to."""
    for tier in tiers:
        left = f"; {tier.left:,} are left, for the budget: the same command goes on" if tier.left else ""
        _line(
            console,
            f"tier {tier.tier}, {tier.bundle_id}: decides {tier.decided:,} of {tier.undecided:,} images that were undecided; "
            f"{tier.chosen:,} computed now, in {duration(tier.spent_seconds)}{left}",
        )
        if tier.incomplete:
            _line(
                console,
                f"tier {tier.tier} lacks images of {tier.incomplete:,} shards: the same command tries again, and causalprint "
                f"inspect {tier.output} says what is missing",
            )
        for each in (one for one in tier.disagreements if one.share is not None):
            _line(
                console,
                f"tier {tier.tier} gives another answer on {each.differs:,} of {each.images:,} images that tier {each.tier} "
                f"decided and that were drawn from all: {each.share:.1%} ({each.low:.1%} to {each.high:.1%}); "
                f"{each.crosses:,} of them are generated to one and not to the other",
            )


def print_counts(verdicts: tuple[VerdictCount, ...], rejects: tuple[RejectCount, ...], console: Console) -> None:
    """Verdicts by source, and rejects by reason, each with its share."""
    attributed = sum(count.images for count in verdicts)
    seen = attributed + sum(count.images for count in rejects)
    said = [(count.verdict, count.source or count.reason or "", count.images) for count in verdicts]
    refused = [(count.stage, count.reason, count.images) for count in rejects]
    for names, counts, whole in ((("verdict", "source, or why"), said, attributed), (("rejected at", "reason"), refused, seen)):
        table = new_table(*names, numbers=("images", "share"))
        for what, detail, images in sorted(counts, key=lambda count: -count[2]):
            table.add_row(what, detail, f"{images:,}", share(images, whole))
        if counts:
            console.print(table)


def print_left_out(left_out: tuple[LeftOut, ...], console: Console) -> None:
    """What was left out of the inputs, a line a kind."""
    for each in left_out:
        _line(console, f"{'NOT READ' if each.missing else 'left out'}: {each}")


def share(part: int, whole: int) -> str:
    """A percentage with one decimal."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def _print_incomplete(found: AuditReport, console: Console) -> None:
    table = new_table("incomplete shard", "what is missing")
    for shard in found.incomplete_shards[:NAMED]:
        table.add_row(shard.uri, shard.damage + (" (another run may read more)" if shard.retryable else ""))
    console.print(table)
    if found.incomplete > NAMED:
        _line(console, f"and {found.incomplete - NAMED:,} more: table `shards` has them all")


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True)  # paths must stay whole, to be copied
