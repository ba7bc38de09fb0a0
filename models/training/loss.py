"""The objective of a batch, as a recipe weighs it."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from causalprint.models.training.networks import Critics, Networks
from causalprint.models.training.objectives import contrast, divergence, independence, invariance, reversed_gradient
from causalprint.models.training.recipe import Recipe
from causalprint.models.training.sample import Sample


def batch_loss(networks: Networks, batch: Sample, recipe: Recipe, noise: Tensor) -> Tensor:
    """The objective of ``batch``, B images in V versions; ``noise`` (B V, 64) samples the autoencoder's code."""
    weights = recipe.objective
    versions = batch.style.shape[1]
    lenses = [lens.flatten(0, 1) for lens in batch.lenses]
    fused = networks.fingerprint(lenses, noise if recipe.autoencoder else None)
    fingerprint = fused.fingerprint
    labels = batch.labels.repeat_interleave(versions)
    loss = weights.cross_entropy * cross_entropy(networks.attributor(fingerprint), labels)
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
