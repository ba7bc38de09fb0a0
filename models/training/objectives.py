"""What a fingerprint is trained for, one function a term, and their sum: each takes fingerprints of a batch and gives a scalar.

arXiv 2509.15406 claims that content, style and artefact are decoupled and has no term that would do it. These are ours: its
causal model says that the artefact alone causes the fingerprint, so interventions on content and style must leave it where it is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss, normalize, one_hot

from causalprint.models.training.networks import Critics, Networks
from causalprint.models.training.recipe import Recipe
from causalprint.models.training.sample import Sample

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


def batch_loss(networks: Networks, batch: Sample, recipe: Recipe, noise: Tensor) -> Tensor:
    """The objective of ``batch``, B images in V versions; ``noise`` (B V, 64) samples the autoencoder's code."""
    weights = recipe.objective
    versions = batch.style.shape[1]
    lenses = [lens.flatten(0, 1) for lens in batch.lenses]
    fused = networks.fingerprint(lenses, noise if recipe.autoencoder else None)
    fingerprint = fused.fingerprint
    labels = batch.labels.repeat_interleave(versions)
    loss = weights.cross_entropy * cross_entropy(networks.attributor(fingerprint), labels)
    loss = loss + weights.detection * detection(networks, fingerprint.detach(), batch, versions)
    if weights.contrast:
        origins, contents = (part.repeat_interleave(versions) for part in (batch.origins, batch.contents))
        loss = loss + weights.contrast * contrast(fingerprint, labels, origins, contents, weights.hard)
    if weights.invariance and versions > 1:
        loss = loss + weights.invariance * invariance(fingerprint.unflatten(0, (-1, versions)))
    if weights.independence:
        codes = torch.cat([batch.content.repeat_interleave(versions, dim=0), batch.style.flatten(0, 1)], dim=1)
        loss = loss + weights.independence * independence(fingerprint, codes, labels)
    if weights.adversary:
        loss = loss + weights.adversary * _adversary(networks.critics, fingerprint, batch, versions)
    if weights.swap:
        loss = loss + weights.swap * _swap(networks.critics, fingerprint.unflatten(0, (-1, versions))[:, 0], batch)
    if recipe.autoencoder:
        loss = loss + weights.reconstruction * mse_loss(fingerprint, fused.fused)
        loss = loss + weights.sparsity * fused.mean.abs().mean() + weights.divergence * divergence(fused.mean, fused.spread)
    return loss


def detection(networks: Networks, fingerprint: Tensor, batch: Sample, versions: int) -> Tensor:
    """Cross-entropy of whether a generator made each image, either answer weighing half.

    It moves the detector alone: ``fingerprint`` (M, 128) has no gradient.
    """
    odds = networks.detector(fingerprint).amin(dim=1)
    made = batch.generated.repeat_interleave(versions)
    half = torch.where(made, made.sum(), (~made).sum()).clamp(min=1) * 2
    lost = binary_cross_entropy_with_logits(odds, made.to(odds.dtype), reduction="none")
    return (lost / half).sum()


def _adversary(critics: Critics, fingerprint: Tensor, batch: Sample, versions: int) -> Tensor:
    """Cross-entropy of guessing the origin among those of the image's source; the fingerprint's gradient is reversed."""
    guesses = critics.adversary(reversed_gradient(fingerprint))
    of_source = torch.zeros(int(batch.labels.max()) + 1, guesses.shape[1], dtype=torch.bool, device=guesses.device)
    of_source[batch.labels, batch.origins] = True
    possible = of_source[batch.labels].repeat_interleave(versions, dim=0)
    return cross_entropy(guesses.masked_fill(~possible, -1e4), batch.origins.repeat_interleave(versions))


def _swap(critics: Critics, fingerprint: Tensor, batch: Sample) -> Tensor:
    """Decoding error, in units of the components' variance: of each image, and of each with the fingerprint of a sibling.

    A sibling shows the same content and is of another source; its fingerprint with this image's code of content must give the
    sibling's components.
    """
    components = torch.cat([lens[:, 0] for lens in batch.lenses], dim=1)
    spread = components.var(dim=0).sum() + 1e-6
    lost = (critics.decode(fingerprint, batch.content) - components).square().sum(dim=1).mean() / spread
    alike = (batch.contents[:, None] == batch.contents) & (batch.labels[:, None] != batch.labels)
    one, other = alike.nonzero(as_tuple=True)
    if len(one):
        swapped = critics.decode(fingerprint[other], batch.content[one]) - components[other]
        lost = lost + swapped.square().sum(dim=1).mean() / spread
    return lost
