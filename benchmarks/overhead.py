"""What the pipeline costs beside its model: images per second of an audit over those of the bare model on decoded pixels.

By processor time, which other work on the machine hardly changes, and by the clock.

    python benchmarks/overhead.py [--images 400] [--rounds 3] [--input SHARD …]

Both run in one process, in turn, with the same threads; the ratio is taken pair by pair and its median is printed. Each
stage is then timed alone over the same images (read, decode, compute, write), and the slowest is named. Without
``--input`` the images are made here: textured gradients of 512 x 512 pixels, as JPEG.
"""

from __future__ import annotations

import argparse
import gc
import io
import os
import resource
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.encodings import encode_jpeg
from causalprint.models.fingerprint import Fingerprinter
from causalprint.pipelines.audit import execute, plan
from causalprint.schemas.config import AuditConfig, Slicing, Storage
from causalprint.schemas.elements import ImageSlice
from causalprint.transforms.attribute_sources import attribute_slice
from causalprint.transforms.compute_fingerprints import fingerprint_slice
from causalprint.transforms.counting import Pool
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.images.decode import decode
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import write_slice

SIDE = 512
Times = NDArray[np.float64]


def main(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        inputs = tuple(arguments.input) or (str(make_shard(root / "00000.tar", arguments.images)),)
        bundle = load_bundle(None)
        slices = read(inputs, bundle)
        images = sum(len(part.images) for part in slices)
        fingerprinter = Fingerprinter(bundle, "cpu")
        pool = Pool(None)
        crops = [fingerprinter.crops(decode(image.data).pixels) for part in slices for image in part.images]

        pairs = [
            (
                timed(lambda turn=turn: execute(plan(AuditConfig(inputs, str(root / f"out-{turn}"), device="cpu")))),
                timed(lambda: list(pool.map(lambda several: fingerprinter.of_images([several]), crops))),
            )
            for turn in range(arguments.rounds)
        ]
        audits, bares = zip(*pairs, strict=True)
        print(f"{images} images, {os.cpu_count()} threads, median of {arguments.rounds} rounds")
        print("            processor       clock")
        for name, times in (("audit", audits), ("bare model", bares)):
            print(f"{name:10}  {median(1000 * time / images for time in times)}  ms/image")
        print(f"ratio       {median(bare / audit for audit, bare in pairs)}  (bare model over audit, pair by pair)")

        stages = time_stages(inputs, bundle, slices, crops, fingerprinter, pool, root)
        for name, taken in stages.items():
            print(f"{name:10}  {median([1000 * taken / images])}  ms/image alone")
        print(f"bottleneck: {max(stages, key=lambda name: stages[name][0])}")


def time_stages(
    inputs: Sequence[str],
    bundle: Bundle,
    slices: Sequence[ImageSlice],
    crops: Sequence[NDArray[np.uint8]],
    fingerprinter: Fingerprinter,
    pool: Pool,
    root: Path,
) -> dict[str, Times]:
    """What each stage takes alone over all images."""
    encoded = [image.data for part in slices for image in part.images]
    attributor = Attributor(bundle)
    attributed = [attribute_slice(fingerprint_slice(part, fingerprinter, pool), attributor) for part in slices]
    output = Output(str(root / "stage"), bundle.bundle_id, bundle.digest, Storage())
    return {
        "read": timed(lambda: read(inputs, bundle)),
        "decode": timed(lambda: list(pool.map(decode, encoded))),
        "compute": timed(lambda: list(pool.map(lambda several: fingerprinter.of_images([several]), crops))),
        "write": timed(lambda: [write_slice(part, output) for part in attributed]),
    }


def read(inputs: Sequence[str], bundle: Bundle) -> list[ImageSlice]:
    """Every slice of the input."""
    storage = Storage()
    shards = match_shards(inputs, storage)
    return [part for shard in shards for part in read_slices(shard, bundle.bundle_id, Slicing(), storage)]


def make_shard(path: Path, images: int) -> Path:
    """A WebDataset tar of JPEGs whose content costs a decoder about what a photograph does."""
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as tar:
        for index in range(images):
            coarse = rng.integers(0, 256, (SIDE // 16, SIDE // 16, 3), np.uint8)
            smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
            pixels = np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
            data = encode_jpeg(pixels, 90)
            member = tarfile.TarInfo(f"{index:06d}.jpg")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def timed(work: Callable[[], object]) -> Times:
    """Seconds of processor time, also of processes that decode, and of wall time."""
    began, spent = time.perf_counter(), processor_seconds()
    work()
    gc.collect()  # the time of a process counts once it is gone
    return np.array([processor_seconds() - spent, time.perf_counter() - began])


def processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def median(times: Iterable[Times]) -> str:
    """Of each of the two."""
    return "  ".join(f"{value:10.3f}" for value in np.median(list(times), axis=0))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=400, help="images to make, without --input")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of runs")
    parser.add_argument("--input", nargs="*", default=[], help="shards to read instead")
    main(parser.parse_args())
