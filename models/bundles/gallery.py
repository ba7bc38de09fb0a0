"""``gallery.parquet``: fingerprints of the images that a bundle was learned from, for questions about fingerprints themselves.

How alike images of different sources are, and how far a new source is from all that is known. A bundle may lack it.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.models.bundles.manifest import BundleError
from causalprint.models.statistics.nearest import directions
from causalprint.schemas.arrays import Doubles, Text
from causalprint.schemas.tables import FINGERPRINT_DIM, column, list_of

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle

GALLERY_FILE = "gallery.parquet"
ENROLLED = "enrolled"
"""The origin of images from which a source was enrolled."""
SCHEMA = pa.schema(
    [
        column("image_id", pa.string(), "SHA-256 of the encoded bytes, lower-case hex"),
        column("source", pa.string(), "what made it: one of the bundle's sources"),
        column("origin", pa.string(), "the collection that it is from; `enrolled` of images from which the source was enrolled"),
        column("licence", pa.string(), "as it is stated there"),
        column("fingerprint", list_of(pa.float16(), FINGERPRINT_DIM), "by the bundle's networks, which learned from them"),
    ],
    metadata={"description": "The images that a bundle was learned from, or that a source was enrolled from."},
)


class Gallery(NamedTuple):
    """Images of which a bundle keeps the fingerprints.

    Attributes:
        image_id, source, origin, licence: of each, (N,).
        fingerprint: by the networks that are in the bundle, which have learned from these images: they lie closer to their own
            source, and farther from others, than images that the networks have not seen. float16 (N, 128).
    """

    image_id: Text
    source: Text
    origin: Text
    licence: Text
    fingerprint: npt.NDArray[np.float16]

    def join(self, other: Self) -> Gallery:
        """These, then those."""
        return Gallery(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def to_bytes(self) -> bytes:
        """The file; the same bytes for the same rows."""
        prints = pa.FixedSizeListArray.from_arrays(pa.array(self.fingerprint.reshape(-1)), type=SCHEMA.field("fingerprint").type)
        columns = [pa.array(values.tolist(), pa.string()) for values in self[:-1]]
        stream = io.BytesIO()
        pq.write_table(pa.Table.from_arrays([*columns, prints], schema=SCHEMA), stream, compression="zstd")
        return stream.getvalue()


def read_gallery(bundle: Bundle) -> Gallery | None:
    """That of a bundle; ``None`` where it has none.

    Raises:
        BundleError: the file is no gallery.
    """
    path = bundle.directory / GALLERY_FILE
    if not any(file.path == GALLERY_FILE for file in bundle.manifest.files):
        return None
    try:
        table = pq.read_table(path, schema=SCHEMA)
    except (OSError, pa.ArrowException) as error:
        raise BundleError(f"{path} is no gallery: {error}; train or enroll again") from error
    prints = table.column("fingerprint").combine_chunks().flatten().to_numpy().reshape(-1, FINGERPRINT_DIM)
    image_id, source, origin, licence = (np.array(table.column(name).to_pylist(), np.str_) for name in SCHEMA.names[:-1])
    return Gallery(image_id, source, origin, licence, prints.astype(np.float16))


def false_match_rates(gallery: Gallery, similarity: Doubles) -> Doubles | None:
    """Of pairs of images of different sources, the share that is at least so similar; (M,) of similarities (M,).

    ``None`` where the gallery has images of one source alone.

    Each pair of sources counts alike, or sources of many images would speak for all.
    """
    rows = directions(gallery.fingerprint)
    names, label = np.unique(gallery.source, return_inverse=True)
    rates, pairs = np.zeros(len(similarity)), 0
    for first in range(len(names)):
        for second in range(first + 1, len(names)):
            found = np.sort((rows[label == first] @ rows[label == second].T).ravel())
            rates += 1 - np.searchsorted(found, similarity) / len(found)
            pairs += 1
    return rates / pairs if pairs else None
