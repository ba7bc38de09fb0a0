"""Content is a score of what images show; a figure inside its tenths is of what images that show alike still differ in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from causalprint.models.evaluation.content import blurred, content_of, deciles, learn_content, within
from causalprint.models.labelled import LabelledImages
from causalprint.models.statistics.metrics import area_under_curve
from causalprint.schemas.arrays import Floats, Mask
from tests.bundles import photograph

EACH = 200
SOURCES = ("real", "alpha", "beta")


def some(features: int = 8, seed: int = 0) -> tuple[Floats, LabelledImages, Mask]:
    """Noise, and images of three sources, four origins each."""
    draw = np.random.default_rng(seed)
    source = np.repeat(SOURCES, EACH)
    origin = np.array([f"{name}-{place % 4}" for place, name in enumerate(source)])
    images = LabelledImages.known(source, origin=origin, content=np.arange(len(source)).astype(str))
    return draw.normal(size=(len(source), features)).astype(np.float32), images, source != "real"


def test_what_content_tells_is_gone_inside_its_tenths_and_what_it_does_not_tell_is_left() -> None:
    features, images, made = some()
    features[:, 0] += 2 * made
    content = learn_content(features, images, 0)
    alone = area_under_curve(made, content.generated)
    assert alone > 0.85
    everything = np.ones(len(made), np.bool_)
    place = deciles(content.generated, everything)
    assert np.bincount(place).tolist() == [len(made) // 10] * 10
    inside = within(area_under_curve)
    assert inside(place, made, content.generated) < 0.65
    trace = np.random.default_rng(1).normal(size=len(made)) + 2 * made
    assert inside(place, made, trace) == pytest.approx(area_under_curve(made, trace), abs=0.03)


def test_the_source_that_content_names_is_one_of_those_asked_for() -> None:
    features, images, _ = some()
    features[:, :3] += 3 * np.eye(3)[np.repeat([0, 1, 2], EACH)]
    content = learn_content(features, images, 0)
    assert (content.best(SOURCES) == np.repeat([0, 1, 2], EACH)).mean() > 0.9
    fewer = content.best(("nobody", "beta", "real"))
    assert set(fewer.tolist()) == {1, 2}
    assert (fewer[images.source == "beta"] == 1).mean() > 0.9


def test_what_only_tells_origins_apart_tells_nothing_of_new_ones() -> None:
    """Every origin has a feature of its own, so that an image whose origin was learned from would be known."""
    features, images, made = some(features=12)
    _, place = np.unique(images.origin, return_inverse=True)
    features[np.arange(len(place)), place] += 10
    assert area_under_curve(made, learn_content(features, images, 0).generated) < 0.6


def test_graphics_have_a_score_and_are_no_part_of_the_question() -> None:
    features, images, made = some()
    graphic = LabelledImages.known(
        np.where(images.source == "beta", "graphic", images.source), origin=images.origin, content=images.content
    )
    features[:, 0] += 3 * (images.source == "alpha")
    content = learn_content(features, graphic, 0)
    asked = images.source != "beta"
    assert np.isfinite(content.generated).all()
    assert area_under_curve(made[asked], content.generated[asked]) > 0.9


def test_a_trace_of_fine_structure_does_not_pass_the_blur() -> None:
    crop = photograph(0).clip(8, 247)
    checked = crop.astype(np.int16)
    checked[::2, ::2] += 8
    checked[1::2, ::2] -= 8
    shown, again = (blurred(image).astype(int) for image in (crop, checked.astype(np.uint8)))
    assert np.abs(shown - again).max() <= 1
    assert shown.shape == crop.shape
    assert np.abs(shown - crop).max() > 8


def test_content_is_read_from_crops_in_their_order() -> None:
    draw = np.random.default_rng(0)
    dark, light = (np.stack([photograph(seed, 64, 64) // 4 + ground for seed in range(20)]) for ground in (0, 190))
    source = np.repeat(["real", "alpha"], 20)
    order = draw.permutation(40)
    images = LabelledImages.known(source[order], origin=source[order], content=order.astype(str))
    told: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        content = content_of(np.concatenate([dark, light])[order], images, 0, pool, told.append)
    assert area_under_curve(images.source == "alpha", content.generated) > 0.95
    assert told == list(range(1, 41))


def test_where_nothing_can_be_held_out_there_is_no_error() -> None:
    features, images, _ = some()
    one = images.take(np.arange(1))
    assert learn_content(features[:1], one, 0).generated.tolist() == [0]
    assert np.isnan(within(area_under_curve)(np.zeros(1, np.int64), np.ones(1, np.bool_), np.zeros(1)))
    assert deciles(np.zeros(3), np.zeros(3, np.bool_)).tolist() == [0, 0, 0]
