"""How well a generator that a bundle does not know is found again once it is enrolled: the table of docs/results/enrolment.md.

    python benchmarks/enrol.py IMAGES --cache fingerprints.npz [--bundle BUNDLE] [--images 20]

IMAGES holds labelled WebDataset tars. Their fingerprints are computed once (0.2 s an image and core) and kept in the cache.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from choose_images import digest, rows, where

from causalprint.pipelines.open_bundle import ImageError, open_bundle

MOST = {"photographs": 450, "generated": 200, "open": 1000, "paintings": 50, "graphics": 200}
"""Images of each kind that were put aside; of those that were learned, only ``open``: generators without a name."""


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
                place = where(source, origin, str(sidecar.get("licence", "")), tar)
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


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--bundle")
    given = parser.parse_args()
    print(len(development(given.images, given.cache, given.bundle).source))
