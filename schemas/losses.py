"""What a reading of labelled shards had to leave out, so that none of it is lost silently."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


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
