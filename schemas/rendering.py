"""Pages and sections of Markdown, from the templates (``*.md.j2``) that lie beside the code which fills them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from causalprint.schemas.estimates import NOT_MEASURED, finite


class Verbatim(str):
    """Markdown that a template takes as it is; any other text stays within its line and within its cell of a table."""

    __slots__ = ()


def render(template: str, **values: object) -> str:
    """Markdown of ``template``, a path below the package: no two blank lines in a row, a newline at the end.

    Raises:
        jinja2.UndefinedError: the template names what is not among ``values``.
    """
    text = _environment().get_template(template).render(values)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def markdown_table(rows: Iterable[Sequence[object]], head: Sequence[str], words: int = 1, remarks: int = 0) -> Verbatim:
    """A table: its first ``words`` and last ``remarks`` columns hold text, those between numbers, aligned to the right."""
    marks = ["---:" if words <= place < len(head) - remarks else "---" for place in range(len(head))]
    return Verbatim("\n".join(f"| {' | '.join(map(_in_line, row))} |" for row in (head, marks, *rows)))


def shell(command: str | Sequence[str]) -> Verbatim:
    """A command, a line or its words, as a shell takes it."""
    return Verbatim(f"```sh\n{command if isinstance(command, str) else shlex.join(command)}\n```")


def number(value: float | None, digits: int = 3) -> str:
    """``0.441``; :data:`~causalprint.schemas.estimates.NOT_MEASURED` where it is no number."""
    return NOT_MEASURED if value is None or finite(value) is None else f"{value:.{digits}f}"


def _in_line(value: object) -> str:
    text = NOT_MEASURED if value is None else str(value)
    return text if isinstance(value, Verbatim) else text.replace("|", "\\|").replace("\n", " ")


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701 - Markdown, not HTML
        loader=FileSystemLoader(Path(__file__).parents[1]),
        undefined=StrictUndefined,
        finalize=_in_line,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"block": Verbatim, "count": "{:,}".format, "number": number, "shell": shell, "table": markdown_table}
    return environment
