"""``RESULTS.md`` and what lies beside it: sections that a command replaces as a whole, with that command on top."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

RESULTS = "RESULTS.md"
FIGURES = "figures"
HEAD = "# Results\n\nEach section is written by the command on top of it, which repeats it.\n"
_KEY = re.compile(r"[a-z][a-z0-9-]*")
_IMAGE = re.compile(r"!\[[^\]]*\]\(([^)\s]+)\)")


class ResultsError(ValueError):
    """A results file that cannot be edited, or an output that cannot be written; the message says what to do."""


def publish_section(folder: Path, key: str, text: str, files: Mapping[str, bytes]) -> None:
    """Writes ``files`` and the section ``key`` of ``RESULTS.md`` into ``folder``; removes images that only the old section shows.

    Args:
        folder: made where there is none.
        key: lower-case letters, digits and hyphens; stands in ``<!-- begin KEY -->`` and ``<!-- end KEY -->``.
        text: Markdown; the section is replaced whole or appended, and the other sections stay as they are.
        files: bytes by their path below ``folder``, with ``/``.

    Raises:
        ResultsError: the folder cannot be written, or its ``RESULTS.md`` has one of the two marks without the other, or twice.
    """
    path = folder / RESULTS
    document = path.read_text(encoding="utf-8") if path.exists() else ""
    section = replace_section(document, key, text, str(path))
    publish(folder, {**files, RESULTS: section.encode()})
    for image in _IMAGE.findall(read_section(document, key, str(path))):
        if image not in section and Path(image).parent.as_posix() == FIGURES:
            (folder / image).unlink(missing_ok=True)


def replace_section(document: str, key: str, text: str, where: str = RESULTS) -> str:
    """``document`` with ``text`` as its section ``key``; see :func:`publish_section`."""
    begin, end = _marks(key)
    section = f"{begin}\n\n{text.strip()}\n\n{end}\n"
    span = _span(document, key, where)
    if span is None:
        return f"{document.rstrip()}\n\n{section}" if document.strip() else f"{HEAD}\n{section}"
    return document[: span[0]] + section + document[span[1] :].removeprefix("\n")


def read_section(document: str, key: str, where: str = RESULTS) -> str:
    """The section ``key`` of ``document``, without its marks; empty where there is none."""
    span = _span(document, key, where)
    begin, end = _marks(key)
    return "" if span is None else document[span[0] : span[1]].removeprefix(begin).removesuffix(end).strip()


def publish(folder: Path, files: Mapping[str, bytes]) -> None:
    """Writes all ``files`` (bytes by their path below ``folder``) or none: under temporary names first, renamed at the end.

    Raises:
        ResultsError: the folder cannot be written.
    """
    parts: dict[Path, Path] = {}
    try:
        for name, data in files.items():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.part")
            parts[part] = target
            part.write_bytes(data)
        for part, target in parts.items():
            part.replace(target)
    except OSError as error:
        raise ResultsError(f"{error.filename} cannot be written: {error.strerror}; give another --output") from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _marks(key: str) -> tuple[str, str]:
    if not _KEY.fullmatch(key):
        raise ResultsError(f"section {key!r} must match {_KEY.pattern}")
    return f"<!-- begin {key} -->", f"<!-- end {key} -->"


def _span(document: str, key: str, where: str) -> tuple[int, int] | None:
    begin, end = _marks(key)
    counts = (document.count(begin), document.count(end))
    if counts == (0, 0):
        return None
    start, stop = document.find(begin), document.find(end)
    if counts != (1, 1) or stop < start:
        raise ResultsError(
            f"{where} has {begin!r} {counts[0]} times and {end!r} {counts[1]} times; leave each once, in this order, or neither"
        )
    return start, stop + len(end)
