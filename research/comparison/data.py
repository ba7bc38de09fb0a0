"""The images of a comparison, with their labels, and how each seed splits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.models.labelled import LEAST_IMAGES, STRANGER, LabelledCrops, LabelledImages
from causalprint.pipelines.labelled.crops import mapped, read_labelled_crops
from causalprint.research.comparison.cache import array_digest, load_arrays, save_arrays
from causalprint.research.comparison.config import CompareConfig
from causalprint.schemas.arrays import Crops, Labels, Mask
from causalprint.schemas.elements import digest
from causalprint.schemas.losses import Losses
from causalprint.schemas.records import from_json, to_json

if TYPE_CHECKING:
    from causalprint.models.evaluation.splits import Split
    from causalprint.research.comparison.scoring import Ground

Report = Callable[[str], None]

REAL = "real"
LOSSES = "losses"
"""Beside the columns of the images, in the cache."""


class CompareError(ValueError):
    """A comparison that cannot be made as asked; the message says what to do."""


class Data(NamedTuple):
    """N images.

    Attributes:
        images: what is known of them, contents of near-duplicates joined.
        crops: uint8 (N, C, C, 3).
        losses: what was left out.
        part: 0 of ``inputs``, 1 of ``validation``, 2 of ``test``, int64 (N,).
        sources: what there is to choose from, ``real`` first.
        ground: what answers are held against.
        splits: one a seed; the test of each holds the images of the left-out sources too.
        digest: of the pixels and their order.
    """

    images: LabelledImages
    crops: Crops
    losses: Losses
    part: Labels
    sources: tuple[str, ...]
    ground: Ground
    splits: tuple[Split, ...]
    digest: str


def read_data(images: CompareConfig, seeds: int, cache: Path, resume: bool, report: Report) -> Data:
    """Reads the images (or, with ``resume``, what ``cache`` has of them) and splits them.

    Raises:
        CompareError: too few sources or images, or sources that are tested without being learned from.
        SplitError: some source cannot be learned from.
        ConnectionError, InputError, LabelError: as of :func:`~causalprint.pipelines.labelled.crops.read_labelled_crops`.
    """
    from causalprint.models.evaluation.duplicates import difference_hashes, join_near_duplicates
    from causalprint.research.comparison.scoring import ground_of

    (found, crops, losses), part = _read(images, cache, resume, report)
    if missing := sorted(set(images.leave_out) - set(found.source.tolist())):
        raise CompareError(f"--leave-out names {', '.join(missing)}, of which there is no image; remove it")
    learned = set(found.source[part == 0].tolist()) - set(images.leave_out)
    sources = (REAL, *sorted(learned - {REAL}))
    _check(found, part, images.leave_out, sources, losses)
    report("looking for near-duplicates")
    found = replace(found, content=join_near_duplicates(found.content, difference_hashes(crops)))
    ground = ground_of(found, sources)
    splits = tuple(_split(found, part, ground.truth, seed) for seed in range(seeds))
    pixels = array_digest(found.image_id, np.array([images.crop]), np.array([images.track]))
    return Data(found, crops, losses, part, sources, ground, splits, pixels)


def _split(images: LabelledImages, part: Labels, truth: Labels, seed: int) -> Split:
    """The split of one seed, over all images."""
    from causalprint.models.evaluation.splits import Split, hold_out_validation, rotate_origins

    known = truth != STRANGER
    ours = np.flatnonzero((part == 0) & known)
    labels = (images.source[ours], images.origin[ours], images.content[ours])
    validation = (part == 1) & known
    if (part == 2).any():
        # One test and one split for all seeds: they change the training alone.
        test = (part == 2) & known
        free = ~np.isin(labels[2], images.content[test | validation])
        learn, tune = (free, np.zeros_like(free)) if validation.any() else hold_out_validation(*labels, 0, free)
    else:
        rotated = rotate_origins(*labels, seed)
        test = _spread(rotated.test, ours, len(part))
        learn, tune = rotated.train, rotated.validation
        if validation.any():
            learn = (learn | tune) & ~np.isin(labels[2], images.content[validation])
            tune = np.zeros_like(learn)
    validation &= ~np.isin(images.content, images.content[test])
    train = _spread(learn, ours, len(part))
    if lost := sorted(set(labels[0].tolist()) - set(images.source[train].tolist())):
        raise CompareError(f"nothing is left to learn {', '.join(lost)} from: its images share contents with the --val or --test")
    return Split(train, validation | _spread(tune, ours, len(part)), test | ~known)


def _spread(chosen: Mask, rows: Labels, count: int) -> Mask:
    """``chosen`` of ``rows`` as a mask over all."""
    mask = np.zeros(count, np.bool_)
    mask[rows[chosen]] = True
    return mask


def _check(images: LabelledImages, part: Labels, leave_out: Sequence[str], sources: Sequence[str], losses: Losses) -> None:
    counts = {name: int(((images.source == name) & (part == 0)).sum()) for name in sources}
    if len(sources) < 2 or min(counts.values()) < LEAST_IMAGES:
        raise CompareError(
            f"a comparison needs at least {LEAST_IMAGES} images of `{REAL}` and of each generator, no smaller than the crop; "
            f"found {counts}, and {losses.images} that are smaller or damaged{f': {losses}' if losses.images else ''}"
        )
    if strangers := sorted(set(images.source.tolist()) - {*sources, *leave_out}):
        raise CompareError(f"{', '.join(strangers)} can be tested only as unknown: --leave-out {','.join(strangers)}")


def _read(images: CompareConfig, cache: Path, resume: bool, report: Report) -> tuple[LabelledCrops, Labels]:
    """All images: those of the inputs, of the validation, of the test."""
    groups = (images.inputs, images.validation, images.test)
    tables = [_cached_crops(inputs, images, cache, resume, report) for inputs in groups if inputs]
    places = [place for place, inputs in enumerate(groups) if inputs]
    part = np.concatenate([np.full(len(table.images), place) for place, table in zip(places, tables, strict=True)])
    return tables[0].join(*tables[1:]) if len(tables) > 1 else tables[0], part


def _cached_crops(inputs: tuple[str, ...], images: CompareConfig, cache: Path, resume: bool, report: Report) -> LabelledCrops:
    from causalprint.models.evaluation.perturbations import TRACKS
    from causalprint.transforms.match_shards import match_shards

    shards = [(shard.uri, shard.generation, shard.size) for shard in match_shards(inputs, images.storage)]
    key = digest(*shards, images.label_field, images.crop, images.track, *LabelledCrops._fields)[:16]
    pixels, labels = cache / f"crops-{key}.bin", cache / f"crops-{key}.npz"
    if not (resume and labels.exists() and pixels.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        encode = TRACKS[images.track]
        table = read_labelled_crops(inputs, images.storage, images.label_field, images.crop, report, pixels, encode)
        save_arrays(labels, {**table.images.columns, LOSSES: np.array(to_json(table.losses))})
        return table
    stored = load_arrays(labels)
    losses = from_json(Losses, str(stored.pop(LOSSES)), str(labels))
    return LabelledCrops(LabelledImages(**stored), mapped(pixels, len(stored["source"]), images.crop), losses)
