"""Three ways to weigh lenses, and an autoencoder that draws its code only while it learns."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from causalprint.models.network.fusion import CODE_DIM, Autoencoder, FingerprintNetwork
from causalprint.schemas.tables import FINGERPRINT_DIM

SIZES = (5, 9, 3)


def lenses(count: int = 4) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn((count, size), generator=draw) for size in SIZES]


def network(fusion: str, *, autoencoder: bool = False) -> FingerprintNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return FingerprintNetwork(SIZES, fusion, autoencoder=autoencoder).eval()


def tokens_of(made: FingerprintNetwork) -> Tensor:
    return torch.stack([token(lens) for token, lens in zip(made.tokens, lenses(), strict=True)], dim=1)


def test_f0_adds_the_lenses_up_as_they_are() -> None:
    made = network("f0")
    tokens = tokens_of(made)
    torch.testing.assert_close(made.shares(tokens), torch.ones(4, len(SIZES)))
    torch.testing.assert_close(made(lenses()).fingerprint, tokens.sum(dim=1))


def test_f1_weighs_lenses_alike_for_every_image() -> None:
    made = network("f1")
    made.weights.copy_(torch.tensor([0.2, 0.8, 0.5]))
    tokens = tokens_of(made)
    torch.testing.assert_close(made.shares(tokens), torch.tensor([[0.4, 1.6, 1.0]]).expand(4, -1))
    expected = 0.4 * tokens[:, 0] + 1.6 * tokens[:, 1] + tokens[:, 2]
    torch.testing.assert_close(made(lenses()).fingerprint, expected)


def test_f2_weighs_lenses_by_the_image() -> None:
    made = network("f2")
    with torch.no_grad():
        made.query.mul_(50)
    tokens = tokens_of(made)
    shares = made.shares(tokens).detach()
    torch.testing.assert_close(shares.sum(dim=1), torch.full((4,), float(len(SIZES))))
    assert (shares > 0).all()
    assert float((shares[0] - shares[1]).abs().max()) > 0.1
    torch.testing.assert_close(made(lenses()).fingerprint, (tokens * shares[..., None]).sum(dim=1))
    alone = made([lens[1:2] for lens in lenses()]).fingerprint
    torch.testing.assert_close(made(lenses()).fingerprint[1:2], alone)


@pytest.mark.parametrize("fusion", ["f0", "f1", "f2"])
def test_without_an_autoencoder_there_is_no_code(fusion: str) -> None:
    fused = network(fusion)(lenses())
    assert fused.fingerprint is fused.fused
    assert fused.mean.shape == fused.spread.shape == (4, 0)


def test_the_autoencoder_decodes_the_mean_of_its_code_and_samples_only_with_noise() -> None:
    made = network("f0", autoencoder=True)
    first, again = made(lenses()), made(lenses())
    assert torch.equal(first.fingerprint, again.fingerprint)
    assert first.mean.shape == first.spread.shape == (4, CODE_DIM)
    assert first.fingerprint.shape == first.fused.shape == (4, FINGERPRINT_DIM)
    torch.testing.assert_close(made(lenses(), torch.zeros(4, CODE_DIM)).fingerprint, first.fingerprint)
    assert not torch.equal(made(lenses(), torch.ones(4, CODE_DIM)).fingerprint, first.fingerprint)


def test_noise_moves_the_code_by_its_standard_deviation() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        coder = Autoencoder()
    codes: list[Tensor] = []
    coder.widen.register_forward_pre_hook(lambda _, inputs: codes.append(inputs[0]))
    found = coder(torch.randn(3, FINGERPRINT_DIM, generator=torch.Generator().manual_seed(2)), torch.ones(3, CODE_DIM))
    torch.testing.assert_close(codes[0] - found.mean, (found.spread / 2).exp())
