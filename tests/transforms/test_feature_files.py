"""Files of features give back what was written, in one order, and are there whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.training.interventions import Style
from causalprint.schemas.accounts import RejectCount
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ImageSlice, Reject, Shard
from causalprint.transforms.compute_features import Example, FeatureSlice, feature_rows
from causalprint.transforms.feature_files import FEATURES, feature_output, read_examples, write_features
from causalprint.transforms.labels import Label
from causalprint.transforms.tables.committed import committed
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import skip_shard, skip_slice
from tests.outputs import files_below
from tests.servers import ObjectStore

WIDTH = 7
KEY = "k" * 32


def a_shard(number: int) -> Shard:
    return Shard(f"file:///data/{number}.tar", 100 + number, "etag", "tar")


def an_example(seed: int, versions: int = 2) -> Example:
    draw = np.random.default_rng(seed)
    return Example(
        f"{seed}.jpg",
        f"{seed:064x}",
        Label("real", f"place-{seed % 3}", f"scène {seed}", "CC0"),
        1000 + seed,
        draw.integers(0, 256, 768, np.uint8),
        draw.normal(size=(versions, WIDTH)).astype(np.float16),
        draw.normal(size=(versions, len(Style()))).astype(np.float32),
    )


def computed(
    files: Output, shard: Shard, index: int, examples: list[Example], *, lost: int = 0, last: bool = False
) -> FeatureSlice:
    rejects = tuple(Reject(f"lost-{number}", number, "read", "empty", "nothing") for number in range(lost))
    return feature_rows(ImageSlice(shard.slice_id(KEY, index), shard, index, (), rejects, last=last), examples, WIDTH)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=3), min_size=1, max_size=3), st.integers(1, 3))
def test_what_was_written_is_read_shard_by_shard_whatever_the_order_of_writing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[list[int]], versions: int
) -> None:
    files = feature_output(str(tmp_path_factory.mktemp("features")), KEY, Storage())
    shards = [a_shard(number) for number in range(len(sizes))]
    made = [
        [[an_example(100 * shard + 10 * index + place, versions) for place in range(size)] for index, size in enumerate(several)]
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


def test_the_same_slice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first", "again"):
        files = feature_output(str(tmp_path / name), KEY, Storage())
        write_features(computed(files, a_shard(0), 0, [an_example(seed) for seed in range(5)]), files)
    assert len(files_below(tmp_path / "first")) == 1
    assert files_below(tmp_path / "first") == files_below(tmp_path / "again")


def test_a_shard_counts_as_written_when_all_of_its_slices_are_there_and_whole(tmp_path: Path) -> None:
    files, shard = feature_output(str(tmp_path), KEY, Storage()), a_shard(0)
    for index in (0, 2):
        write_features(computed(files, shard, index, [an_example(index)], last=index == 2), files)
    assert skip_shard(shard, files) is None
    with pytest.raises(FileNotFoundError, match=r"features of file:///data/0\.tar are missing from .*; compute them again"):
        read_examples(files, [shard])
    receipt = write_features(computed(files, shard, 1, [], lost=3), files)
    assert (receipt.attributed, receipt.rejected, receipt.reasons) == (0, 3, (RejectCount("read", "empty", 3),))
    path = tmp_path / files.path(FEATURES, receipt.slice_id)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert committed(files, receipt.slice_id) is None
    assert skip_shard(shard, files) is None
    path.write_bytes(whole)
    account = skip_shard(shard, files)
    assert account is not None
    assert (account.complete, account.slices, account.attributed, account.rejected) == (True, 3, 2, 3)
    limited = replace(shard, limit=1)
    assert skip_shard(limited, files) is None
    assert list(skip_slice(computed(files, limited, 0, []).source, files)) == []


@pytest.mark.parametrize("size", [None, 0, 4])
def test_a_file_that_is_gone_or_cut_after_its_shard_was_closed_is_computed_again(tmp_path: Path, size: int | None) -> None:
    files, shard = feature_output(str(tmp_path), KEY, Storage()), a_shard(0)
    for index in (0, 1):
        write_features(computed(files, shard, index, [an_example(index)], last=index == 1), files)
    assert skip_shard(shard, files) is not None
    path = tmp_path / files.path(FEATURES, shard.slice_id(KEY, 1))
    if size is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(FileNotFoundError, match=r"missing from .*; compute them again"):
        read_examples(files, [shard])
    assert skip_shard(shard, files) is None


def test_a_file_that_was_changed_after_its_shard_was_closed_is_said_with_the_remedy(tmp_path: Path) -> None:
    files, shard = feature_output(str(tmp_path), KEY, Storage()), a_shard(0)
    write_features(computed(files, shard, 0, [an_example(0)], last=True), files)
    assert skip_shard(shard, files) is not None
    path = tmp_path / files.path(FEATURES, shard.slice_id(KEY, 0))
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 4] ^= 1
    path.write_bytes(whole)
    account = files.path("shards", shard.shard_id(KEY))
    with pytest.raises(ValueError, match=f"damaged.* remove .*{tmp_path}/{account}"):
        read_examples(files, [shard])


def test_an_object_store_holds_features_as_a_disk_does(object_store: ObjectStore) -> None:
    files, shard = feature_output(f"{object_store.url}/OUT", KEY, object_store.storage), a_shard(0)
    assert skip_shard(shard, files) is None
    write_features(computed(files, shard, 0, [an_example(1)], last=True), files)
    assert object_store.names() == [f"OUT/{files.path(FEATURES, shard.slice_id(KEY, 0))}"]
    assert read_examples(files, [shard]).images.image_id.tolist() == [an_example(1).image_id]
