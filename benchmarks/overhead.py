"""What the pipeline costs beside its model: processor time of a bare loop of decoding and model over that of an audit.

    python benchmarks/overhead.py [--images 1000] [--rounds 3] [--device cpu] [--input SHARD …]

Both run in one process, in turn, with the same threads, over the same images; the ratio is taken pair by pair and its median is
printed. Other work on the machine hardly changes processor time; the clock is printed beside it. The bare loop has its images
in memory, decodes with Pillow and computes fingerprints: it hashes nothing, judges nothing and writes nothing. Then each stage is
timed alone over the same images, once. Without ``--input`` the images are made here: textured gradients of 512 x 512 pixels, as
JPEG.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from measure import Times, audited, machine, make_shards, median, timed
from PIL import Image

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.fingerprint import Fingerprinter
from causalprint.schemas.config import AuditConfig, Slicing, Storage
from causalprint.schemas.elements import AttributedSlice, ImageSlice
from causalprint.transforms.attribute_sources import attribute_slice
from causalprint.transforms.compute_fingerprints import Computing, fingerprint_slice
from causalprint.transforms.counting import Pool
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.images.decode import decode
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import write_slice

SIDE = 512


def main(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        inputs = tuple(arguments.input or make_shards(root / "in", arguments.images, 1, SIDE))
        bundle = load_bundle(None)
        slices = read(inputs, bundle)
        encoded = [image.data for part in slices for image in part.images]
        fingerprinter = Fingerprinter(bundle, arguments.device)
        fingerprinter.keep_canary()  # what is loaded with the first crop belongs to neither
        loop = BareLoop(fingerprinter, encoded)
        print(machine(arguments.device))

        audits, bares, models = [], [], []
        for turn in range(arguments.rounds):
            config = AuditConfig(inputs, str(root / f"out-{turn}"), device=arguments.device)
            audits.append(timed(partial(audited, config)))
            bares.append(timed(loop.run))
            models.append(bares[-1][0] - loop.decoding)
        print(f"{len(encoded)} images, median of {arguments.rounds} rounds")
        print("                   processor       clock")
        for name, times in (("audit", audits), ("decode and model", bares)):
            print(f"{name:17}  {median(1000 * time / len(encoded) for time in times)}  ms/image")
        ratios = median(bare / audit for audit, bare in zip(audits, bares, strict=True))
        print(f"ratio              {ratios}  (decode and model over audit, pair by pair)")
        alone = np.median([model / audit[0] for audit, model in zip(audits, models, strict=True)])
        print(f"ratio              {alone:10.3f}              (model alone over audit)")

        for name, taken in time_stages(inputs, bundle, slices, loop, root).items():
            print(f"{name:17}  {median([1000 * taken / len(encoded)])}  ms/image alone")


class BareLoop:
    """Decoding and the model over encoded images, and nothing else.

    Attributes:
        fingerprinter: the model.
        encoded: the images.
        pool: with as many threads as an audit takes.
        decoding: seconds of the processor that the last run decoded.
    """

    def __init__(self, fingerprinter: Fingerprinter, encoded: Sequence[bytes]) -> None:
        self.fingerprinter, self.encoded, self.pool, self.decoding = fingerprinter, encoded, Pool(None), 0.0

    def run(self) -> None:
        """Computes all images, as many together as the model takes."""
        size = self.fingerprinter.micro_batch
        chunks = [self.encoded[start : start + size] for start in range(0, len(self.encoded), size)]
        self.decoding = sum(self.pool.map(self._chunk, chunks))

    def _chunk(self, several: Sequence[bytes]) -> float:
        began = time.thread_time()
        pixels = [np.asarray(Image.open(io.BytesIO(data)).convert("RGB")) for data in several]
        decoding = time.thread_time() - began
        crops = [self.fingerprinter.crops(image) for image in pixels]
        self.fingerprinter.of_images([views for views in crops if len(views)])
        return decoding


def time_stages(
    inputs: Sequence[str], bundle: Bundle, slices: Sequence[ImageSlice], loop: BareLoop, root: Path
) -> dict[str, Times]:
    """What each stage takes alone over all images."""
    attributor, pool = Attributor(bundle), loop.pool
    work = Computing(loop.fingerprinter, pool).work()
    output = Output(str(root / "stage"), bundle.bundle_id, bundle.digest, Storage())
    attributed: list[AttributedSlice] = []

    def compute() -> None:
        attributed.extend(attribute_slice(fingerprint_slice(part, work), attributor) for part in slices)

    return {
        "read": timed(lambda: read(inputs, bundle)),
        "decode": timed(lambda: list(pool.map(decode, loop.encoded))),
        "decode to verdict": timed(compute),
        "write": timed(lambda: [write_slice(part, output) for part in attributed]),
    }


def read(inputs: Sequence[str], bundle: Bundle) -> list[ImageSlice]:
    """Every slice of the input."""
    storage = Storage()
    shards = match_shards(inputs, storage)
    return [part for shard in shards for part in read_slices(shard, bundle.bundle_id, Slicing(), storage)]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1000, help="images to make, without --input")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    parser.add_argument("--input", nargs="*", default=[], help="shards to read instead")
    main(parser.parse_args())
