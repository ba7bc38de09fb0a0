"""Shards dealt out to workers: the largest first, in portions where that keeps all at work; small ones together."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import NamedTuple

from apache_beam.pvalue import TaggedOutput

from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.elements import Portion, Shard, Version
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.tables.known import known_accounts
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import kept, skip_shard
from causalprint.transforms.tables.stored import Stored

DEALT = 4
"""Portions a worker that shards come to, at least, where one shard has so many slices: the last to end is then soon joined."""
SMALL = 2 * 1024 * 1024
"""Bytes of a shard that may be committed with others: files and requests would cost as much as its images."""
TOGETHER = 512
"""Shards that are committed together, at most: a worker that is killed loses what it has computed of them."""
TOGETHER_BYTES = 16 * 1024 * 1024
"""Bytes of them, at most: some 200 photographs."""
GROUPS = 16
"""Groups of small shards, at least, among whatever workers there are: how many is not to change what is written."""
CARRIED = 2000
"""Shards that a pipeline's own description carries, some 500 bytes each; services take descriptions of 10 MB."""


Begin = Callable[[Output, Stored], None]
"""What is done to an output before anything is read, by what it holds."""


class PlanError(OSError):
    """The list of the shards of a run is gone or not as it was written."""


class _Told(NamedTuple):
    """A shard as the file has it, which tells what its own record, that of receipts too, does not."""

    shard: Shard
    was: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Planned:
    """The shards of a run, as the description of its pipeline carries them.

    Attributes:
        carried: those in the description itself: all of a few, and those that a secret opens, which no file may hold.
        path: below the output's root, of the file with the others; empty where there are none.
    """

    carried: tuple[Shard, ...]
    path: str = ""

    @classmethod
    def of(cls, shards: Sequence[Shard], output: Output, run_id: str) -> Planned:
        """The shards of a run; where there are many, they are written to a file, which its launcher removes at the end."""
        if len(shards) <= CARRIED:
            return cls(tuple(shards))
        told = tuple(_Told(shard, shard.was) for shard in shards if not shard.opens)
        path = f"runs/.{run_id}.plan.part"
        output.put(path, gzip.compress(to_json(told).encode(), 1, mtime=0))
        return cls(tuple(shard for shard in shards if shard.opens), path)

    def remove(self, output: Output) -> None:
        """Removes the file, where there is one."""
        if self.path:
            output.remove(self.path)

    def shards(self, output: Output) -> tuple[Shard, ...]:
        """All of them.

        Raises:
            PlanError: the file cannot be read.
        """
        data = output.get(self.path) if self.path else gzip.compress(b"[]")
        if data is None:
            raise PlanError(f"{output.root}/{self.path}, the list of this run's shards, is gone; run the same command again")
        text = gzip.decompress(data)
        told = from_json(tuple[_Told, ...], text, f"{output.root}/{self.path}")
        return (*self.carried, *(replace(one.shard, was=one.was) for one in told))


def deal(
    planned: Planned,
    output: Output,
    stored: Stored,
    workers: int = 1,
    inputs: str | None = None,
    *,
    begin: Begin | None = None,
    together: bool = False,
) -> Iterator[Portion | TaggedOutput]:
    """All shards of a run: as portions; those that the run before closed as accounts, under the tag ``DONE``, and counted.

    Whether a shard of one portion is to be read is decided where it would be. Of a shard of several, that is decided here:
    workers see the output at different times, and one that found it whole would leave out its portion for the others.

    Args:
        planned: the shards.
        output: where the file of their list is, and what earlier runs wrote.
        stored: what is there.
        workers: among which they are dealt out.
        inputs: what the run was asked to read, where an earlier run may have been asked the same.
        begin: is called where the list does not tell that all is done.
        together: whether small shards are committed together.
    """
    left = {shard.shard_id(output.bundle_id): shard for shard in planned.shards(output)}
    for account in known_accounts(tuple(left.values()), inputs, output, stored):
        del left[account.shard_id]
        yield kept(account)
    if left and begin is not None:
        begin(output, stored)
    whole: dict[Shard, ShardAccount | None] = {}
    for portion in portions(tuple(left.values()), workers, together=together):
        shard = portion.shards[0]
        if portion.parts > 1 and shard not in whole:
            found = whole[shard] = skip_shard(shard, output, stored)
            if found is not None:
                yield kept(found)
        if whole.get(shard) is None:
            yield portion


def portions(shards: Sequence[Shard], workers: int = 1, *, together: bool = False) -> list[Portion]:
    """The shards in portions of similar size, the largest first.

    A shard is in as many portions as its bytes are of all bytes' ``DEALT * workers``-th part, but no more than there are
    workers: each portion is a reading of the whole shard. Small shards may be :func:`grouped`.
    """
    share = max(1, sum(shard.size for shard in shards)) / (DEALT * workers)
    groups = grouped(shards) if together else []
    taken = {shard for group in groups for shard in group}
    alone = [(shard, max(1, min(workers, ceil(shard.size / share)))) for shard in shards if shard not in taken]
    each = [Portion((shard,), part, parts) for shard, parts in alone for part in range(parts)]
    return sorted((*map(Portion, groups), *each), key=lambda portion: -portion.bytes)


def grouped(shards: Iterable[Shard]) -> list[tuple[Shard, ...]]:
    """Small shards that are committed together, neighbours by URI: several in each group, and of few shards no group.

    The shards alone decide, so that whatever computes them, and after whatever was stopped, the same files are written.
    """
    small = sorted((shard for shard in shards if shard.size <= SMALL), key=lambda shard: shard.uri)
    most = min(TOGETHER, len(small) // GROUPS)
    most_bytes = min(TOGETHER_BYTES, sum(shard.size for shard in small) / GROUPS)
    groups: list[list[Shard]] = []
    size = 0
    for shard in small:
        size += shard.size
        if not groups or len(groups[-1]) >= most or size > most_bytes:
            groups.append([])
            size = shard.size
        groups[-1].append(shard)
    return [tuple(group) for group in groups if len(group) > 1]
