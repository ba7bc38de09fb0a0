"""An audit of any size without images: embeddings and verdicts made up, and written by the writer of real ones.

    python benchmarks/synthetic_audit.py OUT [--images 1000000] [--seed 0]

Fingerprints lie about one centre a source, as real ones do. No shard is there: nothing of it can be fetched.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from causalprint.models.bundles.bundle import load_bundle
from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import AuditConfig, Slicing, Storage
from causalprint.schemas.elements import AttributedSlice, FingerprintedSlice, ImageSlice, Shard
from causalprint.schemas.runs import Run, RunManifest
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS, SPECTRUM_RINGS
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import skip_shard
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import write_empty, write_slice

SHARD_IMAGES = 65_536


def synthetic_audit(
    root: str,
    images: int,
    *,
    seed: int = 0,
    bundle: str | None = None,
    storage: Storage | None = None,
    slicing: Slicing | None = None,
    nights: int = 1,
) -> RunManifest:
    """Writes an audit of ``images`` images by ``bundle`` (``None``: the one in the package) to the output at ``root``.

    On each of the ``nights`` after the first a tenth of the shards has changed.
    """
    loaded = load_bundle(bundle)
    settings = agree(root, storage or Storage(), slicing, None)
    output = Output(
        root,
        loaded.bundle_id,
        loaded.digest,
        storage or Storage(),
        slicing=settings.slicing,
        fingerprint_digest=loaded.fingerprint_digest,
    )
    write_empty(output)
    config = AuditConfig(("s3://synthetic/*.tar",), root, bundle, storage=output.storage)
    for night in range(nights):
        accounts = [
            _account(number, min(SHARD_IMAGES, images - number * SHARD_IMAGES), output, loaded.manifest.sources, seed, night)
            for number in range(-(-images // SHARD_IMAGES))
        ]
        began = f"2026-01-{night + 1:02}T23:59:59+00:00"
        run = Run(f"synthetic-{seed}-{night:02}", began, config, output.bundle_id, output.bundle_digest, loaded.residual)
        manifest = write_run(accounts, run)
    return manifest


def _account(number: int, count: int, output: Output, sources: tuple[str, ...], seed: int, night: int) -> ShardAccount:
    """Writes a shard of ``count`` images, unless its version of this night is there."""
    generation = f"{seed}.{night}" if number % 10 == 0 else f"{seed}"
    shard = Shard(f"s3://synthetic/{number:05}.tar", 4096 * count, generation, "tar")
    done = skip_shard(shard, output)
    if done is not None:
        return done
    ledger = Ledger(shard)
    images = (output.slicing or Slicing()).images
    for attributed in _slices(shard, count, images, output.bundle_id, sources, seed):
        ledger = ledger.add(write_slice(attributed, output))
    return write_account(ledger.close(output.bundle_id), output)


def _slices(
    shard: Shard, count: int, size: int, bundle_id: str, sources: tuple[str, ...], seed: int
) -> Iterator[AttributedSlice]:
    centres = np.random.default_rng(seed).standard_normal((len(sources), FINGERPRINT_DIM)).astype(np.float32)
    generators = [place for place, source in enumerate(sources) if source not in ("real", "graphic", "unregistered")]
    for index, start in enumerate(range(0, count, size)):
        rows = min(size, count - start)
        slice_id = shard.slice_id(bundle_id, index)
        draw = np.random.default_rng(int(slice_id[:12], 16))
        source = ImageSlice(slice_id, shard, index, (), last=start + rows == count)
        made = np.where(draw.random(rows) < 0.9, 0, draw.choice(generators, rows))
        fingerprints = (centres[made] + draw.standard_normal((rows, FINGERPRINT_DIM), np.float32)).astype(np.float16)
        hexes = draw.bytes(32 * rows).hex()
        known = made > 0
        keys = {
            "image_id": pa.array([hexes[place : place + 64] for place in range(0, len(hexes), 64)]),
            "shard": pa.array([shard.uri] * rows),
            "member": pa.array([f"{place:09}.jpg" for place in range(start, start + rows)]),
            "offset": pa.array(np.arange(start, start + rows) * 4096 + 512),
            "slice_id": pa.array([slice_id] * rows),
        }
        names = pa.array([sources[place] for place in made.tolist()], mask=~known)
        chance = pa.array(draw.uniform(0.5, 1, rows).astype(np.float32))
        images = _batch(
            IMAGES,
            rows,
            keys,
            format=pa.array(["JPEG"] * rows),
            width=pa.array(np.full(rows, 640, np.int32)),
            height=pa.array(np.full(rows, 480, np.int32)),
            mode=pa.array(["RGB"] * rows),
            encoded_bytes=pa.array(np.full(rows, 3584)),
            metadata=pa.array([f'{{"url": "https://example.org/{shard.size}/{place}.jpg"}}' for place in range(rows)]),
        )
        prints = pa.FixedSizeListArray.from_arrays(pa.array(fingerprints.reshape(-1)), type=EMBEDDINGS.field("fingerprint").type)
        spectra = pa.array([*draw.normal(-45, 5, (rows, SPECTRUM_RINGS)).astype(np.float16)])
        embeddings = _batch(EMBEDDINGS, rows, keys, fingerprint=prints, crops=pa.array(np.ones(rows, np.int16)), spectrum=spectra)
        candidates = ATTRIBUTIONS.field("candidates").type
        attributions = _batch(
            ATTRIBUTIONS,
            rows,
            keys,
            verdict=pa.array(np.where(known, "known", "real").tolist()),
            source=names,
            family=names,
            probability=chance,
            family_probability=chance,
            generated_probability=chance,
            log_likelihood_ratio=chance,
            novelty=chance,
            candidates=pa.array([[]] * rows, candidates),
        )
        nothing = pa.RecordBatch.from_pylist([], REJECTS)
        yield AttributedSlice(FingerprintedSlice(source, rows, images, embeddings, nothing), attributions)


def _batch(schema: pa.Schema, rows: int, keys: dict[str, pa.Array], **columns: pa.Array) -> pa.RecordBatch:
    """Columns that are not given are null, or empty where they may not be."""
    given = keys | columns
    arrays = [given[field.name].cast(field.type) if field.name in given else _unsaid(field, rows) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _unsaid(field: pa.Field, rows: int) -> pa.Array:
    if field.nullable:
        return pa.nulls(rows, field.type)
    return pa.array([[] if pa.types.is_list(field.type) else ""] * rows, field.type)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(synthetic_audit(str(given.output), given.images, seed=given.seed).totals.attributed)
