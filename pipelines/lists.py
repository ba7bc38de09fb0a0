"""A list of images that somebody keeps: one value each, from Parquet, CSV, JSON lines or plain text, wherever it lies."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from causalprint.schemas.config import Storage
from causalprint.transforms.images.domains import host_of
from causalprint.transforms.storage.storage import filesystem

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN = 60
"""Characters of a value that an error shows."""


class Key(NamedTuple):
    """What a list may name images by.

    Attributes:
        columns: what lists call it; the first that a file has is taken.
        normal: a value as it is compared; ``None`` where it is none such.
        example: for errors.
    """

    columns: tuple[str, ...]
    normal: Callable[[str], str | None]
    example: str


class ListError(ValueError):
    """A list that cannot be used; the message says why, and what to do."""


class Listed(NamedTuple):
    """What a list holds: each value once as it is compared, the first that was given for it, and how many were no such value."""

    values: dict[str, str]
    unusable: int


def read_list(url: str, key: str, column: str | None, storage: Storage) -> Listed:
    """The values of a list.

    Args:
        url: a path or URL; ``.parquet``, ``.csv``, ``.tsv``, ``.jsonl`` or ``.ndjson``, and of any other name plain text with a
            value a line.
        key: of :data:`KEYS`.
        column: where the values stand; ``None`` for the one that is named as such lists name it, or the only one.
        storage: fsspec options.

    Raises:
        ListError: it has no such column, or holds no value of that kind.
        FileNotFoundError: it is not there.
    """
    given = _texts(url, KEYS[key].columns, column, storage)
    values: dict[str, str] = {}
    for text in given:
        normal = KEYS[key].normal(text)
        if normal is not None:
            values.setdefault(normal, text)
    unusable = sum(KEYS[key].normal(text) is None for text in given)
    if not values:
        first = f"the first is {given[0][:SHOWN]!r}" if given else "it is empty"
        raise ListError(f"{url} holds no {key}, such as {KEYS[key].example}; {first}: give another --on or --column")
    return Listed(values, unusable)


def _texts(url: str, names: tuple[str, ...], column: str | None, storage: Storage) -> list[str]:
    fs, path = filesystem(url, storage, patient=True)
    with fs.open(path, "rb") as file:
        data = file.read()
    suffix = path.rsplit("/", 1)[-1].rpartition(".")[2].lower()
    if suffix in _READERS:
        table = _READERS[suffix](data, url)
        chosen = table.column(_column(table.column_names, names, column, url)).to_pylist()
        texts = [str(value) for value in chosen if value is not None]
    elif column is not None:
        raise ListError(f"{url} is plain text, a value a line, and has no column {column}: leave out --column")
    else:
        texts = data.decode("utf-8-sig", "replace").splitlines()
    return [text.strip() for text in texts if text.strip()]


def _column(found: list[str], names: tuple[str, ...], column: str | None, url: str) -> str:
    wanted = (column,) if column is not None else names
    chosen = next((name for name in wanted if name in found), None)
    if chosen is None and column is None and len(found) == 1:
        return found[0]
    if chosen is None:
        raise ListError(f"{url} has no column {' or '.join(wanted)}, but {', '.join(found)}: give one of them as --column")
    return chosen


def _parquet(data: bytes, url: str) -> pa.Table:
    import pyarrow as pa

    from causalprint.transforms.tables.parquet_bytes import read_parquet

    try:
        return read_parquet(data)
    except pa.ArrowInvalid as error:
        raise ListError(f"{url} is no Parquet file: {error}") from error


def _csv(data: bytes, url: str, delimiter: str = ",") -> pa.Table:
    import pyarrow as pa
    from pyarrow import csv

    try:
        names = csv.open_csv(io.BytesIO(data), parse_options=csv.ParseOptions(delimiter=delimiter)).schema.names
        as_text = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))  # digits alone are a hash too
        return csv.read_csv(io.BytesIO(data), parse_options=csv.ParseOptions(delimiter=delimiter), convert_options=as_text)
    except pa.ArrowInvalid as error:
        raise ListError(f"{url} is no CSV file with a line of names: {error}") from error


def _tsv(data: bytes, url: str) -> pa.Table:
    return _csv(data, url, "\t")


def _json(data: bytes, url: str) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json

    try:
        return json.read_json(io.BytesIO(data))
    except pa.ArrowInvalid as error:
        raise ListError(f"{url} is no file of a JSON object a line: {error}") from error


_READERS: dict[str, Callable[[bytes, str], pa.Table]] = {
    "parquet": _parquet,
    "csv": _csv,
    "tsv": _tsv,
    "jsonl": _json,
    "ndjson": _json,
}


def _hex(digits: int) -> Callable[[str], str | None]:
    shape = re.compile(rf"[0-9a-f]{{{digits}}}")
    return lambda text: text.lower() if shape.fullmatch(text.lower()) else None


KEYS = {
    "sha256": Key(("sha256", "image_id"), _hex(64), "64 hexadecimal digits"),
    "md5": Key(("md5", "image_md5"), _hex(32), "32 hexadecimal digits"),
    "phash": Key(("phash", "image_phash"), _hex(16), "16 hexadecimal digits"),
    "url": Key(("url", "URL", "image_url"), lambda text: text if "://" in text else None, "https://example.org/a.jpg"),
    "domain": Key(("domain", "host", "registered_domain"), host_of, "example.org"),
}
"""What images are matched by."""
