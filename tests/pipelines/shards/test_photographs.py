from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from causalprint.pipelines.shards.photographs import CATALOGUE, photographs


def test_every_photograph_of_an_installed_package_is_found() -> None:
    pytest.importorskip("skimage")
    pytest.importorskip("sklearn")
    pytest.importorskip("matplotlib")
    found = list(photographs())
    assert [f"{photograph.name}." for photograph in found] == [file[: file.index(".") + 1] for _, file, _ in CATALOGUE]
    assert len({hashlib.sha256(photograph.encoded).digest() for photograph in found}) == len(found)


def test_pixels_are_eight_bit_colour_at_native_size() -> None:
    for photograph in photographs():
        assert photograph.pixels.dtype == np.uint8
        assert photograph.pixels.shape[2:] == (3,)
        assert min(photograph.pixels.shape[:2]) >= 256
        assert photograph.licence


def test_looking_for_them_imports_neither_torch_nor_beam() -> None:
    code = (
        "import sys; from causalprint.pipelines.shards.photographs import photographs; list(photographs());"
        "assert not {'torch', 'apache_beam', 'skimage', 'sklearn', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
