"""What a terminal is shown: text. Names and messages from outside cannot steer it, hide in it or pretend to be another line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table

from causalprint.schemas.names import printable


class SafeConsole(Console):
    r"""A console that writes what is not printable as ``\x1b`` and ``\u202e``, wherever it stands; a print is one line."""

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, markup=False, highlight=False)

    def print(self, *objects: Any, **how: Any) -> None:
        """As of a console; a text is one line, besides the empty lines that it begins with."""
        super().print(*(_line(each) if isinstance(each, str) else each for each in objects), **how)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterator[Segment]:
        """As of a console."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text, "\n"), segment.style)


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
