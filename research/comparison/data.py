"""The images of a comparison, with their labels, and how each seed splits them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from causalprint.models.evaluation.duplicates import difference_hashes, join_near_duplicates
from causalprint.models.evaluation.perturbations import TRACKS
from causalprint.models.evaluation.splits import Split, hold_out_validation, rotate_origins
from causalprint.models.labelled import LEAST_IMAGES, STRANGER, LabelledCrops, LabelledImages
from causalprint.pipelines.labelled.crops import mapped, read_labelled_crops
from causalprint.pipelines.labelled.reader import Report
from causalprint.research.comparison.cache import array_digest, load_arrays, save_arrays
from causalprint.research.comparison.config import CompareConfig
from causalprint.research.comparison.scoring import Ground, ground_of
from causalprint.schemas.arrays import Crops, Labels, Mask
from causalprint.schemas.elements import digest
from causalprint.schemas.losses import Losses
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.match_shards import match_shards

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
        sources: what there is to choose from, ``real`` first.
        ground: what answers are held against.
        splits: one a seed; the test of each holds the images of the left-out sources too.
        digest: of the pixels and their order.
    """

    images: LabelledImages
    crops: Crops
    losses: Losses
    sources: tuple[str, ...]
    ground: Ground
    splits: tuple[Split, ...]
    digest: str


def read_data(config: CompareConfig, cache: Path, report: Report) -> Data:
    """Reads the images (or, to resume, what ``cache`` has of them) and splits them.

    Raises:
        CompareError: too few sources or images, or sources that are tested without being learned from.
        SplitError: some source cannot be learned from.
        ConnectionError, InputError, LabelError: as of :func:`~causalprint.pipelines.labelled.crops.read_labelled_crops`.
    """
    (found, crops, losses), part = _read(config, cache, report)
    if missing := sorted(set(config.leave_out) - set(found.source.tolist())):
        raise CompareError(f"--leave-out names {', '.join(missing)}, of which there is no image; remove it")
    learned = set(found.source[part == 0].tolist()) - set(config.leave_out)
    sources = (REAL, *sorted(learned - {REAL}))
    _check(found, part, config.leave_out, sources, losses)
    report("looking for near-duplicates")
    found = replace(found, content=join_near_duplicates(found.content, difference_hashes(crops)))
    ground = ground_of(found, sources)
    splits = tuple(_split(found, part, ground.truth, seed) for seed in range(config.seeds))
    pixels = array_digest(found.image_id, np.array([config.crop]), np.array([config.track]))
    return Data(found, crops, losses, sources, ground, splits, pixels)


def _split(images: LabelledImages, part: Labels, truth: Labels, seed: int) -> Split:
    """The split of one seed, over all images, ``part`` 0 of the inputs, 1 of the validation, 2 of the test."""
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


def _read(config: CompareConfig, cache: Path, report: Report) -> tuple[LabelledCrops, Labels]:
    """All images: those of the inputs, of the validation, of the test; and which of these each is of, 0 to 2."""
    groups = enumerate((config.inputs, config.validation, config.test))
    tables = {place: _cached_crops(inputs, config, cache, report) for place, inputs in groups if inputs}
    first, *others = tables.values()
    part = np.repeat(list(tables), [len(table.images) for table in tables.values()])
    return first.join(*others) if others else first, part


def _cached_crops(inputs: tuple[str, ...], config: CompareConfig, cache: Path, report: Report) -> LabelledCrops:
    shards = [(shard.uri, shard.generation, shard.size) for shard in match_shards(inputs, config.storage)]
    key = digest(*shards, config.label_field, config.crop, config.track, *LabelledCrops._fields)[:16]
    pixels, labels = cache / f"crops-{key}.bin", cache / f"crops-{key}.npz"
    if config.resume and labels.exists() and pixels.exists():
        stored = load_arrays(labels)
        losses = from_json(Losses, str(stored.pop(LOSSES)), str(labels))
        return LabelledCrops(LabelledImages(**stored), mapped(pixels, len(stored["source"]), config.crop), losses)
    cache.mkdir(parents=True, exist_ok=True)
    encode = TRACKS[config.track]
    table = read_labelled_crops(inputs, config.storage, config.label_field, config.crop, report, pixels, encode)
    save_arrays(labels, {**table.images.columns, LOSSES: np.array(to_json(table.losses))})
    return table
