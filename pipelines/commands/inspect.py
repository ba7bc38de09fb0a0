"""The command that looks at what is there, and how an output, a bundle or shards are shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.pipelines.inspect import MEMBERS, InputSummary, Now, OutputSummary, summarise
from causalprint.pipelines.report import print_counts, print_left_out, stages
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import Command, argument
from causalprint.schemas.records import to_json

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.models.bundles.bundle import Bundle


@dataclass(frozen=True, slots=True)
class InspectConfig(Command):
    """One look."""

    NAME = "inspect"

    what: Annotated[
        str,
        argument(
            "An audit's output, a bundle, or a shard of images; `default` is the bundle inside the package (`bundle:default` "
            "where something here has that name).",
            "OUT|BUNDLE|SHARD",
        ),
    ]
    storage: StorageOptions = NO_OPTIONS


@command(InspectConfig)
def inspect(config: InspectConfig, session: Session) -> int:
    """Show what an audit's output, a bundle or a shard holds."""
    from causalprint.models.bundles.bundle import DEFAULT

    packaged = config.what == "bundle:default" or (config.what == "default" and not Path("default").exists())
    return session.present(summarise(str(DEFAULT) if packaged else config.what, config.storage), show, as_json)


def show(found: OutputSummary | Bundle | InputSummary, out: Console) -> None:
    """Prints the summary as tables."""
    if isinstance(found, OutputSummary):
        _show_output(found, out)
    elif isinstance(found, InputSummary):
        _show_shards(found, out)
    else:
        _show_bundle(found, out)


def as_json(found: OutputSummary | Bundle | InputSummary) -> str:
    """One JSON object, with ``kind`` (output, bundle, shards) first."""
    if isinstance(found, OutputSummary):
        about = {"kind": "output"} | json.loads(to_json(found))
    elif isinstance(found, InputSummary):
        about = {"kind": "shards"} | json.loads(to_json(found))
    else:
        from causalprint.models.bundles.trust import voiding_audits, warnings

        about = {
            "kind": "bundle",
            "bundle_id": found.bundle_id,
            "digest": found.digest,
            "void": bool(voiding_audits(found.manifest)),
            "warnings": warnings(found.manifest),
            "manifest": json.loads(to_json(found.manifest)),
        }
    return json.dumps(about, ensure_ascii=False)


def _show_output(found: OutputSummary, out: Console) -> None:
    limit = "" if found.limit is None else f", at most {found.limit:,} images"
    if found.sample is not None:
        limit = f", a sample of {found.sample.images:,} images by seed {found.sample.seed}"
    cut = f"slices of {found.slicing.images:,} images or {found.slicing.bytes:,} bytes"
    out.print(f"output {found.output}: {cut}{limit}; {len(found.runs)} finished runs", soft_wrap=True)
    if found.runs:
        work = f": {stages(found.work)}" if found.work and found.work.images else ""
        out.print(f"last run: {found.runs[-1]}{work}", soft_wrap=True)
    print_left_out(found.left_out, out)
    for partition in found.bundles:
        scored = f": other verdicts on the embeddings of {partition.scored}" if partition.scored else ""
        out.print(f"\nbundle {partition.bundle_id}{scored}", soft_wrap=True)
        table = new_table("table", numbers=("rows", "files", "bytes"))
        for summary in partition.tables:
            table.add_row(summary.table, f"{summary.rows:,}", f"{summary.files:,}", f"{summary.bytes:,}")
        out.print(table)
        print_counts(partition.verdicts, partition.rejects, out)
        out.print(f"{partition.complete:,} of {partition.shards:,} closed shards complete", soft_wrap=True)
        if partition.incomplete_shards:
            shards = new_table("incomplete shard", "what is missing")
            for shard in partition.incomplete_shards:
                shards.add_row(shard.uri, shard.damage)
            out.print(shards)
    if found.now is not None:
        _show_now(found.output, found.now, out)


def _show_now(output: str, now: Now, out: Console) -> None:
    """What to look at first, and how."""
    for what, places in (("shard", now.shards), ("web site", now.domains)):
        if len(places) > 1 or (places and what == "web site"):
            table = new_table(f"{what} with the most finds", numbers=("images", "taken for generated"))
            for place in places:
                table.add_row(place.name, f"{place.images:,}", f"{place.taken:,}")
            out.print(table)
    out.print(f"now: {now.images:,} images, of which {now.taken:,} are taken for generated", soft_wrap=True)
    if now.estimate is not None:
        interval = f"{now.estimate.low:.1%} to {now.estimate.high:.1%}"
        out.print(f"estimated to be generated: {now.estimate.share:.1%} of the images (95 % interval {interval})", soft_wrap=True)
    else:
        out.print(f"next: causalprint prevalence {output}, for a share with its interval", soft_wrap=True)
    if now.conflicts:
        out.print(
            f"{now.conflicts:,} files say the contrary of their verdict: causalprint query {output} "
            '"FROM findings WHERE conflict"',
            soft_wrap=True,
        )
    out.print(f"next: causalprint report {output} --images, for all of it on one page", soft_wrap=True)


def _show_shards(found: InputSummary, out: Console) -> None:
    table = new_table("shard", "format", numbers=("bytes", "images", "rejects", "skipped"))
    for shard in found.shards:
        rejects = sum(count.images for count in shard.rejects)
        table.add_row(shard.uri, shard.format, f"{shard.size:,}", f"{shard.images:,}", f"{rejects:,}", f"{shard.skipped:,}")
    out.print(table)
    for shard in found.shards:
        for count in shard.rejects:
            out.print(f"{shard.uri}: {count.images:,} rejected at {count.stage}: {count.reason}", soft_wrap=True)
        if shard.damage is not None:
            out.print(f"{shard.uri}: incomplete: {shard.damage}", soft_wrap=True)
    if len(found.shards) == 1:
        for member in found.shards[0].members:
            out.print(f"  {member}", soft_wrap=True)
        if found.shards[0].images > MEMBERS:
            out.print(f"  and {found.shards[0].images - MEMBERS:,} more", soft_wrap=True)
    print_left_out(found.left_out, out)


def _show_bundle(bundle: Bundle, out: Console) -> None:
    from causalprint.models.bundles.trust import warnings

    manifest = bundle.manifest
    geometry = manifest.geometry
    lines = new_table("bundle", bundle.bundle_id)
    lines.add_row("digest", bundle.digest)
    lines.add_row("licence", manifest.licence)
    lines.add_row("sources", ", ".join(manifest.sources))
    views = "one crop" if geometry.views == 1 else f"up to {geometry.views} crops"
    lines.add_row("geometry", f"{views} of {geometry.crop} by {geometry.crop} pixels")
    lines.add_row("residual", manifest.residual)
    lines.add_row(
        "lenses", ", ".join(f"{feature.lens} of the {feature.reading} ({feature.size})" for feature in manifest.features)
    )
    out.print(lines)
    if manifest.figures:
        figures = new_table("figure", "measured on", numbers=("value", "95 % interval"))
        for figure in manifest.figures:
            figures.add_row(figure.name, figure.note, f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}")
        out.print(figures)
    if manifest.data:
        data = new_table("source", "origin", "licence", numbers=("training", "validation"))
        for origin in manifest.data:
            data.add_row(origin.source, origin.origin, origin.licence, f"{origin.training:,}", f"{origin.validation:,}")
        out.print(data)
    files = new_table("file", "licence", "SHA-256")
    for file in manifest.files:
        files.add_row(file.path, file.licence, file.sha256)
    out.print(files)
    for warning in warnings(manifest):
        out.print(warning)
