"""Encoded images to pixels, each by a stated rule, with everything that could harm the worker refused first."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
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
from PIL.ImageFile import ImageFile, _get_oserror

from causalprint.schemas.arrays import Pixels
from causalprint.schemas.claims import Claims
from causalprint.schemas.config import MEBIBYTE
from causalprint.schemas.reasons import Abstention, Reason, Stage
from causalprint.transforms.faults import MachineFaultError, settled, unforeseen
from causalprint.transforms.images.headers import (
    Found,
    bmp_variant,
    ends_early,
    exif_orientation,
    gif_size,
    read_avif,
    read_bmp,
    read_gif,
    read_png,
    read_webp,
    webp_size,
)
from causalprint.transforms.images.jpeg import SURPLUS, quality_of, read_jpeg
from causalprint.transforms.images.kinds import TEXT_BYTES, image_format, other_format
from causalprint.transforms.images.perceptual_hash import perceptual_hash
from causalprint.transforms.images.ranges import floats_to_eight_bits, integers_to_eight_bits
from causalprint.transforms.images.tiff import read_tiff, tiff_ends_early, tiff_variant

MAX_PIXELS = 89_478_485
"""About 256 MiB of RGB: Pillow's own limit for a warning."""

MAX_BYTES = 480 * MEBIBYTE
"""Of memory that decoding an image may take, by its header."""
PIXEL_BYTES = {"1": 2, "L": 1, "P": 1, "I;16": 11, "I;16B": 11, "I": 17, "F": 19}
"""What a pixel of a mode takes, the conversion of those that are converted as a whole with it; others take 4."""
FORMAT_BYTES = {"WEBP": 12, "AVIF": 10}
"""What its decoder holds besides."""
WIDE_BYTES = 18
"""What 16-bit colours take besides: they are converted as a whole."""
_GREYED = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})  # which Pillow turns grey as we do
_RANGED = frozenset({"I", "F", "I;16", "I;16B", "I;16L", "I;16N"})  # of which the range shows in the whole

ROOM = 64 * MEBIBYTE
"""Bytes of memory that decoding any image takes."""
BYTES_A_PIXEL = 16
"""What it takes besides: the decoder's own planes, Pillow's image and ours."""
_ROWS = 512  # of a large image, copied or compared at once


Crop = Callable[[int, int, Callable[[int, int, int, int], Pixels]], Pixels]
"""From height and width of an image, and what gives its pixels from left, top, right and bottom, to those that are wanted."""


def whole(height: int, width: int, part: Callable[[int, int, int, int], Pixels]) -> Pixels:
    """All pixels of an image."""
    return part(0, 0, width, height)


class _Wanted(NamedTuple):
    """What is wanted of an image's pixels: a part of them, and whether their hash is."""

    crop: Crop
    hashed: bool


class DecodedImage(NamedTuple):
    """One image as stored.

    Attributes:
        pixels: uint8 (H, W, 3), RGB, 0 to 255; or those that were asked for.
        format: by content: JPEG, PNG, WEBP, GIF, BMP, TIFF, AVIF.
        width, height: in pixels; EXIF orientation is not applied.
        mode: Pillow's colour mode before conversion.
        orientation: EXIF orientation, 1 to 8, or ``None``. Of AVIF it is that of its ``irot`` and ``imir`` boxes too.
        jpeg_quality: as of :func:`~causalprint.transforms.images.jpeg.quality_of`; ``None`` of other formats.
        damage: why some of the pixels may be the decoder's invention, in words; such an image gets no verdict.
        phash: as of :func:`~causalprint.transforms.images.perceptual_hash.perceptual_hash`; ``None`` where none was asked for.
        claims: what the file says of its own origin; decoding does not ask.
    """

    pixels: Pixels
    format: str
    width: int
    height: int
    mode: str
    orientation: int | None
    jpeg_quality: int | None
    damage: str | None = None
    phash: str | None = None
    claims: Claims = Claims()

    def intact(self) -> DecodedImage:
        """This image.

        Raises:
            ImageRejectError: it is damaged, and so nothing is to be learned from it.
        """
        if self.damage:
            raise ImageRejectError(Stage.DECODE, Abstention.DAMAGED, f"{self.format}: {self.damage}")
        return self


class ImageRejectError(Exception):
    """An image that gets no verdict, and why: ``stage``, ``reason`` and ``detail`` as of a reject."""

    def __init__(self, stage: str, reason: str, detail: str) -> None:
        super().__init__(f"{stage}, {reason}: {detail}")
        self.stage = stage
        self.reason = reason
        self.detail = detail


class _Jpeg(JpegImagePlugin.JpegImageFile):
    """Is given its file in parts, so that it is seen what becomes of each."""

    def getexif(self) -> Image.Exif:
        """Pillow reads EXIF for the resolution while opening, and warns of what is broken in it."""
        return Image.Exif()

    def load_parts(self, parts: Iterable[bytes | memoryview]) -> list[int]:
        """What Pillow's ``load`` does; how many bytes were left after each part but that with which the pixels are whole."""
        self.load_prepare()
        decoder = Image._getdecoder(self.mode, "jpeg", self.tile[0].args, self.decoderconfig)  # noqa: SLF001
        left: bytes | memoryview = b""
        waiting: list[int] = []
        try:
            decoder.setimage(self.im, self.tile[0].extents)
            for part in parts:
                left = b"".join((left, part)) if left else part
                used, code = decoder.decode(left)
                if code < 0:
                    raise _get_oserror(code, encoder=False)
                if used < 0:
                    self.tile = []
                    return waiting
                left = left[used:]
                waiting.append(len(left))
        finally:
            decoder.cleanup()
        raise OSError(f"image file is truncated ({len(left)} bytes not processed)")


class _Marked(ImageFile):
    """Writes one value where the last pixel comes to stand, so that it is seen whether the decoder got there."""

    mark: tuple[int, ...] = (173, 37, 211, 91)
    last = (0, 0)

    def load_prepare(self) -> None:
        interlaced = bool(self.info.get("interlace"))
        left, top, right, bottom = self.tile[0].extents or (0, 0, *self.size)
        super().load_prepare()
        x, y = right - 1, bottom - 1
        if interlaced and y > top:  # the last pass has the odd rows
            y -= 1 - (y - top) % 2
        elif interlaced and x > left and isinstance(self, PngImagePlugin.PngImageFile):  # and the last but one the odd columns
            x -= 1 - (x - left) % 2
        self.last = (x, y)
        self.im.pixel_access(0)[self.last] = self._ink()

    def is_marked(self) -> bool:
        """Whether the last pixel is the mark still."""
        return bool(self.im.pixel_access(0)[self.last] == self._ink())

    def _ink(self) -> Any:
        bands = len(self.getbands())
        if self.im.mode == "1":
            return 255 if self.mark[0] > 127 else 0
        return self.mark[:bands] if bands > 1 else self.mark[0]


class _Png(_Marked, PngImagePlugin.PngImageFile):
    """PNG."""


class _Gif(_Marked, GifImagePlugin.GifImageFile):
    """GIF."""


class _Tiff(TiffImagePlugin.TiffImageFile):
    """Pillow turns pixels by the orientation tag once they are loaded."""

    def load_end(self) -> None:
        pass


_PLUGINS: dict[str, type[ImageFile]] = {
    "JPEG": _Jpeg,
    "PNG": _Png,
    "WEBP": WebPImagePlugin.WebPImageFile,
    "GIF": _Gif,
    "BMP": BmpImagePlugin.BmpImageFile,
    "TIFF": _Tiff,
    "AVIF": AvifImagePlugin.AvifImageFile,
}
# Opened by class and not by Image.open, which warns of large images, and tries every format that any package registered.
_READERS: dict[str, Callable[[bytes], Found]] = {
    "PNG": read_png,
    "WEBP": read_webp,
    "GIF": read_gif,
    "BMP": read_bmp,
    "TIFF": read_tiff,
    "AVIF": read_avif,
}
_VARIANTS: dict[str, Callable[[bytes], str | None]] = {"BMP": bmp_variant, "TIFF": tiff_variant}


def decode(data: bytes, max_pixels: int = MAX_PIXELS, crop: Crop = whole, *, hashed: bool = False) -> DecodedImage:
    """The pixels of an encoded image, of an animation those of its first frame.

    The format is told by the first bytes, never by a name. Pixels are converted to 8-bit RGB without looking at any profile:

    - alpha is dropped: colours are kept as they are stored, whatever they are composited on;
    - grey is repeated; 1-bit is 0 and 255; palettes are looked up;
    - 10, 12, 16 and 32-bit integers lose their lower bits, and floating point is scaled from 0 to 1, 0 to 255 and wider; which
      of them it is, the samples tell (:mod:`~causalprint.transforms.images.ranges`); nothing is clipped;
    - CMYK: ``R = (255 - C)(255 - K) / 255`` and so on; Adobe's inverted files are inverted first, YCCK becomes CMYK;
    - YCbCr by ITU-R BT.601 in full range; CIE L*a*b* (D50) to sRGB by littleCMS.

    It changes no state of Pillow, so threads may share it.

    Before that the file's own bytes say whether it costs more than one image may; texts, profiles and previews are left out.
    Pillow and libjpeg fill in what a file lacks; such a file is refused.

    Args:
        data: the encoded bytes.
        max_pixels: width times height at most, by the header, before anything is decoded.
        crop: what of the pixels is wanted; all are decoded, and of most images no others are converted.
        hashed: whether the perceptual hash is wanted too.

    Raises:
        ImageRejectError: stage ``decode``; ``empty``, ``unsupported-format``, ``unsupported-variant``, ``too-many-pixels``,
            ``too-costly``, ``truncated-image`` (never padded) or ``corrupt-image``.
        MachineFaultError: memory, or another part of the machine, failed; nothing is known of the image.
    """
    try:
        return _decode_any(data, max_pixels, _Wanted(crop, hashed))
    except (ImageRejectError, MachineFaultError):
        raise
    except Exception as error:
        raise _reject(Reason.CORRUPT_IMAGE, unforeseen(error)) from error


def _decode_any(data: bytes, max_pixels: int, wanted: _Wanted) -> DecodedImage:
    if not data:
        raise _reject(Reason.EMPTY, "0 bytes")
    name = image_format(data[:256])
    if name is None:
        found = other_format(data[:TEXT_BYTES]) or "content of an unknown kind"
        raise _reject(Reason.UNSUPPORTED_FORMAT, f"{found} is none of {', '.join(_PLUGINS)}")
    try:
        return settled(
            lambda: _decode(data, name, max_pixels, wanted), (ImageRejectError,), lambda: _room(data, name, max_pixels)
        )
    except (ImageRejectError, MachineFaultError):
        raise
    except Exception as error:  # decoders raise anything
        text = re.sub(r" at 0x[0-9a-f]+", "", str(error)) or type(error).__name__
        ended = isinstance(error, EOFError) or isinstance(error.__cause__, EOFError)  # Pillow's own, as SyntaxError, too
        early = tiff_ends_early(data) if name == "TIFF" else ends_early(data, name)
        if ended or "truncated" in text.lower() or early:
            raise _reject(Reason.TRUNCATED_IMAGE, f"{name}: {text}") from error
        variant = _VARIANTS[name](data) if name in _VARIANTS else None
        if variant:
            raise _reject(Reason.UNSUPPORTED_VARIANT, f"{name}: {variant} ({text})") from error
        raise _reject(Reason.CORRUPT_IMAGE, f"{name}: {text}") from error


def to_rgb(image: Image.Image, *, unsigned: bool = False) -> Pixels:
    """Pixels of a loaded image as uint8 (H, W, 3), by the rules of :func:`decode`.

    Args:
        image: loaded.
        unsigned: whether 32-bit integers are; Pillow takes all for signed.

    Raises:
        ImageRejectError: ``unsupported-format``; no rule is stated for its mode.
    """
    mode = image.mode
    if mode in ("RGB", "RGBA", "RGBX"):
        if image.height <= _ROWS:
            return np.array(image)[..., :3]
        pixels = np.empty((image.height, image.width, 3), np.uint8)  # a few rows at once: Pillow copies what it hands over
        for top in range(0, image.height, _ROWS):
            rows = image.crop((0, top, image.width, min(top + _ROWS, image.height)))
            pixels[top : top + _ROWS] = np.asarray(rows)[..., :3]
        return pixels
    if mode in ("CMYK", "YCbCr", "HSV", "RGBa"):
        return np.array(image.convert("RGBA" if mode == "RGBa" else "RGB"))[..., :3]
    if mode == "LAB":
        to_srgb = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
        return np.array(ImageCms.applyTransform(image, to_srgb))
    samples = np.asarray(image.convert("LA") if mode == "La" else image)
    samples = samples.view(np.uint32) if unsigned else samples
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
        grey = integers_to_eight_bits(samples)
    elif mode == "F":
        grey = floats_to_eight_bits(samples)
    else:
        raise _reject(Reason.UNSUPPORTED_FORMAT, f"colour mode {mode} has no rule of conversion to RGB")
    return grey.astype(np.uint8)


def _decode(data: bytes, name: str, max_pixels: int, wanted: _Wanted) -> DecodedImage:
    if name == "JPEG":
        return _decode_jpeg(data, max_pixels, wanted)
    found = _READERS.get(name, Found)(data)
    _check(found, name)
    declared = {"WEBP": webp_size, "GIF": gif_size}.get(name, lambda _data: None)(found.data)
    _check_size(declared, max_pixels)  # before Pillow makes room for it
    with _PLUGINS[name](BytesIO(found.data)) as image:
        _check_size(image.size, max_pixels)
        if isinstance(image, _Tiff):
            _check_size((image.tag_v2.get(322, 1), image.tag_v2.get(323, 1)), max_pixels)  # its tiles
        wide = isinstance(image, _Png | _Tiff) and _other_bytes(image.tile) is not None
        _check_memory(image, name, WIDE_BYTES if wide else 0)
        image.load()
        if isinstance(image, _Marked) and image.is_marked() and _is_marked_too(type(image), found.data):
            raise _reject(Reason.TRUNCATED_IMAGE, f"{name}: its pixels end before its last row")
        decoded = _decoded(image, name, _Wanted(whole, hashed=False) if wide else wanted)
        if wide and decoded.pixels.max(initial=0) < 64:  # 14 bits or fewer in 16, of which Pillow keeps the high byte alone
            wide_pixels = decoded.pixels.astype(np.uint16) << 8 | _low_bytes(type(image), found.data)
            decoded = decoded._replace(pixels=integers_to_eight_bits(wide_pixels))
        if wide:
            decoded = decoded._replace(**_taken(decoded.pixels, wanted))
        unwritten = _unwritten(data) if name in ("BMP", "TIFF") and image.mode in ("RGB", "RGBA", "RGBX") else None
        return decoded._replace(damage=found.damaged or unwritten)


def _unwritten(data: bytes) -> str | None:
    """Whether a file of plain samples ends in so many zeros that it was hardly written to its end, or is black there."""
    zeros = bytes(len(data) // 4)
    return f"its last {len(zeros):,} bytes and more are zero" if zeros and data.endswith(zeros) else None


def _decode_jpeg(data: bytes, max_pixels: int, wanted: _Wanted) -> DecodedImage:
    file = read_jpeg(data)
    _check_size(file.size, max_pixels)
    _check(file.found, "JPEG")
    parts = [file.found.data, *file.parts]
    image = _Jpeg(BytesIO(file.found.data))
    with image:
        _check_size(image.size, max_pixels)
        _check_memory(image, "JPEG", 0 if file.single else 2 * len(image.getbands()))
        waiting = image.load_parts(parts)
        if any(waiting) and not file.single:
            raise _reject(Reason.TRUNCATED_IMAGE, "JPEG: a scan ends before its last pixels")
        surplus = f"{SURPLUS} bytes and more of its scan are not read" if len(waiting) < len(parts) - 1 else None
        return _decoded(image, "JPEG", wanted)._replace(damage=file.found.damaged or surplus)


def _decoded(image: ImageFile, name: str, wanted: _Wanted) -> DecodedImage:
    height, width = image.im.size[1], image.im.size[0]  # that of a turned TIFF is stated turned
    if image.mode in _RANGED or (wanted.hashed and image.mode not in _GREYED):
        taken = _taken(to_rgb(image.crop((0, 0, width, height)), unsigned=_is_unsigned(image)), wanted)
    else:
        pixels = wanted.crop(height, width, lambda *box: to_rgb(image.crop(box)))
        image.info.pop("transparency", None)  # which Pillow would look up in grey, and warn of
        taken = {"pixels": pixels, "phash": perceptual_hash(image) if wanted.hashed else None}
    return DecodedImage(
        format=name,
        width=width,
        height=height,
        mode=image.mode,
        orientation=_orientation(image),
        jpeg_quality=_jpeg_quality(image),
        **taken,
    )


def _taken(pixels: Pixels, wanted: _Wanted) -> dict[str, Any]:
    """What is wanted of all pixels of an image, uint8 (H, W, 3)."""
    height, width = pixels.shape[:2]
    taken = wanted.crop(height, width, lambda *box: _part(pixels, box))
    return {"pixels": taken, "phash": perceptual_hash(Image.fromarray(pixels)) if wanted.hashed else None}


def _is_unsigned(image: ImageFile) -> bool:
    """Whether its samples are integers of 32 bits without a sign."""
    return isinstance(image, _Tiff) and image.tag_v2.get(258) == (32,) and image.tag_v2.get(339, (1,)) == (1,)


def _part(pixels: Pixels, box: tuple[int, int, int, int]) -> Pixels:
    left, top, right, bottom = box
    return pixels[top:bottom, left:right]


def _other_bytes(tiles: list[Any]) -> list[Any] | None:
    """Tiles of 16-bit colour, so that Pillow takes the other byte of each sample; ``None`` where they are no such."""
    other = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}
    swapped = []
    for tile in tiles:
        args = tile.args if isinstance(tile.args, tuple) else (tile.args,)
        colours, _, order = str(args[0]).partition(";")
        if colours not in ("RGB", "RGBA", "RGBX") or order not in other:
            return None
        args = (f"{colours};{other[order]}", *args[1:])
        swapped.append(tile._replace(args=args if isinstance(tile.args, tuple) else args[0]))
    return swapped or None


def _low_bytes(plugin: type[ImageFile], data: bytes) -> Pixels:
    with plugin(BytesIO(data)) as image:
        image.tile = _other_bytes(image.tile) or image.tile
        image.load()
        return to_rgb(image.crop((0, 0, *image.im.size)))


def _check(found: Found, name: str) -> None:
    reasons = {
        Reason.TOO_COSTLY: found.costly,
        Reason.UNSUPPORTED_VARIANT: found.variant,
        Reason.TRUNCATED_IMAGE: found.truncated,
        Reason.CORRUPT_IMAGE: found.corrupt,
    }
    for reason, words in reasons.items():
        if words:
            raise _reject(reason, f"{name}: {words}")


def _is_marked_too(plugin: type[_Marked], data: bytes) -> bool:
    """Whether another mark stays as well: then the pixel was not of the mark's colour by chance."""
    image = plugin(BytesIO(data))
    with image:
        image.mark = tuple(255 - value for value in image.mark)
        image.load()
        return image.is_marked()


def _room(data: bytes, name: str, max_pixels: int) -> int:
    """Bytes that decoding a sound image of that header would take, at most."""
    try:
        with _PLUGINS[name](BytesIO(data)) as image:
            pixels = image.width * image.height
    except Exception:  # noqa: BLE001 - a header that cannot be read asks for nothing
        pixels = 0
    return ROOM + BYTES_A_PIXEL * (pixels if pixels <= max_pixels else 0)


def _check_memory(image: ImageFile, name: str, more: int) -> None:
    """Refuses what takes too much to decode, by its header: ``more`` bytes a pixel than its mode and format do."""
    size = image.width * image.height * (PIXEL_BYTES.get(image.mode, 4) + FORMAT_BYTES.get(name, 0) + more)
    if size > MAX_BYTES:
        shown = f"{image.width} x {image.height} pixels ({image.mode})"
        raise _reject(Reason.TOO_COSTLY, f"{name}: {shown} take {size >> 20} MiB to decode, more than {MAX_BYTES >> 20}")


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
