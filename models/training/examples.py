"""What a bundle is learned from: features of labelled images, each in several views, and how they are to be computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from causalprint.models.bundles.manifest import Feature, Geometry
from causalprint.models.training.interventions import Interventions

THUMBNAIL = 16

Text = npt.NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is computed of each labelled image.

    Attributes:
        residual: ``kind:path-or-hub-name``.
        features: lenses and their readings, in order.
        geometry: the crop; an image smaller than it is left out.
        label_field: key of the sidecar, or column, that names the source.
        interventions: what the further views went through, one each; the first view is the image as it is.
        seed: of the interventions.
    """

    residual: str
    features: tuple[Feature, ...]
    geometry: Geometry = field(default_factory=Geometry)
    label_field: str = "source"
    interventions: tuple[Interventions, ...] = ()
    seed: int = 0

    @property
    def width(self) -> int:
        """Numbers of one view: D."""
        return sum(feature.size for feature in self.features)


class Examples(NamedTuple):
    """N labelled images in V views.

    Attributes:
        features: float16 (N, V, D).
        style: float32 (N, V, S), what each view went through: :class:`~causalprint.models.training.interventions.Style`.
        source, origin, content, licence: the label, (N,); an image of which nobody says what it shows is its own content.
        image_id: SHA-256 of the encoded bytes, (N,).
        encoded_bytes: int64 (N,).
        thumbnail: uint8 (N, 768), the image at 16x16 pixels: for the audit of shortcuts, never for the fingerprint.
        left_out: images that could not be read or decoded, or are smaller than the crop, int64 (1,).
    """

    features: npt.NDArray[np.float16]
    style: npt.NDArray[np.float32]
    source: Text
    origin: Text
    content: Text
    licence: Text
    image_id: Text
    encoded_bytes: npt.NDArray[np.int64]
    thumbnail: npt.NDArray[np.uint8]
    left_out: npt.NDArray[np.int64]

    def join(self, other: Examples) -> Examples:
        """These, then those."""
        joined = Examples(*(np.concatenate([mine, its]) for mine, its in zip(self, other, strict=True)))
        return joined._replace(left_out=joined.left_out.sum(keepdims=True))


def thumbnail_of(crop: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Averages of a crop uint8 (C, C, 3) over 16x16 cells, uint8 (768,)."""
    small = Image.fromarray(crop).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small).flatten()
