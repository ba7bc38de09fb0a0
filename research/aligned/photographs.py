"""Which photographs an aligned track shows: large enough ones of source ``real``, spread over their origins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, central_crop
from causalprint.research.aligned.config import AlignedConfig, AlignedError
from causalprint.schemas.elements import digest
from causalprint.schemas.losses import Losses
from causalprint.transforms.match_shards import match_shards

CROP = 256


class ChosenPhotographs(NamedTuple):
    """The image ids that are taken, and how many were left out, as of :class:`AlignedReport`, or lost in reading."""

    chosen: frozenset[str]
    other: int
    repeated: int
    beyond: int
    losses: Losses


def find_photographs(config: AlignedConfig, reader: LabelledReader) -> ChosenPhotographs:
    """Reads the inputs once and chooses.

    Raises:
        AlignedError: no photograph is large enough.
        ConnectionError: a shard cannot be read for now.
        LabelError: no image has a label.
    """
    from causalprint.models.bundles.manifest import REAL

    def work(image: LabelledImage) -> tuple[str, str] | None:
        if image.label.source != REAL:
            return None
        central_crop(image.decode(), CROP)
        return image.encoded.image_id, image.label.origin

    looked = list(reader.map(work, threads=config.threads))
    usable = [one for one in looked if one is not None]
    other = len(looked) - len(usable)
    if not usable:
        raise AlignedError(
            f"{', '.join(config.inputs)}: no image of source {REAL!r} is at least {CROP} pixels wide and high (of other sources "
            f"{other}{f'; {reader.losses}' if str(reader.losses) else ''}); give labelled photographs, or another --label-field"
        )
    origins = dict(reversed(usable))  # of one that is repeated, the first origin
    chosen = _choose(origins, config.limit, config.seed)
    return ChosenPhotographs(chosen, other, len(usable) - len(origins), len(origins) - len(chosen), reader.losses)


def _choose(found: Mapping[str, str], limit: int | None, seed: int) -> frozenset[str]:
    """At most ``limit`` image ids, one of each origin in turn, in an order drawn by ``seed``."""
    ranks: defaultdict[str, int] = defaultdict(int)
    order = []
    for drawn, image_id, origin in sorted((digest(seed, image_id), image_id, origin) for image_id, origin in found.items()):
        order.append((ranks[origin], drawn, image_id))
        ranks[origin] += 1
    return frozenset(image_id for _, _, image_id in sorted(order)[:limit])


def photograph_reader(config: AlignedConfig) -> LabelledReader:
    """Of the inputs.

    Raises:
        InputError: an input matches nothing.
    """
    return LabelledReader(list(match_shards(config.inputs, config.storage)), config.label_field, config.storage)
