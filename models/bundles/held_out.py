"""What the networks of a bundle's training said of images that they had not seen: how often, and how, the bundle errs.

Each image was scored by a network that saw neither it nor, where its source has several, its origin; the bundle's own network saw
them all. So the file speaks for the bundle as a cross-validation does. P-values come of it; no verdict does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from safetensors.numpy import load_file

from causalprint.models.bundles.bundle import HELD_OUT_FILE, Bundle
from causalprint.models.bundles.manifest import Origin
from causalprint.models.statistics.conformal import PValues
from causalprint.schemas.arrays import Floats, Scores, Text


class HeldOutScores(NamedTuple):
    """Of N images.

    Attributes:
        source, origin: of each, (N,).
        probabilities: of the bundle's sources, where half of all images are generated, float64 (N, K).
        generated: (N,), that a generator made it.
    """

    source: Text
    origin: Text
    probabilities: Scores
    generated: Scores


def held_out_tensors(
    source: Sequence[str], origin: Sequence[str], probabilities: Floats, generated: Floats, data: Sequence[Origin]
) -> Mapping[str, np.ndarray]:
    """The tensors of :data:`~causalprint.models.bundles.bundle.HELD_OUT_FILE`: images that were held out by none are left out.

    Args:
        source: of each image, (N,); ``origin`` as well.
        origin: as the card names it.
        probabilities: (N, K), NaN where an image was held out by none.
        generated: (N,).
        data: the rows of the card, of which each image has the first place of its source and origin.
    """
    places: dict[tuple[str, str], int] = {}
    for place, row in enumerate(data):
        places.setdefault((row.source, row.origin), place)
    known = np.isfinite(probabilities[:, 0])
    place_of = np.array([places[one] for one in zip(source, origin, strict=True)], np.int32)
    return {
        "place": place_of[known],
        "probabilities": probabilities[known].astype(np.float32),
        "generated": generated[known].astype(np.float32),
    }


def read_held_out(bundle: Bundle) -> HeldOutScores | None:
    """The scores of its held-out images; ``None`` of a bundle that holds none: it is from before they were kept."""
    if not any(file.path == HELD_OUT_FILE for file in bundle.manifest.files):
        return None
    tensors = load_file(bundle.directory / HELD_OUT_FILE)
    rows = np.array([(row.source, row.origin) for row in bundle.manifest.data])[tensors["place"]]
    probabilities, generated = (tensors[name].astype(np.float64) for name in ("probabilities", "generated"))
    return HeldOutScores(rows[:, 0], rows[:, 1], probabilities, generated)


def p_values_of(bundle: Bundle) -> PValues:
    """Comparing with a bundle's held-out images; with none, where it holds none."""
    held_out, sources = read_held_out(bundle), bundle.manifest.sources
    if held_out is None:
        return PValues(sources, np.zeros(0, np.str_), np.zeros((0, len(sources)), np.float32))
    return PValues(sources, held_out.source, held_out.probabilities.astype(np.float32))
