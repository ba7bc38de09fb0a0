"""What ``causalprint trace`` writes."""

from __future__ import annotations

import pyarrow as pa

from causalprint.schemas.tables import column

FINDS = pa.schema(
    [
        column("query", pa.string(), "what it is like: the image file, the image_id or the source that was given"),
        column("rank", pa.int32(), "1 is the most similar to `query`; of equally similar ones, the lesser image_id comes first"),
        column(
            "similarity", pa.float64(), "cosine of the fingerprints; of a source, with the mean of its images' directions", "1"
        ),
        column(
            "false_match_rate",
            pa.float64(),
            "share of pairs of images of different sources, in the bundle's gallery, that are so similar; null: not known",
            "1 (0 to 1)",
            nullable=True,
        ),
        column("image_id", pa.string(), "SHA-256 of the encoded bytes, lower-case hex"),
        column("verdict", pa.string(), "real, graphic, known, unknown or abstain", nullable=True),
        column("source", pa.string(), "name of the generator, where the verdict has one", nullable=True),
        column("probability", pa.float32(), "calibrated probability of the best candidate", "1 (0 to 1)", nullable=True),
        column("shard", pa.string(), "URI of the shard that the image was read from"),
        column("member", pa.string(), "name within the shard"),
        column("offset", pa.int64(), "where in the shard", "byte or row"),
        column("slice_id", pa.string(), "the slice that the image was computed in"),
        column("url", pa.string(), "where the image was crawled, as its sidecar says", nullable=True),
    ],
    metadata={"description": "What is most like given images, by cosine of fingerprints: a row for every find."},
)
