"""Figures are small PNGs."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from causalprint.pipelines.results.figures import (
    Points,
    confusion,
    fingerprint_map,
    principal_components,
    reliability,
    robustness,
    spectra,
)

SOURCES = [f"generator-{number}" for number in range(15)]


def _map() -> bytes:
    draw = np.random.default_rng(0)
    return fingerprint_map(draw.normal(size=(2000, 128)).astype(np.float16), np.array(SOURCES * 134)[:2000], "Map")


FIGURES: dict[str, Callable[[], bytes]] = {
    "confusion": lambda: confusion(SOURCES, SOURCES[:3], np.random.default_rng(0).integers(0, 90, (15, 3)), "Confusion"),
    "reliability": lambda: reliability({"before": Points([0.2, 0.9], [0.1, 0.95])}, "Reliability"),
    "robustness": lambda: robustness(
        ["none", "blur"], {"accuracy": {"a": Points([0, 1], [0.9, 0.4], [0.1, 0.1], [0.05, 0.1])}}, "Robustness"
    ),
    "map": _map,
    "spectra": lambda: spectra({name: np.random.default_rng(1).normal(size=(64, 64)) for name in SOURCES}, "Spectra"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_a_small_png(name: str) -> None:
    data = FIGURES[name]()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors() or []) > 2
    assert len(data) < 60_000


def test_the_map_shows_the_directions_in_which_fingerprints_differ_most() -> None:
    draw = np.random.default_rng(2)
    values = draw.normal(size=(200, 10)) * 0.01
    values[:, 3] += draw.normal(size=200) * 5
    values[:, 7] += draw.normal(size=200)
    places = principal_components(values)
    assert abs(np.corrcoef(places[:, 0], values[:, 3])[0, 1]) > 0.99
    assert abs(np.corrcoef(places[:, 1], values[:, 7])[0, 1]) > 0.99
    assert principal_components(values[:1]).tolist() == [[0, 0]]
