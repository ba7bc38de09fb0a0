"""Small valid slices made from the schemas alone: what an audit writes, without images, models or shards."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pyarrow as pa

from causalprint.models.attribution import Attribution
from causalprint.schemas.claims import Carrier, Claim, ClaimKind, ManifestState
from causalprint.schemas.elements import AttributedSlice, FingerprintedSlice, ImageSlice, Shard
from causalprint.schemas.reasons import Abstention, Reason, Stage, Verdict
from causalprint.schemas.tables import ATTRIBUTIONS, EMBEDDINGS, FINGERPRINT_DIM, IMAGES, REJECTS, SPECTRUM_RINGS

_SOURCES = ("real", "stable-diffusion-1", "dalle-3", "stylegan2-ffhq", "graphic")


def sample_shard(number: int = 0, *, generation: str = "1", limit: int | None = None) -> Shard:
    """A shard that is not there."""
    return Shard(f"s3://crawl/{number:05}.tar", 1_000_000 + number, generation, "tar", limit)


def sample_slice(
    shard: Shard,
    index: int = 0,
    *,
    bundle_id: str = "sample-000000000000",
    images: int = 5,
    rejects: int = 1,
    last: bool = True,
    damage: str | None = None,
    retryable: bool = False,
    skipped: int = 0,
) -> AttributedSlice:
    """A slice as the attribution step hands it to the writer; equal arguments give equal rows.

    Every verdict, null and kind of text that the tables allow turns up in it when ``images`` and ``rejects`` are 8 or more.
    """
    slice_id = shard.slice_id(bundle_id, index)
    source = ImageSlice(slice_id, shard, index, (), skipped=skipped, last=last, damage=damage, retryable=retryable)
    generator = np.random.default_rng(int(slice_id[:8], 16))
    keys = _keys(source, 0, images)
    fingerprinted = FingerprintedSlice(
        source,
        images + rejects,
        _batch(IMAGES, keys | _images(images)),
        _batch(EMBEDDINGS, keys | _embeddings(images, generator)),
        _batch(REJECTS, _keys(source, images, rejects) | _rejects(rejects)),
    )
    return AttributedSlice(fingerprinted, _batch(ATTRIBUTIONS, keys | _attributions(images, generator)))


def _keys(source: ImageSlice, start: int, count: int) -> dict[str, list[object]]:
    members = [f"{source.index:03}{number:06}.jpg" for number in range(start, start + count)]
    return {
        "image_id": [hashlib.sha256(f"{source.slice_id}/{member}".encode()).hexdigest() for member in members],
        "shard": [source.shard.uri] * count,
        "member": list(members),
        "offset": [512 + 2048 * number for number in range(start, start + count)],
        "slice_id": [source.slice_id] * count,
    }


def _images(count: int) -> dict[str, list[object]]:
    sidecars = (
        json.dumps({"url": f"https://example.org/{n}/é.jpg", "caption": f"“no. {n}”"}, ensure_ascii=False) for n in range(count)
    )
    return {
        "format": [("JPEG", "PNG", "WEBP")[n % 3] for n in range(count)],
        "width": [100 if _small(n) else 640 for n in range(count)],
        "height": [480] * count,
        "mode": ["RGB"] * count,
        "orientation": [1 if n % 3 == 0 else None for n in range(count)],
        "encoded_bytes": [50_000 + n for n in range(count)],
        "damage": [None] * count,
        "resampled": [(None, False, True)[n % 3] for n in range(count)],
        "jpeg_quality": [95 if n % 3 == 0 else None for n in range(count)],
        "md5": [hashlib.md5(f"{n}".encode()).hexdigest() for n in range(count)],
        "phash": [f"{0x8000000000000000 + n * 0x0123456789AB:016x}" for n in range(count)],
        "domain": [None if n % 5 == 4 else "example.org" for n in range(count)],
        "claim_kind": [claims[0]["kind"] if claims else None for claims in map(_claims, range(count))],
        "claim_source": [claims[0]["source"] if claims else None for claims in map(_claims, range(count))],
        "c2pa": [ManifestState.UNVERIFIED if n % 4 == 1 else None for n in range(count)],
        "claims": [_claims(n) for n in range(count)],
        "metadata": [None if n % 5 == 4 else sidecar for n, sidecar in enumerate(sidecars)],
    }


def _claims(number: int) -> list[dict[str, str | None]]:
    camera = Claim(ClaimKind.CAMERA, Carrier.EXIF, "Canon EOS R5")
    made = Claim(ClaimKind.GENERATED, Carrier.C2PA, None)
    return [claim._asdict() for claim in ((), (made, camera), (camera,), ())[number % 4]]


def _embeddings(count: int, generator: np.random.Generator) -> dict[str, list[object]]:
    scalars = [field.name for field in EMBEDDINGS if field.type == pa.float32()]
    values = generator.standard_normal((count, len(scalars))).astype(np.float32)
    fingerprints = generator.standard_normal((count, FINGERPRINT_DIM)).astype(np.float16)
    spectra = generator.uniform(-90, -20, (count, SPECTRUM_RINGS)).astype(np.float16)
    return {
        "spectrum": [None if _small(n) else spectra[n] for n in range(count)],
        "fingerprint": [None if _small(n) else fingerprints[n] for n in range(count)],
        "crops": [0 if _small(n) else 1 for n in range(count)],
        **{name: [None if _small(n) else values[n, i] for n in range(count)] for i, name in enumerate(scalars)},
    }


def _attributions(count: int, generator: np.random.Generator) -> dict[str, list[object]]:
    rows = [_verdict(n, generator) for n in range(count)]
    names = tuple(Attribution._fields)
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def _verdict(number: int, generator: np.random.Generator) -> tuple[object, ...]:
    if _small(number):
        return Verdict.ABSTAIN, None, None, None, None, None, None, None, [], Abstention.TOO_SMALL
    probabilities = np.sort(generator.dirichlet(np.full(len(_SOURCES), 0.3)))[::-1].astype(np.float32)
    best = number % len(_SOURCES)
    sources = (_SOURCES[best], *(source for source in _SOURCES if source != _SOURCES[best]))
    pairs = zip(sources, probabilities, strict=True)
    candidates = [{"source": source, "probability": p, "p_value": p if source != "real" else None} for source, p in pairs]
    novelty = np.float32(generator.uniform(0, 1.2))
    made = [each["probability"] for each in candidates if each["source"] not in ("real", "graphic")]
    generated = np.float32(sum(made))
    chances = (probabilities[0], max(made), generated, np.float32(np.log(generated / (1 - generated))))
    if novelty > 1:
        return Verdict.UNKNOWN, None, None, *chances, novelty, candidates, None
    if sources[0] in ("real", "graphic"):
        return Verdict(sources[0]), None, None, *chances, novelty, candidates, None
    return Verdict.KNOWN, sources[0], sources[0], *chances, novelty, candidates, None


def _rejects(count: int) -> dict[str, list[object]]:
    kinds = ((Stage.DECODE, Reason.TRUNCATED_IMAGE), (Stage.READ, Reason.CORRUPT_HEADER), (Stage.DECODE, Reason.TOO_MANY_PIXELS))
    return {
        "stage": [kinds[n % 3][0] for n in range(count)],
        "reason": [kinds[n % 3][1] for n in range(count)],
        "detail": [f"image file is truncated ({n} bytes not processed)" for n in range(count)],
        "metadata": [None if n % 2 else json.dumps({"url": f"https://example.org/rejected/{n}.jpg"}) for n in range(count)],
    }


def _small(number: int) -> bool:
    return number % 8 == 3


def _batch(schema: pa.Schema, columns: dict[str, list[object]]) -> pa.RecordBatch:
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in schema], schema=schema)
