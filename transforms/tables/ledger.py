"""Receipts of one shard added up, in bounded memory, and closed to an account."""

from __future__ import annotations

from dataclasses import dataclass, field

from causalprint.schemas.accounts import Counts, ShardAccount, SliceReceipt, add_digests, spread
from causalprint.schemas.elements import Shard, digest

NOTHING = add_digests(())


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of one shard so far. Ledgers of different slices add up in any order.

    Attributes:
        shard: the shard.
        present: bit ``i`` is set where slice ``i`` is committed: an eighth of a byte a slice.
        shortest, longest: how many slices the shard has, by the receipts of slices that end it; they should agree.
        damage: by the same receipts, and by those of slices that are unfinished.
        retryable: whether another run may read more.
        counts: of the slices that are in.
        footprint, seal: of the same, as of :class:`~causalprint.schemas.accounts.ShardAccount`; ``None`` where one has none.
    """

    shard: Shard
    present: int = 0
    shortest: int | None = None
    longest: int | None = None
    damage: str | None = None
    retryable: bool = False
    counts: Counts = field(default_factory=Counts)
    footprint: str | None = NOTHING
    seal: str | None = NOTHING

    def add(self, receipt: SliceReceipt) -> Ledger:
        """With one more slice; a slice that is in already is not counted twice.

        A retryable receipt stands for no slice: it only says that reading ended before slice ``receipt.index``.
        """
        bit = 0 if receipt.retryable else 1 << receipt.index
        if self.present & bit:
            return self
        slices = receipt.index + (not receipt.retryable) if receipt.last else None
        return self.plus(
            Ledger(
                self.shard,
                present=bit,
                shortest=slices,
                longest=slices,
                damage=receipt.damage,
                retryable=receipt.retryable or receipt.unfinished,
                counts=receipt.counts,
                footprint=_part(receipt, receipt.footprint),
                seal=_part(receipt, receipt.seal and digest(receipt.slice_id, receipt.seal)[:32]),
            )
        )

    def plus(self, other: Ledger) -> Ledger:
        """The sum of two ledgers of one shard that share no slice."""
        return Ledger(
            self.shard,
            present=self.present | other.present,
            shortest=min((n for n in (self.shortest, other.shortest) if n is not None), default=None),
            longest=max((n for n in (self.longest, other.longest) if n is not None), default=None),
            damage=min((text for text in (self.damage, other.damage) if text is not None), default=None),
            retryable=self.retryable or other.retryable,
            counts=self.counts.plus(other.counts),
            footprint=_sum(self.footprint, other.footprint),
            seal=_sum(self.seal, other.seal),
        )

    def close(self, bundle_id: str, slices_by: str = "") -> ShardAccount:
        """The account. It is complete when nothing is damaged and slices 0 to the one that ends the shard are all there.

        Args:
            bundle_id: names it.
            slices_by: names its slices, where that is another.
        """
        ids = tuple(
            self.shard.slice_id(slices_by or bundle_id, i) for i in range(self.present.bit_length()) if self.present >> i & 1
        )
        gap = self._gap()
        damage = "; ".join(text for text in (self.damage, gap) if text is not None) or None
        return ShardAccount(
            shard_id=self.shard.shard_id(bundle_id),
            uri=self.shard.uri,
            generation=self.shard.generation,
            size=self.shard.size,
            format=self.shard.format,
            complete=damage is None,
            damage=damage,
            retryable=self.retryable or gap is not None,  # what is not there may be there after another run
            limit=self.shard.limit,
            drawn=self.shard.drawn,
            slice_ids=ids,
            footprint=self.footprint,
            seal=self.seal,
            **spread(self.counts),
        )

    def _gap(self) -> str | None:
        if self.longest is None:
            return f"the slice that ends the shard is missing, after slice {self.present.bit_length() - 1}"
        if self.shortest != self.longest and not self.retryable:  # else it was read in portions, and not all were read as far
            return f"the shard ends twice, after {self.shortest} slices and after {self.longest}"
        missing = ~self.present & ((1 << self.longest) - 1)
        if missing:
            first = (missing & -missing).bit_length() - 1
            return (
                f"slice {first} is missing"
                if missing.bit_count() == 1
                else f"slice {first} and {missing.bit_count() - 1} more are missing"
            )
        if self.present.bit_length() > self.longest:
            return f"slice {self.present.bit_length() - 1} lies beyond the shard's end, after {self.longest} slices"
        return None


def _part(receipt: SliceReceipt, digits: str) -> str | None:
    return NOTHING if receipt.retryable else digits or None


def _sum(mine: str | None, its: str | None) -> str | None:
    return None if mine is None or its is None else add_digests((mine, its))
