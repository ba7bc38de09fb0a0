"""Gathers the evidence for findings of an audit, a folder an image, into a folder or a zip file."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

import causalprint
from causalprint.pipelines.evidence.looks import Look, looks_at
from causalprint.pipelines.fetch import FetchError, fetch
from causalprint.pipelines.html_report.make_report import findings_of
from causalprint.pipelines.html_report.page import render, whole
from causalprint.pipelines.html_report.pictures import data_uri, shrunk
from causalprint.pipelines.html_report.prelude import findings_told
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.told import Told, told_by
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ShardDamageError
from causalprint.schemas.names import json_printable
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS
from causalprint.transforms.images.decode import ImageRejectError, decode
from causalprint.transforms.images.kinds import usual_suffix
from causalprint.transforms.storage.storage import is_local
from causalprint.transforms.tables.output import put

if TYPE_CHECKING:
    from causalprint.models.attribution import Attribution
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.pipelines.commands.evidence import EvidenceConfig
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.pipelines.open_bundle import OpenBundle

CARD = "card.md"
NEAREST = 8
"""Images of the bundle's gallery that are named."""
SEEN_SIDE = 480
"""Pixels of the longer side of the whole image's picture on a page."""
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
"""The time of files in a zip, so that the same evidence is the same file."""


class EvidenceError(ValueError):
    """There is no evidence to gather; the message says of what, and why."""


class Agreement(StrEnum):
    """What a bundle says of an image's bytes when it is asked again, beside its row."""

    EXACT = "exact"  # the same to the last digit
    VERDICT = "verdict"  # the same verdict; another machine may round otherwise
    OTHER = "other"  # another verdict


class Gathered(NamedTuple):
    """Evidence of one image.

    Attributes:
        image_id: whose.
        folder: below the output.
        verdict: by the table.
        again: how far the bundle says the same of the bytes again; ``None`` where it is not here, or they are not.
        lost: why the bytes could not be had again; ``None`` where they were.
    """

    image_id: str
    folder: str
    verdict: str
    again: Agreement | None
    lost: str | None


class EvidenceReport(NamedTuple):
    """What ``evidence --json`` prints."""

    output: str
    bundle_id: str
    images: tuple[Gathered, ...]


def make_evidence(config: EvidenceConfig, report: Callable[[str], None] = lambda _: None) -> EvidenceReport:
    """Writes the evidence that ``config`` asks for.

    Raises:
        EvidenceError: an image is not in the audit, or has no verdict.
        OpenAuditError: there is no audit.
        OSError: the output cannot be written.
    """
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        told = told_by(config.audit, config.bundle, config.storage)
        columns, current = findings_of(tables, told)
        tables.sql(findings_told(told.bundle_id, columns, current=current))
        found = {rows[0]["image_id"]: rows for text in config.image_id for rows in _rows(tables, told, text, config)}
    bundle = _opened(told)
    files: dict[str, bytes] = {}
    gathered = []
    for number, (image_id, rows) in enumerate(found.items(), 1):
        report(f"gathering evidence of image {number} of {len(found)}")
        one, own = _gather(rows, told, bundle, config)
        gathered.append(one)
        files |= {f"{image_id}/{name}": data for name, data in own.items()}
    if told.bundle:
        from causalprint.models.bundles.card import card

        files[CARD] = card(told.bundle.manifest).encode()
    _write(files, config)
    return EvidenceReport(config.output, told.bundle_id, tuple(gathered))


def _rows(tables: AuditTables, told: Told, text: str, config: EvidenceConfig) -> Iterator[list[dict[str, Any]]]:
    """Of each image whose id begins with ``text`` its rows, one for each place, with what was measured of it."""
    if not text or set(text) - set("0123456789abcdef"):
        raise EvidenceError(f"{text!r} is no image_id: give its 64 hexadecimal digits, lower case, or the first of them")
    query = f"""
        SELECT * FROM (FROM findings_told WHERE starts_with(image_id, '{text}')) f
        LEFT JOIN (SELECT * EXCLUDE (image_id, shard, bundle) FROM embeddings WHERE starts_with(image_id, '{text}'))
            USING (slice_id, member, "offset")
        ORDER BY image_id, shard, member, "offset"
    """  # noqa: S608 - hexadecimal digits
    places: dict[str, list[dict[str, Any]]] = {}
    for row in tables.sql(query).rows():
        places.setdefault(row["image_id"], []).append({name: _plain(value) for name, value in row.items()})
    if not places:
        raise EvidenceError(f"{config.audit} has no verdict by {told.bundle_id} on an image whose image_id begins with {text}")
    yield from places.values()


def _gather(
    rows: list[dict[str, Any]], told: Told, bundle: OpenBundle | None, config: EvidenceConfig
) -> tuple[Gathered, dict[str, bytes]]:
    """The evidence of one image, and its files by name."""
    row = rows[0]
    data, lost = _fetched(rows, config.storage)
    files = {} if data is None else {f"image.{usual_suffix(data)}": data}
    again = bundle.attribute(data) if bundle and data is not None else None
    looks = _looks(bundle.bundle, data) if bundle and data is not None and again and again.candidates else []
    for number, look in enumerate(looks, 1):
        files |= {f"{name}-{number}.png": _png(getattr(look, name)) for name in ("crop", "residual", "spectrum")}
    same = None if again is None else _says(again, row)
    about = {
        "image_id": row["image_id"],
        "places": [{name: each[name] for name in ("shard", "member", "offset", "slice_id")} for each in rows],
        "row": {name: value for name, value in row.items() if name != "fingerprint"},
        "fingerprint": row.get("fingerprint"),
        "looks": [
            {"left": one.left, "top": one.top, "side": one.side, "gain": one.gain, "decibels": one.decibels} for one in looks
        ],
        "nearest": _nearest(told, row.get("fingerprint")),
        "again": None if again is None else _plain(again._asdict()),
        "agreement": same,
        "bundle_id": told.bundle_id,
        "bundle_digest": told.run.run.bundle_digest if told.run else None,
        "run_id": told.run.run.run_id if told.run else None,
        "run_digest": told.run.digest if told.run else None,
        "code_version": causalprint.__version__,
        "command": config.argv(),
    }
    files["evidence.json"] = (json_printable(json.dumps(about, ensure_ascii=False, allow_nan=False, indent=1)) + "\n").encode()
    page = render(
        "evidence.html.j2",
        about=about,
        row=row,
        rows=rows,
        told=told,
        manifest=told.bundle.manifest if told.bundle else None,
        numbers=_numbers(),
        lost=lost,
        same=same,
        seen=None if data is None else _seen(data),
        looks=[(look, *(data_uri(getattr(look, name), "PNG") for name in ("crop", "residual", "spectrum"))) for look in looks],
    )
    files["evidence.html"] = page.encode()
    return Gathered(row["image_id"], f"{row['image_id']}/", row["verdict"], same, lost), files


def _nearest(told: Told, fingerprint: list[float] | None) -> list[dict[str, Any]]:
    """The images that the bundle learned from whose fingerprints are most like this one; none where it keeps no gallery."""
    from causalprint.models.bundles.gallery import read_gallery
    from causalprint.models.statistics.nearest import directions

    gallery = read_gallery(told.bundle) if told.bundle and fingerprint is not None else None
    if gallery is None:
        return []
    similarity = (directions(gallery.fingerprint) * directions(np.array(fingerprint)[None])).sum(axis=1)
    order = np.argsort(-similarity, kind="stable")[:NEAREST]
    names = ("image_id", "source", "origin", "licence")
    return [
        {name: str(getattr(gallery, name)[place]) for name in names} | {"similarity": float(similarity[place])} for place in order
    ]


def _numbers() -> list[tuple[str, str]]:
    """The columns that hold what was measured of an image and what was made of it, each with its meaning."""
    fields = (field for table in (ATTRIBUTIONS, EMBEDDINGS) for field in table if pa.types.is_float32(field.type))
    return [(field.name, field.metadata[b"description"].decode().replace("`", "")) for field in fields]


def _fetched(rows: list[dict[str, Any]], storage: Storage) -> tuple[bytes | None, str | None]:
    """The bytes from the first place that still gives them, else why the first does not."""
    reasons = []
    for row in rows:
        try:
            return fetch(row, storage_options=storage.options), None
        except (FetchError, ShardDamageError, OSError) as error:
            reasons.append(str(error))
    return None, reasons[0]


def _opened(told: Told) -> OpenBundle | None:
    from causalprint.pipelines.open_bundle import OpenBundle

    return OpenBundle(told.bundle) if told.bundle and told.bundle.bundle_id == told.bundle_id else None


def _looks(bundle: Bundle, data: bytes) -> list[Look]:
    try:
        return looks_at(bundle, decode(data).pixels)
    except ImageRejectError:  # another version of the decoder refuses it
        return []


def _seen(data: bytes) -> str | None:
    try:
        return data_uri(shrunk(data, SEEN_SIDE))
    except ImageRejectError:
        return None


def _says(again: Attribution, row: Mapping[str, Any]) -> Agreement:
    """How far what the bundle says of the bytes now is what the row says."""
    now = _plain(again._asdict())
    now["candidates"] = [_plain(one._asdict()) for one in again.candidates]
    if all(row.get(name) == value for name, value in now.items()):
        return Agreement.EXACT
    told = ("verdict", "source", "family", "reason")
    return Agreement.VERDICT if all(row.get(name) == now[name] for name in told) else Agreement.OTHER


def _plain(value: Any) -> Any:
    """A value as JSON has it; numbers as the tables keep them, in single precision."""
    if isinstance(value, float | np.floating):
        return whole(float(np.float32(value)))
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _write(files: Mapping[str, bytes], config: EvidenceConfig) -> None:
    storage = Storage() if is_local(config.output) else config.storage
    if not config.output.endswith(".zip"):
        for name, data in files.items():
            put(config.output, name, data, storage)
        return
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), data, zipfile.ZIP_DEFLATED)
    folder, _, name = config.output.rpartition("/")
    put(folder or ("/" if config.output.startswith("/") else "."), name, buffer.getvalue(), storage)
