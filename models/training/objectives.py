"""What a fingerprint is trained for, one function a term: each takes fingerprints of a batch and gives a scalar.

arXiv 2509.15406 claims that content, style and artefact are decoupled and has no term that would do it. These are ours: its
causal model says that the artefact alone causes the fingerprint, so interventions on content and style must leave it where it is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import normalize, one_hot

TEMPERATURE = 0.1


def contrast(fingerprint: Tensor, labels: Tensor, origins: Tensor, contents: Tensor, hard: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al., NeurIPS 2020, L_out) of fingerprints (M, 128).

    Hard pairs count ``hard`` times: positives of another origin, which share the source and not its history; negatives of the
    same content, which share all but the source.

    Args:
        fingerprint: of all versions of a batch.
        labels: (M,) whole numbers, as the next two.
        origins: (M,).
        contents: (M,).
        hard: at least 1.
    """
    unit = normalize(fingerprint, dim=1)
    similar = unit @ unit.T / TEMPERATURE
    same = labels[:, None] == labels
    other = ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    negative = torch.where(contents[:, None] == contents, hard, 1.0) * ~same
    positive = torch.where(origins[:, None] != origins, hard, 1.0) * (same & other)
    weights = negative + positive.clamp(max=1.0)
    similar = similar - similar.detach().amax(dim=1, keepdim=True)
    partition = (similar.exp() * weights).sum(dim=1, keepdim=True) + 1e-12
    total = positive.sum(dim=1)
    lost = -((similar - partition.log()) * positive).sum(dim=1) / total.clamp(min=1e-12)
    return (lost * (total > 0)).sum() / (total > 0).sum().clamp(min=1)


def invariance(versions: Tensor) -> Tensor:
    """Mean squared distance of the fingerprints (N, V, 128) of an image's versions to their mean, over the spread of them all."""
    within = (versions - versions.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
    flat = versions.flatten(0, 1)
    return within / ((flat - flat.mean(dim=0)).square().sum(dim=1).mean() + 1e-6)


def independence(fingerprint: Tensor, codes: Tensor, labels: Tensor) -> Tensor:
    """Normalised HSIC (Gretton et al., ALT 2005) of fingerprints (M, 128) and codes of content and style (M, C), 0 to 1.

    Both are taken about the mean of their source: content that a source prefers is no fault of the fingerprint. Linear kernels,
    which see correlations, the only kind that a linear attribution can use.
    """
    member = one_hot(labels).to(fingerprint.dtype)
    share = member / member.sum(dim=0).clamp(min=1)
    one, two = (values - member @ (share.T @ values) for values in (fingerprint, codes))
    both = (one.T @ two).square().sum()
    share_of_both: Tensor = both / ((one.T @ one).norm() * (two.T @ two).norm() + 1e-6)
    return share_of_both


def divergence(mean: Tensor, spread: Tensor) -> Tensor:
    """KL of a code's normal distribution (mean and log variance, (M, 64)) to the standard one (Kingma & Welling, ICLR 2014)."""
    return -0.5 * (1 + spread - mean.square() - spread.exp()).sum(dim=1).mean() / mean.shape[1]


def reversed_gradient(values: Tensor) -> Tensor:
    """``values`` as they are, whose gradient is reversed (Ganin et al., JMLR 2016)."""
    found: Tensor = _Reversed.apply(values)  # type: ignore[no-untyped-call] # torch's stubs leave it untyped
    return found


class _Reversed(Function):
    @staticmethod
    def forward(_context: object, values: Tensor) -> Tensor:
        return values.view_as(values)

    @staticmethod
    def backward(_context: object, gradient: Tensor) -> Tensor:
        return -gradient
