"""What ``causalprint discover`` writes."""

from __future__ import annotations

import pyarrow as pa

from causalprint.schemas.tables import column, list_of

CANDIDATES = pa.schema(
    [
        column("candidate", pa.string(), "its name, which stays from run to run while most of its images do"),
        column("images", pa.int64(), "different images in it", "image"),
        column(
            "cohesion", pa.float64(), "mean cosine of its images with the mean of their directions, fingerprints whitened", "1"
        ),
        column("nearest", pa.string(), "the known source whose centre is nearest to its mean"),
        column("distance", pa.float64(), "from it", "standard deviations of a source's images"),
        column("medoid", pa.string(), "image_id of its most central image"),
        column(
            "spectrum",
            list_of(pa.float64()),
            "mean of its images' spectra in table embeddings, in dB; null where the audit stored none",
            nullable=True,
        ),
    ],
    metadata={"description": "Candidate generators among what is like no known source: a row for every one, largest first."},
)

MEMBERS = pa.schema(
    [
        column("candidate", pa.string(), "name of the candidate, as in candidates.parquet"),
        column("rank", pa.int64(), "1 is its most central image"),
        column("likeness", pa.float64(), "cosine with the mean of the candidate's directions, fingerprints whitened", "1"),
        column("image_id", pa.string(), "SHA-256 of the encoded bytes, lower-case hex"),
        column("shard", pa.string(), "URI of the shard that the image was read from; the first, where it lies in several places"),
        column("member", pa.string(), "name within the shard"),
        column("offset", pa.int64(), "where in the shard", "byte or row"),
        column("slice_id", pa.string(), "the slice that the image was computed in"),
        column("url", pa.string(), "where the image was crawled, as its sidecar says", nullable=True),
    ],
    metadata={"description": "Images of candidate generators: a row for every image."},
)
