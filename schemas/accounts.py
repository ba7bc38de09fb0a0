"""What slices and shards came to: counts that add up, receipts of slices, accounts of shards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple, Self, TypeVar

from causalprint.schemas.config import Slicing
from causalprint.schemas.elements import Drawn, SkippedCount, Slice, digest, limit_damage
from causalprint.schemas.records import SECRET


def add_digests(digests: Iterable[str]) -> str:
    """The sum of digests of 32 hex digits modulo 2 to the 128, as 32 hex digits: no order changes it."""
    return f"{sum(int(one, 16) for one in digests) % 2**128:032x}"


def footprint(slice_id: str, sizes: Iterable[int]) -> str:
    """Digest of the sizes of a slice's files, in the order in which they are written: 32 hex digits."""
    return digest(slice_id, *sizes)[:32]


class WrittenFile(NamedTuple):
    """One file of the output: its path below OUT, its SHA-256 (hex), its bytes."""

    path: str
    sha256: str
    size: int

    @property
    def table(self) -> str:
        """The table that it is of."""
        return self.path.partition("/")[0]


class Scored(NamedTuple):
    """That a slice's stored fingerprints got other verdicts than those of its audit.

    Attributes:
        embeddings: id of the bundle that computed the fingerprints: in its partition are the slice's other files.
        bundle_id: names the partition of these verdicts.
    """

    embeddings: str
    bundle_id: str


class VerdictCount(NamedTuple):
    """So many images of one verdict: rows of ``attributions``.

    Attributes:
        verdict: that.
        source: the generator, or the family where only that could be told; ``None`` unless the verdict is known.
        reason: why it abstained, else ``None``.
        images: how many.
    """

    verdict: str
    source: str | None
    reason: str | None
    images: int

    @staticmethod
    def of(verdict: str, source: str | None, family: str | None, reason: str | None) -> VerdictCount:
        """One image, by those columns of ``attributions``."""
        return VerdictCount(verdict, source or family, reason, 1)


class RejectCount(NamedTuple):
    """So many images rejected at one stage for one reason: rows of ``rejects``."""

    stage: str
    reason: str
    images: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What a slice, a shard or a run came to. Counts of different ones add up.

    Attributes:
        slices: committed ones; ``computed`` of them by this run, the others by an earlier one.
        moved: those whose rows are those of the same bytes at another address.
        seen, attributed, rejected, forgotten: images; ``seen == attributed + rejected + forgotten``.
        resampled: attributed images that were resized before they were stored, as their sidecars say.
        skipped: members that are no images.
        skipped_kinds: how these divide, sorted; sums to ``skipped``.
        verdicts: how the attributed images divide, sorted; sums to ``attributed``. Features have none: there,
            ``attributed`` counts the images that have them.
        reasons: how the rejected ones do, sorted; sums to ``rejected``.
    """

    slices: int = 0
    computed: int = 0
    moved: int = 0
    seen: int = 0
    attributed: int = 0
    rejected: int = 0
    forgotten: int = 0
    resampled: int = 0
    skipped: int = 0
    skipped_kinds: tuple[SkippedCount, ...] = ()
    verdicts: tuple[VerdictCount, ...] = ()
    reasons: tuple[RejectCount, ...] = ()

    def plus(self, other: Self) -> Self:
        """The sum: of numbers, and of counts by verdict, by reason and by kind."""
        sums = {name: value + getattr(other, name) for name, value in spread(self).items()}
        return replace(self, **sums | {name: summed(sums[name]) for name in ("skipped_kinds", "verdicts", "reasons")})


def spread(record: Any, kind: type | None = None) -> dict[str, Any]:
    """The fields of a dataclass by name, for a record that has them beside others; only those of ``kind``, a base, if given."""
    return {field.name: getattr(record, field.name) for field in fields(kind or record)}


CountT = TypeVar("CountT", VerdictCount, RejectCount, SkippedCount)


def summed(counts: Iterable[CountT]) -> tuple[CountT, ...]:
    """Counts of the same verdict and source, of the same stage and reason, or of the same kind, added up, sorted."""
    total: dict[tuple[Any, ...], CountT] = {}
    for count in counts:
        before = total.get(count[:-1])
        total[count[:-1]] = type(count)(*count[:-1], before[-1] + count[-1]) if before else count
    return tuple(sorted(total.values(), key=lambda count: tuple(word or "" for word in count[:-1])))


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReceipt(Slice):
    """What a slice came to. Kept in the footer of its commit mark: its file of attributions, or of features.

    Attributes:
        seen, attributed, rejected, forgotten, resampled, verdicts, reasons: see :class:`Counts`.
        files: what was written for it (the commit mark, which holds this receipt, is named by slice and not listed); where it
            was ``scored``, what the audit wrote that computed its fingerprints.
        computed: whether this run computed it; False where an earlier one had.
        slicing: where the shard was cut; ``None`` of outputs of earlier versions, and of features, whose key tells it.
        seal: of the commit mark, by which all files of the slice are known: SHA-256 of its footer; empty until it is written, and
            where an earlier version wrote it.
        scored: whose fingerprints got these verdicts, where the slice's own audit did not give them.
        footprint: digest of the sizes of all its files, which a listing gives too; empty until they are written.
        moved_from: id of the slice of another address whose rows these are, since its bytes are the same; else empty.
    """

    seen: int
    attributed: int
    rejected: int
    forgotten: int = 0
    resampled: int = 0
    files: tuple[WrittenFile, ...] = ()
    computed: bool = True
    verdicts: tuple[VerdictCount, ...] = ()
    reasons: tuple[RejectCount, ...] = ()
    slicing: Slicing | None = None
    scored: Scored | None = None
    seal: str = ""
    footprint: str = ""
    moved_from: str = ""

    def stored(self, mark_size: int, seal: str) -> SliceReceipt:
        """With what is known once the commit mark, of so many bytes, is written or found."""
        return replace(self, seal=seal, footprint=footprint(self.slice_id, [*(file.size for file in self.files), mark_size]))

    @property
    def counts(self) -> Counts:
        """What the slice came to; a retryable receipt stands for no slice."""
        committed = not self.retryable
        return Counts(
            slices=int(committed),
            computed=int(committed and self.computed),
            moved=int(committed and bool(self.moved_from)),
            seen=self.seen,
            attributed=self.attributed,
            rejected=self.rejected,
            forgotten=self.forgotten,
            resampled=self.resampled,
            skipped=self.skipped,
            skipped_kinds=self.skipped_kinds,
            verdicts=self.verdicts,
            reasons=self.reasons,
        )


def receipt_of(
    source: Slice,
    attributed: int = 0,
    verdicts: Iterable[VerdictCount] = (),
    reasons: Iterable[RejectCount] = (),
    resampled: int = 0,
    forgotten: int = 0,
) -> SliceReceipt:
    """The receipt of a slice: ``attributed`` images came to a row, others were rejected for ``reasons``, or are ``forgotten``.

    That of a ``retryable`` slice says that and why the shard could not be read further.
    """
    left_out = summed(reasons)
    rejected = sum(count.images for count in left_out)
    return SliceReceipt(
        **spread(source, Slice),
        seen=attributed + rejected + forgotten,
        attributed=attributed,
        rejected=rejected,
        forgotten=forgotten,
        resampled=resampled,
        computed=not source.retryable,
        verdicts=summed(verdicts),
        reasons=left_out,
    )


@dataclass(frozen=True, slots=True)
class ShardAccount:
    """The closed account of one shard: a row of table ``shards``.

    What it counts is described by :class:`Counts`. ``computed`` is no column of the table, for it would differ between runs;
    ``moved``, ``verdicts`` and ``reasons`` are kept in the footer of the account's file.

    Attributes:
        shard_id: :meth:`Shard.shard_id`.
        uri, generation, size, format: see :class:`Shard`.
        complete: whether every member was read to the shard's own end mark and size, and every slice is committed.
        damage: what is missing, in one sentence; ``None`` where nothing is.
        retryable: whether another run may read more.
        limit, drawn: see :class:`Shard` (columns ``image_limit``, ``drawn_from`` and ``shard_chance``).
        slice_ids: the slices that are committed, in order: ``len(slice_ids) == slices``.
        footprint: sum of the footprints of its slices, modulo 2 to the 128, as hex: which files must be there, and how large.
        seal: likewise of digests of each slice's id and its seal: what these files hold. Both are kept in the footer of the
            account's file, and ``None`` in outputs of earlier versions.
        scored: digest of the account of the audit that computed the fingerprints, where other verdicts on them are accounted
            for; kept in the footer too.
        pack: where it is in a pack, the pack's name and a digest of the sizes of its files; no part of what it says.
    """

    shard_id: str
    uri: str
    generation: str
    size: int
    format: str
    slices: int
    seen: int
    attributed: int
    rejected: int
    resampled: int
    skipped: int
    complete: bool
    damage: str | None
    retryable: bool
    limit: int | None = None
    drawn: Drawn | None = None
    forgotten: int = 0
    slice_ids: tuple[str, ...] = ()
    computed: int = 0
    skipped_kinds: tuple[SkippedCount, ...] = ()
    verdicts: tuple[VerdictCount, ...] = ()
    reasons: tuple[RejectCount, ...] = ()
    footprint: str | None = None
    seal: str | None = None
    scored: str = ""
    moved: int = 0
    pack: str = field(default="", compare=False, metadata=SECRET)

    @property
    def limited(self) -> bool:
        """Whether nothing is missing but what ``--limit`` or ``--sample`` left out."""
        return self.limit is not None and self.damage == limit_damage(self.limit, self.drawn)

    @property
    def drawn_from(self) -> int | None:
        """From how many images those that were read were drawn; ``None`` where they were not drawn."""
        return self.drawn.of if self.drawn else None

    @property
    def shard_chance(self) -> float | None:
        """By which chance the shard was drawn; ``None`` where all were read."""
        return self.drawn.chance if self.drawn else None
