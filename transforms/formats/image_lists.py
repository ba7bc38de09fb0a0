"""``metadata.jsonl`` and ``metadata.csv`` of an imagefolder (Hugging Face): a line describes the image of its ``file_name``."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import Skipped
from causalprint.transforms.formats.items import Damage, decoded, metadata_or_none, parsed_json
from causalprint.transforms.storage.storage import ShardSource, StoredFile

LISTS = ("metadata.jsonl", "metadata.csv")
MORE_LINES = 250_000
"""So many lines are read, and four for each file of the folder: a list may describe images of the folders below too."""
_END, _BROKEN = object(), object()
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

Row = tuple[object, Callable[[], bytes]]
"""The ``file_name`` of a line, if it has one, and what makes a JSON object of the line."""


class ImageList(NamedTuple):
    """What a list says of images.

    Attributes:
        file: the list.
        lines: as JSON objects, by the name of the image; of what is not in the folder, empty.
        surplus: how many others there are: without a ``file_name``, or with one that another line has already.
        unreadable: how many are no JSON objects, or no CSV.
        goes_on: whether there are more lines than are read.
    """

    file: StoredFile
    lines: dict[str, bytes]
    surplus: int
    unreadable: int
    goes_on: bool

    def unused(self, described: set[str]) -> Iterator[Skipped]:
        """Each line that tells nothing of the images ``described``."""
        name = self.file.name.lower()
        kinds = Counter(
            {
                f"row of {name} of no image": self.surplus + sum(each not in described for each in self.lines),
                f"unreadable line of {name}": self.unreadable,
                f"rest of {name}, which is too long": int(self.goes_on),
            }
        )
        yield from (Skipped(self.file.name, 0, kind) for kind in kinds.elements())


def is_list(file: StoredFile) -> bool:
    """Whether a file of a folder is called like such a list. A link is none."""
    return file.name.lower() in LISTS and not (file.link or file.absent)


def read_lists(source: ShardSource, files: list[StoredFile], options: ReadOptions, damage: Damage) -> list[ImageList]:
    """The lists among the files of a folder that describe anything.

    Raises:
        ShardDamageError: retryable; the store did not give one.
    """
    able = [file for file in files if is_list(file) and file.size <= options.max_sample_bytes]
    names = {file.name for file in files}
    lists = (_list_of(file, source.fetch(0, file.size, file), names, damage) for file in able)
    return [each for each in lists if each.lines]


def lines_of(lists: Sequence[ImageList], name: str) -> list[bytes]:
    """What the lists say of the image ``name``: first what has the say, ``metadata.jsonl``."""
    return [each.lines[name] for each in reversed(lists) if name in each.lines]


def _list_of(file: StoredFile, data: bytes, names: set[str], damage: Damage) -> ImageList:
    rows = (_csv_rows if file.name.lower().endswith(".csv") else _json_rows)(file.name, decoded(data), damage)
    lines: dict[str, bytes] = {}
    surplus = unreadable = 0
    for name, told in islice(rows, MORE_LINES + 4 * len(names)):
        image = name.removeprefix("./") if isinstance(name, str) else ""
        if name is _BROKEN:
            unreadable += 1
        elif not image or image in lines:
            surplus += 1
        else:
            lines[image] = told() if image in names else b""
    return ImageList(file, lines, surplus, unreadable, goes_on=next(rows, None) is not None)


def _csv_rows(name: str, text: str, damage: Damage) -> Iterator[Row]:
    rows = csv.reader(_lines(text))
    header: list[str] = []
    place = 0
    for _ in range(text.count("\n") + text.count("\r") + 2):
        row: object = metadata_or_none(lambda: next(rows, _END), f"line {rows.line_num + 1} of {name}", damage)
        if row is _END:
            return
        if not isinstance(row, list):
            yield _BROKEN, bytes
        elif row and not header:
            header = row
            place = header.index("file_name") if "file_name" in header else len(text)
        elif row:
            yield (row[place] if place < len(row) else None), partial(_as_json, header, row)


def _as_json(header: list[str], row: list[str | None]) -> bytes:
    told = dict(zip(header, [*row, *[None] * (len(header) - len(row))], strict=False))
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "replace")


def _json_rows(name: str, text: str, damage: Damage) -> Iterator[Row]:
    for number, line in enumerate(_lines(text), 1):
        if written := line.strip():
            row = metadata_or_none(partial(parsed_json, written), f"line {number} of {name}", damage)
            yield (row.get("file_name") if isinstance(row, dict) else _BROKEN), partial(written.encode, "utf-8", "replace")


def _lines(text: str) -> Iterator[str]:
    """The lines, one after another, with their ends."""
    return (line[0] for line in _LINE.finditer(text))
