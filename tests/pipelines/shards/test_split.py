"""``split``: what is tested shares neither origin nor content with what is learned from, and no image is lost or changed."""

from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from causalprint.__main__ import main
from causalprint.models.evaluation.splits import SplitError
from causalprint.pipelines.commands.split import SplitConfig
from causalprint.pipelines.shards.split import ShardSplitError, split_shards
from causalprint.research.comparison.config import CompareConfig
from causalprint.research.comparison.data import read_data
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.labels import LabelError
from causalprint.transforms.match_shards import match_shards
from tests.audits import command, tar
from tests.bundles import photograph

SIDE = 64
ORIGINS = {"real": ("here", "there", "yonder"), "alpha": ("here", "there"), "beta": ("here",)}
EACH = 6
TWINS = ("real", "alpha")
"""Sources of which one picture of the origin ``here`` is shown ``there`` once more, under another name of its content."""


def encode(pixels: npt.NDArray[np.uint8], kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=95)
    return buffer.getvalue()


def members(number: int) -> list[tuple[str, bytes]]:
    """Half of the images of every origin, in a folder a source with the same names in each; three that cannot be used."""
    found = []
    for source, origins in ORIGINS.items():
        for origin in origins:
            for place in range(number, EACH, 2):
                seed = 1000 * list(ORIGINS).index(source) + 100 * ("here", "there", "yonder").index(origin) + place
                twin = origin == "there" and place == 0 and source in TWINS
                kind = "JPEG" if place % 3 else "PNG"
                data = encode(photograph(seed - 100 if twin else seed, SIDE, SIDE + 16), kind)
                sidecar = {"source": source, "origin": origin, "content": f"scene {seed}", "url": f"https://example.org/ä/{seed}"}
                key = f"{source}/{origin}/{place:04d}"
                found += [(f"{key}.crawl.{kind.lower()}", data), (f"{key}.json", json.dumps(sidecar).encode())]
    found += [("real/small.png", encode(photograph(1, SIDE - 1, SIDE), "PNG")), ("real/drawing.jpg", b"<svg/>")]
    return [*found, ("real/empty.png", b"")]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("images")
    for number in range(2):
        tar(folder / f"shard-{number}.tar", members(number))
    return str(folder)


def read(folder: object) -> list[EncodedImage]:
    """The images of a folder's shards, all of which must be whole."""
    found: list[EncodedImage] = []
    for shard in match_shards([str(folder)], Storage()):
        for slice_ in read_slices(shard, "test", Slicing(), Storage()):
            assert slice_.damage is None
            found += slice_.images
    return found


def ids(images: list[EncodedImage]) -> Counter[str]:
    return Counter(image.image_id for image in images)


def sidecars(images: list[EncodedImage]) -> list[dict[str, Any]]:
    return [json.loads(image.metadata or "") for image in images]


def split(shards: str, output: Path, seed: int = 0) -> Any:
    return split_shards(SplitConfig((shards,), output, seed, crop=SIDE))


@pytest.mark.parametrize("seed", range(4))
def test_the_test_is_that_of_compare(shards: str, tmp_path: Path, seed: int) -> None:
    made = split(shards, tmp_path / "out", seed)
    compared = CompareConfig(inputs=(shards,), output=tmp_path, crop=SIDE, seeds=seed + 1)
    data = read_data(compared, tmp_path / "cache", lambda _: None)
    test, contents = data.splits[seed].test, data.ground.contents
    free = ~np.isin(contents, contents[test])
    assert ids(read(tmp_path / "out" / "test")) == Counter(data.images.image_id[test].tolist())
    assert ids(read(tmp_path / "out" / "fit")) == Counter(data.images.image_id[free].tolist())
    assert (made.fit, made.test) == (free.sum(), test.sum())


def test_origins_and_contents_are_on_one_side_and_every_image_is_accounted_for(shards: str, tmp_path: Path) -> None:
    made = split(shards, tmp_path / "out")
    fit, test = (sidecars(read(tmp_path / "out" / side)) for side in ("fit", "test"))
    for source, origins in ORIGINS.items():
        ours, theirs = ({row["origin"] for row in rows if row["source"] == source} for rows in (fit, test))
        row = next(row for row in made.sources if row.source == source)
        assert (set(row.fit.origins), set(row.test.origins)) == (ours, theirs)
        assert ours | theirs == set(origins)
        assert ours.isdisjoint(theirs) == (len(origins) > 1)
    assert {row["content"] for row in fit}.isdisjoint(row["content"] for row in test)
    twins = {f"scene {1000 * list(ORIGINS).index(source) + 100}" for source in TWINS}
    assert not twins & {row["content"] for row in fit + test}
    why = {reason.why: reason.images for reason in made.left_out}
    assert why == {
        "rejected: it cannot be read or decoded": 4,
        "smaller than the crop": 2,
        "shares a content with the test": len(TWINS),
    }
    assert made.images == 2 * 3 + EACH * 6 == made.fit + made.test + sum(why.values())


def test_bytes_and_sidecars_stay_as_they_were(shards: str, tmp_path: Path) -> None:
    split(shards, tmp_path / "out")
    before = [(image.data, json.loads(image.metadata)) for image in read(shards) if image.metadata]
    after = [image for side in ("fit", "test") for image in read(tmp_path / "out" / side)]
    for image, found in zip(after, sidecars(after), strict=True):
        assert found.pop("licence") == "unstated"
        assert (image.data, found) in before
    assert {image.member.partition(".")[2] for image in after} == {"jpg", "png"}
    for name in ("00000.tar", "00001.tar"):
        members = [image.member for side in ("fit", "test") for image in read(tmp_path / "out" / side / name)]
        assert len({member.partition(".")[0] for member in members}) == len(members) > 0


def test_the_same_run_gives_the_same_bytes(shards: str, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / f".{name}.part" / "fit").mkdir(parents=True)
        (tmp_path / f".{name}.part" / "fit" / "00009.tar").write_bytes(b"of a run that was killed")
        split(shards, tmp_path / name)
        root = tmp_path / name
        files.append({str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()})
    assert files[0] == files[1]
    assert set(files[0]) == {f"{side}/0000{number}.tar" for side in ("fit", "test") for number in range(2)}
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two"}


def test_a_label_elsewhere_becomes_the_source_and_an_unused_shard_has_no_tar(tmp_path: Path) -> None:
    for number, origin in enumerate(("here", "there")):
        rows = [
            (f"{place}.{suffix}", data)
            for place in range(3)
            for suffix, data in (
                ("png", encode(photograph(100 * number + place, SIDE, SIDE), "PNG")),
                ("json", json.dumps({"source": "flickr", "model": 7, "origin": origin}).encode()),
            )
        ]
        tar(tmp_path / "images" / f"{number}.tar", rows)
    split_shards(SplitConfig((str(tmp_path / "images"),), tmp_path / "out", 0, "model", SIDE))
    assert {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.tar")} == {
        "fit/00001.tar",
        "test/00000.tar",
    }
    assert [(row["source"], row["model"], row["origin"]) for row in sidecars(read(tmp_path / "out"))] == [
        *[("7", 7, "there")] * 3,
        *[("7", 7, "here")] * 3,
    ]


def test_what_cannot_be_split_is_told_and_nothing_is_written(shards: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(ShardSplitError, match="full is there already and not empty; remove it, or give another --output"):
        split(shards, tmp_path / "full")
    with pytest.raises(ShardSplitError, match="at least 999 pixels wide and high; give other images or a smaller --crop"):
        split_shards(SplitConfig((shards,), tmp_path / "out", crop=999))
    one = tar(tmp_path / "one.tar", [("real/0.png", encode(photograph(0, SIDE, SIDE), "PNG"))])
    with pytest.raises(ShardSplitError, match="nothing to test among 1 images"):
        split(str(one), tmp_path / "out")
    same = encode(photograph(0, SIDE, SIDE), "PNG")
    alike = tar(tmp_path / "alike.tar", [(f"{source}/{place}.png", same) for source in ("real", "alpha") for place in range(2)])
    with pytest.raises(ShardSplitError, match="nothing to test"):
        split(str(alike), tmp_path / "out")
    twin = [
        (f"{place}.{suffix}", data)
        for place in range(2)
        for suffix, data in (("png", same), ("json", json.dumps({"source": "real", "origin": f"{place}"}).encode()))
    ]
    with pytest.raises(SplitError, match="nothing is left to learn real from"):
        split(str(tar(tmp_path / "twin.tar", twin)), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"full", "one.tar", "alike.tar", "twin.tar"}


def test_a_damaged_shard_gives_what_can_be_read_and_what_has_no_label_stays_out(
    shards: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    whole = (Path(shards) / "shard-0.tar").read_bytes()
    (images / "0.tar").write_bytes((Path(shards) / "shard-1.tar").read_bytes())
    (images / "1.tar").write_bytes(whole[: len(whole) * 3 // 4])
    tar(images / "2.tar", [("bare.png", encode(photograph(7, SIDE, SIDE), "PNG"))])
    readable = len(read_all(images))
    made = split(str(images), tmp_path / "out")
    why = {reason.why: reason.images for reason in made.left_out}
    assert why["nothing says what made it"] == 1
    assert made.images == made.fit + made.test + sum(why.values()) >= readable
    assert [text.partition(": ")[0] for text in made.damage] == [(images / "1.tar").as_uri()]
    kept = Counter(image.image_id for image in read_all(images))
    assert not ids(read(tmp_path / "out")) - kept
    assert main(("split", str(images), "--output", str(tmp_path / "again"), "--crop", str(SIDE))) == 0
    printed = capsys.readouterr().out
    assert "left out: 1: nothing says what made it" in printed
    assert "damaged, and split as far as it can be read: file://" in printed
    with pytest.raises(LabelError, match=r"bare\.png in .* has no label"):
        split(str(images / "2.tar"), tmp_path / "bare")


def read_all(folder: Path) -> list[EncodedImage]:
    """The images of a folder's shards, as far as they can be read."""
    several = [read_slices(shard, "test", Slicing(), Storage()) for shard in match_shards([str(folder)], Storage())]
    return [image for slices in several for slice_ in slices for image in slice_.images]


def test_a_failure_while_writing_leaves_nothing(shards: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("causalprint.pipelines.shards.split.add_row", fail)
    with pytest.raises(OSError, match="no space"):
        split(shards, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_command_splits_and_says_how(shards: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").mkdir()
    arguments = ("split", shards, "--output", tmp_path / "out", "--seed", 1, "--crop", SIDE)
    code, found, _ = command(capsys, *arguments)
    assert code == 0
    assert [row["source"] for row in found["sources"]] == ["alpha", "beta", "real"]
    assert found["sources"][2]["test"] == {"origins": ["there"], "images": EACH}
    code, found, _ = command(capsys, *arguments)
    assert (code, "remove it, or give another --output" in found["error"]) == (1, True)
    again = ("split", shards, "--output", str(tmp_path / "again"), "--seed", "1", "--crop", str(SIDE))
    assert main(again) == 0
    printed = capsys.readouterr().out
    assert f"next: causalprint train {tmp_path / 'again'}/fit" in printed
    assert "left out: 2: smaller than the crop" in printed
