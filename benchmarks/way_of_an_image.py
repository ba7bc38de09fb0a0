"""Counts the files and folders of the project that an image passes from its shard's bytes to its rows.

    python benchmarks/way_of_an_image.py

Once as an image that is audited (read, compute, attribute, write), once as one that a training learns from (read, label,
intervene, compute, write its features), each profiled once everything is loaded. A file counts where one of its functions is
called for the image. A training should pass no more of them than an audit.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

import causalprint
from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.encodings import encode_jpeg95
from causalprint.models.features import FeatureExtractor, pick_device
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.training.recipe import load_recipe
from causalprint.pipelines.shards.sample_tar import write_tar
from causalprint.pipelines.training.features import extraction_of
from causalprint.schemas.config import Slicing, Storage
from causalprint.transforms.attribute_sources import attribute_slice
from causalprint.transforms.compute_features import feature_slice
from causalprint.transforms.compute_fingerprints import Computing, fingerprint_slice
from causalprint.transforms.counting import Pool
from causalprint.transforms.feature_files import feature_output, write_features
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import write_slice

ROOT = Path(causalprint.__file__).resolve().parents[1]


def main() -> None:
    """Prints for either way the files, with the functions called in each, and how many they are, in how many folders."""
    bundle = load_bundle()
    fingerprinter, attributor = Fingerprinter(bundle, "cpu"), Attributor(bundle)
    extraction = extraction_of(load_recipe("default"), None, "source", None, 0)
    extractor = FeatureExtractor(extraction.residual, extraction.features, pick_device("cpu"), "a training")
    slicing, storage = Slicing(), Storage()
    with tempfile.TemporaryDirectory() as folder, Pool(1) as pool:
        shard_file = Path(folder) / "0.tar"
        pixels = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
        about = {"url": "https://example.org/image.jpg", "source": "real"}
        write_tar(shard_file, [("image", "jpg", encode_jpeg95(pixels), about)])
        (shard,) = match_shards([str(shard_file)], storage)
        output = Output(f"{folder}/out", bundle.bundle_id, bundle.digest, storage)
        features = feature_output(f"{folder}/features", "0" * 32, storage)

        def audited(pool: Pool) -> None:
            work = Computing(fingerprinter, pool).work()
            for part in read_slices(shard, output.bundle_id, slicing, storage):
                write_slice(attribute_slice(fingerprint_slice(part, work), attributor), output)

        def learned(pool: Pool) -> None:
            for part in read_slices(shard, features.bundle_id, slicing, storage):
                write_features(feature_slice(part, extractor, extraction, pool), features)

        for name, travel in (("an audit", audited), ("a training", learned)):
            travel(pool)
            files = passed(travel)
            for file, names in sorted(files.items()):
                print(f"{file}: {', '.join(sorted(name for name in names if not name.startswith('<')))}")
            print(f"{name}: {len(files)} files in {len({file.parent for file in files})} folders")


def passed(travel: Callable[[Pool], None]) -> dict[Path, set[str]]:
    """The project's files that a travel of one image calls, below the repository, with the functions called."""
    called: dict[Path, set[str]] = defaultdict(set)

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called[Path(frame.f_code.co_filename)].add(frame.f_code.co_name)

    threading.setprofile(note)
    sys.setprofile(note)
    with Pool(1) as pool:
        travel(pool)
    sys.setprofile(None)
    threading.setprofile(None)
    here, environment = Path(__file__).resolve(), Path(sys.prefix).resolve()
    resolved = {file.resolve(): names for file, names in called.items() if file.is_file()}
    return {
        file.relative_to(ROOT): names
        for file, names in resolved.items()
        if file.is_relative_to(ROOT) and not file.is_relative_to(environment) and file != here
    }


if __name__ == "__main__":
    main()
