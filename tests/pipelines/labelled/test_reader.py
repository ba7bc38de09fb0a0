"""One policy for labelled shards: what can be read is kept, what is lost is counted and said, a broken connection is an error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from causalprint.pipelines.labelled import reader as reading
from causalprint.pipelines.labelled.reader import AHEAD, LabelledImage, LabelledReader, central_crop
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.schemas.losses import Losses, ReasonCount
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.labels import LabelError
from causalprint.transforms.match_shards import match_shards
from tests.audits import tar
from tests.bundles import photograph
from tests.pipelines.training.test_train import write_tar
from tests.shards import damaged_tar, make_samples, tar_bytes

REAL = {"source": "real", "origin": "here"}


def shards(*paths: str | Path, limit: int | None = None) -> list[Shard]:
    return list(match_shards([str(path) for path in paths], Storage(), limit))


def a_tar(path: Path, count: int, side: int = 40) -> str:
    return write_tar(path, [(photograph(seed, side, side), REAL) for seed in range(count)])


def test_images_come_in_order_with_their_places_and_losses_are_counted_and_told(tmp_path: Path) -> None:
    samples = [sample._replace(metadata=REAL) for sample in make_samples(6, kinds=("PNG",), width=40, height=40)]
    samples[4] = samples[4]._replace(metadata={"url": "https://example.org"})
    data, reasons = damaged_tar(samples, {1: "flipped header", 3: "cut short", 5: "cut inside"})
    (tmp_path / "0.tar").write_bytes(data)
    a_tar(tmp_path / "1.tar", 1, side=20)
    told: list[tuple[str, str]] = []
    reader = LabelledReader(shards(tmp_path), "source", lost=lambda name, why: told.append((name, why)))

    def work(image: LabelledImage) -> tuple[str, int, int]:
        return image.encoded.member, image.place, len(central_crop(image.decode(), 32))

    assert list(reader.map(work)) == [("000000.png", 0, 32), ("000002.png", 1, 32)]
    counts = dict(reader.losses.reasons)
    assert counts == {**{reason.value: 1 for reason in reasons.values()}, "unlabelled": 1, "too-small": 1}
    assert reader.losses.images == len(told) - 1 == 5
    (damage,) = reader.losses.damage
    assert damage.startswith(f"{(tmp_path / '0.tar').as_uri()}: ")
    assert ((tmp_path / "0.tar").as_uri(), damage.partition(": ")[2]) in told
    assert f"{(tmp_path / '0.tar').as_uri()}#000004.png" in dict(told)
    text = str(reader.losses)
    assert text.startswith("5 images are left out (")
    assert "1 unlabelled" in text
    assert f"1 shard is damaged and counts as far as it can be read: {damage}" in text
    assert list(reader.map(work)) == [("000000.png", 0, 32), ("000002.png", 1, 32)]
    assert dict(reader.losses.reasons) == counts, "another reading counts anew"


def test_only_where_no_image_has_a_label_is_that_an_error(tmp_path: Path) -> None:
    bare = tar(tmp_path / "bare.tar", [("0.png", tar_bytes([])), ("1.png", b"x")])
    with pytest.raises(LabelError, match=r"0\.png in file://.*bare\.tar has no label: 'source'.*--label-field"):
        list(LabelledReader(shards(bare), "source"))
    both = LabelledReader(shards(bare, a_tar(tmp_path / "good.tar", 1)), "source")
    assert [image.label.source for image in both] == ["real"]
    assert both.losses == Losses((ReasonCount("unlabelled", 2),))
    assert [image.label.source for image in LabelledReader(shards(bare), None)] == ["", ""]
    assert [image.label.source for image in LabelledReader(shards(bare), "source", otherwise="real")] == ["real"] * 2


def test_a_broken_connection_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(shard: Shard, *_: object) -> Iterator[ImageSlice]:
        yield ImageSlice("", shard, 0, (), last=True, damage="connection reset", retryable=True)

    monkeypatch.setattr(reading, "read_slices", broken)
    with pytest.raises(ConnectionError, match=r"0\.tar: connection reset; give the same command again"):
        list(LabelledReader(shards(a_tar(tmp_path / "0.tar", 1)), "source"))


def test_a_limit_is_no_damage(tmp_path: Path) -> None:
    reader = LabelledReader(shards(a_tar(tmp_path / "0.tar", 5), limit=3), "source")
    assert len(list(reader)) == 3
    assert reader.losses == Losses()
    assert not str(reader.losses)


def test_shards_are_read_by_turns_and_only_a_little_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SLICING", replace(reading.SLICING, images=2))
    several = shards(*(a_tar(tmp_path / f"{number}.tar", 40, side=16) for number in range(3)))
    opened = most = 0

    def watched(*given: object) -> Iterator[ImageSlice]:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        yield from read_slices(*given)  # type: ignore[arg-type]
        opened -= 1

    monkeypatch.setattr(reading, "read_slices", watched)
    begun: list[LabelledImage] = []
    reader = LabelledReader(several, "source", side_by_side=2)
    done = reader.map(lambda image: begun.append(image) or image)  # type: ignore[func-returns-value]
    first = [next(done) for _ in range(5)]
    assert [(Path(image.shard.uri).name, image.place) for image in first] == [
        ("0.tar", 0),
        ("0.tar", 1),
        ("1.tar", 0),
        ("1.tar", 1),
        ("0.tar", 2),
    ]
    assert len(begun) <= 5 + AHEAD
    assert len(list(done)) == 3 * 40 - 5
    assert (opened, most) == (0, 2)


def test_losses_add_up() -> None:
    one = Losses((ReasonCount("a", 1), ReasonCount("c", 2)), ("x: cut",))
    assert one + Losses((ReasonCount("b", 3), ReasonCount("c", 1)), ("y: cut",)) == Losses(
        (ReasonCount("a", 1), ReasonCount("b", 3), ReasonCount("c", 3)), ("x: cut", "y: cut")
    )
    assert str(Losses((ReasonCount("a", 1),))) == "1 image is left out (1 a)"
    assert "2 shards are damaged and count as far as they can be read, such as x: cut" in str(Losses((), ("x: cut", "y: cut")))
