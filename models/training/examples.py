"""What a bundle is learned from: features of labelled images, each in several versions, and how they are to be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from causalprint.models.bundles.manifest import ART, REAL, Feature, Geometry, are_generators
from causalprint.models.labelled import LabelledImages
from causalprint.models.training.interventions import Interventions
from causalprint.schemas.arrays import Floats, Labels, Mask, Pixels

THUMBNAIL = 16


@dataclass(frozen=True, slots=True)
class Extraction:
    """What is computed of each labelled image.

    Attributes:
        residual: ``kind:path-or-hub-name``.
        features: lenses and their readings, in order.
        geometry: the crop; an image smaller than it is left out.
        label_field: key of the sidecar, or column, that names the source.
        interventions: what the further versions went through, one each; the first version is the image as it is.
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
        """Numbers of one version: D."""
        return sum(feature.size for feature in self.features)


class Examples(NamedTuple):
    """N labelled images in V versions.

    Attributes:
        images: what is known of them.
        features: float16 (N, V, D).
        style: float32 (N, V, S), what each version went through: :class:`~causalprint.models.training.interventions.Style`.
        thumbnail: uint8 (N, 768), the image at 16x16 pixels: for the audit of shortcuts, never for the fingerprint.
        left_out: how many could not be read or decoded, are smaller than the crop or have no label.
    """

    images: LabelledImages
    features: npt.NDArray[np.float16]
    style: Floats
    thumbnail: npt.NDArray[np.uint8]
    left_out: int = 0

    def join(self, *others: Examples) -> Examples:
        """These, then those."""
        several = (self, *others)
        return Examples(
            self.images.join(*(one.images for one in others)),
            np.concatenate([one.features for one in several]),
            np.concatenate([one.style for one in several]),
            np.concatenate([one.thumbnail for one in several]),
            sum(one.left_out for one in several),
        )

    def labelled(self, sources: Sequence[str], sizes: tuple[int, ...]) -> Labelled:
        """As the trainer takes them; every one is of ``sources``, its features of lenses of ``sizes``. Paintings are ``real``."""
        labels = self.images.labels(sources)
        labels[self.images.source == ART] = sources.index(REAL)
        return Labelled(self.images, self.features, self.style, self.thumbnail, labels, are_generators(sources), sizes)


class Labelled(NamedTuple):
    """N labelled images in V versions, as the trainer takes them.

    Attributes:
        images: what is known of them; origins and contents count.
        features: float16 (N, V, D), lenses of ``sizes`` side by side; the first version is the image as it is.
        style, thumbnail: as of :class:`Examples`.
        labels: int64 (N,), below K, the number of classes.
        generators: of each class, whether it is one, K.
        sizes: of the lenses.
    """

    images: LabelledImages
    features: npt.NDArray[np.float16]
    style: Floats
    thumbnail: npt.NDArray[np.uint8]
    labels: Labels
    generators: tuple[bool, ...]
    sizes: tuple[int, ...]

    @property
    def rival(self) -> Labels:
        """Of each image its kind among those that no generator made, int64 (N,), from 0; -1 where one did."""
        others = ~np.array(self.generators)[self.labels]
        found = np.full(len(others), -1, np.int64)
        found[others] = np.unique(self.images.source[others], return_inverse=True)[1]
        return found

    def take(self, rows: Mask) -> Labelled:
        """The images in ``rows``, a mask (N,)."""
        versions = (self.features[rows], self.style[rows], self.thumbnail[rows])
        return Labelled(self.images.take(rows), *versions, self.labels[rows], self.generators, self.sizes)


def thumbnail_of(crop: Pixels) -> npt.NDArray[np.uint8]:
    """Averages of a crop uint8 (C, C, 3) over 16x16 cells, uint8 (768,)."""
    small = Image.fromarray(crop).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return np.asarray(small).flatten()
