"""What a reading of shards had to leave out, so that none of it is lost silently."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What an input matches and what is not read, all of one kind.

    Attributes:
        kind: what it is, of one: ``.mds file``, ``link to a folder``.
        count: how many there are.
        example: URI of the first of them.
        missing: whether it looks like a shard or an image, so that images may be missing from the tables.
    """

    kind: str
    count: int
    example: str
    missing: bool

    def __str__(self) -> str:
        """In words: ``3 .mds files, such as s3://…``."""
        if self.count == 1:
            return f"1 {self.kind}: {self.example}"
        return f"{counted(self.count, self.kind)}, such as {self.example}"


MAX_KINDS = 30
OTHER_KINDS = "file of another kind"
_NOUN = re.compile(r"\b(file|folder|link|shard|output|pipe|socket|device|sidecar|row|line)\b")


def counted(count: int, kind: str) -> str:
    """So many of a kind, in words: ``2 sidecars of no image``."""
    kinds = kind if count == 1 else _NOUN.sub(r"\1s", kind, count=1)
    return f"{count:,} {kinds}"


def left_out_by_kind(several: Iterable[LeftOut]) -> tuple[LeftOut, ...]:
    """One for each kind: those that may hold images first, then by kind; the example is the first by URI.

    Of more than :data:`MAX_KINDS` kinds the last ones are put together.
    """
    kinds: dict[tuple[str, bool], LeftOut] = {}
    for each in several:
        other = kinds.get((each.kind, each.missing))
        total = each if other is None else replace(each, count=each.count + other.count, example=min(each.example, other.example))
        kinds[each.kind, each.missing] = total
    in_order = sorted(kinds.values(), key=lambda each: (not each.missing, each.kind))
    rest = [replace(each, kind=OTHER_KINDS) for each in in_order[MAX_KINDS:]]
    return (*in_order[:MAX_KINDS], *(left_out_by_kind(rest) if rest else ()))


class ReasonCount(NamedTuple):
    """So many images left out for one reason: of :mod:`causalprint.schemas.reasons`, or ``unlabelled``."""

    reason: str
    images: int


@dataclass(frozen=True, slots=True)
class Losses:
    """What was left out.

    Attributes:
        reasons: images by reason, sorted.
        damage: of each shard that could not be read to its end, what is missing.
    """

    reasons: tuple[ReasonCount, ...] = ()
    damage: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many images were left out."""
        return sum(count.images for count in self.reasons)

    def of(self, reason: str) -> int:
        """How many images were left out for that reason."""
        return dict(self.reasons).get(reason, 0)

    def __add__(self, other: Losses) -> Losses:
        counts = dict.fromkeys(sorted({count.reason for count in self.reasons + other.reasons}), 0)
        for reason, images in self.reasons + other.reasons:
            counts[reason] += images
        return Losses(tuple(ReasonCount(*item) for item in counts.items()), tuple(dict.fromkeys(self.damage + other.damage)))

    def __str__(self) -> str:
        """In words; empty where nothing was left out."""
        counts = ", ".join(f"{count.images:,} {count.reason}" for count in self.reasons)
        parts = [f"{self.images:,} {'images are' if self.images > 1 else 'image is'} left out ({counts})"] * bool(counts)
        if len(self.damage) == 1:
            parts.append(f"1 shard is damaged and counts as far as it can be read: {self.damage[0]}")
        elif self.damage:
            shards = f"{len(self.damage):,} shards are damaged"
            parts.append(f"{shards} and count as far as they can be read, such as {self.damage[0]}")
        return "; ".join(parts)
