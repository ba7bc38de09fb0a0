"""What flows between the transforms: shards, slices of shards, and their results.

The unit of work, of retry and of commit is the **slice**: up to ``slice_images`` images or ``slice_bytes`` bytes of
encoded images, in order, from one shard.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, Self

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


class Version(NamedTuple):
    """One version of an object: where it lies, and what tells it from others; see :class:`Shard`."""

    uri: str
    generation: str


class Drawn(NamedTuple):
    """That the images of a shard to be read were drawn at random: from ``of`` images, by ``seed`` (``--sample``).

    And by which ``chance`` the shard itself was drawn (``--sample-shards``); ``None``: all shards were read.
    """

    of: int
    seed: int
    chance: float | None = None


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
        drawn: which ones: the first where it is ``None``. A shard that was drawn, and is read whole, has it without a limit.
        columns: read the images of these Parquet columns or TFRecord features alone (``--image-column``); of all where empty.
        apart: names of files of a folder that are shards of their own, and so no members of it; no part of what it is.
        opens: the URL with the secrets that open it, where ``uri`` lacks them; in memory only, and no part of what it is.
        was: versions of it at another address, as far as the output knows any (``--same-as``), the newest first; likewise.
    """

    uri: str
    size: int
    generation: str
    format: str
    limit: int | None = None
    drawn: Drawn | None = None
    columns: tuple[str, ...] = ()
    apart: tuple[str, ...] = field(default=(), repr=False, compare=False)
    opens: str = field(default="", repr=False, compare=False, metadata=SECRET)
    was: tuple[Version, ...] = field(default=(), repr=False, compare=False, metadata=SECRET)

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
        drawn = (each for each in self.drawn or () if each is not None)
        limits = ("limit", self.limit, *drawn) if self.limit is not None or self.drawn else ()
        return (*columns, *limits)


class Place(NamedTuple):
    """Where an image is in its shard; see :class:`EncodedImage`."""

    member: str
    offset: int


class Portion(NamedTuple):
    """What one worker computes: every so many slices of a shard, or of some of its images, or several small shards.

    Slices of several shards are committed together.

    Attributes:
        shards: those; of a portion of a shard that one alone.
        part: the first of its slices, from 0.
        parts: in how many portions the shard is dealt out: each ``parts``-th slice is of this one.
        only: the images to be read; ``None``: as the shard says.
        taken: numbers that earlier slices have, of other images; those of these images are numbered without them.
    """

    shards: tuple[Shard, ...]
    part: int = 0
    parts: int = 1
    only: tuple[Place, ...] | None = None
    taken: frozenset[int] = frozenset()

    @property
    def bytes(self) -> float:
        """Bytes of what is computed of it."""
        return sum(shard.size for shard in self.shards) / self.parts

    @property
    def together(self) -> str:
        """Names several shards; empty for one."""
        return self.shards[0].uri if len(self.shards) > 1 else ""

    def has(self, index: int) -> bool:
        """Whether slice ``index`` is of this portion."""
        return index % self.parts == self.part


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

    @property
    def md5(self) -> str:
        """MD5 of the encoded bytes, lower-case hex: what lists of images name them by."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()

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
    """A member that is no image and no sidecar of one: counted, never lost silently.

    Attributes:
        member, offset: see :class:`EncodedImage`.
        kind: what it is, where its name does not say.
        head: its first bytes, where it is part of an archive and may be one itself.
    """

    member: str
    offset: int
    kind: str = ""
    head: bytes = b""


class Unread(NamedTuple):
    """An image, or what may be one, that the store did not give though it gave others: another run may read it.

    Attributes:
        member, offset: see :class:`EncodedImage`.
        size: bytes that it would take in a slice; ``None`` where that is not known.
        why: in one sentence.
    """

    member: str
    offset: int
    size: int | None
    why: str


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
        damage: on the last slice, and where it is ``retryable`` or ``unfinished``, what is missing from the shard, in one
            sentence; else ``None``.
        retryable: whether another run may read or compute it. Such a slice holds no images and is never written.
        unfinished: whether images of it, or of a slice before that decide where it is cut, were not given by the store. It is
            written without them, and another run computes it again.
        skipped: members that are no images.
        skipped_kinds: see :class:`~causalprint.schemas.accounts.Counts`.
    """

    slice_id: str
    shard: Shard
    index: int
    last: bool = field(default=False, kw_only=True)
    damage: str | None = field(default=None, kw_only=True)
    retryable: bool = field(default=False, kw_only=True)
    unfinished: bool = field(default=False, kw_only=True)
    skipped: int = field(default=0, kw_only=True)
    skipped_kinds: tuple[SkippedCount, ...] = field(default=(), kw_only=True)

    def given_up(self, damage: str) -> Self:
        """The same slice once it could not be computed or written, for a reason that another run may not meet."""
        return replace(self, damage=damage, retryable=True, unfinished=False, skipped=0, skipped_kinds=())


@dataclass(frozen=True, slots=True)
class ImageSlice(Slice):
    """Up to ``slice_images`` images or ``slice_bytes`` bytes of one shard, in order.

    Attributes:
        images: those that were read.
        rejects: those that could not be.
        together: names the small shards whose slices are committed together with this one; empty where it is committed alone.
    """

    images: tuple[EncodedImage, ...] = ()
    rejects: tuple[Reject, ...] = ()
    together: str = ""

    @property
    def seen(self) -> int:
        """Images met in the shard, read or not."""
        return len(self.images) + len(self.rejects)

    def without_bytes(self) -> ImageSlice:
        """The same slice without its images: what goes on once they are computed."""
        return replace(self, images=(), rejects=())


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

    @property
    def source(self) -> ImageSlice:
        """The slice, its images dropped."""
        return self.fingerprinted.source
