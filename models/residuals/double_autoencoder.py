"""AEDR (Wang et al., AAAI 2026, arXiv 2507.18988): an image that a decoder made changes as little the first time as the second.

x1 = D(E(x)), x2 = D(E(x1)), t = MSE(x, x1) / MSE(x1, x2), times the homogeneity of the image, since smooth images reconstruct
well whoever made them. The paper leaves the co-occurrence's levels, offsets and averaging open; see :func:`homogeneity`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from causalprint.models.residuals.autoencoder import AutoencoderResidual, load_codec
from causalprint.models.residuals.base import Reconstruction, gradients_where_asked, subtract
from causalprint.models.residuals.spec import ResidualSpec

SMALLEST_LOSS = 1e-12


class DoubleAutoencoderResidual(AutoencoderResidual):
    """The residual of the first pass, and what both passes lose."""

    @gradients_where_asked
    def __call__(self, x: Tensor) -> Reconstruction:
        """As of :class:`~causalprint.models.residuals.base.Residual`.

        Scalars: ``first_loss`` = MSE(x, x1) and ``second_loss`` = MSE(x1, x2) (image range 0 to 1), ``ratio`` (losses below
        1e-12 count as that), ``homogeneity`` (0 to 1) and ``score`` = ratio · homogeneity, low where the decoder made the image.
        """
        first = self.codec(x)
        second = self.codec(first)
        first_loss, second_loss = _mean_square(x - first), _mean_square(first - second)
        ratio = first_loss.clamp(min=SMALLEST_LOSS) / second_loss.clamp(min=SMALLEST_LOSS)
        smooth = homogeneity(x)
        scalars = {
            "first_loss": first_loss,
            "second_loss": second_loss,
            "ratio": ratio,
            "homogeneity": smooth,
            "score": ratio * smooth,
        }
        return subtract(x, first, scalars)


def homogeneity(x: Tensor) -> Tensor:
    """Homogeneity of the grey-level co-occurrence matrix of ``x`` (N, 3, H, W) in 0 to 1, as (N,) in 0 to 1.

    Σ p(i, j) / (1 + (i - j)²) over 256 levels of BT.601 luma, neighbours at distance 1 in four directions, averaged over
    the directions. A sum over the matrix of pairs is a mean over the pairs, so the matrix is never made.
    """
    luma = (255 * (0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])).round()
    height, width = luma.shape[-2:]
    pairs = (
        (luma[:, :, : width - 1], luma[:, :, 1:]),
        (luma[:, : height - 1, :], luma[:, 1:, :]),
        (luma[:, : height - 1, : width - 1], luma[:, 1:, 1:]),
        (luma[:, 1:, : width - 1], luma[:, : height - 1, 1:]),
    )
    directions = [(1 / (1 + (one - other).square())).mean(dim=(1, 2)) for one, other in pairs if one.numel()]
    return torch.stack(directions).mean(dim=0) if directions else torch.ones_like(luma[:, 0, 0])


def load(spec: ResidualSpec, device: torch.device | str) -> DoubleAutoencoderResidual:
    """Loads kind ``double-autoencoder``, from the same places as ``autoencoder``."""
    return DoubleAutoencoderResidual(spec, load_codec(spec, device))


def _mean_square(difference: Tensor) -> Tensor:
    return difference.square().mean(dim=(1, 2, 3))
