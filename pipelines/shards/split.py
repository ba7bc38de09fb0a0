"""``causalprint split``: labelled shards in two, by origin, so that a bundle is measured on origins that it has never seen."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.models.labelled import ImageRow, LabelledImages
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, Report, central_crop
from causalprint.pipelines.shards.sample_tar import add_row
from causalprint.schemas.arrays import Hashes
from causalprint.schemas.losses import Losses
from causalprint.schemas.reasons import Abstention
from causalprint.transforms.images.kinds import usual_suffix
from causalprint.transforms.labels import UNLABELLED
from causalprint.transforms.match_shards import match_shards

if TYPE_CHECKING:
    from causalprint.pipelines.commands.split import SplitConfig


class ShardSplitError(ValueError):
    """Shards that cannot be split as asked; the message says what to do."""


class Fate(StrEnum):
    """Where an image goes: to one of two folders, or why to neither."""

    FIT = "fit"
    TEST = "test"
    REJECTED = "rejected: it cannot be read or decoded"
    SMALL = "smaller than the crop"
    UNLABELLED = "nothing says what made it"
    LIKE_TEST = "shares a content with the test"


_WHY_LOST = {Abstention.TOO_SMALL.value: Fate.SMALL, UNLABELLED: Fate.UNLABELLED}
"""Of reasons to leave an image out; every other one is :attr:`Fate.REJECTED`."""


class Share(NamedTuple):
    """What one folder has of a source: origins, sorted, and the number of images."""

    origins: tuple[str, ...]
    images: int


class SourceSplit(NamedTuple):
    """One source, in each folder."""

    source: str
    fit: Share
    test: Share


class FateCount(NamedTuple):
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
        damage: of each shard that could not be read to its end, what is missing.
    """

    output: str
    seed: int
    images: int
    sources: tuple[SourceSplit, ...]
    left_out: tuple[FateCount, ...]
    damage: tuple[str, ...] = ()

    @property
    def fit(self) -> int:
        """Images in ``fit``."""
        return sum(source.fit.images for source in self.sources)

    @property
    def test(self) -> int:
        """Images in ``test``."""
        return sum(source.test.images for source in self.sources)


_Place = tuple[str, int]
"""The URI of an image's shard, and its place there."""


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
        ShardSplitError: the output is there, or there is nothing to test.
        SplitError: nothing is left to learn some source from.
        ConnectionError: a shard cannot be read for now.
        InputError: an input matches nothing.
        LabelError: no image has a label.
    """
    output = config.output.resolve()
    _refuse_to_overwrite(output)
    shards = tuple(match_shards(config.inputs, config.storage))
    reader = LabelledReader(shards, config.label_field, config.storage, report=report)
    looked = list(reader.map(lambda image: _look_at(image, config.crop)))
    losses = reader.losses
    report("looking for near-duplicates")
    images = LabelledImages.of(row for _, row, _ in looked)
    fates = _decide(config, images, np.array([hashed for *_, hashed in looked], np.uint64))
    part = output.with_name(f".{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # what a kill may have left
    try:
        for folder in (Fate.FIT, Fate.TEST):
            (part / folder).mkdir(parents=True)
        names = {shard.uri: f"{number:05d}.tar" for number, shard in enumerate(shards)}
        by_place = {place: fate for (place, *_), fate in zip(looked, fates, strict=True)}
        for uri, of_shard in groupby(reader, lambda image: image.shard.uri):
            _write(of_shard, by_place, part, names[uri])
        _refuse_to_overwrite(output)
        part.replace(output)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _account(config, images, fates, losses)


def _refuse_to_overwrite(output: Path) -> None:
    if output.is_dir() and not any(output.iterdir()):
        return
    if output.exists():
        raise ShardSplitError(f"output {output} is there already and not empty; remove it, or give another --output")


def _look_at(image: LabelledImage, side: int) -> tuple[_Place, ImageRow, np.uint64]:
    """Where an image is, what is known of it, and the difference hash of its crop."""
    from causalprint.models.evaluation.duplicates import difference_hashes

    decoded = image.decode()
    return (image.shard.uri, image.place), image.row(decoded), difference_hashes(central_crop(decoded, side)[None])[0]


def _decide(config: SplitConfig, images: LabelledImages, hashes: Hashes) -> list[Fate]:
    """Where each image goes."""
    from causalprint.models.evaluation.duplicates import join_near_duplicates
    from causalprint.models.evaluation.splits import hold_out_test

    if not len(images):
        raise ShardSplitError(
            f"{', '.join(config.inputs)}: no image can be decoded and is at least {config.crop} pixels wide and high; "
            "give other images or a smaller --crop"
        )
    contents = join_near_duplicates(images.content, hashes)
    free, test = hold_out_test(images.source, images.origin, contents, config.seed)
    if not test.any():
        raise ShardSplitError(
            f"{', '.join(config.inputs)}: nothing to test among {len(images)} images: each source has one origin and too few "
            "contents; give more images or state their `origin` in the sidecars"
        )
    pairs = zip(free, test, strict=True)
    return [Fate.TEST if is_test else Fate.FIT if is_free else Fate.LIKE_TEST for is_free, is_test in pairs]


def _write(images: Iterable[LabelledImage], fates: Mapping[_Place, Fate], folder: Path, name: str) -> None:
    """The tars of one shard."""
    with ExitStack() as stack:
        tars: dict[Fate, tarfile.TarFile] = {}
        for image in images:
            side = fates.get((image.shard.uri, image.place))
            if side not in (Fate.FIT, Fate.TEST):
                continue
            if side not in tars:
                tars[side] = stack.enter_context(tarfile.open(folder / side / name, "w"))
            metadata = json.loads(image.encoded.metadata or "{}")
            sidecar = (metadata if isinstance(metadata, dict) else {}) | image.label._asdict()
            data = image.encoded.data
            add_row(tars[side], (f"{image.place:06d}", usual_suffix(data), data, sidecar))


def _account(config: SplitConfig, images: LabelledImages, fates: Sequence[Fate], losses: Losses) -> SplitReport:
    placed = Counter(zip(images.source.tolist(), images.origin.tolist(), fates, strict=True))

    def share(source: str, side: Fate) -> Share:
        origins = {origin: count for (name, origin, fate), count in placed.items() if (name, fate) == (source, side)}
        return Share(tuple(sorted(origins)), sum(origins.values()))

    counts = Counter(fates)
    for reason, lost in losses.reasons:
        counts[_WHY_LOST.get(reason, Fate.REJECTED)] += lost
    return SplitReport(
        output=str(config.output),
        seed=config.seed,
        images=len(fates) + losses.images,
        sources=tuple(
            SourceSplit(source, share(source, Fate.FIT), share(source, Fate.TEST)) for source in np.unique(images.source).tolist()
        ),
        left_out=tuple(
            FateCount(fate.value, counts[fate]) for fate in Fate if counts[fate] and fate not in (Fate.FIT, Fate.TEST)
        ),
        damage=losses.damage,
    )
