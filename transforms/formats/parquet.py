"""Parquet files with images in columns, nested fields or lists of bytes: plain, or Hugging Face's ``struct<bytes, path>``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage
from causalprint.transforms.formats.image_columns import why_none
from causalprint.transforms.formats.items import Damage, Item, nothing_read
from causalprint.transforms.formats.parquet_file import UNREADABLE, ParquetTable, open_table
from causalprint.transforms.formats.table_rows import image_in, items_of
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.storage.storage import RangeFile, ShardSource

SUFFIXES = (".parquet", ".parq", ".pq")


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every row of the shard, in order; the footer tells how many there are.

    The images are those of all columns, nested fields and lists of bytes whose first values begin an image, or of
    ``source.columns`` where those are given. Where that is one field of bytes, the member is the ``path`` beside it, or the
    row's number; else ``row/column``, in a list ``row/column/index``. The offset is the row. A row without bytes is one
    reject; a null beside an image of the same row is nothing, and a row whose list is empty is skipped. Other columns become
    metadata where their values are small. Where one of them cannot be read, the images go on without any; where the images
    cannot, the rest of the row group is rejected row by row.

    Memory is bounded by a page of each column, which writers cut as they like, and a few rows.

    Raises:
        ShardDamageError: there is no footer, or no column of images, or a part could not be read, after everything else
            was given. Or the connection broke (retryable).
    """
    damage = Damage()
    with _open(source) as file:
        yield from items_of(file, source.columns, damage, options)
        total, listed = file.parquet.metadata.num_rows, sum(group.rows for group in file.groups)
        if total != listed:
            damage.note(f"the footer counts {total} rows, but its row groups hold {listed}")
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image ``member`` in row ``offset``, whatever columns were chosen when it was found; reads its row group up to there."""
    with _open(source) as file:
        return image_in(file, member, offset, options)


def is_parquet(head: bytes) -> bool:
    """Whether ``head`` begins a Parquet file."""
    return head.startswith(b"PAR1")


def why_no_images(stored: RangeFile, columns: Sequence[str]) -> str | None:
    """Why a whole Parquet file is no shard of images; ``None`` where it is one, or where reading it will tell.

    Reads the footer, and of the columns of bytes the first values.

    Raises:
        InputError: it holds images, but not in one of ``columns``.
        ShardDamageError: retryable; the store did not give it.
    """
    try:
        with open_table(stored) as file:
            return why_none(file, columns)
    except UNREADABLE as error:
        if isinstance(error, InputError):
            raise
        return None


@contextmanager
def _open(source: ShardSource) -> Iterator[ParquetTable]:
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_table(source.file()))
        except UNREADABLE as error:
            raise nothing_read(source, "Parquet footer", "Parquet", "rows", error) from error
        yield file
