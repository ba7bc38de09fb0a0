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


def shared_out(
    generated: npt.NDArray[np.floating] | float, scores: npt.NDArray[np.floating], generators: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    """Probabilities float32 (…, K): P(generated) shared among generators, and the rest among the others, by their scores (…, K).

    Args:
        generated: (…,), that a generator made the image.
        scores: over their temperature.
        generators: (K,), which sources are generators.
    """
    whole = np.asarray(generated, np.float64)[..., None]
    found = np.zeros(np.shape(scores), np.float32)
    for members, share in ((generators, whole), (~generators, 1 - whole)):
        found[..., members] = softmax(np.asarray(scores, np.float64)[..., members], axis=-1) * share
    return found
