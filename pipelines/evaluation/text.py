"""An evaluation in words and tables: its section of ``RESULTS.md``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from causalprint.pipelines.results.sections import RESULTS, image, markdown_table, titled
from causalprint.schemas.estimates import NOT_MEASURED
from causalprint.schemas.evaluations import BundleEvaluation, Evaluation

if TYPE_CHECKING:
    from rich.console import Console

TRACKS: Mapping[str, str] = {
    "png": "pixels as they were decoded",
    "jpeg95": "every one encoded once more as JPEG, quality 95, 4:4:4",
    "aligned": "pixels as they were decoded; versions of one image share a content",
}


def section(found: Evaluation, figures: Mapping[str, str]) -> str:
    """The section, with ``figures``: what each shows, by its path below the results' folder."""
    ids = [bundle.bundle_id for bundle in found.bundles]
    parts = [
        _images(found),
        _void(found),
        *(_trained(bundle) for bundle in found.bundles),
        "### Figures of merit",
        _measures(found.bundles),
        _differences(found),
        "### Shortcut audits on the same images",
        _shortcuts(found),
        "### Recall by source and origin",
        _recalls(found.bundles),
    ]
    for bundle in found.bundles:
        if bundle.robustness:
            parts += [f"### Robustness of {bundle.bundle_id}", _robustness(bundle)]
    parts += ["### Figures", "\n\n".join(image(name, about) for name, about in figures.items())]
    title = f"Evaluation, {found.track} track: {', '.join(ids)}"
    return titled(title, shlex.split(found.command), *parts)


def _images(found: Evaluation) -> str:
    count = sum(each.images for each in found.images)
    sources = {each.source for each in found.images}
    known = {source for bundle in found.bundles for source in bundle.sources}
    strangers = sorted(sources - known)
    of_strangers = sum(each.images for each in found.images if each.source in strangers)
    text = f"{count:,} images of {len(sources)} sources, a crop of {found.crop} pixels each, {TRACKS[found.track]}"
    text += f"; {of_strangers:,} of them by sources that no bundle knows ({', '.join(strangers)})" if strangers else ""
    text += f"; {found.left_out:,} more could not be decoded or are smaller" if found.left_out else ""
    return (
        f"{text}. Brackets: 95 % intervals of {found.rounds:,} bootstrap resamples of contents. Every number is in "
        f"`evaluation.json`, every verdict in `predictions.parquet`. causalprint {found.version}, computed on {found.device}."
    )


def _void(found: Evaluation) -> str:
    if not found.shortcuts:
        return "**No shortcut audit could be made of so few images.**"
    if not found.void:
        return "No shortcut audit is above chance by three standard errors."
    voiding = "; ".join(shortcut.name for shortcut in found.shortcuts if shortcut.voids)
    return (
        f"**This track is void as evidence of fingerprints**: what is no fingerprint tells its sources apart, above chance by "
        f"three standard errors ({voiding}). Read the figures below as an upper bound."
    )


def _trained(bundle: BundleEvaluation) -> str:
    trained = sum(recall.images for recall in bundle.recalls if recall.origin and recall.trained)
    known = sum(recall.images for recall in bundle.recalls if recall.origin)
    if not trained:
        return ""
    return (
        f"**{trained:,} of {known:,} images of sources that {bundle.bundle_id} knows are from origins that its card names among "
        "its training images**, perhaps those very images: only the figure for new origins says what it can do elsewhere."
    )


def _measures(bundles: tuple[BundleEvaluation, ...]) -> str:
    rows = []
    for name, *cells in _cells(bundles):
        several = [measure for bundle in bundles for measure in bundle.measures if measure.name == name]
        counts = sorted({measure.images for measure in several})
        rows.append([name, *cells, " / ".join(f"{count:,}" for count in counts), several[0].note])
    return markdown_table(["figure", *(bundle.bundle_id for bundle in bundles), "images", "what it is"], rows, remarks=1)


def _differences(found: Evaluation) -> str:
    if not found.differences:
        return ""
    rows = [[each.bundle_id, each.name, each.interval.show(), f"{each.images:,}"] for each in found.differences]
    head = f"Less {found.bundles[0].bundle_id}, paired, on the images whose source both know:"
    return f"{head}\n\n{markdown_table(['bundle', 'figure', 'difference', 'images'], rows, words=2)}"


def _shortcuts(found: Evaluation) -> str:
    rows = [[each.name, each.interval.show(), f"{each.chance:.3f}", "yes" if each.voids else "no"] for each in found.shortcuts]
    return markdown_table(
        ["what is learned from, cross-validated by content", "macro recall", "chance", "voids the track"], rows, remarks=1
    )


def _recalls(bundles: tuple[BundleEvaluation, ...]) -> str:
    tables = [{(recall.source, recall.origin): recall for recall in bundle.recalls} for bundle in bundles]
    rows = []
    for source, origin in sorted({key for table in tables for key in table}):
        known = [table.get((source, origin)) for table in tables]
        cells = ["not known" if each is None else each.interval.show() + " †" * each.trained for each in known]
        images = max(each.images for each in known if each is not None)
        rows.append([f"**{source}**" if not origin else source, origin or "all", f"{images:,}", *cells])
    head = ["source", "origin", "images", *(bundle.bundle_id for bundle in bundles)]
    note = "† The bundle's card names this origin among those that it was trained on."
    trained = any(recall.trained for bundle in bundles for recall in bundle.recalls)
    return markdown_table(head, rows, words=2) + (f"\n\n{note}" if trained else "")


def _robustness(bundle: BundleEvaluation) -> str:
    rows = [
        [
            each.name,
            each.about + (f" ({each.draws} draws)" if each.draws > 1 else ""),
            *(value.show() for value in (each.accuracy, each.lost, each.flips, each.answers, each.auc)),
        ]
        for each in bundle.robustness
    ]
    head = ["perturbation", "what it does", "macro accuracy", "lost", "verdicts flipped", "best candidates changed", "real AUC"]
    about = "Images of known sources, changed after the track's encoding; pixels that a crop loses are filled up by mirroring."
    return f"{about}\n\n{markdown_table(head, rows, words=2)}"


def print_evaluation(found: Evaluation, output: str, console: Console) -> None:
    """The figures of merit for a terminal, and where the rest is."""
    from causalprint.pipelines.report import new_table

    table = new_table("figure", numbers=tuple(bundle.bundle_id for bundle in found.bundles))
    for name, *cells in _cells(found.bundles):
        table.add_row(name, *cells)
    console.print(table)
    if found.void:
        console.print("a shortcut audit voids this track as evidence: see the section", soft_wrap=True)
    console.print(f"section: {output.rstrip('/')}/{RESULTS}", soft_wrap=True)


def _cells(bundles: tuple[BundleEvaluation, ...]) -> Iterator[list[str]]:
    """Of every figure its name, and its value for each bundle."""
    known = [{measure.name: measure for measure in bundle.measures} for bundle in bundles]
    for name in dict.fromkeys(name for measures in known for name in measures):
        yield [name, *(measures[name].interval.show() if name in measures else NOT_MEASURED for measures in known)]
