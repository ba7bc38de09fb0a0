"""Makes the report on an audit: asks the tables, fetches pictures where they are wanted, writes the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.html_report.card import ACCUSED
from causalprint.pipelines.html_report.page import Answer, Contents, Sheet, render_page, whole
from causalprint.pipelines.html_report.pictures import small_pictures
from causalprint.pipelines.html_report.prelude import prelude
from causalprint.pipelines.html_report.prevalence import estimate_shares, estimated_shares
from causalprint.pipelines.html_report.queries import Query, pictures, queries
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.told import told_by
from causalprint.schemas.config import Storage
from causalprint.transforms.storage.storage import is_local
from causalprint.transforms.tables.output import put

if TYPE_CHECKING:
    from causalprint.pipelines.commands.report import ReportConfig
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.pipelines.told import Told

NAME = "report.html"
TITLE = "What is in this dataset?"


class ReportMade(NamedTuple):
    """What ``report --json`` prints.

    Attributes:
        file: the page.
        bytes: of it.
        bundle_id: whose verdicts it tells.
        read, taken: images that were read, and those of them that are taken for generated.
        pictures, lost: images that it shows, and those that could not be fetched.
    """

    file: str
    bytes: int
    bundle_id: str
    read: int
    taken: int
    pictures: int
    lost: int


def make_report(config: ReportConfig, report: Callable[[str], None] = lambda _: None) -> ReportMade:
    """Writes the page on the audit of ``config``.

    Raises:
        OpenAuditError: there is no audit.
        VerdictsError: it has no verdicts by the bundle that is asked for.
        OSError: the page cannot be written.
    """
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        told = told_by(config.audit, config.bundle, config.storage)
        contents = _asked(tables, told, config, report)
    page = render_page(contents).encode()
    file = config.output or f"{config.audit.rstrip('/')}/{NAME}"
    folder, _, name = file.rpartition("/")
    put(folder or ("/" if file.startswith("/") else "."), name, page, config.storage if not is_local(file) else Storage())
    shown = [picture for sheet in contents.sheets for picture in sheet.pictures]
    lost = sum(not picture.source for picture in shown)
    answer = contents.answers["answer"].rows[0]
    return ReportMade(file, len(page), told.bundle_id, answer["read"], answer["taken"], len(shown) - lost, lost)


def _asked(tables: AuditTables, told: Told, config: ReportConfig, report: Callable[[str], None]) -> Contents:
    columns, current = findings_of(tables, told)
    views = {row["name"] for row in tables.sql("SELECT view_name AS name FROM duckdb_views()").rows()}
    made = prelude(told.bundle_id, views, columns, current=current)
    report("reading the tables")
    tables.sql(made)
    accused = told.figure(ACCUSED)
    of_card = (accused.value, accused.low, accused.high) if accused else None
    asked = queries(of_card, claims="claim_kind" in columns, conflicts="conflict" in columns)
    report("estimating shares")
    estimate_shares(config.audit, told, judged(tables, told), config.storage)
    chosen = pictures() if config.images else ()
    sheets = [Sheet(query, small_pictures(_answer(tables, query).rows, config.storage, report)) for query in chosen]
    return Contents(
        title=config.title or TITLE,
        output=config.audit,
        told=told,
        prelude=made,
        answers={query.name: _answer(tables, query) for query in asked},
        shares=estimated_shares(config.audit, told.bundle_id, config.storage),
        sheets=sheets,
        command=config.argv(),
        columns=columns,
    )


def judged(tables: AuditTables, told: Told) -> int:
    """How many images have a score among the verdicts that are told."""
    of_bundle = f"bundle = '{told.bundle_id}' AND log_likelihood_ratio IS NOT NULL"
    ((images,),) = tables.sql(f"SELECT count(*) FROM current_attributions WHERE {of_bundle}").relation.fetchall()  # noqa: S608
    return int(images)


def findings_of(tables: AuditTables, told: Told) -> tuple[frozenset[str], bool]:
    """The columns of view ``findings``, and whether it has the verdicts that are told."""
    bundles = {row["bundle"] for row in tables.sql("SELECT DISTINCT bundle FROM findings").rows()}
    return frozenset(tables.sql("FROM findings").relation.columns), told.bundle_id in bundles


def _answer(tables: AuditTables, query: Query) -> Answer:
    table = tables.sql(query.sql)
    rows = tuple({name: whole(value) for name, value in row.items()} for row in table.rows())
    return Answer(query, tuple(table.relation.columns), rows)
