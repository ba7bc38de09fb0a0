"""Whether an image was resized before it was stored, as whoever stored it says beside it."""

from __future__ import annotations

import json

ORIGINAL = ("original_width", "original_height")
"""What img2dataset writes into sidecars: the size of the image that it downloaded."""


def was_resampled(metadata: str | None, width: int, height: int) -> bool | None:
    """Whether an image of that size, in pixels, was of another; ``None`` where its sidecar, JSON text, does not say.

    A turned image, by EXIF orientation, is not resized.
    """
    if metadata is None or ORIGINAL[0] not in metadata:
        return None
    told = json.loads(metadata)
    given = [told.get(name) for name in ORIGINAL] if isinstance(told, dict) else []
    sides = [side for side in given if isinstance(side, int | float) and not isinstance(side, bool)]
    return sorted(sides) != sorted((width, height)) if len(sides) == len(ORIGINAL) else None
