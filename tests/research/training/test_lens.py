"""A lens learns from scratch what tells sources apart, and stops where validation no more improves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from causalprint.models.lenses.base import Lens, magnified, read
from causalprint.models.lenses.convolutional import TrunkConfig, apply_trunk, save_trunk
from causalprint.models.residuals import load_residual
from causalprint.research.training.lens import (
    TRUNKS,
    CropBatch,
    LensNetwork,
    LensTraining,
    build_network,
    judge,
    learn_trunk,
    show_residual,
)
from tests.bundles import tiny_prior
from tests.models.tiny_trunks import trunk_in

TINY = TrunkConfig(stem=4, stages=((1, 4, 3, 1, 1), (1, 6, 3, 2, 2)))
TRAINING = LensTraining(epochs=4, batch=8, crop=32, rate=1e-2)
CPU = torch.device("cpu")


def a_batch(seed: int, count: int = 8) -> CropBatch:
    """Plain grain, and grain with every other pixel darker, of any mean grey."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    trace = np.add.outer(np.arange(32), np.arange(32)) % 2 * labels[:, None, None]
    pixels = draw.normal(draw.uniform(80, 180, (count, 1, 1, 1)), 5, (count, 32, 32, 3)) - 40 * trace[..., None]
    return CropBatch(pixels.clip(0, 255).astype(np.uint8), labels, draw.integers(0, 2, count), np.arange(count))


def learned(epoch: int) -> Iterator[CropBatch]:
    return (a_batch(10 * epoch + number) for number in range(6))


def held_out() -> Sequence[CropBatch]:
    return [a_batch(1000), a_batch(1001, 3)]


def see(x: torch.Tensor) -> torch.Tensor:
    return x


def run(network: LensNetwork, training: LensTraining = TRAINING) -> tuple[float, list[str]]:
    told: list[str] = []
    found = learn_trunk(network, see, learned, held_out, 6, training, CPU, report=told.append)
    return found.recall, told


def test_two_sources_that_differ_in_their_finest_pixels_are_learned(tmp_path: Path) -> None:
    network = build_network(TINY, 2, 0)
    recall, told = run(network)
    assert recall == 1.0
    assert told[0].startswith("epoch 1/4, loss ")
    assert judge(network, see, held_out()) == 1.0
    save_trunk(network.trunk, tmp_path)
    x = torch.rand(2, 3, 40, 33)
    kept = torch.cat([apply_trunk(trunk_in(tmp_path))(x)])
    assert torch.isfinite(kept).all()
    assert kept.shape == (2, 2 * sum(TINY.channels))


def test_the_seed_decides_all() -> None:
    def weights(seed: int) -> torch.Tensor:
        network = build_network(TINY, 2, seed)
        run(network, replace(TRAINING, epochs=1, seed=seed))
        return torch.cat([value.flatten() for value in network.parameters()])

    first = weights(0)
    assert torch.equal(first, weights(0))
    assert not torch.equal(first, weights(1))


def test_a_training_that_no_more_improves_ends_with_its_best_epoch() -> None:
    network = build_network(TINY, 2, 0)
    found = learn_trunk(network, see, learned, held_out, 6, replace(TRAINING, epochs=50, patience=2), CPU)
    assert found.recall == 1.0
    assert found.epochs < 20
    assert found.steps == 6 * found.epochs


def test_a_trunk_can_be_learned_on_from_another(tmp_path: Path) -> None:
    network = build_network(TINY, 2, 0)
    run(network)
    save_trunk(network.trunk, tmp_path)
    again = build_network(trunk_in(tmp_path), 2, 1)
    before = again.trunk.state_dict()["stem.0.weight"].clone()
    assert torch.equal(before, network.trunk.state_dict()["stem.0.weight"].half().float())
    run(again, replace(TRAINING, epochs=1))
    assert not torch.equal(before, again.trunk.state_dict()["stem.0.weight"])


def test_the_trunk_sees_a_residual_as_the_lens_does_in_use(tmp_path: Path) -> None:
    residual = load_residual(f"denoise:{tiny_prior(tmp_path)}")
    x = torch.rand(2, 3, 32, 32)
    lens = Lens("identity", 1, see, show=magnified)
    shown = torch.cat([read(lens, "residual", one, residual(one)) for one in x.split(1)])
    assert torch.equal(show_residual(residual)(x), shown)
    assert shown.std() > 0


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no batch of two crops"):
        learn_trunk(build_network(TINY, 2, 0), see, lambda _: [], held_out, 1, TRAINING, CPU)


def test_the_smaller_trunk_gives_fewer_numbers() -> None:
    assert sum(TRUNKS["small"].channels) < sum(TRUNKS["lite0"].channels)
