"""The attention attributor: a transformer over the parts of a fingerprint.

arXiv 2509.15406 attributes by "CLIP ViT-B/32 with an attention mechanism" and does not say how 128 numbers enter it. Here the
stored fingerprint is cut into 8 parts of 16 numbers, and one pre-norm encoder layer (Vaswani et al., NeurIPS 2017) lets them
attend to each other, so that a verdict stays a function of the stored fingerprint alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from causalprint.schemas.tables import FINGERPRINT_DIM

PARTS, WIDTH = 8, 32


def attention_shapes(classes: int) -> dict[str, tuple[int, ...]]:
    """Shapes of the attributor's tensors for K classes."""
    square = (WIDTH, WIDTH)
    return {
        "embed": (FINGERPRINT_DIM // PARTS, WIDTH),
        "place": (PARTS, WIDTH),
        "query": square,
        "key": square,
        "value": square,
        "out": square,
        "widen": (WIDTH, 2 * WIDTH),
        "narrow": (2 * WIDTH, WIDTH),
        "classify": (WIDTH, classes),
        "bias": (classes,),
    }


def attention_scores(tensors: Mapping[str, Any], fingerprint: Any, exp: Any) -> Any:
    """Scores (…, K) of fingerprints (…, 128), in numpy or torch alike: ``exp`` is that library's."""
    parts = fingerprint.reshape(*fingerprint.shape[:-1], PARTS, -1) @ tensors["embed"] + tensors["place"]
    seen = _normal(parts)
    weights = exp((seen @ tensors["query"]) @ (seen @ tensors["key"]).swapaxes(-1, -2) / math.sqrt(WIDTH))
    weights = weights / weights.sum(-1)[..., None]
    parts = parts + weights @ (seen @ tensors["value"]) @ tensors["out"]
    widened = _normal(parts) @ tensors["widen"]
    parts = parts + (widened * (widened > 0)) @ tensors["narrow"]
    return _normal(parts).mean(-2) @ tensors["classify"] + tensors["bias"]


def _normal(values: Any) -> Any:
    centred = values - values.mean(-1)[..., None]
    return centred / ((centred**2).mean(-1)[..., None] + 1e-5) ** 0.5
