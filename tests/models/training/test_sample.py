"""Batches bring sources alike often, and beside an image another source's of the same content."""

from __future__ import annotations

import numpy as np
import torch

from causalprint.models.training.sample import CONTENT_DIM, Batches, Sample, sample_of
from tests.models.training.worlds import a_world


def a_sample(rows: slice = slice(None)) -> Sample:
    world = a_world(1.0)
    labelled = world.take(np.isin(np.arange(len(world.labels)), np.arange(len(world.labels))[rows]))
    return sample_of([torch.from_numpy(labelled.features.astype(np.float32))], labelled)


def test_sources_come_alike_often_however_many_images_they_have() -> None:
    sample = a_sample(slice(30, None))  # 10, 40 and 40 images
    rows = torch.cat([torch.cat(list(Batches(sample).epoch(200, np.random.default_rng(seed)))) for seed in range(20)])
    shares = torch.bincount(sample.labels[rows]) / len(rows)
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), rtol=0, atol=0.08)


def test_images_bring_others_of_their_content_and_another_source() -> None:
    sample = a_sample()
    (rows,) = list(Batches(sample).epoch(len(sample.labels), np.random.default_rng(0)))
    quarter = len(rows) // 4
    brought = rows[-quarter:]
    assert torch.equal(sample.contents[brought], sample.contents[rows[:quarter]])
    assert (sample.labels[brought] != sample.labels[rows[:quarter]]).all()


def test_an_epoch_follows_from_its_generator_alone() -> None:
    batches = Batches(a_sample())
    first, again, other = (torch.cat(list(batches.epoch(16, np.random.default_rng(seed)))) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first) == 16 * batches.steps(16)


def test_few_images_have_codes_of_the_same_size() -> None:
    content = a_sample(slice(0, 5)).content
    assert content.shape == (5, CONTENT_DIM)
    assert torch.isfinite(content).all()


def test_codes_of_content_are_of_one_spread_and_say_which_images_show_the_same() -> None:
    sample = a_sample()
    assert sample.content.shape == (len(sample.labels), CONTENT_DIM)
    same = sample.contents[:, None] == sample.contents
    apart = torch.cdist(sample.content, sample.content)
    assert float(apart[same].max()) < 0.1 * float(apart[~same].min())
