"""The attention attributor scores alike in torch, where it learns, and in numpy, where verdicts are computed."""

from __future__ import annotations

import numpy as np
import torch

from causalprint.models.attention import attention_scores
from causalprint.models.training.networks import AttentionAttributor
from causalprint.schemas.tables import FINGERPRINT_DIM

CLASSES = 7


def attributor() -> AttentionAttributor:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return AttentionAttributor(CLASSES)


def test_numpy_computes_what_was_learned_in_torch() -> None:
    learned = attributor()
    rows = torch.randn(5, FINGERPRINT_DIM, generator=torch.Generator().manual_seed(1))
    in_torch = learned(rows).detach().numpy()
    assert in_torch.shape == (5, CLASSES)
    tensors = {name: value.detach().numpy() for name, value in learned.tensors.items()}
    np.testing.assert_allclose(attention_scores(tensors, rows.numpy(), np.exp), in_torch, rtol=1e-4, atol=1e-5)
    one = attention_scores(tensors, rows[2].numpy(), np.exp)
    assert one.shape == (CLASSES,)
    np.testing.assert_allclose(one, in_torch[2], rtol=1e-4, atol=1e-5)


def test_the_layer_is_a_transformers() -> None:
    """Against torch's own attention and normalisation, so that the formula is not only consistent but the right one."""
    learned = attributor()
    part = dict(learned.tensors.items())
    rows = torch.randn(4, FINGERPRINT_DIM, generator=torch.Generator().manual_seed(3))
    parts = rows.view(4, 8, 16) @ part["embed"] + part["place"]
    seen = torch.nn.functional.layer_norm(parts, (32,))
    query, key, value = (seen @ part[name] for name in ("query", "key", "value"))
    parts = parts + torch.nn.functional.scaled_dot_product_attention(query, key, value) @ part["out"]
    parts = parts + (torch.nn.functional.layer_norm(parts, (32,)) @ part["widen"]).relu() @ part["narrow"]
    expected = torch.nn.functional.layer_norm(parts, (32,)).mean(dim=1) @ part["classify"] + part["bias"]
    torch.testing.assert_close(learned(rows), expected, rtol=1e-4, atol=1e-5)


def test_every_part_of_the_fingerprint_and_every_tensor_counts() -> None:
    learned = attributor()
    rows = torch.randn(2, FINGERPRINT_DIM, generator=torch.Generator().manual_seed(1), requires_grad=True)
    learned(rows).square().sum().backward()
    assert rows.grad is not None
    assert (rows.grad.abs().view(2, 8, -1).sum(dim=2) > 0).all()
    assert all(value.grad is not None and value.grad.any() for value in learned.tensors.values())
