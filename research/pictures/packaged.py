"""Origins from packages of Debian, npm and PyPI: their pictures as they are, their SVG by Chromium, their fonts as specimens."""

from __future__ import annotations

import base64
import gzip
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from causalprint.research.pictures.chance import Chance, chance, often, palette, pick, whole
from causalprint.research.pictures.chromium import BATCH, Window, screenshots
from causalprint.research.pictures.config import PicturesError
from causalprint.research.pictures.crops import CROP
from causalprint.research.pictures.origin import Origin, Picture
from causalprint.research.pictures.packages import FONT_LICENCE, FONT_PACKAGES, FONTS, GRAPHICS, PACKAGES, PHOTOGRAPHS, Package
from causalprint.research.pictures.pages import document
from causalprint.research.pictures.slides import gradient
from causalprint.research.pictures.specimens import specimens
from causalprint.transforms.images.jpeg import quality_of

_NAME = re.compile(r"([^_]+)_.*\.(?:deb|orig\.tar\.\w+)|(.+)-\d[^-]*\.(?:tgz|tar\.gz)")
RASTER, VECTOR, FONT = {".png", ".jpg", ".jpeg", ".webp"}, {".svg", ".svgz"}, {".ttf", ".otf"}
LARGEST = 3_000_000
"""Bytes of an SVG file that is drawn."""
ROUNDS = 4
"""Crops that are looked for in each picture."""


@contextmanager
def packaged_origins(folder: Path | None, *, draw_svg: bool) -> Iterator[tuple[list[Origin], list[str]]]:
    """Origins of the packages in a folder, which last as long as the context, and what is left out and why.

    Packages are Debian's ``.deb`` and ``.orig.tar``, npm's ``.tgz`` and PyPI's ``.tar.gz``.

    Raises:
        PicturesError: the folder holds none, ``dpkg-deb`` is missing or fails, or an archive is damaged.
    """
    if folder is None:
        yield [], []
        return
    archives = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    if not archives:
        get = f"`cd {folder} && apt-get download {' '.join(GRAPHICS)}`"
        raise PicturesError(f"{folder} holds no package; {get} gets some, and {PHOTOGRAPHS} says where others are from")
    with tempfile.TemporaryDirectory() as unpacked:
        origins, left_out = [], []
        fonts: list[tuple[Path, str]] = []
        for archive in archives:
            name = package_of(archive)
            root = Path(unpacked, name)
            if name in FONT_PACKAGES:
                fonts += [(path, name) for path in _files(_unpack(archive, root)) if path.suffix in FONT]
            elif package := PACKAGES.get(name):
                taken = [path for path in _files(_unpack(archive, root)) if package.takes(path.relative_to(root).as_posix())]
                origin = _origin(name, package, root, taken, draw_svg=draw_svg)
                origins.append(origin) if isinstance(origin, Origin) else left_out.append(origin)
            else:
                left_out.append(f"{archive.name}: nobody looked which of its files are what; see {__package__}.packages")
        if fonts:
            origins.append(specimens(FONTS, fonts, FONT_LICENCE))
        yield origins, left_out


def package_of(archive: Path) -> str:
    """Its name: of ``NAME_VERSION_ARCHITECTURE.deb``, ``NAME_VERSION.orig.tar.xz``, ``NAME-VERSION.tgz`` and ``.tar.gz``."""
    found = _NAME.fullmatch(archive.name)
    return next(filter(None, found.groups())) if found else archive.name


def _unpack(archive: Path, root: Path) -> Path:
    if archive.suffix != ".deb":
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(root, filter="data")
        except tarfile.TarError as error:
            raise PicturesError(f"{archive} cannot be unpacked: it is no tar, or a damaged one; download it again") from error
        return root
    program = shutil.which("dpkg-deb")
    if program is None:
        raise PicturesError(f"{archive} cannot be unpacked: dpkg-deb is missing")
    done = subprocess.run([program, "-x", str(archive), str(root)], capture_output=True, text=True, check=False)  # noqa: S603 - no shell
    if done.returncode:
        raise PicturesError(f"{archive}: {done.stderr.strip()}")
    return root


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _origin(name: str, package: Package, root: Path, files: list[Path], *, draw_svg: bool) -> Origin | str:
    """The origin, or why it is left out."""
    vectors = [path for path in files if path.suffix in VECTOR and path.stat().st_size <= LARGEST]
    if vectors and not draw_svg:
        return f"{name}: Chromium is missing"
    rasters = [path for path in files if path.suffix.lower() in RASTER and _large(path)]
    if not vectors and not rasters:
        return f"{name}: holds none of the files that were expected; its version is another"

    def pictures(seed: int) -> Iterator[Picture]:
        return _sheets(seed, name, package, vectors) if vectors else _rasters(seed, name, package, root, rasters)

    return Origin(name, pictures, screen=package.screen, source=package.source)


def _large(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return min(image.size) >= CROP
    except (OSError, ValueError):
        return False


def _rasters(seed: int, name: str, package: Package, root: Path, files: Sequence[Path]) -> Iterator[Picture]:
    """Each file in an order drawn by the seed, and again, on a ground where it is transparent."""
    draw = chance(seed, name)
    for _ in range(ROUNDS):
        for place in draw.permutation(len(files)):
            path = files[int(place)]
            content = f"{name}/{path.relative_to(root).as_posix()}"
            with Image.open(path) as image:
                tables = getattr(image, "quantization", None) or {}
                form, quality = image.format or "PNG", quality_of(tables[0]) if 0 in tables else None
                shown = image.convert("RGBA")
            ground = Image.new("RGBA", shown.size, _ground(draw))
            ground.alpha_composite(shown)
            yield Picture(np.asarray(ground.convert("RGB")), content, package.licence, form, quality)


def _ground(draw: Chance) -> str:
    return pick(draw, ("white", "white", "white", "black", "#2e3436", *palette(draw)))


def _sheets(seed: int, name: str, package: Package, files: Sequence[Path]) -> Iterator[Picture]:
    """Pages with many icons, or one file each, by Chromium."""
    place = 0
    while True:
        draw = chance(seed, name, place)
        window = Window(*pick(draw, ((1024, 768), (1280, 720), (900, 900))), pick(draw, (1.0, 1.0, 1.5)))
        for number, pixels in enumerate(screenshots([_sheet(draw, package, files, window) for _ in range(BATCH)], window)):
            yield Picture(pixels, f"{name}-{place}-{number}", package.licence)
        place += 1


def _sheet(draw: Chance, package: Package, files: Sequence[Path], window: Window) -> str:
    ground = pick(draw, ("#fff", "#fff", "#f4f4f4", gradient(draw, palette(draw))))
    side = whole(draw, 110, 420) if package.sheet else window.width
    count = max(1, (window.width // side) * (window.height // side)) if package.sheet else 1
    gap = whole(draw, 4, 30) if package.sheet else 0
    # What Chromium cannot read leaves its place empty.
    hide = "this.style.visibility='hidden'"
    images = "".join(f'<img onerror="{hide}" src="{_data(pick(draw, files))}">' for _ in range(count))
    fit = "contain" if package.sheet or often(draw, 0.4) else "cover"
    size = f"width:{side - gap}px;height:{(side if package.sheet else window.height) - gap}px;margin:{gap // 2}px"
    return document(
        f"body{{background:{ground};height:100vh;overflow:hidden;line-height:0}}img{{object-fit:{fit};{size}}}", images
    )


def _data(path: Path) -> str:
    """The file as a URL: what is in it loads nothing and runs nothing."""
    data = path.read_bytes()
    plain = gzip.decompress(data) if path.suffix == ".svgz" else data
    return f"data:image/svg+xml;base64,{base64.b64encode(plain).decode()}"
