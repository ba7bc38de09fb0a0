"""Which photographs an aligned track shows: large enough ones of source ``real``, spread over their origins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from causalprint.research.aligned.config import AlignedConfig, AlignedError
from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import EncodedImage, Shard, digest
from causalprint.transforms.labels import label_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CROP = 256
CHUNK = Slicing(images=64)
"""Images in memory at a time."""


class Survey(NamedTuple):
    """The image ids that are taken, and how many were left out, as of :class:`AlignedReport`."""

    chosen: frozenset[str]
    other: int
    small: int
    damaged: int
    repeated: int
    beyond: int


def find_photographs(config: AlignedConfig) -> Survey:
    """Reads the inputs once and chooses.

    Raises:
        AlignedError: no photograph is large enough, or a shard is damaged.
        InputError: an input matches nothing.
        LabelError: nothing says what made an image.
    """
    from causalprint.models.bundles.manifest import REAL
    from causalprint.transforms.images.decode import ImageRejectError

    found: dict[str, str] = {}
    rejected = other = small = damaged = repeated = 0
    for shard, images, rejects in read_chunks(config):
        rejected += rejects
        for image in images:
            label = label_of(image, shard, config.label_field)
            if label.source != REAL:
                other += 1
                continue
            try:
                large = len(central_crop(image)) > 0
            except ImageRejectError:
                damaged += 1
                continue
            small += not large
            repeated += large and image.image_id in found
            if large:
                found.setdefault(image.image_id, label.origin)
    if not found:
        raise AlignedError(
            f"{', '.join(config.inputs)}: no image of source {REAL!r} is at least {CROP} pixels wide and high (of other sources "
            f"{other}, smaller {small}, damaged {damaged + rejected}); give labelled photographs, or another --label-field"
        )
    chosen = _choose(found, config.limit, config.seed)
    return Survey(chosen, other, small, damaged + rejected, repeated, len(found) - len(chosen))


def _choose(found: Mapping[str, str], limit: int | None, seed: int) -> frozenset[str]:
    """At most ``limit`` image ids, one of each origin in turn, in an order drawn by ``seed``."""
    ranks: defaultdict[str, int] = defaultdict(int)
    order = []
    for drawn, image_id, origin in sorted((digest(seed, image_id), image_id, origin) for image_id, origin in found.items()):
        order.append((ranks[origin], drawn, image_id))
        ranks[origin] += 1
    return frozenset(image_id for _, _, image_id in sorted(order)[:limit])


def central_crop(image: EncodedImage) -> NDArray[np.uint8]:
    """The image's central crop at its own resolution, uint8 (1, 256, 256, 3); (0, …) where it is smaller.

    Raises:
        ImageRejectError: it cannot be decoded.
    """
    from causalprint.models.bundles.manifest import Geometry
    from causalprint.models.features import cut
    from causalprint.transforms.images.decode import decode

    return cut(decode(image.data).pixels, Geometry(crop=CROP))


def read_chunks(config: AlignedConfig) -> Iterator[tuple[Shard, tuple[EncodedImage, ...], int]]:
    """The input's images, a chunk at a time, with the number of members that could not be read."""
    from causalprint.transforms.formats.slices import read_slices
    from causalprint.transforms.match_shards import match_shards

    for shard in match_shards(config.inputs, config.storage):
        for part in read_slices(shard, "aligned", CHUNK, config.storage):
            if part.damage:
                raise AlignedError(f"{shard.uri}: {part.damage}; aligned images are made from whole shards")
            yield shard, part.images, len(part.rejects)
