"""An open Parquet file: its groups of rows, and batches of them that stay small whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.config import MEBIBYTE
from causalprint.transforms.faults import has_room, raise_foreign, unforeseen
from causalprint.transforms.formats.parquet_footer import Chunk, chunks_of, page_at, tail_of
from causalprint.transforms.formats.parquet_head import first_values
from causalprint.transforms.images.kinds import image_format
from causalprint.transforms.storage.storage import RangeFile

UNREADABLE = (pa.ArrowException, OSError, ValueError)  # ValueError: text in a broken footer that is no UTF-8
BUFFER_BYTES = 4 * MEBIBYTE
BATCH_ROWS = 32
MOST_ROWS = 65_536
SMALL_GROUP = 16 * MEBIBYTE
BATCH_BYTES = 64 * MEBIBYTE
MAX_LISTED = 16_000_000
MAX_PAGE = 512 * MEBIBYTE
SUSPICIOUS = 20
"""So many times smaller in the file than decompressed: no column of images, which are compressed already."""


class Group(NamedTuple):
    """A row group: its number, its first row in the file, its rows."""

    number: int
    first: int
    rows: int


class TableFile(Protocol):
    """An open file of rows in groups.

    Attributes:
        stored: its bytes.
        schema: the columns.
        groups: the groups of rows, in order.
    """

    @property
    def stored(self) -> RangeFile: ...  # noqa: D102 - see above
    @property
    def schema(self) -> pa.Schema: ...  # noqa: D102
    @property
    def groups(self) -> list[Group]: ...  # noqa: D102

    def batches(self, group: Group, columns: Sequence[str], most: int = ...) -> Iterator[pa.RecordBatch]:
        """The rows of a group in order, at most so many together."""

    def begins_image(self, path: tuple[str | None, ...]) -> bool:
        """Whether the first value of the column or field at ``path`` certainly begins an image, if that is cheap to tell."""

    def too_costly(self, group: Group, column: str) -> str | None:
        """Why a column of a group is not read; ``None`` where it is."""


@dataclass(frozen=True, slots=True)
class ParquetTable:
    """An open file.

    Attributes:
        parquet: the file.
        stored: its bytes.
        chunks: what its footer says of the columns of each group, by name; nothing where it does not.
        schema: the columns.
        groups: the groups of rows, in order.
    """

    parquet: pq.ParquetFile
    stored: RangeFile
    chunks: list[dict[str, list[Chunk]]]
    schema: pa.Schema
    groups: list[Group]

    def batches(self, group: Group, columns: Sequence[str], most: int = MOST_ROWS) -> Iterator[pa.RecordBatch]:
        """The rows of a group in order, at most so many together, and no more than memory should hold.

        Raises:
            pa.ArrowException, OSError, ValueError: they cannot be read; :data:`UNREADABLE`.
            ShardDamageError: retryable; the store did not give them.
        """
        rows = min(most, self._together(group, columns))
        try:
            yield from self.parquet.iter_batches(rows, row_groups=[group.number], columns=list(columns), use_threads=False)
        except UNREADABLE:
            self.stored.raise_failure()
            raise

    def begins_image(self, path: tuple[str | None, ...]) -> bool:
        """Whether the first value of the column or field at ``path`` certainly begins an image; reads its first bytes alone."""
        group = next((group for group in self.groups if group.rows), None)
        chunks = self._chunks(group, [str(path[0])]) if group else []
        values = [value for chunk in chunks if chunk.path == path for value in first_values(self._fetch, chunk)]
        return any(image_format(value[:64].ljust(64, b"\0")) for value in values)

    def too_costly(self, group: Group, column: str) -> str | None:
        """Why a column of a group is not read, by what its footer and its pages say of sizes; ``None`` where it is."""
        for chunk in self._chunks(group, [column]):
            listed = chunk.values - group.rows
            if listed > MAX_LISTED:
                return f"lists of {listed} values, more than {MAX_LISTED}"
            suspicious = chunk.size > SUSPICIOUS * chunk.packed
            repeated = self._repeated(chunk) if suspicious and listed > 0 else 0
            if repeated * chunk.values > MAX_PAGE:
                return f"lists of {chunk.values} values of up to {repeated} bytes, more than {MAX_PAGE} together"
            if suspicious and chunk.size > MAX_PAGE:
                size = self._largest_page(chunk)
                if size > MAX_PAGE:
                    return f"a page of {size} bytes, more than {MAX_PAGE}"
        return None

    def _together(self, group: Group, columns: Sequence[str]) -> int:
        """How many rows are read together.

        What may stand in every row though it is stored once counts in each. Where the footer says nothing, rows are read alone.
        """
        chunks = self._chunks(group, columns)
        if not chunks:
            return 1
        repeated = max(map(self._repeated, chunks))
        rows = MOST_ROWS if sum(chunk.size for chunk in chunks) <= SMALL_GROUP else BATCH_ROWS
        return max(1, min(rows, BATCH_BYTES // max(1, repeated)))

    def _repeated(self, chunk: Chunk) -> int:
        """Bytes that a value of the chunk may have at most though others are the same, or begin alike, and are stored once."""
        if not (chunk.dictionary or chunk.prefixes):
            return 0
        if chunk.prefixes or chunk.size <= BATCH_BYTES // BATCH_ROWS:
            return chunk.size
        page = page_at(self._fetch, chunk.offset)
        return chunk.size if page is None else page.size

    def _largest_page(self, chunk: Chunk) -> int:
        largest, at, end = 0, chunk.offset, min(chunk.offset + chunk.packed, self.stored.size)
        while at < end and largest <= MAX_PAGE:
            page = page_at(self._fetch, at)
            if page is None:
                break
            largest, at = max(largest, page.size), page.end
        return largest

    def _chunks(self, group: Group, columns: Sequence[str]) -> list[Chunk]:
        named = self.chunks[group.number] if group.number < len(self.chunks) else {}
        return [chunk for column in columns for chunk in named.get(column, ())]

    def _fetch(self, start: int, end: int) -> bytes:
        self.stored.seek(start)
        data: bytes = self.stored.read(max(0, min(end, self.stored.size) - start))
        return data


def why_unreadable(error: Exception) -> str:
    """In words, why a part of a table cannot be read.

    Raises:
        ShardDamageError, ImportError, MachineFaultError: as of :func:`~causalprint.transforms.faults.raise_foreign`; but where
            there is room for what any table may ask for, asking for more is the table's fault.
    """
    if isinstance(error, pa.ArrowMemoryError) and has_room(MAX_PAGE):
        return " ".join(str(error).split())
    raise_foreign(error)
    return " ".join(str(error).split()) if isinstance(error, UNREADABLE) else unforeseen(error)


@contextmanager
def open_table(stored: RangeFile) -> Iterator[ParquetTable]:
    """Opens a Parquet file.

    Raises:
        pa.ArrowException, OSError, ValueError: its footer cannot be read; :data:`UNREADABLE`.
        ShardDamageError: retryable; the store did not give it.
    """

    def fetch(start: int, end: int) -> bytes:
        stored.seek(start)
        data: bytes = stored.read(end - start)
        return data

    try:
        tail = tail_of(fetch, stored.size)
        metadata = pq.read_metadata(pa.BufferReader(tail))
        file = pq.ParquetFile(
            pa.PythonFile(stored, mode="r"),
            metadata=metadata,
            pre_buffer=False,
            buffer_size=BUFFER_BYTES,
            page_checksum_verification=True,
        )
    except UNREADABLE:
        stored.raise_failure()
        raise
    with file:
        yield ParquetTable(file, stored, [_by_column(group) for group in chunks_of(tail) or ()], file.schema_arrow, _groups(file))


def _by_column(chunks: Sequence[Chunk]) -> dict[str, list[Chunk]]:
    named: dict[str, list[Chunk]] = {}
    for chunk in chunks:
        named.setdefault(chunk.column, []).append(chunk)
    return named


def _groups(file: pq.ParquetFile) -> list[Group]:
    rows = [max(0, file.metadata.row_group(number).num_rows) for number in range(file.num_row_groups)]
    firsts = accumulate(rows, initial=0)
    return [Group(number, first, count) for number, (first, count) in enumerate(zip(firsts, rows, strict=False))]
