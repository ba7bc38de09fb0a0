"""How long stored fingerprints take to get other verdicts: an output of made-up embeddings, and ``causalprint attribute`` on it.

    python benchmarks/attribute.py [--slices 250] [--rows 4096] [--output DIR] [-- BEAM OPTIONS]

The output is written by the audit's own writer, as an audit by the bundle in the package would; ten slices a shard. The command
runs as a process of its own, from its start to its end: reading, judging and writing Parquet, and the run's manifest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.schemas.config import AuditConfig, Slicing, Storage
from causalprint.schemas.elements import FingerprintedSlice, ImageSlice, Shard
from causalprint.schemas.runs import Run, Totals
from causalprint.schemas.tables import EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.attribute_sources import attribute_slice
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.write_manifest import add_up, totals_of, write_manifest
from causalprint.transforms.tables.write_tables import write_slice

SLICES = 10
"""Of a shard."""


def main(arguments: argparse.Namespace) -> None:
    """Makes the output, unless it is there, and times the command."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(arguments.output or folder)
        if not (root / "runs").is_dir():
            began = time.perf_counter()
            totals = make_output(str(root), arguments.slices, arguments.rows)
            print(f"{totals.attributed:,} rows in {totals.slices} slices made in {time.perf_counter() - began:.1f} s", flush=True)
        command = [sys.executable, "-m", "causalprint", "attribute", str(root), "--prior", "photograph=0.9", "--json"]
        began = time.perf_counter()
        answer = json.loads(subprocess.run([*command, *arguments.beam], stdout=subprocess.PIPE, check=True).stdout)
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"{answer['attributed']:,} rows scored in {seconds:.1f} s ({answer['computed']} of {answer['slices']} slices), "
            f"{used.ru_utime + used.ru_stime:.1f} s of processor time, at most {used.ru_maxrss / 1024:,.0f} MiB"
        )


def make_output(root: str, slices: int, rows: int) -> Totals:
    """An audit's output without images, whose embeddings are made up."""
    bundle = load_bundle()
    slicing = agree(root, Storage(), Slicing(), None).slicing
    output = Output(
        root, bundle.bundle_id, bundle.digest, Storage(), slicing=slicing, fingerprint_digest=bundle.fingerprint_digest
    )
    run = Run(
        "20260101T000000Z-00000000", "then", AuditConfig(("s3://made-up/*.tar",), root), output.bundle_id, bundle.digest, ""
    )
    attributor = Attributor(bundle)

    def accounts() -> Iterator[Totals]:
        for first in range(0, slices, SLICES):
            count = min(SLICES, slices - first)
            shard = Shard(f"s3://made-up/{first // SLICES:05}.tar", count * rows * 100_000, "1", "tar")
            parts = (made_up(shard, bundle, index, rows, last=index == count - 1) for index in range(count))
            receipts = (write_slice(attribute_slice(part, attributor), output) for part in parts)
            ledger = reduce(Ledger.add, receipts, Ledger(shard))
            yield totals_of(write_account(ledger.close(output.bundle_id), output))

    return write_manifest(add_up(accounts()), run).totals


def made_up(shard: Shard, bundle: Bundle, index: int, rows: int, *, last: bool) -> FingerprintedSlice:
    """A slice of images that were never there, about the centres of the bundle's sources."""
    slice_id = shard.slice_id(bundle.bundle_id, index)
    draw = np.random.default_rng(int(slice_id[:8], 16))
    members = [f"{index:04}{number:06}.jpg" for number in range(rows)]
    keys = {
        "image_id": pa.array([hashlib.sha256(f"{slice_id}/{member}".encode()).hexdigest() for member in members]),
        "shard": pa.array([shard.uri] * rows),
        "member": pa.array(members),
        "offset": pa.array(512 + 102_400 * np.arange(rows)),
        "slice_id": pa.array([slice_id] * rows),
    }
    about = {
        "format": pa.array(["JPEG"] * rows),
        "width": pa.array([640] * rows, pa.int32()),
        "height": pa.array([480] * rows, pa.int32()),
        "mode": pa.array(["RGB"] * rows),
        "encoded_bytes": pa.array(draw.integers(50_000, 150_000, rows)),
        "jpeg_quality": pa.array([90] * rows, pa.int16()),
        "metadata": pa.array([json.dumps({"url": f"https://example.org/{slice_id}/{member}"}) for member in members]),
    }
    values = draw.normal(0, 4, (rows, FINGERPRINT_DIM)).astype(np.float16)
    kind = EMBEDDINGS.field("fingerprint").type
    computed = {
        "fingerprint": pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), type=kind),
        "crops": pa.array([1] * rows, pa.int16()),
        **{field.name: pa.array(draw.normal(0, 1, rows), pa.float32()) for field in EMBEDDINGS if field.type == pa.float32()},
    }
    source = ImageSlice(slice_id, shard, index, (), last=last)
    nothing = pa.RecordBatch.from_pylist([], REJECTS)
    return FingerprintedSlice(source, rows, _batch(IMAGES, keys | about), _batch(EMBEDDINGS, keys | computed), nothing)


def _batch(schema: pa.Schema, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    rows = len(columns["image_id"])
    return pa.record_batch([columns.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=250, help="slices to make")
    parser.add_argument("--rows", type=int, default=4096, help="images of each")
    parser.add_argument("--output", help="where to make them, and to keep them; by default a folder that is removed")
    parser.add_argument("beam", nargs="*", help="options for Beam, after two dashes")
    given = parser.parse_args()
    given.beam = ["--", *given.beam] if given.beam else []
    main(given)
