"""The demo's drawings are what software draws: the same every time, each another, sharp-edged."""

from __future__ import annotations

import numpy as np

from causalprint.pipelines.shards.drawings import KINDS, drawings


def test_drawings_are_the_same_every_time_and_each_is_another() -> None:
    first, again = list(drawings(len(KINDS) * 2, 256)), list(drawings(len(KINDS) * 2, 256))
    assert all(np.array_equal(one, two) for one, two in zip(first, again, strict=True))
    assert all(drawing.shape == (256, 256, 3) and drawing.dtype == np.uint8 for drawing in first)
    assert len({drawing.tobytes() for drawing in first}) == len(first)


def test_most_neighbouring_pixels_are_equal_as_in_what_software_draws() -> None:
    shares = [float((drawing[:, 1:] == drawing[:, :-1]).all(axis=2).mean()) for drawing in drawings(12, 256)]
    assert min(shares) > 0.5
    assert max(shares) < 1
