"""Which images of the shards are read where not all are: the first (``--limit``), a sample (``--sample``), or those named."""

from __future__ import annotations

import hashlib
import heapq
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from causalprint.schemas.config import ReadOptions, Storage
from causalprint.schemas.elements import (
    Drawn,
    EncodedImage,
    Place,
    Reject,
    Shard,
    ShardDamageError,
    Skipped,
    Unread,
    digest,
    limit_damage,
)
from causalprint.transforms.faults import MachineFaultError
from causalprint.transforms.formats import FORMATS
from causalprint.transforms.formats.items import Item
from causalprint.transforms.storage.storage import ShardSource

logger = logging.getLogger(__name__)


def first_shards(limit: int, shards: Iterable[Shard], storage: Storage, options: ReadOptions) -> Iterator[Shard]:
    """The first shards, up to the one in which the ``limit``-th image is, counted by reading them."""
    left = limit
    for shard in shards:
        if left <= 0:
            return
        seen = count_images(shard, storage, options, left)
        yield replace(shard, limit=left) if seen == left else shard
        left -= seen


def sampled_shards(sample: int, seed: int, shards: Sequence[Shard], storage: Storage, options: ReadOptions) -> list[Shard]:
    """The shards from which a uniform sample of ``sample`` images takes any, each with its share; all where there are no more.

    Every image is as likely as any other, and a shard's share is in proportion to its images, rounded down or up (systematic
    sampling over the shards, then simple random sampling in each). The images are counted by reading all shards.
    """
    counts = [count_images(shard, storage, options) for shard in shards]
    return [share for share in map(_share, shards, counts, share_out(sample, counts, seed), [seed] * len(counts)) if share]


def share_out(sample: int, counts: Sequence[int], seed: int) -> list[int]:
    """How many of ``sample`` fall to each of several strata, so that they sum to it, or to all that there is."""
    total = sum(counts)
    if sample >= total:
        return list(counts)
    start = int(digest("sample", seed)[:32], 16) % total
    ends = [(end * sample + start) // total for end in accumulate(counts, initial=0)]
    return [after - before for before, after in pairwise(ends)]


def chosen_items(items: Iterable[Item | Unread], shard: Shard) -> Iterator[Item | Unread]:
    """Those of a shard's ``items`` that are to be read: all, the first ``shard.limit`` images and rejects, or those drawn.

    What is drawn is drawn from the whole shard, so that is read to its end, and its damage told.

    Raises:
        ShardDamageError: there are more; not retryable.
    """
    if shard.limit is None:
        yield from items
        return
    wanted = drawn_places(shard) if shard.drawn else range(shard.limit)
    place = taken = 0
    for item in items:
        if isinstance(item, Skipped):
            yield item
            continue
        if taken == len(wanted) and not shard.drawn:
            raise ShardDamageError(limit_damage(shard.limit, shard.drawn))
        if place in wanted:
            taken += 1
            yield item
        place += 1
    if shard.drawn:  # and others were not
        raise ShardDamageError(limit_damage(shard.limit, shard.drawn))


def only_items(items: Iterable[Item | Unread], only: Collection[Place]) -> Iterator[Item]:
    """Those of a shard's ``items`` that are images at these places; no more is read than they need.

    Raises:
        ShardDamageError: some are not there, or were not given; retryable where none was, for else the others count.
    """
    left = set(only)
    for item in items if left else ():
        place = Place(item.member, item.offset)
        if isinstance(item, EncodedImage | Reject) and place in left:
            left.remove(place)
            yield item
            if not left:
                return
    if left:
        message = f"{len(left)} of {len(only)} images that were to be read again were not given"
        raise ShardDamageError(message, retryable=len(left) == len(only))


def drawn_places(shard: Shard) -> frozenset[int]:
    """The places, from 0, of the images and rejects that are drawn: a simple random sample by the seed and the shard's URI."""
    if shard.limit is None or shard.drawn is None:
        raise ValueError(f"nothing is drawn from {shard.uri}")
    base = hashlib.sha256(f"{shard.drawn.seed}:{shard.uri}:".encode("utf-8", "surrogateescape"))

    def order(place: int) -> bytes:
        hasher = base.copy()
        hasher.update(str(place).encode())
        return hasher.digest()

    return frozenset(heapq.nsmallest(shard.limit, range(shard.drawn.of), key=order))


def count_images(shard: Shard, storage: Storage, options: ReadOptions, most: int | None = None) -> int:
    """Images and rejects in the shard, and what the store does not give, counted up to ``most``."""
    seen = 0
    source = ShardSource(shard, storage, options)
    try:
        for item in FORMATS[shard.format].read(source, options):
            seen += not isinstance(item, Skipped)
            if seen == most:
                break
    except (ImportError, MachineFaultError):
        raise
    except Exception as error:  # noqa: BLE001 - reading it will tell
        logger.info("counting images of %s ended early: %s", shard.uri, error)
    return seen


def _share(shard: Shard, images: int, share: int, seed: int) -> Shard | None:
    if share == images:
        return shard  # all of it, or it has no images, so that its damage is told
    return replace(shard, limit=share, drawn=Drawn(images, seed)) if share else None
