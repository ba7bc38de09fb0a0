"""The hash is the published one, and copies have nearly the same."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from causalprint.transforms.images.decode import decode
from causalprint.transforms.images.perceptual_hash import perceptual_hash
from tests.bundles import photograph
from tests.transforms.images.test_decode import VARIANTS


def distance(one: str, other: str) -> int:
    return (int(one, 16) ^ int(other, 16)).bit_count()


@pytest.mark.parametrize(("image", "expected"), [
    (Image.fromarray(photograph(0, 200, 300)), "c02b044da7afef54"),
    (Image.fromarray(photograph(1, 200, 300)), "fd2fa9f604c84aa4"),
    (Image.fromarray(photograph(2, 200, 300)), "8d95bd1a194926db"),
    (Image.new("RGB", (99, 50), (7, 80, 200)), "8000000000000000"),
    (Image.new("L", (99, 50), 0), "0000000000000000"),
])  # fmt: skip
def test_it_is_what_package_imagehash_computes(image: Image.Image, expected: str) -> None:
    assert perceptual_hash(image) == expected


def test_copies_are_near_and_others_far() -> None:
    image = Image.fromarray(photograph(1, 600, 900))
    buffer = io.BytesIO()
    image.resize((450, 300)).save(buffer, "JPEG", quality=60)
    copy = decode(buffer.getvalue(), hashed=True).phash
    assert copy is not None
    assert distance(perceptual_hash(image), copy) <= 6
    assert distance(perceptual_hash(image), perceptual_hash(Image.fromarray(photograph(2, 600, 900)))) > 16


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", VARIANTS)
def test_it_is_of_the_pixels_that_are_analysed_whatever_the_format(name: str) -> None:
    decoded = decode(VARIANTS[name], hashed=True)
    assert decoded.phash is not None
    assert len(decoded.phash) == 16
    assert distance(decoded.phash, perceptual_hash(Image.fromarray(np.ascontiguousarray(decoded.pixels)))) <= 2
    assert decode(VARIANTS[name]).phash is None
