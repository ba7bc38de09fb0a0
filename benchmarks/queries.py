"""How long questions to a large audit take: ``python benchmarks/queries.py [ROWS]``, one million by default.

Made-up rows of 4,096 images a slice and four slices a shard are written by the project's own writers; a tenth of the shards
change and are audited again. Then every query of ``docs/queries.md`` is run as it stands there, and a few more, in this process;
and once more when the tables are compacted.
"""

from __future__ import annotations

import hashlib
import re
import sys
import tempfile
import time
from dataclasses import replace
from functools import reduce
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from causalprint.pipelines.commands.compact import CompactConfig
from causalprint.pipelines.compact import compact
from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import AttributedSlice, FingerprintedSlice, ImageSlice, Shard
from causalprint.schemas.runs import Run
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import write_empty, write_slice

SLICE = 4096
SLICES = 4
PAGE = Path(__file__).parents[1] / "docs" / "queries.md"
SOURCES = np.array(["real", "graphic", "dalle-3", "stable-diffusion-1", "midjourney-v6-v7"])


def batch(schema: pa.Schema, rows: int, **columns: object) -> pa.RecordBatch:
    """Rows of a table; a column that is not given is null, or where that may not be, all zeros or empty texts."""
    made = []
    for field in schema:
        values = columns.get(field.name)
        if values is None and not field.nullable:
            values = (
                [""] * rows if pa.types.is_string(field.type) else [[]] * rows if pa.types.is_list(field.type) else [0] * rows
            )
        made.append(pa.array([None] * rows if values is None else values, field.type))
    return pa.record_batch(made, schema=schema)


def made_slice(shard: Shard, index: int, bundle_id: str) -> AttributedSlice:
    """A slice as an audit hands it to the writer."""
    slice_id = shard.slice_id(bundle_id, index)
    generator = np.random.default_rng(int(slice_id[:8], 16))
    ids = [hashlib.sha256(f"{slice_id}{number}".encode()).hexdigest() for number in range(SLICE)]
    keys = {
        "image_id": ids,
        "shard": [shard.uri] * SLICE,
        "member": [f"{index:03}{number:06}.jpg" for number in range(SLICE)],
        "offset": np.arange(SLICE) * 65_536,
        "slice_id": [slice_id] * SLICE,
    }
    metadata = [f'{{"url":"https://example.org/{one[:16]}.jpg","caption":"number {one[16:32]}"}}' for one in ids]
    about = {"format": ["JPEG"] * SLICE, "width": [640] * SLICE, "height": [480] * SLICE, "mode": ["RGB"] * SLICE}
    fingerprints = generator.standard_normal((SLICE, FINGERPRINT_DIM)).astype(np.float16)
    sources = SOURCES[generator.integers(0, len(SOURCES), SLICE)]
    generated = ~np.isin(sources, ["real", "graphic"])
    probabilities = generator.uniform(0.5, 1, SLICE).astype(np.float32)
    candidates = [[{"source": s, "probability": p}] for s, p in zip(sources.tolist(), probabilities.tolist(), strict=True)]
    names = np.where(generated, sources, None)
    attributions = batch(
        ATTRIBUTIONS, SLICE, **keys, verdict=np.where(generated, "known", sources).tolist(), source=names.tolist(),
        family=names.tolist(), probability=probabilities, generated_probability=np.where(generated, probabilities, 0.1),
        log_likelihood_ratio=generator.standard_normal(SLICE), candidates=candidates,
    )  # fmt: skip
    return AttributedSlice(
        FingerprintedSlice(
            ImageSlice(slice_id, shard, index, last=index == SLICES - 1),
            SLICE,
            batch(IMAGES, SLICE, **keys, **about, encoded_bytes=[60_000] * SLICE, metadata=metadata),
            batch(EMBEDDINGS, SLICE, **keys, fingerprint=list(fingerprints)),
            batch(REJECTS, 0),
        ),
        attributions,
    )


def audit(shards: list[Shard], output: Output, run_id: str) -> None:
    """Writes what an audit of ``shards`` writes."""
    config = AuditConfig(("s3://crawl/*.tar",), output.root)
    run = Run(run_id, "2026-01-31T23:59:59+00:00", config, output.bundle_id, output.bundle_digest, "none")
    write_run([_account(shard, output) for shard in shards], run)


def _account(shard: Shard, output: Output) -> ShardAccount:
    receipts = (write_slice(made_slice(shard, index, output.bundle_id), output) for index in range(SLICES))
    return write_account(reduce(Ledger.add, receipts, Ledger(shard)).close(output.bundle_id), output)


def main(rows: int) -> None:
    """Writes the tables, and asks; compacts them, and asks again."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "OUT"
        output = Output(str(root), "made-up-000000000000", "0" * 64, Storage())
        count = max(10, round(rows / SLICE / SLICES))
        shards = [Shard(f"s3://crawl/{number:05}.tar", 10**9, "1", "tar") for number in range(count)]
        began = time.perf_counter()
        agree(str(root), output.storage, None, None)
        write_empty(output)
        audit(shards, output, "20260101T000000Z-00000000")
        changed = [replace(shard, generation="2") for shard in shards[::10]]
        audit(sorted([*changed, *(s for n, s in enumerate(shards) if n % 10)], key=lambda s: s.uri), output, "20260102T000000Z-0")
        print(f"{count * SLICE * SLICES:,} images written in {time.perf_counter() - began:.0f} s")
        with duckdb.connect() as connection:
            ((image_id,),) = connection.execute(f"SELECT max(image_id) FROM '{root}/images/*/*.parquet'").fetchall()  # noqa: S608
        ask(root, image_id)
        began = time.perf_counter()
        compact(CompactConfig(str(root), keep_seconds=0))
        print(f"compacted in {time.perf_counter() - began:.0f} s: {sum(1 for _ in root.rglob('*.parquet')):,} files")
        ask(root, image_id)


def ask(root: Path, image_id: str) -> None:
    """Prints for every query its seconds, its rows and how it begins."""
    text = PAGE.read_text(encoding="utf-8").replace("'OUT/", f"'{root}/")
    blocks = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    own = ["SELECT count(*) FROM findings", "SELECT count(*) FROM attributions", "SELECT count(*) FROM current_shards"]
    own += [f"FROM {view} WHERE image_id = '{image_id}'" for view in ("images", "embeddings", "findings")]
    with duckdb.connect(config={"threads": 2}) as connection:
        connection.execute((root / "views.sql").read_text(encoding="utf-8"))
        for query in [*own, *blocks]:
            began = time.perf_counter()
            found = connection.sql(query)
            number = len(found.fetchall()) if found is not None else 0
            print(f"{time.perf_counter() - began:6.2f} s {number:6} rows  {' '.join(query.split())[:90]}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
