"""A random sample of an audit's images, to be labelled by people who do not see what the bundle says."""

from __future__ import annotations

import csv
import heapq
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.pipelines.shares.bundle import audit_bundle
from causalprint.pipelines.shares.sheet import contact_sheet, thumbnail
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ShardDamageError, digest

if TYPE_CHECKING:
    from causalprint.pipelines.commands.sample import SampleConfig
    from causalprint.pipelines.open_audit import AuditTables

LABELS, SHEET = "labels.csv", "index.html"
BANDS = (0.1, 0.5, 0.9)
"""Where strata are cut, by ``generated_probability``."""
HEAD = ("number", "image_id", "shard", "member", "url", "stratum", "weight", "label")


class Drawn(NamedTuple):
    """An image of the sample."""

    image_id: str
    shard: str
    member: str
    offset: int
    url: str
    stratum: str
    weight: float


class LostImage(NamedTuple):
    """An image of the sample that could not be fetched, and why; it stays in the sample, without a picture."""

    image_id: str
    reason: str


class SampleReport(NamedTuple):
    """What ``sample --json`` prints: where the sample is, how many images of how many, and which have no picture."""

    output: str
    labels: str
    sheet: str
    images: int
    drawn_from: int
    lost: tuple[LostImage, ...]


def draw_sample(config: SampleConfig, report: Callable[[str], None] = lambda _: None) -> SampleReport:
    """Draws images, and writes ``labels.csv`` to fill in and ``index.html`` to look at.

    Images are drawn from strata by ``generated_probability``, from each at random. A stratum gets images as it is large and as
    its images are uncertain (Neyman, 1934), and some in any case; the weight of an image is one over the chance that it had.

    Raises:
        OpenAuditError: there is no audit.
        GroupError: it has no scores.
    """
    from causalprint.pipelines.fetch import FetchError, fetch
    from causalprint.pipelines.open_audit import open_audit
    from causalprint.transforms.tables.output import put

    asked = audit_bundle(config.audit, config.storage, config.bundle, None)
    with open_audit(config.audit, storage_options=config.storage.options) as tables:
        drawn, total = _draw(tables, asked.bundle_id, config.for_labels, config.seed)
    output, lost, pictures = str(config.output), list[LostImage](), list[str | None]()
    for number, one in enumerate(drawn, 1):
        report(f"fetching image {number} of {len(drawn)}")
        picture = None
        try:
            data = fetch(one._asdict(), storage_options=config.storage.options)
            picture = f"images/{number:04}.jpg"
            put(output, picture, thumbnail(data, config.side), Storage())
        except (FetchError, ShardDamageError, OSError, ValueError) as error:
            lost.append(LostImage(one.image_id, str(error)))
            picture = None
        pictures.append(picture)
    put(output, SHEET, contact_sheet(drawn, pictures).encode(), Storage())
    put(output, LABELS, _csv(drawn).encode(), Storage())
    return SampleReport(output, f"{output}/{LABELS}", f"{output}/{SHEET}", len(drawn), total, tuple(lost))


def _draw(tables: AuditTables, bundle_id: str, wanted: int, seed: int) -> tuple[list[Drawn], int]:
    counts = np.zeros(len(BANDS) + 1, np.int64)
    kept: list[list[tuple[int, int, Drawn]]] = [[] for _ in counts]
    for number, row in enumerate(_rows(tables, bundle_id)):
        chance, image_id, shard, member, offset, url = row
        band = int(np.searchsorted(BANDS, chance, side="right"))
        counts[band] += 1
        # As likely as any other to be among the least, whatever the order of rows; the heap holds the least, largest first.
        key = digest(seed, image_id, shard, member, offset)
        entry = (-int(key, 16), number, Drawn(image_id, shard, member, offset, url or "", "", 0.0))
        if len(kept[band]) < wanted:
            heapq.heappush(kept[band], entry)
        else:
            heapq.heappushpop(kept[band], entry)
    chosen: list[tuple[str, Drawn]] = []
    letters = sorted("abcd", key=lambda letter: digest(seed, "stratum", letter))  # who labels should not read scores in them
    for band, share in enumerate(_shares(counts, wanted)):
        least = sorted(kept[band], reverse=True)[:share]
        weight = float(counts[band] / share) if share else 0.0
        for *_, one in least:
            order = digest(seed, "order", one.image_id, one.member)
            chosen.append((order, one._replace(stratum=letters[band], weight=weight)))
    return [one for _, one in sorted(chosen, key=lambda pair: pair[0])], int(counts.sum())


def _shares(counts: np.ndarray, wanted: int) -> list[int]:
    """Images to draw from each stratum: as it is large and uncertain, at least a tenth of all, and never more than it has."""
    middle = np.array([(low + high) / 2 for low, high in zip((0, *BANDS), (*BANDS, 1), strict=True)])
    size = counts * np.sqrt(middle * (1 - middle))
    left, shares = min(wanted, int(counts.sum())), np.minimum(counts, max(wanted // 10, 1))
    while shares.sum() > left:
        shares[int(shares.argmax())] -= 1
    while (missing := left - int(shares.sum())) > 0:
        open_to = np.where(counts > shares, np.maximum(size, 1e-9), 0)
        more = np.minimum(np.floor(missing * open_to / open_to.sum()).astype(np.int64), counts - shares)
        if not more.any():
            more[int(open_to.argmax())] = 1
        shares = shares + more
    return [int(one) for one in shares]


def _rows(tables: AuditTables, bundle_id: str) -> Iterator[tuple[float, str, str, str, int, str | None]]:
    query = f"""
        SELECT generated_probability, image_id, shard, member, "offset", metadata ->> 'url' AS url
        FROM findings WHERE bundle = '{bundle_id}' AND generated_probability IS NOT NULL
    """  # noqa: S608 - a bundle's id is letters, digits and hyphens
    for batch in tables.sql(query).relation.to_arrow_reader(65_536):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _csv(drawn: list[Drawn]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEAD)
    for number, one in enumerate(drawn, 1):
        writer.writerow([number, one.image_id, one.shard, one.member, one.url, one.stratum, f"{one.weight:.6f}", ""])
    return text.getvalue()
