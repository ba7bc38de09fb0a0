"""The causal fingerprint: residual, lenses, projection to 128 numbers.

Following Xu et al., arXiv 2509.15406: r = X - R(X), F = b + sum over lenses s of P_s z_s, where z_s is lens s (in one of its
readings) standardised by the training images' mean and scale. The paper leaves the projection open; here it is linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from causalprint.models.bundles.bundle import FINGERPRINT_FILE, MANIFEST, Bundle
from causalprint.models.bundles.manifest import BundleError
from causalprint.models.features import FeatureExtractor, cut, pick_device
from causalprint.models.lenses import LENSES
from causalprint.models.network.fusion import load_network
from causalprint.models.network.reduction import CLIP
from causalprint.models.residuals.base import Reconstruction
from causalprint.schemas.arrays import Crops
from causalprint.schemas.tables import FINGERPRINT_DIM

SCALARS = {name: summarise for lens in LENSES.values() for name, summarise in lens.scalars.items()}
"""What fills the columns of table ``embeddings`` that lenses have, by column, in the registry's order."""


class Fingerprints(NamedTuple):
    """What is stored of N crops, or of one image once :func:`combine` has averaged its crops (N = 1).

    Attributes:
        fingerprint: float16 (N, 128); the zero vector where the crop is flat and carries no evidence.
        residual_energy: float32 (N,), root mean square of the residual, image range 0 to 1.
        scalars: float32 (N,) for each scalar column of table ``embeddings``.
    """

    fingerprint: npt.NDArray[np.float16]
    residual_energy: npt.NDArray[np.float32]
    scalars: dict[str, npt.NDArray[np.float32]]

    def rows(self, start: int, end: int) -> Fingerprints:
        """Those of crops ``start`` to ``end``, not included."""
        scalars = {name: values[start:end] for name, values in self.scalars.items()}
        return Fingerprints(self.fingerprint[start:end], self.residual_energy[start:end], scalars)


class Fingerprinter:
    """A loaded bundle that computes fingerprints. Thread safe; a row depends on its crop alone.

    On a CPU each crop is computed by itself on one thread (the caller runs several in parallel); on a GPU in micro-batches of
    one size, padded. So neither the batch nor the number of threads and workers changes a row.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Loads the residual and the projections onto ``device``.

        Raises:
            BundleError: the bundle was made for lenses that this version has not.
            ResidualError: the residual cannot be loaded.
            ValueError: the device is missing.
        """
        self.bundle = bundle
        self.device = pick_device(device)
        self._extract = FeatureExtractor(bundle.residual, bundle.features, self.device, str(bundle.directory / MANIFEST))
        stored = load_file(bundle.directory / FINGERPRINT_FILE)
        self._standards = [
            tuple(stored[f"{feature.key}.{part}"].to(self.device, torch.float32) for part in ("mean", "scale"))
            for feature in bundle.manifest.features
        ]
        self._network = load_network(stored, bundle.manifest.features, bundle.manifest.network).to(self.device)
        self._canary: Fingerprints | None = None

    @property
    def micro_batch(self) -> int:
        """Crops that one call of the model takes."""
        return 1 if self.device.type == "cpu" else self.bundle.manifest.geometry.micro_batch

    def keep_canary(self) -> None:
        """Computes a crop that is always the same, and keeps what comes of it for :meth:`canary_sings`.

        Raises:
            BundleError: that is not finite: no image would get a verdict.
        """
        canary = self(_canary_crop(self.bundle.manifest.geometry.crop))
        if not np.isfinite(canary.fingerprint).all():
            where = self.bundle.directory / MANIFEST
            raise BundleError(f"{where}: an ordinary crop has no finite fingerprint; the bundle or its residual is damaged")
        self._canary = canary

    def canary_sings(self) -> bool:
        """Whether that crop still gives the fingerprint that it gave when it was kept: whether the machine can be believed."""
        if self._canary is None:
            self.keep_canary()
        before, now = self._canary, self(_canary_crop(self.bundle.manifest.geometry.crop))
        return before is not None and np.array_equal(before.fingerprint, now.fingerprint, equal_nan=True)

    def crops(self, pixels: npt.NDArray[np.uint8]) -> Crops:
        """The crops that vote: uint8 (V, C, C, 3) of uint8 (H, W, 3); V = 0 where the image is smaller than the crop."""
        return cut(pixels, self.bundle.manifest.geometry)

    def __call__(self, crops: Crops) -> Fingerprints:
        """Fingerprints of crops uint8 (N, C, C, 3)."""
        size = self.micro_batch
        parts = [self._micro_batch(crops[start : start + size]) for start in range(0, len(crops), size)]
        return Fingerprints(
            np.concatenate([np.zeros((0, FINGERPRINT_DIM), np.float16), *(part.fingerprint for part in parts)]),
            np.concatenate([np.zeros(0, np.float32), *(part.residual_energy for part in parts)]),
            {name: np.concatenate([np.zeros(0, np.float32), *(part.scalars[name] for part in parts)]) for name in SCALARS},
        )

    def of_images(self, images: Sequence[Crops]) -> list[Fingerprints]:
        """The vote of each image's crops, uint8 (V, C, C, 3) with V of one at least, all images computed together."""
        if not images:
            return []
        computed = self(np.concatenate(images))
        ends = list(accumulate(len(crops) for crops in images))
        return [combine(computed.rows(start, end)) for start, end in zip([0, *ends], ends, strict=False)]

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Fingerprints float32 (N, 128) of crops float32 (N, 3, C, C), 0 to 1, with gradients where ``x`` requires them.

        Equal to those of a call up to its rounding to float16. What is counted in steps (co-occurrences, outliers) takes the
        gradient of a soft count; a flat crop's fingerprint is constant.

        Raises:
            GradientError: gradients are asked for, and the residual or a lens gives none.
        """
        with torch.inference_mode(not x.requires_grad), exact_kernels():
            image = x.contiguous()  # another layout in memory would take kernels that round otherwise
            return self._fuse(image, self._extract.residual(image))

    def _micro_batch(self, crops: Crops) -> Fingerprints:
        count = len(crops)
        # Another number of rows could choose another kernel, and with it another rounding.
        padded = np.concatenate([crops, np.repeat(crops[-1:], self.micro_batch - count, axis=0)])
        with torch.inference_mode(), exact_kernels():
            x, reconstruction = self._extract.reconstruct(padded)
            residual = reconstruction.residual
            fused = self._fuse(x, reconstruction)
            energy = residual.flatten(1).square().mean(dim=1).sqrt()
            scalars = {name: summarise(residual)[:count].cpu().numpy() for name, summarise in SCALARS.items()}
        return Fingerprints(fused[:count].to(torch.float16).cpu().numpy(), energy[:count].cpu().numpy(), scalars)

    def _fuse(self, x: torch.Tensor, reconstruction: Reconstruction) -> torch.Tensor:
        values = zip(self._extract.read(x, reconstruction), self._standards, strict=True)
        standardised = [torch.clamp((value - mean) / scale, -CLIP, CLIP) for value, (mean, scale) in values]
        fused: torch.Tensor = self._network(standardised).fingerprint
        flat = roughness(x) < self.bundle.manifest.decision.flat
        return torch.where(flat[:, None], torch.zeros_like(fused), fused)


def _canary_crop(side: int) -> Crops:
    """Shades and grain, uint8 (1, side, side, 3)."""
    shades = np.add.outer(np.arange(side), np.arange(side)) * (128 / side)
    grain = np.random.default_rng(0).integers(0, 64, (side, side, 3))
    return np.asarray(shades[..., None] / 2 + grain, np.uint8)[None]


def combine(crops: Fingerprints) -> Fingerprints:
    """The vote of one image's crops: means, of the fingerprint over those that are not flat; N = 1."""
    evident = crops.fingerprint.any(axis=1)
    voting = crops.fingerprint[evident] if evident.any() else crops.fingerprint
    return Fingerprints(
        voting.astype(np.float32).mean(axis=0, keepdims=True).astype(np.float16),
        crops.residual_energy.mean(keepdims=True),
        {name: values.mean(keepdims=True) for name, values in crops.scalars.items()},
    )


def exact_kernels() -> AbstractContextManager[None]:
    """No TF32 and no autotuning, which would let rows depend on the machine and on what ran before."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False)
    return flags


def roughness(x: torch.Tensor) -> torch.Tensor:
    """Root mean square difference of neighbouring pixels of images (N, 3, H, W), as (N,), in units of the image.

    Of the image and not of the residual: a network's residual of a flat colour is its own texture.
    """
    steps = [x.diff(dim=axis).square().mean(dim=(1, 2, 3)) for axis in (2, 3)]
    return ((steps[0] + steps[1]) / 2).sqrt()
