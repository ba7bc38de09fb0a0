"""Crops are streamed: balanced, the same for the same epoch, and never more of them in memory than was said."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.models.training.interventions import Interventions
from causalprint.pipelines.labelled import reader
from causalprint.research.training.stream_crops import (
    SIDE_BY_SIDE,
    CropStream,
    LabelledCrop,
    as_batch,
    balanced,
    central_crops,
    changed_crops,
    in_order,
    shares,
    survey,
)
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.schemas.losses import Losses, ReasonCount
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.labels import Label, LabelError
from causalprint.transforms.match_shards import match_shards
from tests.audits import jpeg, tar


def a_crop(source: str, origin: str, number: int) -> LabelledCrop:
    return LabelledCrop(np.full((2, 2, 3), number % 256, np.uint8), Label(source, origin, str(number), "CC0"))


def a_shard(path: Path, kinds: list[tuple[str, str]], first: int = 0, side: int = 40) -> Path:
    members = []
    for number, (source, origin) in enumerate(kinds, first):
        label = {"source": source, "origin": origin, "licence": "CC0"}
        members += [(f"{number}.jpg", jpeg(number, side)), (f"{number}.json", json.dumps(label).encode())]
    return tar(path, members)


def a_stream(*paths: Path, crop: int = 32) -> CropStream:
    return CropStream(tuple(match_shards([str(path) for path in paths], Storage())), crop, "source")


@given(st.lists(st.sampled_from("aab"), max_size=60), st.integers(1, 7), st.integers(1, 20), st.integers(0, 9))
def test_the_buffer_is_bounded_and_gives_each_crop_once(kinds: list[str], size: int, capacity: int, seed: int) -> None:
    taken = given_out = most = 0

    def crops() -> Iterator[LabelledCrop]:
        nonlocal taken, most
        for number, source in enumerate(kinds):
            taken += 1
            most = max(most, taken - given_out)
            yield a_crop(source, "here", number)

    found = []
    for batch in balanced(crops(), size, capacity, np.random.default_rng(seed)):
        given_out += len(batch)
        found += [crop.label.content for crop in batch]
    assert most <= max(size, capacity)
    assert len(set(found)) == len(found)
    assert len(kinds) - len(found) in (0, 1)


def test_batches_are_balanced_over_sources_and_origins() -> None:
    crops = [a_crop("a", "there" if number % 10 == 0 else "here", number) for number in range(800)]
    crops += [a_crop("b", "here", 1000 + number) for number in range(200)]
    batches = list(balanced(crops, 16, 1000, np.random.default_rng(0)))[:8]
    found = Counter((crop.label.source, crop.label.origin) for batch in batches for crop in batch)
    assert 48 < found["b", "here"] < 80
    assert 16 < found["a", "there"] < 48


def test_rare_kinds_are_shown_more_often_up_to_a_limit(tmp_path: Path) -> None:
    kinds = [("a", "here")] * 9 + [("a", "there")] * 3 + [("b", "here")] * 24
    found = survey(a_stream(a_shard(tmp_path / "0.tar", kinds)))
    assert found.counts == {("a", "here", "CC0"): 9, ("a", "there", "CC0"): 3, ("b", "here", "CC0"): 24}
    assert shares(found) == {("a", "here"): 1.0, ("a", "there"): 3.0, ("b", "here"): 0.75}
    few = found._replace(counts={("a", "here", "CC0"): 1000, ("b", "here", "CC0"): 1})
    assert shares(few)["b", "here"] == 8.0


def test_an_epoch_is_the_same_whenever_it_is_streamed_and_another_shows_other_views(tmp_path: Path) -> None:
    kinds = [("a", "here"), ("b", "here")] * 3
    stream = a_stream(*(a_shard(tmp_path / f"{number}.tar", kinds, 10 * number) for number in range(3)))
    often = {("a", "here"): 1.0, ("b", "here"): 1.5}

    def pixels(epoch: int) -> list[bytes]:
        return [crop.pixels.tobytes() for crop in changed_crops(stream, often, [Interventions()], (0, epoch))]

    first = pixels(0)
    assert len(first) >= 18
    assert len(set(first)) == len(first)
    assert first == pixels(0)
    assert not set(first) & set(pixels(1))


def test_interventions_take_turns_from_crop_to_crop_and_from_epoch_to_epoch(tmp_path: Path) -> None:
    stream = a_stream(a_shard(tmp_path / "0.tar", [("a", "here")] * 3))
    as_it_is = Interventions(mirror=0, scale=0, blur=0, gamma=0, contrast=0, brightness=0, saturation=0, jpeg=0, encoding=0)
    both = [as_it_is, replace(as_it_is, brightness=1, brightnesses=(0.02, 0.02))]

    def darkened(epoch: int) -> list[bool]:
        return [crop.pixels.mean() < 6 for crop in changed_crops(stream, {("a", "here"): 2.0}, both, (0, epoch))]

    assert darkened(0) == [False, True] * 3
    assert darkened(1) == [True, False] * 3


def test_only_a_few_shards_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [a_shard(tmp_path / f"{number:02d}.tar", [("a", "here"), ("b", "here")], 10 * number) for number in range(20)]
    opened = most = 0

    def watched(shard: Shard, bundle_id: str, slicing: Slicing, storage: Storage) -> Iterator[ImageSlice]:
        nonlocal opened, most
        opened += 1
        most = max(most, opened)
        yield from read_slices(shard, bundle_id, slicing, storage)
        opened -= 1

    monkeypatch.setattr(reader, "read_slices", watched)
    assert sum(1 for _ in central_crops(a_stream(*paths))) == 40
    assert most == SIDE_BY_SIDE
    assert opened == 0


def test_what_cannot_be_shown_is_counted_and_that_nothing_has_a_label_is_an_error(tmp_path: Path) -> None:
    good = a_shard(tmp_path / "good.tar", [("a", "here")] * 3)
    small = a_shard(tmp_path / "small.tar", [("a", "here")] * 2, 10, side=20)
    broken = tar(tmp_path / "broken.tar", [("0.jpg", jpeg(50)[:900]), ("0.json", b'{"source": "a"}')])
    found = survey(a_stream(good, small, broken))
    assert sum(found.counts.values()) == 3
    assert found.losses == Losses((ReasonCount("too-small", 2), ReasonCount("truncated-image", 1)))
    bare = tar(tmp_path / "bare.tar", [("nothing.jpg", jpeg(1))])
    more = survey(a_stream(good, bare))
    assert (more.counts, more.losses.reasons) == (found.counts, (("unlabelled", 1),))
    with pytest.raises(LabelError, match=r"nothing\.jpg .*has no label: 'source'"):
        survey(a_stream(bare))


def test_a_shard_that_ends_early_gives_what_can_be_read_and_that_is_said(tmp_path: Path) -> None:
    path = a_shard(tmp_path / "0.tar", [("a", "here")] * 6)
    path.write_bytes(path.read_bytes()[:9000])
    found = survey(a_stream(path))
    assert 0 < sum(found.counts.values()) < 6
    assert "0.tar: " in found.losses.damage[0]


def test_a_batch_numbers_its_labels() -> None:
    crops = [a_crop("b", "here", 1), a_crop("a", "there", 2), a_crop("b", "there", 1)]
    batch = as_batch(crops, ("a", "b"))
    assert batch.labels.tolist() == [1, 0, 1]
    assert batch.origins.tolist() == [0, 1, 1]
    assert batch.contents.tolist() == [0, 1, 0]
    assert batch.pixels.shape == (3, 2, 2, 3)
    assert [len(several) for several in in_order(crops, 2)] == [2, 1]
