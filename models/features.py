"""Crops to features: residual and lenses, before anything is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.bundles.manifest import BundleError, Feature, Geometry
from causalprint.models.lenses import LENSES, Lens, load_lens, read
from causalprint.models.memory import keep_freed_memory
from causalprint.models.residuals import load_residual
from causalprint.models.residuals.base import Reconstruction
from causalprint.schemas.arrays import Crops
from causalprint.schemas.model_spec import Reading, is_spec

GRID = 8
"""Crops begin on multiples of this many pixels, in phase with JPEG's blocks."""
OVERLAP = 0.25
"""Of a crop, what may lie in another that is analysed."""


NOTHING: Mapping[int, torch.Tensor] = MappingProxyType({})


class GradientError(ValueError):
    """A gradient was asked of what has none; the message names it."""


class FeatureExtractor:
    """A residual and the lenses that read it, on one device. Thread safe."""

    def __init__(self, residual: str, features: Sequence[Feature], device: torch.device, where: str) -> None:
        """Loads the residual.

        Args:
            residual: its spec.
            features: lenses and readings, in order.
            device: as of :func:`pick_device`. On a CPU torch is told to use one thread: the caller runs crops in parallel.
            where: names what asks for the features, in errors.

        Raises:
            BundleError: a lens is missing or of another size.
            LensError: a learned lens cannot be loaded.
            ResidualError: the residual cannot be loaded.
        """
        if device.type == "cpu":
            torch.set_num_threads(1)
        self.device = device
        self._lenses = [self._lens(feature, where) for feature in features]
        looks = ((place, lens) for place, lens in enumerate(self._lenses) if features[place].reading == "image")
        self._apart = frozenset(place for place, lens in looks if lens.on_cpu and device.type != "cpu")
        self.features = tuple(features)
        self.residual = load_residual(residual, device)
        if device.type == "cpu":
            keep_freed_memory()

    def reconstruct(self, crops: Crops) -> tuple[torch.Tensor, Reconstruction]:
        """Crops uint8 (N, C, C, 3) as images float32 (N, 3, C, C), 0 to 1, and what the residual makes of them."""
        x = self.image(crops)
        with torch.inference_mode():
            return x, self.residual(x)

    def image(self, crops: Crops) -> torch.Tensor:
        """Crops uint8 (N, C, C, 3) as images float32 (N, 3, C, C), 0 to 1."""
        return _image(crops, self.device)

    def look_apart(self, crops: Crops) -> dict[int, torch.Tensor]:
        """What :meth:`look` gives of lenses that compute on the CPU while the others are on a GPU, on the CPU.

        It keeps one thread busy and the GPU free: to be called where images are decoded.
        """
        x = _image(crops, torch.device("cpu")) if self._apart else None
        with torch.inference_mode():
            return {} if x is None else {place: self._lenses[place].apply(x) for place in self._apart}

    def read(
        self, x: torch.Tensor, reconstruction: Reconstruction, apart: Mapping[int, torch.Tensor] = NOTHING
    ) -> list[torch.Tensor]:
        """Each feature, float32 (N, size), in order; with gradients where ``x`` requires them.

        Args:
            x: images float32 (N, 3, C, C), 0 to 1.
            reconstruction: what the residual makes of them.
            apart: those features that are known, of N images, by their place.

        Raises:
            GradientError: ``x`` requires gradients, and the residual or a lens gives none.
        """
        known = {place: values.to(x.device, non_blocking=True) for place, values in apart.items()}
        with torch.inference_mode(not x.requires_grad):
            lenses = enumerate(zip(self._lenses, self.features, strict=True))
            values = [
                known[place] if place in known else read(lens, feature.reading, x, reconstruction)
                for place, (lens, feature) in lenses
            ]
        if x.requires_grad:
            self._check_gradients(reconstruction, values)
        return values

    def look(self, x: torch.Tensor, apart: Mapping[int, torch.Tensor] = NOTHING) -> dict[int, torch.Tensor]:
        """Those features alone that read the image and no reconstruction, by their place in the order; as of :meth:`read`."""
        known = {place: values.to(x.device, non_blocking=True) for place, values in apart.items()}
        lenses = enumerate(zip(self._lenses, self.features, strict=True))
        with torch.inference_mode(not x.requires_grad):
            looks = ((place, lens) for place, (lens, feature) in lenses if feature.reading == "image")
            return {place: known[place] if place in known else lens.apply(x) for place, lens in looks}

    def _lens(self, feature: Feature, where: str) -> Lens:
        learned = is_spec(feature.lens)
        lens = load_lens(feature.lens, self.device) if learned else LENSES.get(feature.lens)
        if lens is None or lens.size != feature.size:
            here = "there is none" if lens is None else f"it gives {lens.size}"
            raise BundleError(
                f"{where} was made for a lens {feature.lens!r} of {feature.size} numbers; here {here}: train it again"
            )
        return lens

    def _check_gradients(self, reconstruction: Reconstruction, values: list[torch.Tensor]) -> None:
        constant = [feature.key for feature, value in zip(self.features, values, strict=True) if not value.requires_grad]
        residual_is_read = any(feature.reading != "image" for feature in self.features)
        if residual_is_read and not reconstruction.reconstruction.requires_grad:
            constant = [f"residual {str(self.residual.spec)!r}", *constant]
        if constant:
            raise GradientError(
                f"{', '.join(constant)} cannot be differentiated; take a bundle whose residual and lenses run in torch"
            )

    def __call__(self, crops: Crops) -> npt.NDArray[np.float32]:
        """All features side by side, float32 (N, sum of sizes), of crops uint8 (N, C, C, 3), one crop at a time."""
        rows = [torch.cat(self.read(*self.reconstruct(crop[None])), dim=1).cpu().numpy() for crop in crops]
        return np.concatenate([np.zeros((0, sum(feature.size for feature in self.features)), np.float32), *rows])


def _image(crops: Crops, device: torch.device) -> torch.Tensor:
    pixels = torch.tensor(crops)
    if device.type == "cuda":
        pixels = pixels.pin_memory()  # so that the copy overlaps with what the device computes
    return pixels.to(device, non_blocking=True).permute(0, 3, 1, 2).to(torch.float32).div(255).contiguous()


def feature(lens: str, reading: Reading) -> Feature:
    """A feature of the lens of that name or spec, with the size that it has here.

    Raises:
        LensError: there is no such lens.
    """
    return Feature(lens, reading, load_lens(lens).size)


def cut(pixels: npt.NDArray[np.uint8], geometry: Geometry, flat: float = 0.0) -> Crops:
    """Crops uint8 (V, C, C, 3) of an image uint8 (H, W, 3) that are analysed; V = 0 where it is too small.

    ``flat`` is as of :func:`chosen`.
    """
    side = geometry.crop
    return _squares(pixels, places_of(pixels, geometry, flat), side)


def places_of(pixels: npt.NDArray[np.uint8], geometry: Geometry, flat: float = 0.0) -> list[tuple[int, int]]:
    """Top and left of each crop of an image uint8 (H, W, 3) that is analysed; ``flat`` as of :func:`chosen`."""
    places = candidates(pixels.shape[0], pixels.shape[1], geometry)
    return [places[number] for number in chosen(_squares(pixels, places, geometry.crop), places, geometry, flat)]


def _squares(pixels: npt.NDArray[np.uint8], places: Sequence[tuple[int, int]], side: int) -> Crops:
    squares = [pixels[top : top + side, left : left + side] for top, left in places]
    return np.stack(squares) if squares else np.zeros((0, side, side, 3), np.uint8)


def candidates(height: int, width: int, geometry: Geometry) -> list[tuple[int, int]]:
    """Top and left, in pixels, of each crop that :func:`chosen` chooses among in an image of that size: the central one first.

    Where several are analysed, the others lie at the corners and at the middles of the edges.
    """
    side = geometry.crop
    if height < side or width < side:
        return []
    rows, columns = (((length - side) // 2 // GRID * GRID, 0, (length - side) // GRID * GRID) for length in (height, width))
    places = [(top, left) for top in rows for left in columns]
    return list(dict.fromkeys(places if geometry.views > 1 else places[:1]))


def chosen(crops: Crops, places: Sequence[tuple[int, int]], geometry: Geometry, flat: float = 0.0) -> list[int]:
    """Which of the candidates are analysed: the central one, and so many as there are views of those with most texture.

    Of two that share more than a quarter of their pixels one is enough. Texture is the root mean square difference of
    neighbouring pixels; to crop by texture is the idea of TextureCrop (Konstantinidou et al., 2024).

    Args:
        crops: uint8 (P, C, C, 3), of :func:`candidates`.
        places: of theirs, top and left.
        geometry: how many.
        flat: of a bundle's decision: where the central one has no more texture, it is left out if another has.
    """
    if len(crops) < 2:
        return list(range(len(crops)))
    rough = np.array([_roughness(crop) for crop in crops])
    order = np.argsort(-rough, kind="stable").tolist()
    if rough[0] >= flat:
        order = [0, *(place for place in order if place)]
    taken: list[int] = []
    for place in order:
        textured = not taken or rough[place] >= flat
        apart = all(_shared(places[place], places[other], geometry.crop) <= OVERLAP for other in taken)
        if textured and apart and len(taken) < geometry.views:
            taken.append(place)
    return taken


def _roughness(crop: npt.NDArray[np.uint8]) -> float:
    """Root mean square difference of neighbouring pixels of a crop (C, C, 3), image range 0 to 1."""
    levels = crop.astype(np.float32)
    return float(np.sqrt(np.mean([np.square(np.diff(levels, axis=axis)).mean() for axis in (0, 1)])) / 255)


def _shared(one: tuple[int, int], other: tuple[int, int], side: int) -> float:
    """The share of a square's pixels that lie in another one, too."""
    height, width = (max(0, side - abs(here - there)) for here, there in zip(one, other, strict=True))
    return height * width / side**2


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
