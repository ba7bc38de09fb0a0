"""Counts the project's files that one image passes on its way from a shard's bytes to its rows: fewer are easier to follow.

    python benchmarks/way_of_an_image.py

Reading, computing, attributing and writing of one slice, profiled once everything is loaded. A file counts where one of its
functions is called for the image.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import numpy as np

import causalprint
from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.encodings import encode_jpeg95
from causalprint.models.fingerprint import Fingerprinter
from causalprint.pipelines.shards.sample_tar import write_tar
from causalprint.schemas.config import Slicing, Storage
from causalprint.transforms.attribute_sources import attribute_slice
from causalprint.transforms.compute_fingerprints import fingerprint_slice
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import write_slice

ROOT = Path(causalprint.__file__).resolve().parents[1]


def main() -> None:
    """Prints the files, with the functions called in each, and their number."""
    bundle = load_bundle()
    fingerprinter, attributor = Fingerprinter(bundle, "cpu"), Attributor(bundle)
    with tempfile.TemporaryDirectory() as folder:
        shard_file = Path(folder) / "0.tar"
        pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
        write_tar(shard_file, [("image", "jpg", encode_jpeg95(pixels), {"url": "https://example.org/image.jpg"})])
        (shard,) = match_shards([str(shard_file)], Storage())
        output = Output(f"{folder}/out", bundle.bundle_id, bundle.digest, Storage())

        def travel(pool: ThreadPoolExecutor) -> None:
            for part in read_slices(shard, output.bundle_id, Slicing(), Storage()):
                write_slice(attribute_slice(fingerprint_slice(part, fingerprinter, pool), attributor), output)

        with ThreadPoolExecutor(1) as pool:
            travel(pool)
        called: dict[Path, set[str]] = defaultdict(set)

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call":
                called[Path(frame.f_code.co_filename)].add(frame.f_code.co_name)

        threading.setprofile(note)
        sys.setprofile(note)
        with ThreadPoolExecutor(1) as pool:
            travel(pool)
        sys.setprofile(None)
        threading.setprofile(None)
    here = Path(__file__).resolve()
    resolved = {file.resolve(): names for file, names in called.items() if file.is_file()}
    ours = {
        file: names
        for file, names in resolved.items()
        if file.is_relative_to(ROOT) and not file.is_relative_to(Path(sys.prefix).resolve()) and file != here
    }
    for file, names in sorted(ours.items()):
        print(f"{file.relative_to(ROOT)}: {', '.join(sorted(name for name in names if not name.startswith('<')))}")
    print(f"{len(ours)} files")


if __name__ == "__main__":
    main()
