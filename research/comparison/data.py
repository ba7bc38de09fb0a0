"""The images of a comparison, with their labels, and how each seed splits them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.pipelines.labelled.crops import LabelledCrops, read_labelled_crops
from causalprint.research.comparison.cache import array_digest, load_arrays, save_arrays
from causalprint.research.comparison.config import CompareConfig
from causalprint.schemas.elements import digest

if TYPE_CHECKING:
    from causalprint.models.evaluation.splits import Split
    from causalprint.research.comparison.scoring import Ground

Report = Callable[[str], None]
Mask = npt.NDArray[np.bool_]

REAL = "real"
LEAST_IMAGES = 4


class CompareError(ValueError):
    """A comparison that cannot be made as asked; the message says what to do."""


class Data(NamedTuple):
    """N images.

    Attributes:
        table: crops and labels.
        part: 0 of ``inputs``, 1 of ``validation``, 2 of ``test``, int64 (N,).
        sources: what there is to choose from, ``real`` first.
        ground: labels, and contents with near-duplicates joined.
        splits: one a seed; the test of each holds the images of the left-out sources too.
        digest: of the pixels and their order.
    """

    table: LabelledCrops
    part: npt.NDArray[np.int64]
    sources: tuple[str, ...]
    ground: Ground
    splits: tuple[Split, ...]
    digest: str


def read_data(images: CompareConfig, seeds: int, cache: Path, resume: bool, report: Report) -> Data:
    """Reads the images (or, with ``resume``, what ``cache`` has of them) and splits them.

    Raises:
        CompareError: too few sources or images, or sources that are tested without being learned from.
        SplitError: some source cannot be learned from.
        InputError, LabelError, ValueError: as of :func:`~causalprint.pipelines.labelled.crops.read_labelled_crops`.
    """
    from causalprint.models.evaluation.duplicates import difference_hashes, join_near_duplicates
    from causalprint.research.comparison.scoring import UNKNOWN, Ground

    table, part = _read(images, cache, resume, report)
    if missing := sorted(set(images.leave_out) - set(table.source.tolist())):
        raise CompareError(f"--leave-out names {', '.join(missing)}, of which there is no image; remove it")
    left_out = np.isin(table.source, np.array(images.leave_out, np.str_))
    learned = set(table.source[(part == 0) & ~left_out].tolist())
    sources = (REAL, *sorted(learned - {REAL}))
    _check(table, part, left_out, sources)
    report("looking for near-duplicates")
    contents = join_near_duplicates(table.content, difference_hashes(table.crops))
    truth = np.array([UNKNOWN if out else sources.index(name) for name, out in zip(table.source.tolist(), left_out, strict=True)])
    several = [
        label for label, name in enumerate(sources) if len(np.unique(table.origin[(table.source == name) & ~left_out])) > 1
    ]
    ground = Ground(truth, contents, len(sources), 0, np.array(several, np.int64))
    splits = tuple(_split(table, part, ground, seed) for seed in range(seeds))
    pixels = array_digest(table.image_id, np.array([images.crop]), np.array([images.track]))
    return Data(table, part, sources, ground, splits, pixels)


def _split(table: LabelledCrops, part: npt.NDArray[np.int64], ground: Ground, seed: int) -> Split:
    """The split of one seed, over all images."""
    from causalprint.models.evaluation.splits import Split, hold_out_validation, rotate_origins
    from causalprint.research.comparison.scoring import UNKNOWN

    known = ground.truth != UNKNOWN
    ours = np.flatnonzero((part == 0) & known)
    labels = (table.source[ours], table.origin[ours], ground.contents[ours])
    validation = (part == 1) & known
    if (part == 2).any():
        # One test and one split for all seeds: they change the training alone.
        test = (part == 2) & known
        free = ~np.isin(labels[2], ground.contents[test | validation])
        learn, tune = (free, np.zeros_like(free)) if validation.any() else hold_out_validation(*labels, 0, free)
    else:
        rotated = rotate_origins(*labels, seed)
        test = _spread(rotated.test, ours, len(part))
        learn, tune = rotated.train, rotated.validation
        if validation.any():
            learn = (learn | tune) & ~np.isin(labels[2], ground.contents[validation])
            tune = np.zeros_like(learn)
    validation &= ~np.isin(ground.contents, ground.contents[test])
    train = _spread(learn, ours, len(part))
    if lost := sorted(set(labels[0].tolist()) - set(table.source[train].tolist())):
        raise CompareError(f"nothing is left to learn {', '.join(lost)} from: its images share contents with the --val or --test")
    return Split(train, validation | _spread(tune, ours, len(part)), test | ~known)


def _spread(chosen: Mask, rows: npt.NDArray[np.int64], count: int) -> Mask:
    """``chosen`` of ``rows`` as a mask over all."""
    mask = np.zeros(count, np.bool_)
    mask[rows[chosen]] = True
    return mask


def _check(table: LabelledCrops, part: npt.NDArray[np.int64], left_out: Mask, sources: Sequence[str]) -> None:
    counts = {name: int(((table.source == name) & (part == 0)).sum()) for name in sources}
    if len(sources) < 2 or min(counts.values()) < LEAST_IMAGES:
        raise CompareError(
            f"a comparison needs at least {LEAST_IMAGES} images of `{REAL}` and of each generator, no smaller than the crop; "
            f"found {counts}, and {table.left_out} that are smaller or damaged"
        )
    if strangers := sorted(set(table.source[~left_out].tolist()) - set(sources)):
        raise CompareError(f"{', '.join(strangers)} can be tested only as unknown: --leave-out {','.join(strangers)}")


def _read(images: CompareConfig, cache: Path, resume: bool, report: Report) -> tuple[LabelledCrops, npt.NDArray[np.int64]]:
    """All images: those of the inputs, of the validation, of the test."""
    groups = (images.inputs, images.validation, images.test)
    tables = [_cached_crops(inputs, images, cache, resume, report) for inputs in groups if inputs]
    places = [place for place, inputs in enumerate(groups) if inputs]
    part = np.concatenate([np.full(len(table.source), place) for place, table in zip(places, tables, strict=True)])
    if len(tables) == 1:
        return tables[0], part
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(table, name) for table in tables]) for name in LabelledCrops._fields if name != "left_out"
    }
    return LabelledCrops(**columns, left_out=sum(table.left_out for table in tables)), part


def _cached_crops(inputs: tuple[str, ...], images: CompareConfig, cache: Path, resume: bool, report: Report) -> LabelledCrops:
    from causalprint.models.evaluation.perturbations import TRACKS
    from causalprint.transforms.match_shards import match_shards

    shards = [(shard.uri, shard.generation, shard.size) for shard in match_shards(inputs, images.storage)]
    key = digest(*shards, images.label_field, images.crop, images.track)[:16]
    pixels, labels = cache / f"crops-{key}.bin", cache / f"crops-{key}.npz"
    if not (resume and labels.exists() and pixels.exists()):
        cache.mkdir(parents=True, exist_ok=True)
        encode = TRACKS[images.track]
        table = read_labelled_crops(inputs, images.storage, images.label_field, images.crop, report, pixels, encode)
        save_arrays(labels, {**table._asdict(), "crops": np.zeros(0), "left_out": np.array(table.left_out)})
        return table
    stored = load_arrays(labels)
    count = len(stored["source"])
    shape = (count, images.crop, images.crop, 3)
    crops = np.memmap(pixels, np.uint8, "r", shape=shape) if count else np.zeros(shape, np.uint8)
    return LabelledCrops(**{**stored, "crops": crops, "left_out": int(stored["left_out"])})
