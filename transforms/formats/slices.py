"""A shard as slices: the unit of work, of retry and of commit."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Container, Iterator
from itertools import count

from causalprint.schemas.config import DEFAULT_READING, ReadOptions, Slicing, Storage
from causalprint.schemas.elements import (
    EncodedImage,
    ImageSlice,
    Place,
    Reject,
    Shard,
    ShardDamageError,
    Skipped,
    SkippedCount,
    Unread,
)
from causalprint.schemas.urls import scrubbed
from causalprint.transforms.faults import MachineFaultError
from causalprint.transforms.formats import FORMATS
from causalprint.transforms.formats.chosen import chosen_items, only_items
from causalprint.transforms.formats.items import Damage, Item, held_bytes
from causalprint.transforms.formats.left_out import tell_nested
from causalprint.transforms.images.kinds import skipped_kind
from causalprint.transforms.storage.storage import ShardSource

logger = logging.getLogger(__name__)


def read_slices(
    shard: Shard,
    bundle_id: str,
    slicing: Slicing,
    storage: Storage,
    options: ReadOptions = DEFAULT_READING,
    only: Collection[Place] | None = None,
    taken: Container[int] = (),
) -> Iterator[ImageSlice]:
    """The shard's slices in order; the last one, and no other, has ``last`` set.

    A slice is cut before the image or reject that would be one more than ``slicing.images``, or that would bring its encoded
    bytes, names, details and metadata above ``slicing.bytes`` (an image that is larger stands alone). Where it is cut and all
    that it holds depends on the shard's bytes, the slicing and the shard's limit alone, so that a slice is the same on every run:

    - Damage of the bytes themselves ends the last slice, which keeps what it has.
    - A broken connection, a machine that fails, and a shard that changed since it was matched, would cut anywhere. The slice
      under construction is dropped, and an empty one that is ``retryable`` ends the shard. So does an error that no reader
      foresaw.
    - One file of a folder that the store does not give has its place in a slice, which is ``unfinished``; so are those after it
      where that place is not certain.

    Args:
        shard: that.
        bundle_id: names the slices.
        slicing: where they are cut.
        storage: fsspec options.
        options: of reading.
        only: the images to be read; ``None``: as the shard says.
        taken: numbers that no slice may have.

    Yields:
        At least one slice. Before each one the shard's generation is looked up, so that none mixes two versions.

    Raises:
        ImportError: the shard needs a package that is not installed.
    """
    numbers = (number for number in count() if number not in taken)
    index = next(numbers)
    pending = _Pending()
    end: ShardDamageError | None = None
    certain = True
    source: ShardSource | None = None
    try:
        source = ShardSource(shard, storage, options)
        items = chosen_items(tell_nested(FORMATS[shard.format].read(source, options), shard), shard)
        for item in items if only is None else only_items(items, only):
            if pending.is_full_for(item, slicing):
                source.check_generation()
                yield pending.as_slice(shard, bundle_id, index)
                index = next(numbers)
                pending = _Pending(certain=certain)
            pending.add(item)
            certain = certain and not (isinstance(item, Unread) and item.size is None)
    except ShardDamageError as error:
        end = error
    except ImportError:
        raise
    except MachineFaultError as error:
        end = ShardDamageError(scrubbed(f"reading failed, for the machine did ({error}); no image is to blame"), retryable=True)
    except Exception as error:
        logger.exception("reading %s failed", shard.uri)
        message = f"the reader failed, {type(error).__name__}: {error}; please report this"
        end = ShardDamageError(scrubbed(message), retryable=True)
    try:
        if source is not None:
            source.check_generation()
    except ShardDamageError as error:  # which also explains why it could not be read
        end = error
    if end is not None and end.retryable:
        pending = _Pending()
    yield pending.as_slice(shard, bundle_id, index, last=True, end=end)


class _Pending:
    """A slice under construction."""

    def __init__(self, *, certain: bool = True) -> None:
        self._images: list[EncodedImage] = []
        self._rejects: list[Reject] = []
        self._skipped: Counter[str] = Counter()
        self._bytes = 0
        self._unread = 0
        self._missing = Damage()
        if not certain:
            self._missing.note("where this slice begins depends on a file before it that could not be read")

    def is_full_for(self, item: Item | Unread, slicing: Slicing) -> bool:
        seen = len(self._images) + len(self._rejects) + self._unread
        if isinstance(item, Skipped) or not seen:
            return False
        return seen >= slicing.images or self._bytes + _bytes_of(item) > slicing.bytes

    def add(self, item: Item | Unread) -> None:
        if isinstance(item, EncodedImage):
            self._images.append(item)
        elif isinstance(item, Reject):
            self._rejects.append(item)
        elif isinstance(item, Unread):
            self._unread += 1
            self._missing.note(f"{item.member!r} could not be read: {item.why}")
        else:
            self._skipped[item.kind or skipped_kind(item.member)] += 1
            return
        self._bytes += _bytes_of(item)

    def as_slice(
        self, shard: Shard, bundle_id: str, index: int, *, last: bool = False, end: ShardDamageError | None = None
    ) -> ImageSlice:
        return ImageSlice(
            slice_id=shard.slice_id(bundle_id, index),
            shard=shard,
            index=index,
            images=tuple(self._images),
            rejects=tuple(self._rejects),
            skipped=self._skipped.total(),
            skipped_kinds=tuple(SkippedCount(*each) for each in sorted(self._skipped.items())),
            last=last,
            damage="; ".join(text for text in (self._missing.text, end and str(end)) if text) or None,
            retryable=end is not None and end.retryable,
            unfinished=self._missing.text is not None,
        )


def _bytes_of(item: EncodedImage | Reject | Unread) -> int:
    return item.size or 0 if isinstance(item, Unread) else held_bytes(item)
