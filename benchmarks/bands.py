"""Whether a bundle errs alike on images of any JPEG quality: the table of docs/results/put-aside.md.

    python benchmarks/bands.py chosen/aside --evaluation RESULTS [--bundle BUNDLE]

``chosen/aside`` holds WebDataset tars whose sidecars say of what quality the file was that each crop was cut from
(``original_jpeg_quality``); RESULTS is what ``causalprint evaluate chosen/aside`` wrote of that bundle.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from choose_images import rows

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import GRAPHIC, REAL
from causalprint.pipelines.evaluation.output import PREDICTIONS
from causalprint.schemas.reasons import Verdict

SELDOM, SURE = 0.05, 0.9
CLEARED = (Verdict.REAL.value, Verdict.GRAPHIC.value)
BANDS = (("95 to 100", 95), ("85 to 94", 85), ("75 to 84", 75), ("below 75", 0))
"""Names, and the least quality; best first."""
NO_JPEG = "no JPEG"


def band_of(sidecar: Mapping[str, object]) -> str:
    """The band of the file that a crop was cut from."""
    quality = str(sidecar.get("original_jpeg_quality") or "")
    return next(name for name, least in BANDS if abs(int(quality)) >= least) if quality else NO_JPEG


def main(images: Path, evaluation: Path, directory: str | None) -> None:
    """Prints a row for each band and kind of image."""
    bundle = load_bundle(directory)
    attributor, sources = Attributor(bundle), list(bundle.manifest.sources)
    bands = {
        hashlib.sha256(data).hexdigest(): band_of(sidecar) for tar in images.glob("*.tar") for *_, data, sidecar in rows(tar)
    }
    table = pq.read_table(evaluation / PREDICTIONS, filters=[("bundle", "=", bundle.bundle_id), ("source", "in", sources)])
    found = table.to_pylist()
    fingerprints = np.stack([row["fingerprint"] for row in found]).astype(np.float16)
    truth = np.array([sources.index(row["source"]) for row in found])
    p_values = attributor.p_values(attributor.chances(fingerprints.astype(np.float32)).sources)
    excluded = p_values[np.arange(len(truth)), truth] <= SELDOM
    verdicts = attributor(fingerprints)
    accused = np.array([one.accuses for one in verdicts])
    cleared = np.array([one.verdict in CLEARED for one in verdicts])
    sure = np.array([(one.generated_probability or 0) >= SURE for one in verdicts])
    kind = np.where(truth == sources.index(REAL), "photographs", "generated")
    kind[truth == sources.index(GRAPHIC)] = "graphics"
    band = np.array([bands[row["image_id"]] for row in found])
    print("| of | JPEG quality of the file | images | true source excluded | accused | 0.9 or more | cleared |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in ("photographs", "graphics", "generated"):
        for one in (NO_JPEG, *(label for label, _ in BANDS)):
            here = (kind == name) & (band == one)
            shares = (f"{100 * part[here].mean():.1f} %" for part in (excluded, accused, sure, cleared))
            if here.any():
                print(f"| {name} | {one} | {here.sum():,} | {' | '.join(shares)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--evaluation", type=Path, required=True)
    parser.add_argument("--bundle")
    asked = parser.parse_args()
    main(asked.images, asked.evaluation, asked.bundle)
