"""The causal fingerprint: residual, lenses, projection to 128 numbers.

Following Xu et al., arXiv 2509.15406: r = X - R(X), F = b + sum over lenses s of P_s z_s, where z_s is lens s (in one of its
readings) standardised by the training images' mean and scale. The paper leaves the projection open; here it is linear.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from causalprint.models.bundles.bundle import FINGERPRINT_FILE, MANIFEST, Bundle
from causalprint.models.bundles.manifest import BundleError
from causalprint.models.features import FeatureExtractor, cut, pick_device
from causalprint.models.lenses import LENSES
from causalprint.models.lenses.fourier import ring_spectrum
from causalprint.models.network.fusion import load_network
from causalprint.models.network.reduction import CLIP
from causalprint.schemas.arrays import Crops
from causalprint.schemas.tables import FINGERPRINT_DIM, SPECTRUM_RINGS

_log = logging.getLogger(__name__)
SCALARS = {name: summarise for lens in LENSES.values() for name, summarise in lens.scalars.items()}
"""What fills the columns of table ``embeddings`` that lenses have, by column, in the registry's order."""


class Fingerprints(NamedTuple):
    """What is stored of N images, each of one crop or of several.

    Attributes:
        fingerprint: float16 (N, 128); the zero vector where the first crop is flat and carries no evidence.
        residual_energy: float32 (N,), root mean square of the first crop's residual, image range 0 to 1.
        scalars: float32 (N,) for each scalar column of table ``embeddings`` that a lens has, of the first crop.
        stability: float32 (N,), the least cosine between the fingerprint and that of one crop alone; NaN where there is one.
        spectrum: float16 (N, 32), mean power of the first crop's residual by frequency, in dB.
    """

    fingerprint: npt.NDArray[np.float16]
    residual_energy: npt.NDArray[np.float32]
    scalars: dict[str, npt.NDArray[np.float32]]
    stability: npt.NDArray[np.float32]
    spectrum: npt.NDArray[np.float16]

    def each(self) -> list[Fingerprints]:
        """Those of one image after another."""
        count = len(self.fingerprint)
        parts = (
            [values[number : number + 1] for number in range(count)]
            for values in (self.fingerprint, self.residual_energy, self.stability, self.spectrum)
        )
        scalars = [{name: values[number : number + 1] for name, values in self.scalars.items()} for number in range(count)]
        rows = zip(*parts, scalars, strict=True)
        return [Fingerprints(one, energy, own, stable, spectrum) for one, energy, stable, spectrum, own in rows]


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
        self._image = [place for place, one in enumerate(bundle.manifest.features) if one.reading == "image"]
        self._canary: Fingerprints | None = None
        self._halved = 0
        self._lock = threading.Lock()

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
        """The crops that are analysed: uint8 (V, C, C, 3) of uint8 (H, W, 3); V = 0 where the image is smaller than the crop."""
        return cut(pixels, self.bundle.manifest.geometry, self.bundle.manifest.decision.flat)

    def look_apart(self, crops: Crops) -> Mapping[int, torch.Tensor]:
        """Of crops uint8 (V, C, C, 3) what a processor computes even where all else is computed on a GPU; for :meth:`of_images`.

        Where nothing is, or all is, it computes nothing.
        """
        return self._extract.look_apart(crops)

    def of_images(self, images: Sequence[Crops], apart: Sequence[Mapping[int, torch.Tensor]] = ()) -> list[Fingerprints]:
        """Of each image's crops, uint8 (V, C, C, 3) with V of one at least, the fingerprint; all images computed together.

        ``apart`` is what :meth:`look_apart` gave of each, where it was asked.
        """
        if not images:
            return []
        return self(np.stack([crops[0] for crops in images]), [crops[1:] for crops in images], apart).each()

    def __call__(
        self, crops: Crops, others: Sequence[Crops] = (), apart: Sequence[Mapping[int, torch.Tensor]] = ()
    ) -> Fingerprints:
        """Fingerprints of N images.

        Where the GPU has no memory for a micro-batch, this and all later ones are half as large.

        Args:
            crops: of each the first crop, uint8 (N, C, C, 3).
            others: of each the further ones, uint8 (W, C, C, 3); nothing where none has any.
            apart: of each what :meth:`look_apart` gave; nothing where it was not asked.
        """
        parts: list[Fingerprints] = []
        start = 0
        while start < len(crops):
            halved = self._halved
            size = max(1, self.micro_batch >> halved)
            some = slice(start, start + size)
            try:
                parts.append(self._micro_batch(size, crops[some], others[some], apart[some]))
            except torch.OutOfMemoryError:
                if size == 1:
                    raise
                self._halve(halved, size)
            else:
                start = some.stop
        empty = np.zeros(0, np.float32)
        return Fingerprints(
            np.concatenate([np.zeros((0, FINGERPRINT_DIM), np.float16), *(part.fingerprint for part in parts)]),
            np.concatenate([empty, *(part.residual_energy for part in parts)]),
            {name: np.concatenate([empty, *(part.scalars[name] for part in parts)]) for name in SCALARS},
            np.concatenate([empty, *(part.stability for part in parts)]),
            np.concatenate([np.zeros((0, SPECTRUM_RINGS), np.float16), *(part.spectrum for part in parts)]),
        )

    def embed(self, x: torch.Tensor, others: torch.Tensor | None = None) -> torch.Tensor:
        """Fingerprints float32 (N, 128) of crops float32 (N, 3, C, C), 0 to 1, with gradients where ``x`` requires them.

        Equal to those of a call up to its rounding to float16. What is counted in steps (co-occurrences, outliers) takes the
        gradient of a soft count; a flat crop's fingerprint is constant.

        Args:
            x: of each image the first crop.
            others: the further ones, float32 (N, W, 3, C, C).

        Raises:
            GradientError: gradients are asked for, and the residual or a lens gives none.
        """
        with torch.inference_mode(not x.requires_grad), exact_kernels():
            image = x.contiguous()  # another layout in memory would take kernels that round otherwise
            standardised = self._standardised(self._extract.read(image, self._extract.residual(image)))
            if others is not None and others.shape[1]:
                looks = self._extract.look(others.flatten(0, 1).contiguous())
                for place, seen in looks.items():
                    every = torch.cat(
                        [standardised[place][:, None], self._standard(place, seen).unflatten(0, others.shape[:2])], 1
                    )
                    standardised[place] = every.mean(dim=1)
            return self._fuse(image, standardised)

    def _halve(self, halved: int, size: int) -> None:
        """Halves micro-batches of that ``size``, which were ``halved`` so many times, unless another thread did; and says so."""
        with self._lock:
            if self._halved > halved:
                return
            self._halved += 1
        _log.warning("%s has no memory for micro-batches of %d crops: from now on %d", self.device, size, size // 2)

    def _micro_batch(
        self, size: int, crops: Crops, others: Sequence[Crops], apart: Sequence[Mapping[int, torch.Tensor]]
    ) -> Fingerprints:
        count = len(crops)
        with torch.inference_mode(), exact_kernels():
            x, reconstruction = self._extract.reconstruct(_padded(crops, size))
            residual = reconstruction.residual
            first = _stacked([{place: values[:1] for place, values in each.items()} for each in apart], size)
            standardised = self._standardised(self._extract.read(x, reconstruction, first))
            stability = np.full(count, np.nan, np.float32)
            further = [
                {place: values[number + 1 : number + 2] for place, values in apart[row].items()} if apart else {}
                for row, several in enumerate(others)
                for number in range(len(several))
            ]
            looks = iter(self._looks([crop for several in others for crop in several], further, size))
            for row, several in enumerate(others):
                views = [{place: standardised[place][row] for place in self._image}, *islice(looks, len(several))]
                if len(views) > 1 and self._image:
                    stability[row] = self._average(standardised, row, views)
            energy = residual.flatten(1).square().mean(dim=1).sqrt()
            scalars = [summarise(residual) for summarise in SCALARS.values()]
            columns = [self._fuse(x, standardised), ring_spectrum(residual), energy[:, None], *(one[:, None] for one in scalars)]
            rows = torch.cat(columns, dim=1)[:count].cpu()  # in one piece: each copy from a GPU waits for all that it computes
        fingerprint, spectrum, numbers = rows.split([FINGERPRINT_DIM, SPECTRUM_RINGS, 1 + len(SCALARS)], dim=1)
        own, *each = numbers.T.contiguous().numpy()
        return Fingerprints(
            fingerprint.to(torch.float16).numpy(),
            own,
            dict(zip(SCALARS, each, strict=True)),
            stability,
            spectrum.to(torch.float16).numpy(),
        )

    def _looks(
        self, crops: Sequence[Crops], apart: Sequence[Mapping[int, torch.Tensor]], size: int
    ) -> list[dict[int, torch.Tensor]]:
        """Of each further crop uint8 (C, C, 3) its standardised readings of the image, (size,), by their place."""
        found: list[dict[int, torch.Tensor]] = []
        for start in range(0, len(crops) if self._image else 0, size):
            several = np.stack(crops[start : start + size])
            looks = self._extract.look(self._extract.image(_padded(several, size)), _stacked(apart[start : start + size], size))
            standard = {place: self._standard(place, values) for place, values in looks.items()}
            found += [{place: values[row] for place, values in standard.items()} for row in range(len(several))]
        return found

    def _average(self, standardised: list[torch.Tensor], row: int, views: Sequence[Mapping[int, torch.Tensor]]) -> float:
        """Puts means over an image's views into its ``row``, and gives its stability."""
        own = [values[row].expand(len(views) + 1, -1).clone() for values in standardised]
        for place in self._image:
            every = torch.stack([view[place] for view in views])
            standardised[place][row] = every.mean(dim=0)
            own[place] = torch.cat([every.mean(dim=0, keepdim=True), every])
        mean, *alone = self._network(own).fingerprint
        return min(float(torch.cosine_similarity(mean, one, dim=0)) for one in alone)

    def _standard(self, place: int, values: torch.Tensor) -> torch.Tensor:
        mean, scale = self._standards[place]
        return torch.clamp((values - mean) / scale, -CLIP, CLIP)

    def _standardised(self, values: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        return [self._standard(place, value) for place, value in enumerate(values)]

    def _fuse(self, x: torch.Tensor, standardised: Sequence[torch.Tensor]) -> torch.Tensor:
        fused: torch.Tensor = self._network(standardised).fingerprint
        flat = roughness(x) < self.bundle.manifest.decision.flat
        return torch.where(flat[:, None], torch.zeros_like(fused), fused)


def _padded(crops: Crops, size: int) -> Crops:
    # Another number of rows could choose another kernel, and with it another rounding.
    return np.concatenate([crops, np.repeat(crops[-1:], size - len(crops), axis=0)])


def _stacked(rows: Sequence[Mapping[int, torch.Tensor]], size: int) -> dict[int, torch.Tensor]:
    """Features (1, size) of several crops below each other, by their place, and the last repeated as :func:`_padded` does."""
    last = [rows[-1]] * (size - len(rows)) if rows else []
    return {place: torch.cat([row[place] for row in (*rows, *last)]) for place in (rows[0] if rows else ())}


def _canary_crop(side: int) -> Crops:
    """Shades and grain, uint8 (1, side, side, 3)."""
    shades = np.add.outer(np.arange(side), np.arange(side)) * (128 / side)
    grain = np.random.default_rng(0).integers(0, 64, (side, side, 3))
    return np.asarray(shades[..., None] / 2 + grain, np.uint8)[None]


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
