"""An evaluation in words and tables: its section of ``RESULTS.md``, and its figures for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from causalprint.pipelines.results.sections import RESULTS
from causalprint.schemas.estimates import NOT_MEASURED
from causalprint.schemas.evaluations import Evaluation, Measure
from causalprint.schemas.rendering import render

if TYPE_CHECKING:
    from rich.console import Console

TRACKS: Mapping[str, str] = {
    "png": "pixels as they were decoded",
    "jpeg95": "every one encoded once more as JPEG, quality 95, 4:4:4",
    "aligned": "pixels as they were decoded; versions of one image share a content",
    "hard": "pixels as they were decoded; of photographs the tenth alone that by what they show look most generated",
    "laundered": "every one through a chain of the web that is drawn for it: JPEG twice, a smaller copy as JPEG, or a messenger",
}


def section(found: Evaluation, figures: Mapping[str, str]) -> str:
    """The section, with ``figures``: what each shows, by its path below the results' folder."""
    known = {source for bundle in found.bundles for source in bundle.sources}
    return render(
        "pipelines/evaluation/section.md.j2",
        found=found,
        figures=figures,
        ids=[bundle.bundle_id for bundle in found.bundles],
        track=TRACKS[found.track],
        strangers=[each for each in found.images if each.source not in known],
        measures=[_measure_row(several) for several in _measures(found)],
        recalls=list(_shares(found, "recalls")),
        accusations=list(_shares(found, "accusations")),
    )


def print_evaluation(found: Evaluation, output: str, console: Console) -> None:
    """The figures of merit for a terminal, and where the rest is."""
    from causalprint.pipelines.console import new_table

    table = new_table("figure", numbers=tuple(bundle.bundle_id for bundle in found.bundles))
    for several in _measures(found):
        table.add_row(*_measure_row(several)[: len(several) + 1])
    console.print(table)
    if found.void:
        console.print("a shortcut audit voids this track as evidence: see the section", soft_wrap=True)
    console.print(f"section: {output.rstrip('/')}/{RESULTS}", soft_wrap=True)


def _measures(found: Evaluation) -> Iterator[list[Measure | None]]:
    """Of every figure that some bundle has, that of each bundle."""
    of_bundles = [{measure.name: measure for measure in bundle.measures} for bundle in found.bundles]
    for name in dict.fromkeys(name for measures in of_bundles for name in measures):
        yield [measures.get(name) for measures in of_bundles]


def _measure_row(several: list[Measure | None]) -> list[str]:
    """Name, a value for each bundle, images, and what it is."""
    there = [measure for measure in several if measure is not None]
    values = [NOT_MEASURED if measure is None else measure.interval.show() for measure in several]
    counts = sorted({measure.images for measure in there})
    return [there[0].name, *values, " / ".join(f"{count:,}" for count in counts), there[0].note]


def _shares(found: Evaluation, name: str) -> Iterator[list[str]]:
    """Source, origin, images, and a value for each bundle, of that attribute of bundles' evaluations."""
    tables = [{(share.source, share.origin): share for share in getattr(bundle, name)} for bundle in found.bundles]
    for source, origin in sorted({key for table in tables for key in table}):
        several = [table.get((source, origin)) for table in tables]
        values = ["not known" if share is None else share.interval.show() + " †" * share.trained for share in several]
        images = max(share.images for share in several if share is not None)
        yield [source if origin else f"**{source}**", origin or "all", f"{images:,}", *values]
