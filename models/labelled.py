"""What is known of labelled images, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.schemas.arrays import Crops, Labels, Mask, Text
from causalprint.schemas.losses import Losses

LEAST_IMAGES = 4
"""Of each source, to learn from it."""

STRANGER = -1
"""The label of images whose source is none of those to choose from."""

ImageRow = tuple[str, str, str, str, str, int, str, tuple[int, int]]
"""One image, in the order of the columns of :class:`LabelledImages`."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImages:
    """What is known of N labelled images.

    Attributes:
        source: what made each: ``real`` or a generator's name, (N,).
        origin: the collection that it is from, (N,).
        content: what it shows: images that share it stay on one side of a split, (N,).
        licence: ``unstated`` where nothing says, (N,).
        image_id: SHA-256 of the encoded bytes, lower-case hex, (N,).
        encoded_bytes: of the file, int64 (N,).
        encoding: of the file: JPEG, PNG, …, (N,).
        size: height and width of the whole image in pixels, int64 (N, 2).

    A column that nobody asked for is empty text, or zeros.
    """

    source: Text
    origin: Text
    content: Text
    licence: Text
    image_id: Text
    encoded_bytes: Labels
    encoding: Text
    size: Labels

    def __len__(self) -> int:
        """N."""
        return len(self.source)

    @staticmethod
    def of(rows: Iterable[ImageRow]) -> LabelledImages:
        """Of one image after the other."""
        listed = list(rows)
        columns = {name: np.array([row[place] for row in listed], _DTYPES[name]) for place, name in enumerate(_DTYPES)}
        return LabelledImages(**{**columns, "size": columns["size"].reshape(-1, 2)})

    @staticmethod
    def known(source: Text, **columns: npt.NDArray[np.generic]) -> LabelledImages:
        """Of the columns that are known."""
        shapes = {name: (len(source), 2) if name == "size" else (len(source),) for name in _DTYPES}
        unknown: dict[str, Any] = {name: np.zeros(shapes[name], dtype) for name, dtype in _DTYPES.items()}
        return LabelledImages(**{**unknown, "source": source, **columns})

    @property
    def columns(self) -> dict[str, npt.NDArray[Any]]:
        """Every column by its name."""
        return {column.name: getattr(self, column.name) for column in fields(self)}

    def take(self, rows: Labels | Mask) -> LabelledImages:
        """The images in ``rows``: numbers, or a mask (N,)."""
        return LabelledImages(**{name: column[rows] for name, column in self.columns.items()})

    def join(self, *others: LabelledImages) -> LabelledImages:
        """These, then those."""
        parts = [one.columns for one in (self, *others)]
        return LabelledImages(**{name: np.concatenate([part[name] for part in parts]) for name in _DTYPES})

    def labels(self, sources: Sequence[str]) -> Labels:
        """Places in ``sources``, int64 (N,); :data:`STRANGER` where an image's source is none of them."""
        places = {name: place for place, name in enumerate(sources)}
        return np.array([places.get(name, STRANGER) for name in self.source.tolist()], np.int64)


_DTYPES: dict[str, type[np.generic]] = {
    column.name: np.int64 if column.name in ("encoded_bytes", "size") else np.str_ for column in fields(LabelledImages)
}


class LabelledCrops(NamedTuple):
    """N labelled images and a crop of each.

    Attributes:
        images: what is known of them.
        crops: uint8 (N, C, C, 3): the central crop of each image, never resized; perhaps a read-only map of a file.
        losses: what was left out.
    """

    images: LabelledImages
    crops: Crops
    losses: Losses = Losses()

    def join(self, *others: LabelledCrops) -> LabelledCrops:
        """These, then those; the crops in memory."""
        several = (self, *others)
        return LabelledCrops(
            self.images.join(*(one.images for one in others)),
            np.concatenate([one.crops for one in several]),
            sum((one.losses for one in others), self.losses),
        )
