"""The causal fingerprint: residual, lenses, projection to 128 numbers.

Following Xu et al., arXiv 2509.15406: r = X - R(X), F = b + sum over lenses s of P_s z_s, where z_s is lens s (in one of its
readings) standardised by the training images' mean and scale. The paper leaves the projection open; here it is linear.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from causalprint.models.bundle import FINGERPRINT_FILE, MANIFEST, Bundle
from causalprint.models.lenses import LENSES, read
from causalprint.models.manifest import BundleError, Feature, Geometry
from causalprint.models.residuals import load_residual, parse_spec
from causalprint.models.residuals.base import Reconstruction
from causalprint.schemas.tables import FINGERPRINT_DIM

CLIP = 5.0
"""A standardised feature is cut at this many scales, so that no single outlier decides."""
GRID = 8
"""Crops begin on multiples of this many pixels, in phase with JPEG's blocks."""


class Fingerprints(NamedTuple):
    """What is stored of N crops, or of one image once :func:`combine` has averaged its crops (N = 1).

    Attributes:
        fingerprint: float16 (N, 128); the zero vector where the residual is flat and carries no evidence.
        residual_energy: float32 (N,), root mean square of the residual, image range 0 to 1.
        scalars: float32 (N,) for each scalar column of table ``embeddings``.
    """

    fingerprint: npt.NDArray[np.float16]
    residual_energy: npt.NDArray[np.float32]
    scalars: dict[str, npt.NDArray[np.float32]]


class Fingerprinter:
    """A loaded bundle that computes fingerprints. Thread safe; a row depends on its crop alone.

    On a CPU each crop is computed by itself on one thread (the caller runs several in parallel); on a GPU in micro-batches of
    one size, padded. So neither the batch nor the number of threads and workers changes a row.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Loads the residual and the projections onto ``device`` (see :func:`pick_device`).

        Raises:
            BundleError: the bundle was made for lenses that this version has not.
            ValueError: the device is missing.
        """
        self.bundle = bundle
        self.device = pick_device(device)
        if self.device.type == "cpu":
            torch.set_num_threads(1)
        self._residual = load_residual(parse_spec(bundle.residual), self.device)
        self._features = tuple(_check(feature, bundle) for feature in bundle.manifest.features)
        stored = load_file(bundle.directory / FINGERPRINT_FILE)
        self._tensors = {key: value.to(self.device, torch.float32) for key, value in stored.items()}

    @property
    def micro_batch(self) -> int:
        """Crops that one call of the model takes."""
        return 1 if self.device.type == "cpu" else self.bundle.manifest.geometry.micro_batch

    def crops(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The crops that vote: uint8 (V, C, C, 3) of uint8 (H, W, 3); V = 0 where the image is smaller than the crop."""
        return cut(pixels, self.bundle.manifest.geometry)

    def __call__(self, crops: npt.NDArray[np.uint8]) -> Fingerprints:
        """Fingerprints of crops uint8 (N, C, C, 3)."""
        size = self.micro_batch
        parts = [self._micro_batch(crops[start : start + size]) for start in range(0, len(crops), size)]
        return Fingerprints(
            np.concatenate([part.fingerprint for part in parts] or [np.zeros((0, FINGERPRINT_DIM), np.float16)]),
            np.concatenate([part.residual_energy for part in parts] or [np.zeros(0, np.float32)]),
            {
                name: np.concatenate([part.scalars[name] for part in parts] or [np.zeros(0, np.float32)])
                for name in scalar_columns()
            },
        )

    def features(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Raw features float32 (N, sum of sizes) of crops uint8 (N, C, C, 3): what training standardises and projects."""
        rows = []
        for crop in crops:
            x, reconstruction = self._reconstruct(crop[None])
            with torch.inference_mode():
                read_all = [read(LENSES[feature.lens], feature.reading, x, reconstruction) for feature in self._features]
                rows.append(torch.cat(read_all, dim=1).cpu().numpy())
        return np.concatenate(rows or [np.zeros((0, sum(feature.size for feature in self._features)), np.float32)])

    def _reconstruct(self, crops: npt.NDArray[np.uint8]) -> tuple[torch.Tensor, Reconstruction]:
        x = torch.tensor(crops, device=self.device).permute(0, 3, 1, 2).to(torch.float32).div(255).contiguous()
        with torch.inference_mode():
            return x, self._residual(x)

    def _micro_batch(self, crops: npt.NDArray[np.uint8]) -> Fingerprints:
        count = len(crops)
        # Another number of rows could choose another kernel, and with it another rounding.
        padded = np.concatenate([crops, np.repeat(crops[-1:], self.micro_batch - count, axis=0)])
        # TF32 and autotuning would make a row depend on the machine's mood.
        with torch.inference_mode(), torch.backends.cudnn.flags(benchmark=False, deterministic=True, allow_tf32=False):
            x, reconstruction = self._reconstruct(padded)
            residual = reconstruction.residual
            fused = self._tensors["bias"].repeat(len(padded), 1)
            for feature in self._features:
                values = read(LENSES[feature.lens], feature.reading, x, reconstruction)
                fused += self._project(feature, values)
            flat = residual.flatten(1).std(dim=1) < self.bundle.manifest.decision.flat
            fused = torch.where(flat[:, None], torch.zeros_like(fused), fused)
            energy = residual.flatten(1).square().mean(dim=1).sqrt()
            scalars = {lens.scalar: lens.summarise(residual)[:count].cpu().numpy() for lens in LENSES.values() if lens.scalar}
        return Fingerprints(fused[:count].to(torch.float16).cpu().numpy(), energy[:count].cpu().numpy(), scalars)

    def _project(self, feature: Feature, values: torch.Tensor) -> torch.Tensor:
        mean, scale, matrix = (self._tensors[f"{feature.key}.{part}"] for part in ("mean", "scale", "projection"))
        return torch.clamp((values - mean) / scale, -CLIP, CLIP) @ matrix.T


def combine(crops: Fingerprints) -> Fingerprints:
    """The vote of one image's crops: means, of the fingerprint over those that are not flat; N = 1."""
    evident = crops.fingerprint.any(axis=1)
    voting = crops.fingerprint[evident] if evident.any() else crops.fingerprint
    return Fingerprints(
        voting.astype(np.float32).mean(axis=0, keepdims=True).astype(np.float16),
        crops.residual_energy.mean(keepdims=True),
        {name: values.mean(keepdims=True) for name, values in crops.scalars.items()},
    )


def cut(pixels: npt.NDArray[np.uint8], geometry: Geometry) -> npt.NDArray[np.uint8]:
    """Crops uint8 (V, C, C, 3) of an image uint8 (H, W, 3), by the rule of :class:`~causalprint.models.manifest.Geometry`."""
    side = geometry.crop
    height, width = pixels.shape[:2]
    if height < side or width < side:
        return np.zeros((0, side, side, 3), np.uint8)
    bottom, right = ((length - side) // GRID * GRID for length in (height, width))
    centre = ((height - side) // 2 // GRID * GRID, (width - side) // 2 // GRID * GRID)
    corners = [centre, (0, 0), (bottom, right), (0, right), (bottom, 0)]
    chosen = list(dict.fromkeys(corners[: geometry.views]))
    return np.stack([pixels[top : top + side, left : left + side] for top, left in chosen])


def scalar_columns() -> tuple[str, ...]:
    """The columns of table ``embeddings`` that lenses fill, in the registry's order."""
    return tuple(lens.scalar for lens in LENSES.values() if lens.scalar)


def pick_device(name: str) -> torch.device:
    """``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        ValueError: it is missing or unknown; never another one in its place.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device {name!r} is unknown; choose auto, cpu or cuda") from error
    if device.type not in ("cpu", "cuda"):
        raise ValueError(f"device {name!r} is not supported; choose auto, cpu or cuda")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"device {name!r} was asked for and torch sees {torch.cuda.device_count()} GPUs; choose cpu or auto")
    return device


def _check(feature: Feature, bundle: Bundle) -> Feature:
    lens = LENSES.get(feature.lens)
    if lens is None or lens.size != feature.size:
        found = "there is none" if lens is None else f"it gives {lens.size}"
        raise BundleError(
            f"{bundle.directory / MANIFEST} was made for a lens {feature.lens!r} of {feature.size} numbers; "
            f"here {found}: train it again"
        )
    return feature
