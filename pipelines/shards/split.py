"""``causalprint split``: labelled shards in two, by origin, so that a bundle is measured on origins that it has never seen."""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.pipelines.shards.config import SplitConfig
from causalprint.pipelines.shards.sample_tar import Row, add_row
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import EncodedImage, Shard
from causalprint.transforms.labels import Label, label_of

if TYPE_CHECKING:
    from causalprint.schemas.elements import ImageSlice

CHUNK = Slicing(images=64)
"""Images in memory at a time."""

Report = Callable[[str], None]


class ShardSplitError(ValueError):
    """Shards that cannot be split as asked; the message says what to do."""


class Fate(StrEnum):
    """Where an image goes: to one of two folders, or why to neither."""

    FIT = "fit"
    TEST = "test"
    REJECTED = "rejected: it cannot be read or decoded"
    SMALL = "smaller than the crop"
    LIKE_TEST = "shares a content with the test"


class Share(NamedTuple):
    """What one folder has of a source: origins, sorted, and the number of images."""

    origins: tuple[str, ...]
    images: int


class SourceSplit(NamedTuple):
    """One source, in each folder."""

    source: str
    fit: Share
    test: Share


class LeftOut(NamedTuple):
    """So many images that are in neither folder, and why."""

    why: str
    images: int


class SplitReport(NamedTuple):
    """What was split.

    Attributes:
        output: the folder.
        seed: as of the configuration.
        images: of the input; those of ``sources`` and of ``left_out`` together.
        sources: sorted by name.
        left_out: reasons that occurred.
    """

    output: str
    seed: int
    images: int
    sources: tuple[SourceSplit, ...]
    left_out: tuple[LeftOut, ...]

    @property
    def fit(self) -> int:
        """Images in ``fit``."""
        return sum(source.fit.images for source in self.sources)

    @property
    def test(self) -> int:
        """Images in ``test``."""
        return sum(source.test.images for source in self.sources)


class _Known(NamedTuple):
    """What decides where an image goes: its label, and the difference hash of its crop, or why it has none."""

    label: Label
    hashed: np.uint64 | Fate


def split_shards(config: SplitConfig, report: Report = lambda _: None) -> SplitReport:
    """Writes ``fit/NAME.tar`` and ``test/NAME.tar``: WebDataset shards of the input's images, by origin.

    The test is that of ``compare`` for the same seed, crop and label field
    (:func:`~causalprint.models.evaluation.splits.hold_out_test`, contents of near-duplicates joined); ``fit`` is all that shares
    no content with it. NAME is the number of the input shard, in the order of their URIs; a shard that gives nothing to a folder
    has no tar there. A member is named by its image's place in the input shard and holds its bytes as they are. A sidecar is the
    image's own (of Parquet and TFRecord: its other columns), with ``source``, ``origin``, ``content`` and ``licence`` as they
    were read.

    The folder appears when it is whole, the same bytes for the same input.

    Raises:
        ShardSplitError: the output is there, a shard is damaged, or there is nothing to test.
        SplitError: nothing is left to learn some source from.
        InputError: an input matches nothing.
        LabelError: nothing says what made an image.
    """
    from causalprint.transforms.match_shards import match_shards

    output = config.output.resolve()
    _refuse_to_overwrite(output)
    shards = tuple(match_shards(config.inputs, config.storage))
    known, rejected = _survey(config, shards, report)
    report("looking for near-duplicates")
    fates = _decide(config, [one for of_shard in known for one in of_shard])
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what a kill may have left
    with ExitStack() as tidy:
        tidy.callback(shutil.rmtree, part, ignore_errors=True)
        for folder in (Fate.FIT, Fate.TEST):
            (part / folder).mkdir(parents=True)
        begin = 0
        for number, (shard, of_shard) in enumerate(zip(shards, known, strict=True)):
            report(f"writing shard {number + 1} of {len(shards)}")
            _write(config, shard, fates[begin : begin + len(of_shard)], part, f"{number:05d}.tar")
            begin += len(of_shard)
        _refuse_to_overwrite(output)
        part.replace(output)
    return _account(config, [one.label for of_shard in known for one in of_shard], fates, rejected)


def _refuse_to_overwrite(output: Path) -> None:
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists():
        raise ShardSplitError(f"output {output} is there already and not empty; remove it, or give another --output")


def _survey(config: SplitConfig, shards: Sequence[Shard], report: Report) -> tuple[list[list[_Known]], int]:
    """What is known of every image, a list a shard, and how many could not be read."""
    known: list[list[_Known]] = []
    rejected = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for number, shard in enumerate(shards, 1):
            report(f"reading shard {number} of {len(shards)}: {shard.uri}")
            known.append([])
            for slice_ in _slices(config, shard):
                known[-1] += pool.map(partial(_look_at, config, shard), slice_.images)
                rejected += len(slice_.rejects)
    return known, rejected


def _slices(config: SplitConfig, shard: Shard) -> Iterator[ImageSlice]:
    from causalprint.transforms.formats.slices import read_slices

    for slice_ in read_slices(shard, "split", CHUNK, config.storage):
        if slice_.damage:
            raise ShardSplitError(f"{shard.uri}: {slice_.damage}; only whole shards are split")
        yield slice_


def _look_at(config: SplitConfig, shard: Shard, image: EncodedImage) -> _Known:
    from causalprint.models.bundles.manifest import Geometry
    from causalprint.models.evaluation.duplicates import difference_hashes
    from causalprint.models.features import cut
    from causalprint.transforms.images.decode import ImageRejectError, decode

    label = label_of(image, shard, config.label_field)
    try:
        crops = cut(decode(image.data).pixels, Geometry(crop=config.crop))
    except ImageRejectError:
        return _Known(label, Fate.REJECTED)
    return _Known(label, difference_hashes(crops)[0] if len(crops) else Fate.SMALL)


def _decide(config: SplitConfig, known: Sequence[_Known]) -> list[Fate]:
    """Where each image goes."""
    from causalprint.models.evaluation.duplicates import join_near_duplicates
    from causalprint.models.evaluation.splits import hold_out_test

    fates = [one.hashed if isinstance(one.hashed, Fate) else Fate.FIT for one in known]
    usable = [place for place, fate in enumerate(fates) if fate is Fate.FIT]
    if not usable:
        raise ShardSplitError(
            f"{', '.join(config.inputs)}: no image can be decoded and is at least {config.crop} pixels wide and high; "
            "give other images or a smaller --crop"
        )
    labels = [known[place].label for place in usable]
    sources, origins, contents, _ = (np.array(column, np.str_) for column in zip(*labels, strict=True))
    contents = join_near_duplicates(contents, np.array([known[place].hashed for place in usable], np.uint64))
    free, test = hold_out_test(sources, origins, contents, config.seed)
    if not test.any():
        raise ShardSplitError(
            f"{', '.join(config.inputs)}: nothing to test among {len(usable)} images: each source has one origin and too few "
            "contents; give more images or state their `origin` in the sidecars"
        )
    for place, is_free, is_test in zip(usable, free, test, strict=True):
        fates[place] = Fate.TEST if is_test else Fate.FIT if is_free else Fate.LIKE_TEST
    return fates


def _write(config: SplitConfig, shard: Shard, fates: Sequence[Fate], folder: Path, name: str) -> None:
    """The tars of one shard."""
    with ExitStack() as stack:
        tars = {
            side: stack.enter_context(tarfile.open(folder / side / name, "w")) for side in (Fate.FIT, Fate.TEST) if side in fates
        }
        images = (image for slice_ in _slices(config, shard) for image in slice_.images)
        for place, (image, fate) in enumerate(zip(images, fates, strict=True)):
            if fate in tars:
                add_row(tars[fate], _row(config, shard, image, place))


def _row(config: SplitConfig, shard: Shard, image: EncodedImage, place: int) -> Row:
    from causalprint.transforms.images.kinds import image_format

    kind = str(image_format(image.data)).lower()
    metadata = json.loads(image.metadata) if image.metadata else {}
    sidecar = {**(metadata if isinstance(metadata, dict) else {}), **label_of(image, shard, config.label_field)._asdict()}
    return f"{place:06d}", "jpg" if kind == "jpeg" else kind, image.data, sidecar


def _account(config: SplitConfig, labels: Sequence[Label], fates: Sequence[Fate], rejected: int) -> SplitReport:
    placed = Counter((label.source, label.origin, fate) for label, fate in zip(labels, fates, strict=True))

    def share(source: str, side: Fate) -> Share:
        origins = {origin: count for (name, origin, fate), count in placed.items() if (name, fate) == (source, side)}
        return Share(tuple(sorted(origins)), sum(origins.values()))

    counts = Counter(fates)
    counts[Fate.REJECTED] += rejected
    return SplitReport(
        output=str(config.output),
        seed=config.seed,
        images=len(fates) + rejected,
        sources=tuple(
            SourceSplit(source, share(source, Fate.FIT), share(source, Fate.TEST))
            for source in sorted({label.source for label in labels})
        ),
        left_out=tuple(LeftOut(fate.value, counts[fate]) for fate in Fate if counts[fate] and fate not in (Fate.FIT, Fate.TEST)),
    )
