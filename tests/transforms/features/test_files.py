"""Files of features give back what was written, in one order, and are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.elements import ImageSlice, Reject, Shard
from causalprint.transforms.features.files import (
    FeatureFiles,
    encode,
    read_examples,
    write_features,
    written_shard,
    written_slice,
)
from causalprint.transforms.features.rows import Example, FeatureSlice, Why, feature_rows
from causalprint.transforms.labels import Label
from tests.servers import ObjectStore

WIDTH = 7


def a_shard(number: int) -> Shard:
    return Shard(f"file:///data/{number}.tar", 100 + number, "etag", "tar")


def an_example(seed: int, views: int = 2) -> Example:
    draw = np.random.default_rng(seed)
    return Example(
        f"{seed}.jpg",
        f"{seed:064x}",
        Label("real", f"place-{seed % 3}", f"scène {seed}", "CC0"),
        1000 + seed,
        draw.integers(0, 256, 768, np.uint8),
        draw.normal(size=(views, WIDTH)).astype(np.float16),
        draw.normal(size=(views, 9)).astype(np.float32),
    )


def computed(
    files: FeatureFiles, shard: Shard, index: int, examples: list[Example], *, lost: int = 0, last: bool = False
) -> FeatureSlice:
    rejects = tuple(Reject(f"lost-{number}", number, "read", "empty", "nothing") for number in range(lost))
    outcomes: list[Example | Why] = list(examples)
    return feature_rows(ImageSlice(shard.slice_id(files.key, index), shard, index, (), rejects, last=last), outcomes, WIDTH)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 3))
def test_what_was_written_is_read_shard_by_shard_whatever_the_order_of_writing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], views: int
) -> None:
    files = FeatureFiles(str(tmp_path_factory.mktemp("features")), "k" * 32)
    shards = [a_shard(number) for number in range(len(sizes))]
    made = [
        [[an_example(100 * shard + 10 * index + place, views) for place in range(size)] for index, size in enumerate(several)]
        for shard, several in enumerate(sizes)
    ]
    for shard, slices in reversed(list(zip(shards, made, strict=True))):
        for index, examples in reversed(list(enumerate(slices))):
            write_features(computed(files, shard, index, examples, lost=index, last=index == len(slices) - 1), files)
    expected = [example for slices in made for examples in slices for example in examples]
    found = read_examples(files, shards)
    assert found.images.image_id.tolist() == [example.image_id for example in expected]
    assert found.images.content.tolist() == [example.label.content for example in expected]
    assert found.left_out == sum(index for several in sizes for index in range(len(several)))
    assert found.images.encoded_bytes.tolist() == [example.encoded_bytes for example in expected]
    if expected:
        np.testing.assert_array_equal(found.features, np.stack([example.features for example in expected]))
        np.testing.assert_array_equal(found.style, np.stack([example.style for example in expected]))
        np.testing.assert_array_equal(found.thumbnail, np.stack([example.thumbnail for example in expected]))


def test_the_same_slice_gives_the_same_bytes() -> None:
    files = FeatureFiles("memory://x", "k" * 32)
    first, again = (encode(computed(files, a_shard(0), 0, [an_example(seed) for seed in range(5)])) for _ in range(2))
    assert first == again


def test_a_shard_counts_as_written_when_all_of_its_slices_are_there_and_whole(tmp_path: Path) -> None:
    files, shard = FeatureFiles(str(tmp_path), "k" * 32), a_shard(0)
    for index in (0, 2):
        write_features(computed(files, shard, index, [an_example(index)], last=index == 2), files)
    assert written_shard(files, shard) is None
    with pytest.raises(FileNotFoundError, match=r"features of file:///data/0\.tar are missing from .*; compute them again"):
        read_examples(files, [shard])
    write_features(computed(files, shard, 1, []), files)
    records = written_shard(files, shard)
    assert records is not None
    assert [record.images for record in records] == [1, 0, 1]
    path = tmp_path / files.path(shard.slice_id(files.key, 1))
    path.write_bytes(path.read_bytes()[:-20])
    assert written_slice(files, shard, 1) is None
    limited = Shard(shard.uri, shard.size, shard.generation, shard.format, limit=1)
    assert written_slice(files, limited, 0) is None


def test_an_object_store_holds_features_as_a_disk_does(object_store: ObjectStore) -> None:
    files, shard = FeatureFiles(f"{object_store.url}/features", "k" * 32, object_store.storage), a_shard(0)
    assert written_shard(files, shard) is None
    write_features(computed(files, shard, 0, [an_example(1)], last=True), files)
    assert object_store.names() == [f"features/{files.path(shard.slice_id(files.key, 0))}"]
    assert read_examples(files, [shard]).images.image_id.tolist() == [an_example(1).image_id]
