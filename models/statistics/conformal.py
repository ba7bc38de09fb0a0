"""How unusual an image would be among those of a source: conformal p-values, with each source's own images to compare with."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from causalprint.schemas.arrays import Floats, Text

FEWEST = 19
"""Images with which a source may be compared: of fewer no p-value is as small as 0.05."""


class PValues:
    """The share of a source's held-out images that look no more like it than an image does, the image itself among them.

    (1 + how many of n have a probability of the source that is no larger) / (1 + n): label-conditional conformal prediction
    (Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005, section 4.5). Of images that are like those that
    were held out, at most a share a of a source's own have a value of a or less, whatever the probabilities are worth.

    Args:
        sources: of a bundle, K of them.
        source: that of each held-out image, (N,).
        probabilities: of each source, (N, K), at the prior at which others are compared with them.
    """

    def __init__(self, sources: Sequence[str], source: Text, probabilities: Floats) -> None:
        own = [probabilities[source == name, place] for place, name in enumerate(sources)]
        self._own = [np.sort(values.astype(np.float32)) for values in own]

    def __call__(self, probabilities: Floats) -> Floats:
        """Of images (N, K), float32 (N, K); NaN of a source with fewer held-out images than :data:`FEWEST`."""
        found = np.full(probabilities.shape, np.nan, np.float32)
        for place, own in enumerate(self._own):
            if len(own) >= FEWEST:
                no_larger = np.searchsorted(own, probabilities[:, place].astype(np.float32), side="right")
                found[:, place] = (1 + no_larger) / (1 + len(own))
        return found
