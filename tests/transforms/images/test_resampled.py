"""What whoever stored an image says of its size before; a sidecar that says nothing, or nonsense, says nothing."""

from __future__ import annotations

import json

import pytest

from causalprint.transforms.images.resampled import was_resampled


@pytest.mark.parametrize(("told", "expected"), [
    ({"original_width": 1024, "original_height": 768, "width": 256, "height": 256}, True),
    ({"original_width": 256, "original_height": 192}, False),
    ({"original_width": 192, "original_height": 256}, False),  # EXIF orientation
    ({"original_width": 256.0, "original_height": 192.0}, False),  # as pandas writes them
    ({"width": 256}, None),
    ({"original_width": None, "original_height": None}, None),
    ({"original_width": "256", "original_height": "192"}, None),
    ({"original_width": True, "original_height": 1}, None),
    ({"original_width": 256}, None),
    (["original_width"], None),
    ("original_width", None),
])  # fmt: skip
def test_a_sidecar_says_whether_an_image_was_resized(told: object, expected: bool | None) -> None:
    assert was_resampled(json.dumps(told), 256, 192) is expected


def test_without_a_sidecar_nothing_is_known() -> None:
    assert was_resampled(None, 256, 192) is None
