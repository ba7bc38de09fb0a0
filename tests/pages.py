"""What a page says, apart from how it looks: its numbers with their marks, its words, and where they stand."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from causalprint.pipelines.html_report.make_report import ReportMade

HOSTILE = '</script><script>alert("&amp;")</script>\u202egpj.exe\x07\'"><b>'
"""A name or an address that wants to be more than text."""
VOID = frozenset(("area", "base", "br", "col", "hr", "img", "input", "link", "meta", "rect", "line"))


class Said(NamedTuple):
    """A piece of text, and the elements around it, the outermost first: tag and attributes."""

    text: str
    within: tuple[tuple[str, dict[str, str]], ...]

    @property
    def element(self) -> dict[str, str]:
        return self.within[-1][1]

    def is_in(self, *tags: str) -> bool:
        return any(tag in tags for tag, _ in self.within)

    def has(self, *attributes: str) -> bool:
        return any(name in given for _, given in self.within for name in attributes)


class Page(HTMLParser):
    """Every text of a page; fails where elements are not closed in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.said: list[Said] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self._open: list[tuple[str, dict[str, str]]] = []
        self.feed(text)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = tag, {name: value or "" for name, value in attrs}
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.said.append(Said(data, tuple(self._open)))

    def texts_in(self, tag: str) -> list[str]:
        """The texts of every element ``tag``."""
        return [
            "".join(part.text for part in self.said if (tag, element) in part.within)
            for found, element in self.elements
            if found == tag
        ]


class Reported(NamedTuple):
    """An audit and the report on it: the file, what it says, and the figures that it holds as JSON."""

    output: Path
    made: ReportMade
    text: str
    page: Page
    data: dict[str, Any]
