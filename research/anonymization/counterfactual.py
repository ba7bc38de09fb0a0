"""Counterfactual images: what would this image look like to the attributor, had another source made it?

Three ways inside one L∞ ball, on images of 8 bits: gradient descent through residual, lenses and head (:func:`pgd`), the exchange
of two sources' mean residuals (:func:`swap`), and chance as a control (:func:`random_noise`, :func:`shuffled`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from causalprint.models.attribution import Attributor
from causalprint.models.encodings import recompress
from causalprint.models.fingerprint import Fingerprinter
from causalprint.models.lenses.fourier import FLOOR, square_norm, straight_through
from causalprint.models.lenses.rgb import TILE, mean_tile

WHITE = 255
MOMENTUM = 0.5
STEEPEST = 3.0
"""A pixel moves at most this many times as far as a root mean square pixel."""
LAST_STEP = 0.1
NEAR = 2.0
"""A fingerprint is where a source's are within this squared distance; 1 is usual."""
MARGIN = 0.05
"""Of familiarity, against the rounding of stored fingerprints to float16."""


class Chain(NamedTuple):
    """What is attacked, from pixels to distances.

    Attributes:
        embed: images float32 (N, 3, H, W), 0 to 1 -> fingerprints float32 (N, 128), with gradients.
        scores: fingerprints -> logits (N, K).
        familiarity: fingerprints -> how familiar each source finds them, (N, K).
        distances: fingerprints -> squared distance to each source's centre, about 1 for images of that source, (N, K).
        limit: where the largest familiarity is below it, the verdict is ``unknown``.
    """

    embed: Callable[[Tensor], Tensor]
    scores: Callable[[Tensor], Tensor]
    familiarity: Callable[[Tensor], Tensor]
    distances: Callable[[Tensor], Tensor]
    limit: float


@dataclass(frozen=True, slots=True)
class Descent:
    """How :func:`pgd` goes.

    Attributes:
        epsilon: radius of the L∞ ball, image range 0 to 1; rounded down to whole levels of 8 bits.
        steps: at most; one call of the network forth and back each.
        step: length of the first step, root mean square over the pixels, 0 to 1; the last is a tenth of it.
        weight: of the distance to the target's centre, beside the cross-entropy.
        confidence: the descent ends where the target is at least so probable and the fingerprint near the target's.
        jpeg: quality of a JPEG whose verdict must be the target's as well; ``None`` for none.
    """

    epsilon: float = 4 / WHITE
    steps: int = 30
    step: float = 0.5 / WHITE
    weight: float = 2.0
    confidence: float = 0.95
    jpeg: int | None = None


def chain(fingerprinter: Fingerprinter, attributor: Attributor, places: Sequence[tuple[int, int]]) -> Chain:
    """The chain that a bundle's verdict comes from, on images of which the crops at ``places``, top and left, are analysed."""
    side = fingerprinter.bundle.manifest.geometry.crop

    def embed(x: Tensor) -> Tensor:
        crops = torch.stack([x[..., top : top + side, left : left + side] for top, left in places], dim=1)
        return fingerprinter.embed(crops[:, 0], crops[:, 1:])

    limit = fingerprinter.bundle.manifest.decision.novelty_limit + MARGIN
    return Chain(embed, attributor.scores, attributor.familiarity, attributor.distances, limit)


def pgd(chain: Chain, x: Tensor, source: Tensor, descent: Descent, *, away: bool = False) -> Tensor:
    """Projected gradient descent (Madry et al., ICLR 2018) under the fingerprint's constraint (Xu et al., arXiv 2509.15406).

    Minimises over δ, with F the fingerprint of the image x + δ rounded to 8 bits, |δ| ≤ ε and x + δ in 0 to 1,

        L(δ) = CE(s(F), t) + max(0, limit - f_t(F)) + weight · d²(F, c_t)

    so that the fingerprint does not only leave the side of the boundary that it was on, but arrives where the target's
    fingerprints are (the paper leaves open what its constraint is; here d² is Mahalanobis distance over the number of
    dimensions, and being within twice what is usual of the target is required). The middle term keeps the familiarity f_t above
    the limit below which an image is like no known source. ``away`` takes for t, at every step, the most probable source but
    ``source``: the untargeted attack.

    The gradient is that at the rounded image, so success is success as a PNG. Steps follow the gradient over its root mean
    square, cut at 3, with momentum 0.5 and lengths that fall along a cosine; steps by sign move every pixel a whole level,
    which is itself an artefact and takes the fingerprint far from every source.

    Args:
        chain: what is attacked.
        x: images float32 (N, 3, H, W), multiples of 1/255, 0 to 1; rows are attacked independently.
        source: int64 (N,): the target, or with ``away`` what is to be left.
        descent: limits and lengths.
        away: untargeted.

    Returns:
        As ``x``, multiples of 1/255: of every image the first that met the constraint; else, among those that the target was
        confident of if there are any, the one of least loss.

    Raises:
        GradientError: the residual or a lens gives no gradient.
    """
    bound = levels(descent.epsilon) / WHITE
    delta, momentum, best = torch.zeros_like(x), torch.zeros_like(x), x.clone()
    least = torch.full((len(x),), math.inf, device=x.device)
    done, named = (torch.zeros(len(x), dtype=torch.bool, device=x.device) for _ in range(2))
    for step in range(descent.steps + 1):
        image = rounded(x + delta).requires_grad_()
        loss, confident, near = _objective(chain, image, source, descent, away)
        reached = confident & near
        better = ~done & (reached | (confident & ~named) | ((confident == named) & (loss.detach() < least)))
        best = torch.where(better[:, None, None, None], image.detach(), best)
        least = torch.where(better, loss.detach(), least)
        done, named = done | reached, named | confident
        if done.all() or step == descent.steps:
            break
        (gradient,) = torch.autograd.grad(loss.sum(), image)
        size = gradient.square().mean(dim=(1, 2, 3), keepdim=True).sqrt() + torch.finfo(gradient.dtype).tiny
        momentum = MOMENTUM * momentum + (1 - MOMENTUM) * (gradient / size).clamp(-STEEPEST, STEEPEST)
        share = LAST_STEP + (1 - LAST_STEP) * (1 + math.cos(math.pi * step / descent.steps)) / 2
        delta = (delta - share * descent.step * momentum).clamp(-bound, bound)
    return best


class Trace(NamedTuple):
    """What a source leaves in a residual on average.

    Attributes:
        log_amplitude: natural logarithm of |FFT| of the residual less its tile, over the half plane, (3, C, C // 2 + 1).
        tile: the mean residual over all 8x8 tiles, (3, 8, 8).
    """

    log_amplitude: Tensor
    tile: Tensor


def mean_trace(residuals: Tensor) -> Trace:
    """The trace of a source, from residuals float32 (N, 3, C, C) of its images, C a multiple of 8.

    The spectrum is kept bin by bin, since upsampling leaves single lines; the mean is kept per 8x8 tile, since with few images a
    larger one would hold their content.
    """
    tile = mean_tile(residuals).mean(dim=0)
    return Trace(_amplitude(torch.fft.rfft2(residuals - spread(tile, residuals))).log().mean(dim=0), tile)


def swap(x: Tensor, residual: Tensor, source: Trace, target: Trace, epsilon: float) -> Tensor:
    """Takes one source's trace out of an image and puts another's in: x + P(r' - r), P the projection onto the L∞ ball.

    r' = FFT⁻¹[ FFT(r - tile_s) · exp(A_t - A_s) ] + tile_t, with A the mean log amplitudes: the phases, which hold the content,
    stay. No gradient and no attributor is asked, so what it changes it changes for every attributor that reads such a residual.

    Args:
        x: crops float32 (N, 3, C, C), multiples of 1/255, 0 to 1.
        residual: theirs.
        source: the trace that is taken out.
        target: the trace that is put in.
        epsilon: radius of the ball, image range 0 to 1.

    Returns:
        As ``x``, multiples of 1/255.
    """
    bound = levels(epsilon) / WHITE
    gain = (target.log_amplitude - source.log_amplitude).exp()
    spectrum = torch.fft.rfft2(residual - spread(source.tile, residual)) * gain
    swapped = torch.fft.irfft2(spectrum, s=residual.shape[-2:]) + spread(target.tile, residual)
    return rounded(x + (swapped - residual).clamp(-bound, bound))


def random_noise(x: Tensor, epsilon: float, seed: int) -> Tensor:
    """``x`` (N, 3, H, W), each value moved by +ε or -ε at random: the most that the ball allows, without any aim."""
    signs = np.random.default_rng(seed).choice(np.array([-1, 1], np.float32), x.shape)
    return rounded(x + levels(epsilon) / WHITE * torch.from_numpy(signs).to(x.device))


def shuffled(x: Tensor, attacked: Tensor, seed: int) -> Tensor:
    """The same changes of ``x`` (3, H, W) at other places, drawn at random: of the same norm in every sense, up to clipping."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(x.numel())).to(x.device)
    return rounded(x + (attacked - x).flatten()[order].view_as(x))


class Fidelity(NamedTuple):
    """How near a changed image is to the original.

    Attributes:
        ssim: structural similarity (Wang et al., TIP 2004), 7x7 windows, mean of the channels.
        psnr: dB; ``None`` where nothing was changed.
        largest: largest change of a value, in levels of 255: the L∞ norm.
        rms: root mean square change, in levels of 255.
    """

    ssim: float
    psnr: float | None
    largest: int
    rms: float


def fidelity(original: np.ndarray, changed: np.ndarray) -> Fidelity:
    """Of crops uint8 (V, C, C, 3), all that an attributor saw: what lies around them, unchanged, would flatter the figures."""
    from skimage.metrics import structural_similarity

    measure: Callable[..., float] = structural_similarity
    pairs = zip(original, changed, strict=True)
    similarity = [measure(one, other, channel_axis=2, data_range=WHITE) for one, other in pairs]
    difference = changed.astype(np.int64) - original
    error = float(np.square(difference).mean())
    psnr = 10 * math.log10(WHITE**2 / error) if error else None
    return Fidelity(float(np.mean(similarity)), psnr, int(np.abs(difference).max()), math.sqrt(error))


def levels(epsilon: float) -> int:
    """Whole levels of 8 bits within ``epsilon``, image range 0 to 1."""
    return math.floor(epsilon * WHITE + 1e-6)


def rounded(x: Tensor) -> Tensor:
    """``x`` as 8 bits hold it: clipped to 0 to 1, multiples of 1/255; no gradient flows through."""
    return (x.detach().clamp(0, 1) * WHITE).round() / WHITE


def spread(tile: Tensor, like: Tensor) -> Tensor:
    """A tile (3, 8, 8) repeated from the top left over the size of ``like``."""
    rows, columns = (-(-side // TILE) for side in like.shape[-2:])
    return tile.repeat(1, rows, columns)[:, : like.shape[-2], : like.shape[-1]]


def to_image(pixels: np.ndarray, device: torch.device) -> Tensor:
    """uint8 (..., H, W, 3) as float32 (..., 3, H, W), 0 to 1."""
    return torch.tensor(pixels, device=device).movedim(-1, -3).to(torch.float32).div(WHITE).contiguous()


def to_pixels(x: Tensor) -> np.ndarray:
    """The opposite of :func:`to_image`."""
    pixels: np.ndarray = (x.detach() * WHITE).round().to(torch.uint8).movedim(-3, -1).cpu().numpy()
    return pixels


class _Aimed(NamedTuple):
    """Loss, whether the target is confidently named, and whether the fingerprint is near its centre, (N,) each."""

    loss: Tensor
    confident: Tensor
    near: Tensor


def _objective(chain: Chain, image: Tensor, source: Tensor, descent: Descent, away: bool) -> _Aimed:
    """Of images (N, 3, H, W), and of their JPEGs where these count."""
    plain = _aim(chain, image, source, descent, away)
    if descent.jpeg is None:
        return plain
    # JPEG is a step function; its gradient is taken as that of the identity (Athalye et al., ICML 2018).
    encoded = np.stack([recompress(pixels, descent.jpeg) for pixels in to_pixels(image)])
    other = _aim(chain, straight_through(to_image(encoded, image.device), image), source, descent, away)
    return _Aimed((plain.loss + other.loss) / 2, plain.confident & other.confident, plain.near & other.near)


def _aim(chain: Chain, image: Tensor, source: Tensor, descent: Descent, away: bool) -> _Aimed:
    fingerprint = chain.embed(image)
    scores = chain.scores(fingerprint)
    target = scores.detach().scatter(1, source[:, None], -math.inf).argmax(dim=1) if away else source
    measures = (chain.distances(fingerprint), chain.familiarity(fingerprint))
    distance, familiar = (each.gather(1, target[:, None])[:, 0] for each in measures)
    loss = cross_entropy(scores, target, reduction="none") + (chain.limit - familiar).relu() + descent.weight * distance
    probability = scores.detach().softmax(dim=1).gather(1, target[:, None])[:, 0]
    confident = (probability >= descent.confidence) & (familiar.detach() >= chain.limit)
    return _Aimed(loss, confident, distance.detach() <= NEAR)


def _amplitude(spectrum: Tensor) -> Tensor:
    return (square_norm(spectrum) + FLOOR * spectrum.shape[-2] ** 2).sqrt()
