"""A bundle in Python: the verdict of an audit on one image or a few, without a pipeline and without tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt
from PIL.Image import Image

from causalprint.models.attribution import Attribution, damaged, too_small
from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.pipelines.runners import cores
from causalprint.schemas.prior import EVEN, Prior, parse_prior
from causalprint.schemas.tables import FINGERPRINT_DIM
from causalprint.transforms.images.decode import ImageRejectError, decode, to_rgb

ImageLike = bytes | str | os.PathLike[str] | Image
"""An encoded image as bytes, the path of an image file, or an image of PIL."""
_ONE = (bytes, str, os.PathLike, Image)


class ImageError(ValueError):
    """An image that no verdict can be given on; the message says which, and why."""


class OpenBundle:
    """A loaded bundle. Thread safe.

    Attributes:
        bundle: what it was loaded from: its manifest, its digest and its id.
    """

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Loads residual and lenses onto ``device``; on a CPU torch is told to use one thread, and images run side by side."""
        from causalprint.models.verdicts import Judge  # torch is loaded when a bundle is

        self.bundle = bundle
        self._judge = Judge(bundle, device)

    def __repr__(self) -> str:
        return f"<bundle {self.bundle.bundle_id}: {', '.join(self.bundle.manifest.sources)}>"

    @overload
    def attribute(self, images: ImageLike) -> Attribution: ...  # type: ignore[overload-overlap] # text is a sequence of texts

    @overload
    def attribute(self, images: Sequence[ImageLike]) -> list[Attribution]: ...

    def attribute(self, images: ImageLike | Sequence[ImageLike]) -> Attribution | list[Attribution]:
        """The verdict on an image, or on each of several: the values of its row in table ``attributions``, the same numbers.

        Args:
            images: one image or a sequence of them. Bytes and files are decoded as in an audit; an image of PIL is converted to
                RGB by the same rules, its EXIF orientation not applied. Nothing is resized.

        Returns:
            :class:`~causalprint.models.attribution.Attribution`: verdict, source, probability, novelty, candidates, reason. An
            image smaller than the crop abstains as ``too-small``, a damaged one as ``damaged``.

        Raises:
            ImageError: an image cannot be decoded, or its fingerprint is not finite: an audit would reject it.
            OSError: a file cannot be read.
        """
        several = [images] if isinstance(images, _ONE) else list(images)
        voted = self._voted(several)
        verdicts = [each if isinstance(each, Attribution) else self._judge.verdict(each) for each in voted]
        return verdicts[0] if isinstance(images, _ONE) else verdicts

    @overload
    def fingerprint(self, images: ImageLike) -> npt.NDArray[np.float16]: ...

    @overload
    def fingerprint(self, images: Sequence[ImageLike]) -> npt.NDArray[np.float16]: ...

    def fingerprint(self, images: ImageLike | Sequence[ImageLike]) -> npt.NDArray[np.float16]:
        """The causal fingerprint of an image, float16 (128,), or of each of N images, float16 (N, 128).

        Compare by cosine, within one bundle. That of a flat image, which carries no evidence, is the zero vector.

        Args:
            images: as of :meth:`attribute`.

        Raises:
            ImageError: as of :meth:`attribute`; or an image is damaged or smaller than the crop, and has no fingerprint.
            OSError: a file cannot be read.
        """
        several = [images] if isinstance(images, _ONE) else list(images)
        rows = np.zeros((len(several), FINGERPRINT_DIM), np.float16)
        for place, (image, fingerprint) in enumerate(zip(several, self._voted(several), strict=True)):
            if isinstance(fingerprint, Attribution):
                if fingerprint == damaged():
                    raise ImageError(f"{_name(image)} is damaged: some of its pixels may be the decoder's invention")
                side = self.bundle.manifest.geometry.crop
                raise ImageError(
                    f"{_name(image)} is smaller than {side} x {side} pixels, what this bundle analyses; give a larger one"
                )
            rows[place] = fingerprint
        return rows[0] if isinstance(images, _ONE) else rows

    def _voted(self, images: Sequence[ImageLike]) -> list[npt.NDArray[np.float16] | Attribution]:
        """The fingerprint (128,) of each image, or why it has none."""

        def compute(image: ImageLike) -> npt.NDArray[np.float16] | Attribution:
            pixels = _pixels(image)
            if pixels is None:
                return damaged()
            (voted,) = self._judge.fingerprints([pixels])
            if voted is None:
                return too_small()
            if not np.isfinite(voted.fingerprint).all():
                raise ImageError(f"{_name(image)}: its fingerprint is not finite in float16; an audit rejects it as non-finite")
            row: npt.NDArray[np.float16] = voted.fingerprint[0]
            return row

        with ThreadPoolExecutor(min(cores(), max(1, len(images)))) as pool:
            return list(pool.map(compute, images))


def open_bundle(
    path: str | os.PathLike[str] | None = None, *, residual: str | None = None, prior: str | Prior = EVEN, device: str = "auto"
) -> OpenBundle:
    """Loads a bundle, to ask it about images.

    Args:
        path: directory that ``causalprint train`` wrote; ``None`` for the bundle inside the package.
        residual: ``kind:path-or-hub-name`` in place of the bundle's own; every verdict then abstains as ``uncalibrated``.
        prior: how frequent photographs, graphics and generated images are: ``photograph=0.9,graphic=0.05``.
        device: ``auto`` (a GPU where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        BundleError: the bundle is missing, damaged or from another version.
        ResidualError: the residual cannot be loaded.
        ValueError: the device is missing, or the prior is none.
    """
    return OpenBundle(load_bundle(None if path is None else Path(path), residual, parse_prior(prior)), device)


def _pixels(image: ImageLike) -> npt.NDArray[np.uint8] | None:
    """uint8 (H, W, 3); ``None`` of a damaged image."""
    try:
        if isinstance(image, Image):
            image.load()
            return to_rgb(image)
        decoded = decode(image if isinstance(image, bytes) else Path(image).read_bytes())
    except ImageRejectError as error:
        raise ImageError(f"{_name(image)} cannot be decoded, {error.reason}: {error.detail}") from error
    return None if decoded.damage else decoded.pixels


def _name(image: ImageLike) -> str:
    if isinstance(image, bytes):
        return f"an image of {len(image):,} bytes"
    if isinstance(image, Image):
        return f"a PIL image of {image.width} x {image.height} pixels"
    return os.fspath(image)
