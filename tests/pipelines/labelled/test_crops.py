"""Labelled shards become crops with their labels, in one order, whether they are held in memory or mapped from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from causalprint.pipelines.labelled.crops import read_labelled_crops
from causalprint.schemas.config import Storage
from tests.bundles import photograph
from tests.pipelines.training.test_train import write_tar


def test_crops_come_with_their_labels_and_small_images_are_counted(tmp_path: Path) -> None:
    rows = [
        (photograph(0, 80, 70), {"source": "real", "origin": "here", "content": "a"}),
        (photograph(1, 40, 40), {"source": "real", "origin": "here", "content": "b"}),
        (photograph(2, 64, 64), {"source": "alpha", "origin": "there"}),
    ]
    shards = [write_tar(tmp_path / "0.tar", rows), write_tar(tmp_path / "1.tar", rows[:1])]
    crops = read_labelled_crops(shards, Storage(), crop=64)
    assert crops.source.tolist() == ["real", "alpha", "real"]
    assert crops.origin.tolist() == ["here", "there", "here"]
    assert crops.content.tolist() == ["a", crops.image_id[1], "a"]
    assert (crops.encoded_bytes > 0).all()
    assert crops.encoding.tolist() == ["PNG"] * 3
    assert crops.size.tolist() == [[80, 70], [64, 64], [80, 70]]
    assert crops.left_out == 1
    assert (crops.crops[1] == photograph(2, 64, 64)).all()
    assert (crops.crops[0] == photograph(0, 80, 70)[8:72, :64]).all()
    mapped = read_labelled_crops(shards, Storage(), crop=64, file=tmp_path / "crops.bin")
    assert isinstance(mapped.crops, np.memmap)
    assert (mapped.crops == crops.crops).all()
    assert (mapped.content == crops.content).all()


def test_a_damaged_shard_is_an_error(tmp_path: Path) -> None:
    whole = Path(write_tar(tmp_path / "0.tar", [(photograph(seed, 64, 64), {"source": "real"}) for seed in range(3)]))
    whole.write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(ValueError, match=r"0\.tar: .*measure on whole shards only"):
        read_labelled_crops([str(whole)], Storage(), crop=64)
