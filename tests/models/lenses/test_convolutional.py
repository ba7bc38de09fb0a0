"""The convolutional lens: statistics of a small network's maps, the same saved, loaded and fused, at any size of image."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor

from causalprint.models.lenses import load_lens
from causalprint.models.lenses.base import PACKAGE
from causalprint.models.lenses.convolutional import (
    CONFIG,
    WEIGHTS,
    Trunk,
    TrunkConfig,
    apply_trunk,
    correlations,
    fused,
    save_trunk,
    statistics,
)
from causalprint.schemas.model_spec import LensError
from tests.models.tiny_trunks import TINY, tiny_trunk, trunk_in


def images(count: int = 3, height: int = 37, width: int = 50) -> Tensor:
    return torch.rand((count, 3, height, width), generator=torch.Generator().manual_seed(1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_trunk(tiny_trunk(), tmp_path / "tiny")
    return tmp_path / "tiny"


def test_what_is_saved_is_loaded_up_to_float16_and_from_then_on_exactly(folder: Path, tmp_path: Path) -> None:
    loaded = trunk_in(folder)
    assert loaded.config == TINY
    torch.testing.assert_close(statistics(loaded(images())), statistics(tiny_trunk()(images())), rtol=0.02, atol=0.01)
    save_trunk(loaded, tmp_path / "again")
    assert (tmp_path / "again" / WEIGHTS).read_bytes() == (folder / WEIGHTS).read_bytes()
    assert (tmp_path / "again" / CONFIG).read_text() == (folder / CONFIG).read_text()
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_folding_normalisation_into_convolutions_changes_nothing(folder: Path) -> None:
    plain, folded = trunk_in(folder), fused(trunk_in(folder))
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in folded.modules())
    for one, other in zip(plain(images()), folded(images()), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(37, 50), (64, 64), (33, 35)])
def test_every_map_is_as_large_as_its_strides_say(folder: Path, height: int, width: int) -> None:
    maps = trunk_in(folder)(images(1, height, width))
    shrunk = [(math.ceil(height / stride), math.ceil(width / stride)) for stride in (2, 2, 4, 4)]
    assert [tuple(one.shape[2:]) for one in maps] == shrunk
    assert [one.shape[1] for one in maps] == TINY.channels


@pytest.mark.parametrize(("length", "first"), [(7, 0), (8, 1)])
def test_padding_is_at_both_sides_of_odd_lengths_and_after_even_ones(length: int, first: int) -> None:
    """A stem that copies the centre of its window shows where windows begin: TensorFlow's SAME, whose stride-2 windows of
    an even length begin at pixel 0 and centre on pixel 1."""
    trunk = Trunk(TrunkConfig(stem=3, stages=(), mean=0.0, std=1.0)).eval()
    with torch.no_grad():
        weight = trunk.stem[0].get_parameter("weight").zero_()
        weight[range(3), range(3), 1, 1] = 1
    x = images(1, length, length)
    torch.testing.assert_close(trunk(x)[0].detach(), x[..., first::2, first::2], rtol=1e-3, atol=1e-3)


def test_statistics_are_the_mean_and_standard_deviation_of_each_channel(folder: Path) -> None:
    maps = trunk_in(folder)(images())
    found = statistics(maps)
    assert found.shape == (3, 2 * sum(TINY.channels))
    parts = [part for one in maps for part in (one.mean(dim=(2, 3)), one.flatten(2).std(dim=2, unbiased=False))]
    torch.testing.assert_close(found, torch.cat(parts, dim=1), rtol=1e-3, atol=1e-3)


def test_correlations_are_pearsons_of_every_pair_of_channels(folder: Path) -> None:
    maps = trunk_in(folder)(images())[:2]
    found = correlations(maps)
    expected = []
    for place in range(3):
        for one in maps:
            square = torch.corrcoef(one[place].flatten(1))
            expected.append(square[*torch.triu_indices(len(square), len(square), 1)])
    torch.testing.assert_close(found.flatten(), torch.cat(expected), rtol=1e-2, atol=2e-2)
    lens = load_lens(f"convolutional:{folder}?statistic=correlations")
    assert lens.apply(images()).shape == (3, lens.size)
    with pytest.raises(LensError, match="statistic=median is unknown; give moments or correlations"):
        load_lens(f"convolutional:{folder}?statistic=median")


def test_a_row_depends_on_its_image_alone(folder: Path) -> None:
    apply = apply_trunk(trunk_in(folder))
    together = apply(images())
    torch.testing.assert_close(apply(images()[1:2]), together[1:2], rtol=1e-5, atol=1e-6)
    other = images()
    other[0] = 0
    torch.testing.assert_close(apply(other)[1:], together[1:], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(apply(other)[0], together[0], rtol=1e-2)


def test_its_gradient_is_the_slope_of_its_values(folder: Path) -> None:
    apply = apply_trunk(trunk_in(folder).double())
    x = (0.25 + images(1).double() / 2).requires_grad_()
    weights = torch.linspace(-1, 1, 2 * sum(TINY.channels)).double()
    (gradient,) = torch.autograd.grad((apply(x) * weights).sum(), x)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double()
    step = 1e-7
    with torch.no_grad():
        rise = ((apply(x + step * direction) - apply(x - step * direction)) * weights).sum() / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), rise, rtol=1e-3, atol=1e-6)
    assert float(gradient.abs().max()) > 0


def test_the_lens_of_the_package_is_found_by_its_name() -> None:
    lens = load_lens("convolutional:efficientnet-lite0")
    assert load_lens("convolutional:efficientnet-lite0", torch.device("cpu")) is lens
    features = lens.apply(images(2, 64, 64))
    assert features.shape == (2, lens.size)
    assert lens.size == 2 * sum(trunk_in(PACKAGE / "efficientnet-lite0").config.channels)
    assert torch.isfinite(features).all()
    assert sorted(lens.digests) == [CONFIG, WEIGHTS]


def test_a_lens_is_found_by_its_folder(folder: Path) -> None:
    lens = load_lens(f"convolutional:{folder}")
    assert lens.size == 2 * sum(TINY.channels)
    torch.testing.assert_close(lens.apply(images()), statistics(trunk_in(folder)(images())), rtol=1e-4, atol=1e-5)


def test_a_damaged_folder_is_told_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    texts = {"no-json": "{", "list": "[]", "part": '{"stem": 4}', "other": (folder / CONFIG).read_text().replace("8", "16")}
    broken = {name: shutil.copytree(folder, tmp_path / name) for name in (*texts, "cut", "without")}
    for name, text in texts.items():
        (broken[name] / CONFIG).write_text(text)
    (broken["cut"] / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:200])
    (broken["without"] / WEIGHTS).unlink()
    for path in (*broken.values(), tmp_path / "none"):
        with pytest.raises(LensError, match=rf"(?s)lens 'convolutional:.*{path.name}': cannot be loaded.*give the folder"):
            load_lens(f"convolutional:{path}")
