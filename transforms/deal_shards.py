"""Shards dealt out to workers: the largest first, and in portions where there are fewer of them than would keep all at work."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from causalprint.schemas.elements import Portion, Shard

DEALT = 4
"""Portions a worker that shards come to, at least, where one shard has so many slices: the last to end is then soon joined."""


def portions(shards: Sequence[Shard], workers: int = 1) -> list[Portion]:
    """The shards in portions of similar size, the largest first.

    A shard is in as many portions as its bytes are of all bytes' ``DEALT * workers``-th part, but no more than there are
    workers: each portion is a reading of the whole shard.
    """
    share = max(1, sum(shard.size for shard in shards)) / (DEALT * workers)
    dealt = [(shard, max(1, min(workers, ceil(shard.size / share)))) for shard in shards]
    each = (Portion(shard, part, parts) for shard, parts in dealt for part in range(parts))
    return sorted(each, key=lambda portion: -portion.shard.size / portion.parts)
