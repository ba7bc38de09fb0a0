"""Encoded images to pixels, each by a stated rule, with everything that could harm the worker refused first."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
from PIL.ImageFile import ImageFile

from causalprint.schemas.arrays import Pixels
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.faults import MachineFaultError, settled
from causalprint.transforms.images.headers import ends_early, exif_orientation, gif_size, png_image, quality_of, webp_size
from causalprint.transforms.images.kinds import image_format, other_format

MAX_PIXELS = 89_478_485
"""About 256 MiB of RGB: Pillow's own limit for a warning."""


ROOM = 64 * 1024 * 1024
BYTES_A_PIXEL = 16
"""Memory that decoding takes: a part that any image needs, and the decoder's own planes, Pillow's image and ours."""


class DecodedImage(NamedTuple):
    """One image as stored.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, 0 to 255.
        format: by content: JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF.
        width, height: in pixels; EXIF orientation is not applied.
        mode: Pillow's colour mode before conversion.
        orientation: EXIF orientation, 1 to 8, or ``None``. Of AVIF it is that of its ``irot`` and ``imir`` boxes too.
        jpeg_quality: as of :func:`~causalprint.transforms.images.headers.quality_of`; ``None`` of other formats.
    """

    pixels: Pixels
    format: str
    width: int
    height: int
    mode: str
    orientation: int | None
    jpeg_quality: int | None


class ImageRejectError(Exception):
    """An image that gets no verdict, and why: ``stage``, ``reason`` and ``detail`` as of a reject."""

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(f"{stage}, {reason}: {detail}")
        self.stage = stage
        self.reason = reason
        self.detail = detail


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Pillow reads EXIF for the resolution while opening, and warns of what is broken in it."""

    def getexif(self) -> Image.Exif:
        return Image.Exif()


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Pillow turns pixels by the orientation tag once they are loaded."""

    def load_end(self) -> None:
        pass


_PLUGINS: dict[str, type[ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": PngImagePlugin.PngImageFile,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": GifImagePlugin.GifImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": _Tiff,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
# Opened by class and not by Image.open, which warns of large images, and tries every format that any package registered.


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> DecodedImage:
    """The pixels of an encoded image, of an animation those of its first frame.

    The format is told by the first bytes, never by a name. Pixels are converted to 8-bit RGB without looking at any profile:

    - alpha is dropped: colours are kept as they are stored, whatever they are composited on;
    - grey is repeated; 1-bit is 0 and 255; palettes are looked up;
    - 16-bit samples lose their low byte (``>> 8``); 32-bit integers are clipped to 16 bits first;
    - floating point is clipped to 0 to 1 and rounded to 255 steps; what is not a number is 0;
    - CMYK: ``R = (255 - C)(255 - K) / 255`` and so on; Adobe's inverted files are inverted first, YCCK becomes CMYK;
    - YCbCr by ITU-R BT.601 in full range; CIE L*a*b* (D50) to sRGB by littleCMS.

    It changes no state of Pillow, so threads may share it.

    Args:
        data: the encoded bytes.
        max_pixels: width times height at most, by the header, before anything is decoded.

    Raises:
        ImageRejectError: stage ``decode``; ``empty``, ``unsupported-format``, ``too-many-pixels``, ``truncated-image`` (never
            padded) or ``corrupt-image``.
        MachineFaultError: memory, or another part of the machine, failed; nothing is known of the image.
    """
    if not data:
        raise _reject(Reason.EMPTY, "0 bytes")
    name = image_format(data[:256])
    if name is None:
        found = other_format(data[:256]) or f"beginning with {data[:8]!r}"
        raise _reject(Reason.UNSUPPORTED_FORMAT, f"{found} is none of {', '.join(_PLUGINS)}")
    try:
        return settled(lambda: _decode(data, name, max_pixels), (ImageRejectError,), lambda: _room(data, name, max_pixels))
    except (ImageRejectError, MachineFaultError):
        raise
    except Exception as error:  # decoders raise anything
        text = re.sub(r" at 0x[0-9a-f]+", "", str(error)) or type(error).__name__
        ended = isinstance(error, EOFError) or isinstance(error.__cause__, EOFError)  # Pillow's own, as SyntaxError, too
        truncated = ended or "truncated" in text.lower() or ends_early(data, name)
        raise _reject(Reason.TRUNCATED_IMAGE if truncated else Reason.CORRUPT_IMAGE, f"{name}: {text}") from error


def to_rgb(image: Image.Image) -> Pixels:
    """Pixels of a loaded image as uint8 (H, W, 3), by the rules of :func:`decode`.

    Raises:
        ImageRejectError: ``unsupported-format``; no rule is stated for its mode.
    """
    mode = image.mode
    if mode in ("RGB", "RGBA", "RGBX"):
        return np.array(image)[..., :3]
    if mode in ("CMYK", "YCbCr", "HSV", "RGBa"):
        return np.array(image.convert("RGBA" if mode == "RGBa" else "RGB"))[..., :3]
    if mode == "LAB":
        to_srgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return np.array(ImageCms.applyTransform(image, to_srgb))
    samples = np.asarray(image.convert("LA") if mode == "La" else image)
    if mode in ("P", "PA"):
        palette = np.zeros(768, np.uint8)
        stored = image.getpalette("RGB") or []
        palette[: len(stored)] = stored[:768]
        colours: Pixels = palette.reshape(256, 3)[samples.reshape(image.height, image.width, -1)[..., 0]]
        return colours
    return np.repeat(_grey(samples, mode)[..., None], 3, axis=-1)


def _grey(samples: NDArray[Any], mode: str) -> Pixels:
    grey: NDArray[Any]
    if mode == "L":
        grey = samples
    elif mode in ("LA", "La"):
        grey = samples[..., 0]
    elif mode == "1":
        grey = samples * np.uint8(255)
    elif mode.startswith("I"):
        grey = np.clip(samples, 0, 65535) >> 8
    elif mode == "F":
        grey = np.rint(255 * np.clip(np.nan_to_num(samples), 0, 1))
    else:
        raise _reject(Reason.UNSUPPORTED_FORMAT, f"colour mode {mode} has no rule of conversion to RGB")
    return grey.astype(np.uint8)


def _decode(data: bytes, name: str, max_pixels: int) -> DecodedImage:
    declared = {"WEBP": webp_size, "GIF": gif_size}.get(name, lambda _data: None)(data)
    _check_size(declared, max_pixels)  # before Pillow makes room for it
    with _PLUGINS[name](BytesIO(png_image(data) if name == "PNG" else data)) as image:
        _check_size(image.size, max_pixels)
        if isinstance(image, _Tiff):
            _check_size((image.tag_v2.get(322, 1), image.tag_v2.get(323, 1)), max_pixels)  # its tiles
        image.load()
        # The size of a turned TIFF is that of its turned pixels; a copy has that of its own.
        pixels = to_rgb(image.copy() if isinstance(image, _Tiff) else image)
        height, width = pixels.shape[:2]
        return DecodedImage(pixels, name, width, height, image.mode, _orientation(image), _jpeg_quality(image))


def _room(data: bytes, name: str, max_pixels: int) -> int:
    """Bytes that decoding a sound image of that header would take, at most."""
    try:
        with _PLUGINS[name](BytesIO(data)) as image:
            pixels = image.width * image.height
    except Exception:  # noqa: BLE001 - a header that cannot be read asks for nothing
        pixels = 0
    return ROOM + BYTES_A_PIXEL * (pixels if pixels <= max_pixels else 0)


def _check_size(size: tuple[int, int] | None, max_pixels: int) -> None:
    if size and size[0] * size[1] > max_pixels:
        raise _reject(Reason.TOO_MANY_PIXELS, f"{size[0]} x {size[1]} pixels are more than {max_pixels}")


def _orientation(image: ImageFile) -> int | None:
    if isinstance(image, _Tiff):
        value = image.tag_v2.get(274)
        return value if isinstance(value, int) and 1 <= value <= 8 else None
    exif = image.info.get("exif")
    return exif_orientation(exif) if isinstance(exif, bytes) else None


def _jpeg_quality(image: ImageFile) -> int | None:
    tables: dict[int, list[int]] = getattr(image, "quantization", {}) if isinstance(image, _Jpeg) else {}
    components: list[tuple[int, int, int, int]] = getattr(image, "layer", [])
    table = tables.get(components[0][3]) if components else None  # that of the first component, the luminance
    return quality_of(table) if table else None


def _reject(reason: Reason, detail: str) -> ImageRejectError:
    return ImageRejectError(Stage.DECODE, reason, detail)
