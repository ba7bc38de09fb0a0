"""What reading costs: the processor time of other reading loops over that of our reader, on the same tars.

    python benchmarks/readers.py [--images 5000] [--rounds 5] [--input SHARD …]

Loops over the encoded images: ours (``read_slices``, which proves that it saw all of a shard), webdataset's and tarfile; and over
decoded ones: ours (``decode``, which refuses what is harmful and takes what headers say), webdataset's
``decode("rgb8")``, and Pillow over tarfile. All run in one process and one thread, in turn; ratios are taken round by round.
webdataset is no package of ours: ``pip install --no-deps --target DIR webdataset braceexpand`` and ``PYTHONPATH=DIR``; without it
its lines are missing. img2dataset is not here: it reads lists of URLs, and writes such tars. Without ``--input`` the images are
made here: JPEGs of 256 x 256 pixels with a sidecar each, a thousand a tar.
"""

from __future__ import annotations

import argparse
import io
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
from measure import machine, table, textured, timed
from PIL import Image

from causalprint.pipelines.shards.sample_tar import write_tar
from causalprint.schemas.config import Slicing, Storage
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.images.decode import decode
from causalprint.transforms.match_shards import match_shards

try:
    import webdataset  # type: ignore[import-not-found] # no package of the project's
except ImportError:
    webdataset = None
SHARD = 1000
Read = Callable[[Sequence[str]], int]
"""Reads all images of shards, and counts them."""


def ours(paths: Sequence[str]) -> Iterator[bytes]:
    """Encoded images as an audit reads them."""
    storage = Storage()
    for shard in match_shards(paths, storage):
        for part in read_slices(shard, "benchmark", Slicing(), storage):
            yield from (image.data for image in part.images)


def plain(paths: Sequence[str]) -> Iterator[bytes]:
    """Encoded images as Python's own reader gives them; sidecars are read, too."""
    for path in paths:
        with tarfile.open(path, "r|") as tar:
            for member in tar:
                file = tar.extractfile(member)
                data = file.read() if file else b""
                if not member.name.endswith(".json"):
                    yield data


def samples(paths: Sequence[str], *stages: str) -> Iterator[object]:
    """Images as webdataset gives them."""
    found = webdataset.WebDataset(list(paths), shardshuffle=False)
    for stage in stages:
        found = found.decode(stage)
    for (image,) in found.to_tuple("jpg;jpeg;png;webp"):
        yield image


def pillow(data: bytes) -> np.ndarray:
    """Pixels, and nothing else."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


LOOPS: dict[str, dict[str, Read]] = {
    "encoded": {
        "causalprint": lambda paths: sum(1 for _ in ours(paths)),
        "webdataset": lambda paths: sum(1 for _ in samples(paths)),
        "tarfile": lambda paths: sum(1 for _ in plain(paths)),
    },
    "decoded": {
        "causalprint": lambda paths: sum(1 for data in ours(paths) if decode(data).width),
        "webdataset": lambda paths: sum(1 for _ in samples(paths, "rgb8")),
        "tarfile, Pillow": lambda paths: sum(1 for data in plain(paths) if len(pillow(data))),
    },
}


def main(arguments: argparse.Namespace) -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as folder:
        paths = arguments.input or made(Path(folder), arguments.images)
        print(machine())
        rows = []
        for kind, loops in LOOPS.items():
            there = {name: loop for name, loop in loops.items() if name != "webdataset" or webdataset}
            counts = {name: loop(paths) for name, loop in there.items()}  # also fills the page cache
            if len(set(counts.values())) > 1:
                raise RuntimeError(f"the loops saw different numbers of images: {counts}")
            images = counts["causalprint"]
            rounds = [{name: timed(partial(loop, paths))[0] for name, loop in there.items()} for _ in range(arguments.rounds)]
            for name in there:
                each = median(1e6 * one[name] / images for one in rounds)
                ratio = median(one[name] / one["causalprint"] for one in rounds)
                rows.append((f"{kind}: {name}", f"{each:.0f}", f"{ratio:.2f}"))
        print(f"{images} images in {len(paths)} tars, median of {arguments.rounds} rounds")
        print(table(["loop", "CPU-µs an image", "over ours"], rows))
    if webdataset is None:
        print("webdataset is not installed: see the head of this file")


def made(folder: Path, images: int) -> list[str]:
    """Tars of images with sidecars."""
    rng = np.random.default_rng(0)
    paths = []
    for start in range(0, images, SHARD):
        paths.append(folder / f"{start:06d}.tar")
        about = {"url": "https://example.org/image.jpg", "caption": "textured"}
        write_tar(
            paths[-1],
            ((f"{number:06d}", "jpg", textured(256, rng), about) for number in range(start, min(start + SHARD, images))),
        )
    return [str(path) for path in paths]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000, help="images to make, without --input")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--input", nargs="*", default=[], help="tars to read instead")
    main(parser.parse_args())
