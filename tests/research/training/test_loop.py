from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from causalprint.research.training.loop import TrainingConfig, draw_patches, load_checkpoint, save_checkpoint, start, train_step

CONFIG = TrainingConfig(patches=((8, 3), (12, 2)), warmup=2)
CPU = torch.device("cpu")


def _build() -> torch.nn.Module:
    return torch.nn.Conv2d(3, 3, 3, padding=1)


def _loss(model: torch.nn.Module, images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    noise = torch.from_numpy(rng.standard_normal(tuple(images.shape), dtype=np.float32))
    value: torch.Tensor = (model(images + noise) - images).float().square().mean()
    return value


def _photographs() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (height, 20, 3), dtype=np.uint8) for height in (12, 25, 31)]


@given(side=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_patches_are_pieces_of_the_photographs_at_native_resolution(side: int, seed: int) -> None:
    height, width = 6, 8
    photograph = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    pieces = {
        photograph[top : top + side, left : left + side].tobytes()
        for top in range(height - side + 1)
        for left in range(width - side + 1)
    }
    for patch in draw_patches([photograph], side, 4, np.random.default_rng(seed)):
        symmetries = [np.rot90(flipped, turns) for flipped in (patch, patch[:, ::-1]) for turns in range(4)]
        assert any(symmetry.tobytes() in pieces for symmetry in symmetries)


def test_training_lowers_the_loss_and_the_average_follows() -> None:
    state = start(_build, CONFIG, CPU)
    losses = [train_step(state, _photographs(), CONFIG, _loss) for _ in range(300)]
    assert np.mean(losses[-50:]) < 0.8 * np.mean(losses[:20])
    for averaged, current in zip(state.average.parameters(), state.model.parameters(), strict=True):
        torch.testing.assert_close(averaged, current, atol=0.1, rtol=0.5)


def test_going_on_from_a_checkpoint_is_as_if_never_interrupted(tmp_path: Path) -> None:
    whole = start(_build, CONFIG, CPU)
    for _ in range(7):
        train_step(whole, _photographs(), CONFIG, _loss)

    first = start(_build, CONFIG, CPU)
    for _ in range(4):
        train_step(first, _photographs(), CONFIG, _loss)
    save_checkpoint(first, "run", tmp_path / "checkpoint")
    second = start(_build, CONFIG, CPU)
    load_checkpoint(second, "run", tmp_path / "checkpoint")
    assert second.step == 4
    for _ in range(3):
        train_step(second, _photographs(), CONFIG, _loss)

    for one, other in ((whole.model, second.model), (whole.average, second.average)):
        for parameter, same in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(parameter, same, atol=0, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    state = start(_build, CONFIG, CPU)
    train_step(state, _photographs(), CONFIG, _loss)
    save_checkpoint(state, "one", tmp_path / "checkpoint")
    with pytest.raises(ValueError, match="other photographs, another seed"):
        load_checkpoint(start(_build, CONFIG, CPU), "another", tmp_path / "checkpoint")


def test_the_seed_gives_the_first_weights_and_leaves_the_global_state() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, same = start(_build, CONFIG, CPU).model, start(_build, CONFIG, CPU).model
    assert torch.equal(torch.rand(1), expected)
    other = start(_build, TrainingConfig(seed=1), CPU).model
    assert torch.equal(one.get_parameter("weight"), same.get_parameter("weight"))
    assert not torch.equal(one.get_parameter("weight"), other.get_parameter("weight"))
