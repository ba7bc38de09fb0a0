"""From figures to a page: HTML in which every number says which figure it is of, and no text can be more than text."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from causalprint.pipelines.html_report import spectra, words
from causalprint.pipelines.html_report.card import ACCUSED, FOUND, limits_of
from causalprint.pipelines.html_report.pictures import Picture
from causalprint.pipelines.html_report.prelude import OUTCOMES
from causalprint.pipelines.html_report.prevalence import GENERATED
from causalprint.pipelines.html_report.queries import Query
from causalprint.pipelines.told import Told
from causalprint.schemas.names import json_printable, printable
from causalprint.schemas.prevalence import ALL, PrevalenceRow
from causalprint.schemas.reasons import TAKEN
from causalprint.schemas.tables import SCHEMA_VERSION

if TYPE_CHECKING:
    from causalprint.models.bundles.manifest import Manifest

HERE = Path(__file__).parent
NONE = "\u2013"
_MARKS = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026"}


class Answer(NamedTuple):
    """What a query gave."""

    query: Query
    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]


class Sheet(NamedTuple):
    """Small pictures of the images that a query chose."""

    query: Query
    pictures: Sequence[Picture]


@dataclass(frozen=True, slots=True)
class Contents:
    """All that stands on a page.

    Attributes:
        title: the heading.
        output: root of the audit's tables, as a command takes it.
        told: whose verdicts are told.
        prelude: SQL that the figures' queries stand on.
        answers: by the names of their queries.
        shares: estimated shares of all images and of groups; none where they are not estimated.
        sheets: contact sheets; none where no pictures were asked for.
        command: what makes this page.
        columns: of view ``findings``.
    """

    title: str
    output: str
    told: Told
    prelude: str
    answers: Mapping[str, Answer]
    shares: Sequence[PrevalenceRow]
    sheets: Sequence[Sheet]
    command: Sequence[str]
    columns: frozenset[str]


def render_page(contents: Contents) -> str:
    """The page, a whole HTML document that needs nothing besides; the same contents give the same text."""
    told = contents.told
    manifest = told.bundle.manifest if told.bundle else None
    return render(
        "page.html.j2",
        contents=contents,
        a={name: answer.rows for name, answer in contents.answers.items()},
        sql={name: answer.query for name, answer in contents.answers.items()},
        num=_numbers(contents.answers),
        told=told,
        manifest=manifest,
        accused=told.figure(ACCUSED),
        found=told.figure(FOUND),
        estimate=next((share for share in contents.shares if (share.group_by, share.what) == (ALL, GENERATED)), None),
        void=bool(manifest and _void(manifest)),
        warnings=_warnings(told),
        run=told.run.run if told.run else None,
        finished=told.run,
        commands=_commands(contents),
        every_find=f"bundle = '{told.bundle_id}' AND {TAKEN}",
        with_images=shlex.join((*contents.command, "--images")),
        outcomes=OUTCOMES,
        schema_version=SCHEMA_VERSION,
        data=Markup(_data(contents)),  # noqa: S704 - escaped for a script element
    )


def render(template: str, *, manifest: Manifest | None, **values: object) -> str:
    """A page of a template beside this file, or of the evidence; its style, and the words of a bundle's card, are given to it."""
    return (
        _environment()
        .get_template(template)
        .render(
            values,
            manifest=manifest,
            limits=limits_of(manifest) if manifest else {},
            words=words,
            spectra=spectra,
            style=Markup((HERE / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
        )
    )


def shown(column: str, value: object) -> str:
    """A value of a figure as the page has it: counts whole, shares with a decimal, probabilities with three."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _measured(column, value)
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


def _measured(column: str, value: float) -> str:
    if column.startswith("percent"):
        few, most = 0 < value < 0.05, 99.95 <= value < 100  # that are neither none nor all
        return "under 0.1 %" if few else "over 99.9 %" if most else f"{value:.1f} %"
    if "probability" in column:
        return "over 0.999" if 0.9995 <= value < 1 else f"{value:.3f}"
    if column == "log_likelihood_ratio":
        return f"{value:+.1f}"
    return f"{value:.3g}"


def _numbers(answers: Mapping[str, Answer]) -> Callable[..., Markup]:
    def number(name: str, column: str, row: int = 0) -> Markup:
        value = answers[name].rows[row][column]
        where = Markup('data-figure="{}" data-row="{}" data-column="{}"').format(name, row, column)
        if isinstance(value, int | float):
            return Markup('<data value="{}" {}>{}</data>').format(json.dumps(value), where, shown(column, value))
        return Markup("<span {}>{}</span>").format(where, shown(column, value))

    return number


def _void(manifest: Manifest) -> bool:
    from causalprint.models.bundles.trust import voiding_audits

    return bool(voiding_audits(manifest))


def _warnings(told: Told) -> Sequence[str]:
    from causalprint.models.bundles.trust import warnings

    return warnings(told.bundle.manifest) if told.bundle else ()


def _commands(contents: Contents) -> list[tuple[str, str]]:
    """What was run, and what repeats or checks it: in words, and as a shell takes it."""
    output = contents.output
    run = contents.told.run
    told = [("The verdicts" if run.run.scoring else "The audit", shlex.join(run.run.config.argv()))] if run else []
    return [
        *told,
        ("Check that the tables are what the audit wrote", shlex.join(("causalprint", "verify", output, "--deep"))),
        ("Make this page again", shlex.join(contents.command)),
    ]


def _data(contents: Contents) -> str:
    """All figures as JSON that stands in a script element: no character of it can end that."""
    told = contents.told
    data = {
        "title": contents.title,
        "audit": contents.output,
        "bundle_id": told.bundle_id,
        "run_id": told.run.run.run_id if told.run else None,
        "schema_version": SCHEMA_VERSION,
        "prelude": contents.prelude,
        "figures": {
            name: {"about": answer.query.about, "sql": answer.query.sql.strip(), "columns": answer.columns, "rows": answer.rows}
            for name, answer in contents.answers.items()
        },
        "estimated_shares": [share._asdict() for share in contents.shares],
        "card": [asdict(figure) for figure in (told.bundle.manifest.figures if told.bundle else ())],
    }
    return json_printable(json.dumps(data, ensure_ascii=False, allow_nan=False)).translate(_MARKS)


def whole(value: object) -> object:
    """A value that JSON has: what is no number is none."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _percent(value: float, digits: int = 1) -> str:
    return f"{100 * value:.{digits}f} %"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader((HERE, HERE.parent / "evidence")),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"quoted": shlex.quote, "percent": _percent, "count": "{:,}".format, "shown": shown}
    return environment


def _printable(value: object) -> object:
    """What a page shows of a value: of text no controls, and no marks that turn its direction."""
    if value is None:
        return NONE
    return printable(value, keep="\n") if isinstance(value, str) and not isinstance(value, Markup) else value
