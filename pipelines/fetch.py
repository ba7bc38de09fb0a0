"""The bytes of a finding again, from the shard that it was found in, and proved by their digest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from causalprint.schemas.config import Storage, storage_of
from causalprint.schemas.elements import ShardDamageError
from causalprint.schemas.urls import public
from causalprint.transforms.formats.members import read_member
from causalprint.transforms.images.kinds import usual_suffix
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.tables.output import put

if TYPE_CHECKING:
    from causalprint.pipelines.commands.fetch import FetchConfig
    from causalprint.pipelines.open_audit import AuditTables

FRESH = "where its URL was signed, give it with a fresh signature: --signed URL, in Python the row with that URL as its shard"
KEYS = ("shard", "member", "offset", "image_id")


class Row(Protocol):
    """A row of a table: a dict, a ``Series`` of pandas."""

    def get(self, key: str, /) -> Any:
        """The value of a column, ``None`` where there is none."""
        ...


class FetchError(ValueError):
    """An image that cannot be had again, or is another one now; the message says which, and why."""


def fetch(row: Row, *, storage_options: str = "{}") -> bytes:
    """The encoded bytes of the image that a row of the tables names.

    Args:
        row: columns ``shard``, ``member``, ``offset`` and ``image_id`` of any table of images: a dict, or a row of pandas. Tables
            hold URLs without their signatures; where one is needed, the ``shard`` is the URL with a fresh one.
        storage_options: JSON, as ``--storage-options`` takes it.

    Returns:
        the bytes whose SHA-256 is ``image_id``.

    Raises:
        FetchError: the row lacks a key, the shard is gone or holds the image no more, or its bytes are others now.
        ImportError: the store needs a package that is not installed.
    """
    missing = [key for key in KEYS if row.get(key) is None]
    if missing:
        raise FetchError(f"a row to fetch has {', '.join(KEYS)}; this one lacks {', '.join(missing)}")
    url, member, offset, image_id = (row.get(key) for key in KEYS)
    shard = public(str(url))
    try:
        image = read_member(str(url), str(member), int(offset), storage_of(storage_options))
    except InputError as error:
        if isinstance(error.__cause__, PermissionError):
            raise FetchError(f"{shard} is not open to all: {FRESH}, or --storage-options") from error
        raise FetchError(str(error)) from error
    except FileNotFoundError as error:
        raise FetchError(f"{shard} is not there any more; bring it back, or give --storage-options to reach it") from error
    except KeyError as error:
        raise FetchError(str(error.args[0])) from error
    if image.image_id != image_id:
        raise FetchError(
            f"{member} of {shard} is another image now: its SHA-256 is {image.image_id}, the row says {image_id}; "
            "the shard changed since it was audited"
        )
    return image.data


class Fetched(NamedTuple):
    """An image that was fetched: its file, and where it lies in the audit's input."""

    image_id: str
    file: str
    shard: str
    member: str


class Lost(NamedTuple):
    """An image that could not be fetched, and why."""

    image_id: str
    reason: str


class FetchReport(NamedTuple):
    """What ``fetch --json`` prints."""

    output: str
    images: tuple[Fetched, ...]
    lost: tuple[Lost, ...]


def fetch_images(config: FetchConfig, report: Callable[[str], None] = lambda _: None) -> FetchReport:
    """Fetches images of an audit into files, each named by its digest and its format, and proved by the former.

    An image that lies in several places is fetched from the first that still gives it.

    Raises:
        FetchError: nothing was asked for, or an ``image_id`` is not in the audit.
        OpenAuditError: there is no audit.
    """
    from causalprint.pipelines.open_audit import open_audit

    if not config.image_ids and config.where is None:
        raise FetchError("say which images: their image_id, or --where with a condition such as \"verdict = 'known'\"")
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        places = _places(tables, config)
    outcomes = []
    for number, (image_id, rows) in enumerate(places.items(), 1):
        report(f"fetching image {number} of {len(places)}")
        outcomes.append(fetch_first(image_id, rows, str(config.output), config.storage, config.signed))
    fetched = tuple(outcome for outcome in outcomes if isinstance(outcome, Fetched))
    return FetchReport(str(config.output), fetched, tuple(outcome for outcome in outcomes if isinstance(outcome, Lost)))


def _places(tables: AuditTables, config: FetchConfig) -> dict[str, list[dict[str, Any]]]:
    """Where each image that is asked for lies, by its digest."""
    asked = " OR ".join(f"starts_with(image_id, '{_hex(image_id)}')" for image_id in config.image_ids)
    condition = " AND ".join(f"({condition})" for condition in (asked, config.where) if condition)
    limit = "" if config.limit is None else f"LIMIT {config.limit}"
    # The condition is SQL by its nature, over tables that are the user's own.
    query = f"""
        WITH everything AS (FROM findings UNION ALL BY NAME FROM current_rejects WHERE image_id IS NOT NULL),
             chosen AS (SELECT DISTINCT image_id FROM everything WHERE {condition} ORDER BY image_id {limit})
        SELECT DISTINCT image_id, shard, member, "offset" FROM everything SEMI JOIN chosen USING (image_id) ORDER BY ALL
    """  # noqa: S608
    places: dict[str, list[dict[str, Any]]] = {}
    for row in tables.sql(query).rows():
        places.setdefault(row["image_id"], []).append(row)
    missing = [text for text in config.image_ids if not any(image_id.startswith(text) for image_id in places)]
    if missing and config.where is None and config.limit is None:
        raise FetchError(f"no image of {config.audit} has an image_id that begins with {missing[0]}")
    return places


def fetch_first(
    image_id: str, rows: Sequence[Mapping[str, Any]], output: str, storage: Storage, signed: Sequence[str] = ()
) -> Fetched | Lost:
    """Fetches an image into a file of folder ``output``, from the first of ``rows`` that still gives it.

    Args:
        image_id: names the file, with what its format is usually called.
        rows: where the image lies; with the columns that :func:`fetch` needs.
        output: the folder.
        storage: options of the shards' store.
        signed: URLs of shards with fresh signatures.
    """
    reasons = []
    fresh = {public(url): url for url in signed}
    for row in rows:
        try:
            data = fetch({**row, "shard": fresh.get(row["shard"], row["shard"])}, storage_options=storage.options)
        except (FetchError, ShardDamageError, OSError) as error:
            reasons.append(str(error))
            continue
        name = f"{image_id}.{usual_suffix(data)}"
        put(output, name, data, Storage())
        return Fetched(image_id, str(Path(output) / name), str(row["shard"]), str(row["member"]))
    return Lost(image_id, reasons[0])


def _hex(image_id: str) -> str:
    if not image_id or set(image_id) - set("0123456789abcdef"):
        raise FetchError(f"{image_id!r} is no image_id: give its 64 hexadecimal digits, lower case, or the first of them")
    return image_id
