"""What flows between the transforms: shards, slices of shards, their results and the receipts of what was written.

The unit of work, of retry and of commit is the **slice**: up to ``slice_images`` images or ``slice_bytes`` bytes of
encoded images, in order, from one shard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from causalprint.schemas.config import Slicing
from causalprint.schemas.names import well_formed
from causalprint.schemas.records import SECRET
from causalprint.schemas.urls import public

if TYPE_CHECKING:
    import pyarrow as pa


def digest(*parts: object) -> str:
    """Lower-case hex SHA-256 over ``parts``, each as text, unambiguously separated."""
    hasher = hashlib.sha256()
    for part in parts:
        text = well_formed(str(part)).encode()
        hasher.update(f"{len(text)}:".encode())
        hasher.update(text)
    return hasher.hexdigest()


class Drawn(NamedTuple):
    """That the images of a shard to be read were drawn at random: from ``of`` images, by ``seed`` (``--sample``)."""

    of: int
    seed: int


def add_digests(digests: Iterable[str]) -> str:
    """The sum of digests of 32 hex digits modulo 2 to the 128, as 32 hex digits: no order changes it."""
    return f"{sum(int(one, 16) for one in digests) % 2**128:032x}"


def footprint(slice_id: str, sizes: Iterable[int]) -> str:
    """Digest of the sizes of a slice's files, in the order in which they are written: 32 hex digits."""
    return digest(slice_id, *sizes)[:32]


def limit_damage(limit: int, drawn: Drawn | None = None) -> str:
    """What is missing from a shard of which no more than ``limit`` images were to be read."""
    return f"{limit} of {drawn.of} images drawn by --sample" if drawn else f"stopped at --limit {limit}"


@dataclass(frozen=True, slots=True)
class Shard:
    """One object of the input: a tar, a Parquet file, a TFRecord file, a folder of image files, or one image file of a folder.

    Attributes:
        uri: where it is, with its protocol (``s3://bucket/00000.tar``, ``file:///data/photos/``). Only that of a folder ends in
            a slash: of format ``folder`` too is an image file by itself, ``file:///data/photos/cat.jpg``, of which it is the one
            member.
        size: bytes; of a folder, those of its image files together.
        generation: what tells this version of the object from any other: etag, or size and modification time.
        format: a key of ``causalprint.transforms.formats.FORMATS``.
        limit: read no more than this many images (``--limit``, ``--sample``); ``None`` reads all.
        drawn: which ones: the first where it is ``None``.
        columns: read the images of these Parquet columns or TFRecord features alone (``--image-column``); of all where empty.
        opens: the URL with the secrets that open it, where ``uri`` lacks them; in memory only, and no part of what it is.
    """

    uri: str
    size: int
    generation: str
    format: str
    limit: int | None = None
    drawn: Drawn | None = None
    columns: tuple[str, ...] = ()
    opens: str = field(default="", repr=False, compare=False, metadata=SECRET)

    @classmethod
    def at(cls, url: str, size: int, generation: str, kind: str, columns: tuple[str, ...] = ()) -> Self:
        """The shard of format ``kind`` that is read from ``url``, known by it without its signatures and tokens."""
        uri = public(url)
        return cls(uri, size, generation, kind, columns=columns, opens="" if uri == url else url)

    @property
    def location(self) -> str:
        """The URL to read it from."""
        return self.opens or self.uri

    @property
    def collection(self) -> str:
        """The URI of what its images come from together: the folder of an image file by itself, else the shard's own."""
        return f"{self.uri.rpartition('/')[0]}/" if self.format == "folder" else self.uri

    def shard_id(self, bundle_id: str) -> str:
        """The name of this shard's account: 32 hex digits, the same on every run over the same bytes."""
        return digest(self.uri, self.generation, bundle_id, *self._part)[:32]

    def slice_id(self, bundle_id: str, index: int) -> str:
        """The name of slice ``index`` (from 0): 32 hex digits, the same on every run over the same bytes."""
        return digest(self.uri, self.generation, bundle_id, index, *self._part)[:32]

    @property
    def _part(self) -> tuple[object, ...]:
        """What tells slices of a part of the shard from those of the whole, and of other parts."""
        columns = ("columns", *sorted(set(self.columns))) if self.columns else ()
        limits = ("limit", self.limit, *(self.drawn or ())) if self.limit is not None else ()
        return (*columns, *limits)


class EncodedImage(NamedTuple):
    """One image as the shard holds it.

    Attributes:
        member: its name within the shard (tar member, file name, Parquet ``path`` or row number, TFRecord key or number); where a
            row or record may have several images, with the column and the place in its list: ``row/column/index``.
        offset: where it is: tar and TFRecord, the byte at which its data or record begins (in the decompressed
            stream); Parquet, its row; folder, 0.
        data: the encoded bytes.
        metadata: the sidecar (WebDataset ``.json``, the other columns of a Parquet row, …) as JSON text, or ``None``.
    """

    member: str
    offset: int
    data: bytes
    metadata: str | None = None

    @property
    def image_id(self) -> str:
        """SHA-256 of the encoded bytes, lower-case hex: the key of every table of images."""
        return hashlib.sha256(self.data).hexdigest()

    def rejected(self, stage: str, reason: str, detail: str, image_id: str | None = None) -> Reject:
        """Its row among the rejects."""
        return Reject(self.member, self.offset, stage, reason, detail, image_id, self.metadata)


class Reject(NamedTuple):
    """One image that gets no verdict, and why.

    Attributes:
        member: its name within the shard; empty where damage hides it.
        offset: see :class:`EncodedImage`.
        stage: ``read``, ``decode``, ``compute``.
        reason: a member of :class:`causalprint.schemas.reasons.Reason`, as text: short, stable, made for GROUP BY.
        detail: one sentence for a person, with the offending value.
        image_id: SHA-256 of the encoded bytes where they were read, else ``None``.
        metadata: the sidecar as JSON text where one was read, else ``None``.
    """

    member: str
    offset: int
    stage: str
    reason: str
    detail: str
    image_id: str | None = None
    metadata: str | None = None


class Skipped(NamedTuple):
    """A member that is no image and no sidecar of one: counted, never lost silently. What it is, where its name does not say."""

    member: str
    offset: int
    kind: str = ""


class ShardDamageError(Exception):
    """The shard cannot be read further (or a part of it could not), said in one sentence with the byte offset.

    Attributes:
        retryable: True where another run may read more (a broken connection); False where the bytes themselves are damaged.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(well_formed(message))
        self.retryable = retryable


class SkippedCount(NamedTuple):
    """So many members that are no images, by what their names say: a known suffix (``.json``), or a word for the others."""

    kind: str
    members: int


@dataclass(frozen=True, slots=True)
class Slice:
    """What tells a slice from others, and how the shard went on after it.

    Attributes:
        slice_id: :meth:`Shard.slice_id`.
        shard: the shard it was cut from.
        index: its place in the shard, from 0.
        last: whether the shard ends with this slice.
        damage: on the last slice, and where it is ``retryable``, what is missing from the shard, in one sentence; else ``None``.
        retryable: whether another run may read or compute it. Such a slice holds no images and is never written.
        skipped: members that are no images.
        skipped_kinds: see :class:`Counts`.
    """

    slice_id: str
    shard: Shard
    index: int
    last: bool = field(default=False, kw_only=True)
    damage: str | None = field(default=None, kw_only=True)
    retryable: bool = field(default=False, kw_only=True)
    skipped: int = field(default=0, kw_only=True)
    skipped_kinds: tuple[SkippedCount, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class ImageSlice(Slice):
    """Up to ``slice_images`` images or ``slice_bytes`` bytes of one shard, in order.

    Attributes:
        images: those that were read.
        rejects: those that could not be.
    """

    images: tuple[EncodedImage, ...] = ()
    rejects: tuple[Reject, ...] = ()

    @property
    def seen(self) -> int:
        """Images met in the shard, read or not."""
        return len(self.images) + len(self.rejects)

    def without_bytes(self) -> ImageSlice:
        """The same slice without its images: what goes on once they are computed."""
        return replace(self, images=(), rejects=())

    def receipt(
        self, attributed: int = 0, verdicts: Iterable[VerdictCount] = (), reasons: Iterable[RejectCount] = ()
    ) -> SliceReceipt:
        """The receipt of this slice, of which ``attributed`` images came to a row and others were rejected for ``reasons``.

        That of a ``retryable`` slice says that and why the shard could not be read further.
        """
        left_out = summed(reasons)
        rejected = sum(count.images for count in left_out)
        return SliceReceipt(
            **spread(self, Slice),
            seen=attributed + rejected,
            attributed=attributed,
            rejected=rejected,
            computed=not self.retryable,
            verdicts=summed(verdicts),
            reasons=left_out,
        )


@dataclass(frozen=True, slots=True)
class FingerprintedSlice:
    """A slice after computing; each table as one record batch with the schema of ``causalprint.schemas.tables``.

    Attributes:
        source: the slice, its images dropped.
        seen: images met in the shard by this slice.
        images: table ``images``, a row an image that was decoded.
        embeddings: table ``embeddings``, the same rows in the same order; those whose fingerprint is null are not written.
        rejects: table ``rejects``: ``len(images) + len(rejects) == seen``.
    """

    source: ImageSlice
    seen: int
    images: pa.RecordBatch
    embeddings: pa.RecordBatch
    rejects: pa.RecordBatch


@dataclass(frozen=True, slots=True)
class AttributedSlice:
    """A fingerprinted slice with its verdicts: table ``attributions``, the rows of ``fingerprinted.images`` in order."""

    fingerprinted: FingerprintedSlice
    attributions: pa.RecordBatch


class WrittenFile(NamedTuple):
    """One file of the output: its path below OUT, its SHA-256 (hex), its bytes."""

    path: str
    sha256: str
    size: int


class VerdictCount(NamedTuple):
    """So many images of one verdict and source (``None`` unless the verdict is known): rows of ``attributions``."""

    verdict: str
    source: str | None
    images: int


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
        seen, attributed, rejected: images; ``seen == attributed + rejected``.
        skipped: members that are no images.
        skipped_kinds: how these divide, sorted; sums to ``skipped``.
        verdicts: how the attributed images divide, sorted; sums to ``attributed``. Features have none: there,
            ``attributed`` counts the images that have them.
        reasons: how the rejected ones do, sorted; sums to ``rejected``.
    """

    slices: int = 0
    computed: int = 0
    seen: int = 0
    attributed: int = 0
    rejected: int = 0
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
        seen, attributed, rejected, verdicts, reasons: see :class:`Counts`.
        files: what was written for it (the commit mark, which holds this receipt, is named by slice and not listed).
        computed: whether this run computed it; False where an earlier one had.
        slicing: where the shard was cut; ``None`` of outputs of earlier versions, and of features, whose key tells it.
        seal: of the commit mark, by which all files of the slice are known: SHA-256 of its footer; empty until it is written, and
            where an earlier version wrote it.
        footprint: digest of the sizes of all its files, which a listing gives too; empty until they are written.
    """

    seen: int
    attributed: int
    rejected: int
    files: tuple[WrittenFile, ...] = ()
    computed: bool = True
    verdicts: tuple[VerdictCount, ...] = ()
    reasons: tuple[RejectCount, ...] = ()
    slicing: Slicing | None = None
    seal: str = ""
    footprint: str = ""

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
            seen=self.seen,
            attributed=self.attributed,
            rejected=self.rejected,
            skipped=self.skipped,
            skipped_kinds=self.skipped_kinds,
            verdicts=self.verdicts,
            reasons=self.reasons,
        )


@dataclass(frozen=True, slots=True)
class ShardAccount:
    """The closed account of one shard: a row of table ``shards``.

    What it counts is described by :class:`Counts`. ``computed`` is no column of the table, for it would differ between runs;
    ``verdicts`` and ``reasons`` are kept in the footer of the account's file.

    Attributes:
        shard_id: :meth:`Shard.shard_id`.
        uri, generation, size, format: see :class:`Shard`.
        complete: whether every member was read to the shard's own end mark and size, and every slice is committed.
        damage: what is missing, in one sentence; ``None`` where nothing is.
        retryable: whether another run may read more.
        limit, drawn: see :class:`Shard` (columns ``image_limit`` and ``drawn_from``).
        slice_ids: the slices that are committed, in order: ``len(slice_ids) == slices``.
        footprint: sum of the footprints of its slices, modulo 2 to the 128, as hex: which files must be there, and how large.
        seal: likewise of digests of each slice's id and its seal: what these files hold. Both are kept in the footer of the
            account's file, and ``None`` in outputs of earlier versions.
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
    skipped: int
    complete: bool
    damage: str | None
    retryable: bool
    limit: int | None = None
    drawn: Drawn | None = None
    slice_ids: tuple[str, ...] = ()
    computed: int = 0
    skipped_kinds: tuple[SkippedCount, ...] = ()
    verdicts: tuple[VerdictCount, ...] = ()
    reasons: tuple[RejectCount, ...] = ()
    footprint: str | None = None
    seal: str | None = None

    @property
    def limited(self) -> bool:
        """Whether nothing is missing but what ``--limit`` or ``--sample`` left out."""
        return self.limit is not None and self.damage == limit_damage(self.limit, self.drawn)

    @property
    def drawn_from(self) -> int | None:
        """From how many images those that were read were drawn; ``None`` where they were not drawn."""
        return self.drawn.of if self.drawn else None
