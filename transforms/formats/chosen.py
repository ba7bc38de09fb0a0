"""Which images of the shards are read where not all are: the first (``--limit``), a sample (``--sample``), or those named."""

from __future__ import annotations

import hashlib
import heapq
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions, Sample, Storage
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
from causalprint.transforms.storage.lookup import InputError
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


def sampled_shards(sample: Sample, shards: Sequence[Shard], storage: Storage, options: ReadOptions) -> list[Shard]:
    """The shards from which a sample of images takes any, each with its share; all where there are no more.

    Every image is as likely as any other: of all shards a share is in proportion to the shard's images, of shards that are drawn
    first to these over the shard's chance; rounded down or up (systematic sampling over the shards, then simple random sampling
    in each). The images are counted by reading those shards.

    Raises:
        InputError: more shards are to be drawn than there are.
    """
    if sample.shards is None:
        counts = [count_images(shard, storage, options) for shard in shards]
        shares = share_out(sample.images, counts, sample.seed)
        parts = [_share(*each, Drawn(each[1], sample.seed)) for each in zip(shards, counts, shares, strict=True)]
        return [part for part in parts if part]
    if sample.shards > len(shards):
        raise InputError(
            f"--sample-shards {sample.shards} is more than the {len(shards)} shards that the inputs match: leave it out, and the "
            "images are drawn from all"
        )
    drawn = draw_shards(sample.shards, [shard.size for shard in shards], sample.seed)
    counts = [count_images(shards[each.place], storage, options) for each in drawn]
    shares = shares_alike(sample.images, counts, [each.chance for each in drawn], sample.seed)
    if sum(shares) < sample.images:
        logger.warning(
            "of %d shards %d images can be drawn alike, not %d: they hold too few; a larger --sample-shards draws from more",
            *(len(drawn), sum(shares), sample.images),
        )
    parts = [
        _share(shards[each.place], count, share, Drawn(count, sample.seed, each.chance))
        for each, count, share in zip(drawn, counts, shares, strict=True)
    ]
    return [part for part in parts if part]


class DrawnShard(NamedTuple):
    """A shard that was drawn: its place among all, and by which chance, above 0 to 1."""

    place: int
    chance: float


def draw_shards(count: int, sizes: Sequence[int], seed: int) -> list[DrawnShard]:
    """``count`` shards of given ``sizes`` in bytes, no fewer: systematic sampling along their order, by which folders are strata.

    Half of a shard's chance is by its bytes, and half is the same for all: so a shard that holds much of everything is hardly
    missed, and one that holds little does not decide how many images can be drawn alike (Madow, Ann. Math. Statist. 20, 1949;
    the mixture as of Hesterberg, Technometrics 37, 1995). What is so large that its chance would be 1 is drawn for sure.
    """
    every = max(1, sum(sizes))
    weights = [every + size * len(sizes) for size in sizes]
    total, certain = sum(weights), set[int]()
    for place in sorted(range(len(sizes)), key=lambda place: (-weights[place], place)):
        if weights[place] * (count - len(certain)) < total:
            break
        certain.add(place)
        total -= weights[place]
    left = count - len(certain)
    hits = share_out(left, [0 if place in certain else weight for place, weight in enumerate(weights)], seed)
    return [
        DrawnShard(place, 1.0 if place in certain else weight * left / total)
        for place, (weight, hit) in enumerate(zip(weights, hits, strict=True))
        if hit or place in certain
    ]


def shares_alike(sample: int, counts: Sequence[int], chances: Sequence[float], seed: int) -> list[int]:
    """How many images to draw of each drawn shard, so that an image of any has the same chance; fewer than asked where it must.

    Args:
        sample: how many in all.
        counts: images of the shards.
        chances: by which these were drawn.
        seed: of the draw.
    """
    amounts = [round(2**32 * count / chance) for count, chance in zip(counts, chances, strict=True)]
    most = (sum(amounts) * count // amount for count, amount in zip(counts, amounts, strict=True) if count)
    return share_out(min((sample, *most)), amounts, seed)


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


def _share(shard: Shard, images: int, share: int, drawn: Drawn) -> Shard | None:
    if share == images:  # all of it, or it has no images, so that its damage is told
        return shard if drawn.chance is None else replace(shard, drawn=drawn)
    return replace(shard, limit=share, drawn=drawn) if share else None
