"""``metadata.jsonl`` and ``metadata.csv`` of an imagefolder (Hugging Face): a line describes the image of its ``file_name``."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import Skipped
from causalprint.transforms.formats.items import Damage, decoded, metadata_or_none, parsed_json
from causalprint.transforms.storage.storage import ShardSource, StoredFile

LISTS = ("metadata.jsonl", "metadata.csv")
_END = object()


class ImageList(NamedTuple):
    """What a list says of images.

    Attributes:
        file: the list.
        lines: as JSON objects, by the name of the image.
        surplus: how many others there are: without a ``file_name``, or with one that another line has already.
        unreadable: how many are no JSON objects, or no CSV.
    """

    file: StoredFile
    lines: dict[str, bytes]
    surplus: int
    unreadable: int

    def unused(self, described: set[str]) -> Iterator[Skipped]:
        """Each line that tells nothing of the images ``described``."""
        name = self.file.name.lower()
        kinds = Counter(
            {
                f"row of {name} of no image": self.surplus + sum(each not in described for each in self.lines),
                f"unreadable line of {name}": self.unreadable,
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
    lists = (_list_of(file, source.fetch(0, file.size, file), damage) for file in able)
    return [each for each in lists if each.lines]


def lines_of(lists: Sequence[ImageList], name: str) -> list[bytes]:
    """What the lists say of the image ``name``: first what has the say, ``metadata.jsonl``."""
    return [each.lines[name] for each in reversed(lists) if name in each.lines]


def _list_of(file: StoredFile, data: bytes, damage: Damage) -> ImageList:
    rows = _csv_rows if file.name.lower().endswith(".csv") else _json_rows
    lines: dict[str, bytes] = {}
    surplus = unreadable = 0
    for row, text in rows(file.name, decoded(data), damage):
        if not isinstance(row, dict):
            unreadable += 1
            continue
        name = row.get("file_name")
        image = name.removeprefix("./") if isinstance(name, str) else ""
        if not image or image in lines:
            surplus += 1
        else:
            lines[image] = text
    return ImageList(file, lines, surplus, unreadable)


def _csv_rows(name: str, text: str, damage: Damage) -> Iterator[tuple[object, bytes]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    for _ in range(text.count("\n") + text.count("\r") + 1):
        row: object = metadata_or_none(lambda: next(rows, _END), f"line {rows.line_num + 1} of {name}", damage)
        if row is _END:
            return
        yield row, json.dumps(row, ensure_ascii=False).encode("utf-8", "replace")


def _json_rows(name: str, text: str, damage: Damage) -> Iterator[tuple[object, bytes]]:
    for number, line in enumerate(io.StringIO(text, newline=None), 1):
        if line.strip():
            yield metadata_or_none(partial(parsed_json, line), f"line {number} of {name}", damage), line.strip().encode()
