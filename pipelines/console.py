"""What a terminal is shown: text. Names and messages from outside cannot steer it, hide in it or pretend to be another line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Literal

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from causalprint.schemas.names import json_printable, printable
from causalprint.schemas.options import PROGRAM

Level = Literal["info", "warning", "error"]


class SafeConsole(Console):
    r"""A console that writes what is not printable as ``\x1b`` and ``\u202e``, wherever it stands; a print is one line."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False)

    def print(self, *objects: Any, **how: Any) -> None:
        """As of a console; a text is one line, besides the empty lines that it begins with."""
        super().print(*(_line(each) if isinstance(each, str) else each for each in objects), **how)

    def tell(self, text: str, level: Level = "info", **_: object) -> None:
        """One line of a log."""
        self.print(text if level == "info" else f"{PROGRAM}: {text}", soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As of a console."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, "\n"), segment.style)


class JsonConsole(SafeConsole):
    """A log of JSON objects, one on each line, and never a live line: for what collects logs."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr)
        self._force_terminal = False

    def print(self, *objects: Any, **_: Any) -> None:
        """What a console prints, as a record of that text."""
        self.tell(" ".join(map(str, objects)))

    def tell(self, text: str, level: Level = "info", **fields: object) -> None:
        """A record: when (UTC, ISO 8601), how grave, the text, and the numbers that it tells."""
        record = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "message": text, **fields}
        self.file.write(json_printable(json.dumps(record, ensure_ascii=False)) + "\n")
        self.file.flush()


class SafeTable(Table):
    """A table each of whose cells is one line of text, as far as it is folded by nobody else."""

    def add_row(self, *cells: RenderableType | None, **how: Any) -> None:
        """As of a table."""
        super().add_row(*(printable(each) if isinstance(each, str) else each for each in cells), **how)


def new_table(*names: str, numbers: tuple[str, ...] = ()) -> Table:
    """An empty table: columns of text, then columns of numbers."""
    table = SafeTable(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(printable(name), overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _line(text: str) -> str:
    line = text.lstrip("\n")
    return text[: len(text) - len(line)] + printable(line)
