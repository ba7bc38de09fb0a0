"""Scores to shares: scipy's softmax to the bit, since the import of scipy takes longer than the attribution of many images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def softmax(scores: npt.NDArray[Any], axis: int = -1) -> npt.NDArray[Any]:
    """Shares of 1 along ``axis``, of the dtype of ``scores``, which are finite or -inf."""
    powers = np.exp(scores - scores.max(axis=axis, keepdims=True))
    shares: npt.NDArray[Any] = powers / powers.sum(axis=axis, keepdims=True)
    return shares
