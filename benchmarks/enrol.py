"""How well a generator that a bundle does not know is found again once it is enrolled: the table of docs/results/enrolment.md.

    python benchmarks/enrol.py IMAGES --cache fingerprints.npz [--bundle BUNDLE] [--few 20]

IMAGES holds labelled WebDataset tars. Their fingerprints are computed once (0.2 s an image and core) and kept in the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from choose_images import digest, rows, where

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.enrolment import LEAST_IMAGES, LEAST_RECALL, enrol
from causalprint.pipelines.enroll import surroundings_of
from causalprint.pipelines.open_bundle import ImageError, open_bundle

MOST = {"photographs": 450, "generated": 200, "open": 1000, "paintings": 50, "graphics": 200}
"""Images of each kind that were put aside; of those that were learned, only ``open``: generators without a name."""


DRAWS = 10
"""Of the images that a generator is enrolled from."""


class Development(NamedTuple):
    """Fingerprints of N labelled images: kind, source, origin, side (learn or aside), digest (N,), fingerprint (N, 128)."""

    kind: npt.NDArray[np.str_]
    source: npt.NDArray[np.str_]
    origin: npt.NDArray[np.str_]
    side: npt.NDArray[np.str_]
    image_id: npt.NDArray[np.str_]
    fingerprint: npt.NDArray[np.float16]


def development(images: Path, cache: Path, bundle: str | None) -> Development:
    """Reads the cache, or fills it."""
    if not cache.exists():
        chosen: dict[str, list[tuple[str, str, str, str, str, bytes]]] = defaultdict(list)
        for tar in sorted(images.rglob("*.tar")):
            for _, _, data, sidecar in rows(tar):
                source, origin = str(sidecar["source"]), str(sidecar["origin"])
                place = where(source, origin, str(sidecar.get("licence", "")), tar, any_licence=False)
                if place and (place[0] == "aside" or place[1] == "open"):
                    image_id = hashlib.sha256(data).hexdigest()
                    chosen[place[1]].append((place[1], source, origin, place[0], image_id, data))
        kept = [
            one
            for kind, several in sorted(chosen.items())
            for one in sorted({each[4]: each for each in several}.values(), key=lambda each: digest(each[4]))[: MOST[kind]]
        ]
        opened = open_bundle(bundle)
        found = []
        for number, one in enumerate(kept):
            if number % 100 == 0:
                print(f"{number} of {len(kept)} fingerprints", file=sys.stderr, flush=True)
            try:
                found.append((*one[:5], opened.fingerprint(one[5])))
            except ImageError as error:
                print(error, file=sys.stderr)
        columns = [np.array(column) for column in zip(*found, strict=True)]
        np.savez(cache, **dict(zip(Development._fields, columns, strict=True)))  # type: ignore[arg-type]
    with np.load(cache) as stored:
        return Development(**{name: stored[name] for name in Development._fields})


class Outcome(NamedTuple):
    """Of one generator, means over draws of the images that it is enrolled from.

    Attributes:
        images: that there are of it; it is enrolled from ``few``.
        learned: whether the bundle learned from its images, as of generators without a name.
        refused: share of the draws that ``enroll`` refuses.
        left_out: share of the few that are found when each is left out in turn.
        recall: share of its other images that are found at the limit that ``enroll`` sets.
        photographs, generated: share of photographs and paintings, and of images by other generators, that are named at it.
        at_one: recall at the limit that 1 % of all of these reach.
    """

    source: str
    origin: str
    images: int
    few: int
    learned: bool
    refused: float
    left_out: float
    recall: float
    photographs: float
    generated: float
    at_one: float


def outcomes(found: Development, bundle: str | None, few: int) -> Iterator[Outcome]:
    """Of every generator of one origin that the bundle does not name and that has images enough."""
    known = surroundings_of(load_bundle(bundle))
    evident = found.fingerprint.any(axis=1)
    opened = found.kind == "open"
    for source, origin in sorted(set(zip(found.source[opened].tolist(), found.origin[opened].tolist(), strict=True))):
        own = np.flatnonzero(evident & opened & (found.source == source) & (found.origin == origin))
        count = few if len(own) >= 2 * few else len(own) // 2
        if count < LEAST_IMAGES:
            continue
        others = evident & (found.source != source)
        by_hand = others & np.isin(found.kind, ["photographs", "paintings", "graphics"])
        values = []
        for draw in range(DRAWS):
            chosen = np.random.default_rng(draw).permutation(own)
            enrolled = enrol(found.fingerprint[chosen[:count]], known)
            odds = found.fingerprint.astype(np.float64) @ enrolled.weight + enrolled.bias
            rest, named = odds[chosen[count:]], odds >= enrolled.limit
            values.append(
                (
                    enrolled.recall < LEAST_RECALL,
                    enrolled.recall,
                    (rest >= enrolled.limit).mean(),
                    named[by_hand].mean(),
                    named[others & ~by_hand].mean(),
                    (rest > np.quantile(odds[others], 0.99)).mean(),
                )
            )
        means = np.mean(np.array(values, float), axis=0)
        yield Outcome(source, origin, len(own), count, bool((found.side[own] == "learn").any()), *means.tolist())


def table(rows: list[Outcome]) -> str:
    """In Markdown."""
    head = (
        "| generator | origin | images | enrolled from | refused | found, left out in turn | found of the rest | photographs and "
        "paintings named | images by others named | found of the rest at 1 % of all others |"
    )
    lines = [head, "|---|---|" + "---:|" * 8]
    for row in rows:
        name = f"{row.source} *" if row.learned else row.source
        numbers = (row.refused, row.left_out, row.recall, row.photographs, row.generated, row.at_one)
        lines.append(
            f"| {name} | {row.origin} | {row.images} | {row.few} | " + " | ".join(f"{one:.3f}" for one in numbers) + " |"
        )
    return "\n".join(lines)


def main(images: Path, cache: Path, bundle: str | None, few: int) -> None:
    """Prints the table and what it comes to."""
    found = development(images, cache, bundle)
    rows = sorted(outcomes(found, bundle, few), key=lambda row: (row.few < few, row.source))
    print(table(rows))
    for name, some in (
        ("all", rows),
        (f"enrolled from {few}", [row for row in rows if row.few == few]),
        ("not learned from", [row for row in rows if not row.learned]),
    ):
        own, one = (sum(getattr(row, column) >= 0.7 for row in some) for column in ("recall", "at_one"))
        print(f"{name}: {len(some)} generators; 70 % found at the limit set: {own}; at 1 % of all others: {one}")
    kinds = ", ".join(f"{int((found.kind == kind).sum())} {kind}" for kind in np.unique(found.kind).tolist())
    print(f"{len(found.kind)} images: {kinds}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle")
    parser.add_argument("--few", type=int, default=20)
    given = parser.parse_args()
    main(given.images, given.cache, given.bundle, given.few)
