"""What came of a slice's images as rows of ``images``, ``embeddings`` and ``rejects``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from causalprint.models.fingerprint import Fingerprints
from causalprint.schemas.claims import Claims
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Reject
from causalprint.schemas.tables import EMBEDDINGS, IMAGES, REJECTS
from causalprint.transforms.images.decode import DecodedImage
from causalprint.transforms.images.domains import domain_of, host_of, url_of
from causalprint.transforms.images.resampled import was_resampled


class Computed(NamedTuple):
    """One image that was decoded: what ``images`` and ``embeddings`` say of it.

    Attributes:
        image: as the shard holds it.
        image_id: SHA-256 of its bytes, lower-case hex.
        md5: of them too.
        decoded: what its headers say; its pixels are gone.
        crops: how many were analysed; 0 where the image is smaller than the crop, or damaged.
        fingerprints: what they give, N = 1; ``None`` where there are no crops.
    """

    image: EncodedImage
    image_id: str
    md5: str
    decoded: DecodedImage
    crops: int
    fingerprints: Fingerprints | None = None


def fingerprinted(images: ImageSlice, outcomes: Sequence[Computed | Reject]) -> FingerprintedSlice:
    """The slice with the rows of its images, in its order, from what came of each."""
    computed = [item for item in outcomes if isinstance(item, Computed)]
    rejects = [*images.rejects, *(item for item in outcomes if isinstance(item, Reject))]
    return FingerprintedSlice(
        source=images.without_bytes(),
        seen=images.seen,
        images=pa.RecordBatch.from_pylist([_image_row(images, item) for item in computed], schema=IMAGES),
        embeddings=pa.RecordBatch.from_pylist([_embedding_row(images, item) for item in computed], schema=EMBEDDINGS),
        rejects=pa.RecordBatch.from_pylist([_place(images) | item._asdict() for item in rejects], schema=REJECTS),
    )


def _place(images: ImageSlice) -> dict[str, Any]:
    return {"shard": images.shard.uri, "slice_id": images.slice_id}


def _key(images: ImageSlice, row: Computed) -> dict[str, Any]:
    return _place(images) | {"image_id": row.image_id, "member": row.image.member, "offset": row.image.offset}


def _image_row(images: ImageSlice, row: Computed) -> dict[str, Any]:
    """A row of table ``images``."""
    decoded, metadata = row.decoded, row.image.metadata
    url = url_of(metadata)
    told = {
        "encoded_bytes": len(row.image.data),
        "resampled": was_resampled(metadata, decoded.width, decoded.height),
        "md5": row.md5,
        "domain": domain_of(host_of(url)) if url else None,
        "metadata": metadata,
    }
    return _key(images, row) | decoded._asdict() | _claim_columns(decoded.claims) | told


def _claim_columns(claims: Claims) -> dict[str, Any]:
    strongest = claims.claims[0] if claims.claims else None
    return {
        "claim_kind": strongest and strongest.kind,
        "claim_source": strongest and strongest.source,
        "c2pa": claims.c2pa,
        "claims": [claim._asdict() for claim in claims.claims],
    }


def _embedding_row(images: ImageSlice, row: Computed) -> dict[str, Any]:
    """A row of table ``embeddings``: null where the image is too small, and what is measured also where it is not finite."""
    key = _key(images, row) | {"crops": row.crops}
    if row.fingerprints is None:
        return key
    found = row.fingerprints
    scalars = {"residual_energy": found.residual_energy, **found.scalars, "stability": found.stability}
    finite = {name: float(value[0]) for name, value in scalars.items() if np.isfinite(value[0])}
    spectrum = {"spectrum": found.spectrum[0]} if np.isfinite(found.spectrum).all() else {}
    return key | {"fingerprint": found.fingerprint[0]} | spectrum | finite
