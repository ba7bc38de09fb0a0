"""Arrays by what they hold, for annotations; shapes are told where they are used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
"""An image, uint8 (H, W, 3), RGB, 0 to 255."""

Crops = npt.NDArray[np.uint8]
"""Images of one size, uint8 (N, C, C, 3), RGB, 0 to 255."""

Text = npt.NDArray[np.str_]
Labels = npt.NDArray[np.int64]
"""Places in a list of sources, or rows."""

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Scores = npt.NDArray[np.float64]
"""A number for each image, (N,), or for each image and source, (N, K)."""

Hashes = npt.NDArray[np.uint64]
