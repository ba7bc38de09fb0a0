"""What nights cost: shards of one small image each are audited, then again with nothing new, then compacted, then again.

``python benchmarks/nights.py [--shards 1000] [--store s3|disk]``. Prints of every step the seconds by the clock and of
the processor, the most memory of any process, the files in the output, and on S3 (a server on loopback, which takes most of the
time) the requests by method. The images are smaller than a crop, so that what is measured is the pipeline beside the images.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from measure import run
from moto.server import ThreadedMotoServer
from PIL import Image
from werkzeug.serving import WSGIRequestHandler

from causalprint.schemas.config import Storage
from causalprint.transforms.storage.storage import filesystem

SIDE = 48
asked: Counter[str] = Counter()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shards", type=int, default=1000)
    parser.add_argument("--store", choices=("s3", "disk"), default="disk")
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _store(given.store, folder) as (root, storage):
        fs, path = filesystem(root, storage)
        fs.makedirs(f"{path}/in", exist_ok=True)
        for name, data in _shards(given.shards):
            fs.pipe_file(f"{path}/in/{name}", data)
        environment = {**os.environ, "CAUSALPRINT_STORAGE_OPTIONS": storage.options}
        audit = ["audit", f"{root}/in", "--output", f"{root}/out", "--json"]
        beam = ["--", f"--direct_num_workers={given.workers}"]
        for step, command in (
            ("audit", [*audit, *beam]),
            ("again", [*audit, *beam]),
            ("inspect", ["inspect", f"{root}/out", "--json"]),
            ("compact", ["compact", f"{root}/out", "--json"]),
            ("again", [*audit, *beam]),
            ("inspect", ["inspect", f"{root}/out", "--json"]),
        ):
            asked.clear()
            told = _told(command, environment)
            requests = (
                f"; {asked.total():,} requests ({', '.join(f'{n:,} {m}' for m, n in asked.most_common())})" if asked else ""
            )
            print(f"{step}: {told}, {sum(1 for _ in fs.find(f'{path}/out')):,} files{requests}", flush=True)


def _told(command: list[str], environment: dict[str, str]) -> str:
    took = run(command, environment)
    if took.code:
        return f"failed, {json.loads(took.output or b'{}').get('error', took.code)}"
    return f"{took.seconds:.1f} s, {took.cpu:.1f} CPU-s, {took.largest:,.0f} MiB"


def _shards(count: int) -> Iterator[tuple[str, bytes]]:
    generator = np.random.default_rng(0)
    for number in range(count):
        image, shard = io.BytesIO(), io.BytesIO()
        Image.fromarray(generator.integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(image, "JPEG")
        with tarfile.open(fileobj=shard, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            member = tarfile.TarInfo(f"{number:06d}.jpg")
            member.size = len(image.getvalue())
            archive.addfile(member, io.BytesIO(image.getvalue()))
        yield f"{number:06d}.tar", shard.getvalue()


@contextmanager
def _store(kind: str, folder: str) -> Iterator[tuple[str, Storage]]:
    if kind == "disk":
        yield str(Path(folder) / "disk"), Storage()
        return
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    options = {"key": "test", "secret": "test", "endpoint_url": "http://{}:{}".format(*server.get_host_and_port())}
    storage = Storage(json.dumps({"s3": options}))
    fs, _ = filesystem("s3://nights", storage)
    fs.mkdir("nights")
    yield "s3://nights", storage
    server.stop()


def _count(handler: Any, *_: object) -> None:
    asked[handler.command] += 1


if __name__ == "__main__":
    WSGIRequestHandler.log_request = _count  # type: ignore[method-assign,assignment]
    main()
