"""Labelled shards, read in one way and by one policy, whatever is made of them.

- Damage of the bytes keeps what can be read. What is left out is counted by its reason, and :class:`Losses` says it in words.
- A broken connection is an error: another run may read more.
- An image without a label is left out as ``unlabelled``; where no image has one, that is an error with its remedy.
"""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple, TypeVar

from causalprint.models.labelled import ImageRow
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.config import NO_OPTIONS, Slicing, Storage
from causalprint.schemas.elements import EncodedImage, ImageSlice, Shard, limit_damage
from causalprint.schemas.losses import Losses, ReasonCount
from causalprint.schemas.reasons import Abstention, Stage
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError, decode
from causalprint.transforms.labels import UNKNOWN, UNLABELLED, Label, LabelError, label_of

SLICING = Slicing(images=32, bytes=8 * 1024 * 1024)
AHEAD = 64
"""Images whose work may be done before it is asked for."""

Report = Callable[[str], None]
"""Told in a few words what is being done."""
Lost = Callable[[str, str], None]
"""Told of an image, or of a damaged shard, where it is and why it is left out."""
Done = TypeVar("Done")


class LabelledImage(NamedTuple):
    """One image, encoded.

    Attributes:
        shard: where it is.
        place: among the images of its shard that could be read, from 0.
        encoded: its bytes and its name in the shard.
        label: what is known of it.
    """

    shard: Shard
    place: int
    encoded: EncodedImage
    label: Label

    @property
    def name(self) -> str:
        """Its shard's URI and its name there."""
        return _name(self.shard, self.encoded.member)

    def decode(self) -> DecodedImage:
        """Its pixels.

        Raises:
            ImageRejectError: it cannot be decoded, or is damaged.
        """
        return decode(self.encoded.data).intact()

    def row(self, decoded: DecodedImage) -> ImageRow:
        """What is known of it, as a row of :class:`~causalprint.models.labelled.LabelledImages`."""
        size = (decoded.height, decoded.width)
        return (*self.label, self.encoded.image_id, len(self.encoded.data), decoded.format, size)


@dataclass(eq=False)
class LabelledReader:
    """Labelled shards in order, and what was left out of the last reading of them.

    Attributes:
        shards: of :func:`~causalprint.transforms.match_shards.match_shards`; their limits hold.
        label_field: key of the sidecar, or column, that names the source; ``None`` asks for no label, and the source is empty.
        storage: fsspec options.
        otherwise: the source of images of which nothing says it; ``None`` takes the name of their folder.
        side_by_side: so many shards are read by turns, a few images of each.
        report: told of every shard.
        lost: told of every image and shard that is left out, in whole or in part.
    """

    shards: Sequence[Shard]
    label_field: str | None
    storage: Storage = NO_OPTIONS
    _: KW_ONLY
    otherwise: str | None = None
    side_by_side: int = 1
    report: Report = lambda _: None
    lost: Lost = lambda _name, _reason: None
    _reasons: Counter[str] = field(default_factory=Counter, init=False)
    _damage: list[str] = field(default_factory=list, init=False)

    @property
    def losses(self) -> Losses:
        """What the last reading left out, so far."""
        return Losses(tuple(ReasonCount(*item) for item in sorted(self._reasons.items())), tuple(self._damage))

    def __iter__(self) -> Iterator[LabelledImage]:
        """Every labelled image.

        Raises:
            ConnectionError: a shard cannot be read for now.
            LabelError: there are images, and none of them has a label.
        """
        self._reasons.clear()
        self._damage.clear()
        unlabelled: LabelError | None = None
        labelled = False
        for part, begin in self._by_turns():
            for reject in part.rejects:
                self._leave_out(part.shard, reject.member, reject.reason, reject.detail)
            for place, image in enumerate(part.images, begin):
                try:
                    label = self._label(image, part.shard)
                except LabelError as error:
                    unlabelled = unlabelled or error
                    self._leave_out(part.shard, image.member, UNLABELLED, UNLABELLED)
                    continue
                labelled = True
                yield LabelledImage(part.shard, place, image, label)
        if unlabelled is not None and not labelled:
            raise unlabelled

    def map(
        self, work: Callable[[LabelledImage], Done], images: Iterable[LabelledImage] | None = None, threads: int | None = None
    ) -> Iterator[Done]:
        """``work`` on every image, in order, in threads that keep a little ahead of what is asked for.

        An image of which ``work`` raises :class:`~causalprint.transforms.images.decode.ImageRejectError` is left out. Whoever has
        enough does not wait for the rest.

        Args:
            work: called in ``threads`` threads.
            images: those of this reader that are to be worked on; ``None`` takes all.
            threads: ``None`` for every core.
        """
        under_way = deque[tuple[LabelledImage, Future[Done]]]()
        left = iter(self if images is None else images)
        pool = ThreadPoolExecutor(threads or os.cpu_count() or 1)
        try:
            while True:
                while len(under_way) < AHEAD and (image := next(left, None)) is not None:
                    under_way.append((image, pool.submit(work, image)))
                if not under_way:
                    return
                image, future = under_way.popleft()
                try:
                    done = future.result()
                except ImageRejectError as error:
                    self._leave_out(image.shard, image.encoded.member, error.reason, error.detail)
                    continue
                yield done
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _label(self, image: EncodedImage, shard: Shard) -> Label:
        if self.label_field is None:
            return Label("", shard.collection, image.image_id, UNKNOWN)
        return label_of(image, shard, self.label_field, self.otherwise)

    def _leave_out(self, shard: Shard, member: str, reason: str, detail: str) -> None:
        self._reasons[reason] += 1
        self.lost(_name(shard, member), detail)

    def _by_turns(self) -> Iterator[tuple[ImageSlice, int]]:
        """Slices, each with the number of its shard's images before it."""
        waiting, opened = deque(enumerate(self.shards, 1)), deque[tuple[Iterator[ImageSlice], int]]()
        while waiting or opened:
            while waiting and len(opened) < self.side_by_side:
                number, shard = waiting.popleft()
                self.report(f"reading shard {number} of {len(self.shards)}: {shard.uri}")
                opened.append((read_slices(shard, "", SLICING, self.storage), 0))
            slices, begin = opened.popleft()
            part = next(slices, None)
            if part is None:
                continue
            shard = part.shard
            if part.retryable:
                raise ConnectionError(f"{shard.uri}: {part.damage}; give the same command again")
            if part.damage and (shard.limit is None or part.damage != limit_damage(shard.limit)):
                self._damage.append(f"{shard.uri}: {part.damage}")
                self.lost(shard.uri, part.damage)
            opened.append((slices, begin + len(part.images)))
            yield part, begin


def central_crop(decoded: DecodedImage, side: int) -> Pixels:
    """The central crop uint8 (side, side, 3), never resized.

    Raises:
        ImageRejectError: the image is smaller.
    """
    from causalprint.models.bundles.manifest import Geometry
    from causalprint.models.features import cut

    crops = cut(decoded.pixels, Geometry(crop=side))
    if not len(crops):
        size = f"{decoded.width} x {decoded.height} pixels"
        raise ImageRejectError(Stage.COMPUTE, Abstention.TOO_SMALL, f"{size}: smaller than the crop, {side}")
    centre: Pixels = crops[0]
    return centre


def _name(shard: Shard, member: str) -> str:
    return f"{shard.collection}{'' if shard.format == 'folder' else '#'}{member}"
