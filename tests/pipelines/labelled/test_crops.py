"""Labelled shards become crops with their labels, in one order, whether they are held in memory or mapped from a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from causalprint.pipelines.labelled.crops import read_labelled_crops
from causalprint.schemas.config import Storage
from causalprint.schemas.losses import Losses, ReasonCount
from tests.bundles import photograph
from tests.pipelines.training.test_train import write_tar


def test_crops_come_with_their_labels_and_small_images_are_counted(tmp_path: Path) -> None:
    rows = [
        (photograph(0, 80, 70), {"source": "real", "origin": "here", "content": "a"}),
        (photograph(1, 40, 40), {"source": "real", "origin": "here", "content": "b"}),
        (photograph(2, 64, 64), {"source": "alpha", "origin": "there"}),
    ]
    shards = [write_tar(tmp_path / "0.tar", rows), write_tar(tmp_path / "1.tar", rows[:1])]
    found = read_labelled_crops(shards, Storage(), crop=64)
    crops = found.images
    assert crops.source.tolist() == ["real", "alpha", "real"]
    assert crops.origin.tolist() == ["here", "there", "here"]
    assert crops.content.tolist() == ["a", crops.image_id[1], "a"]
    assert (crops.encoded_bytes > 0).all()
    assert crops.encoding.tolist() == ["PNG"] * 3
    assert crops.size.tolist() == [[80, 70], [64, 64], [80, 70]]
    assert found.losses == Losses((ReasonCount("too-small", 1),))
    assert (found.crops[1] == photograph(2, 64, 64)).all()
    assert (found.crops[0] == photograph(0, 80, 70)[8:72, :64]).all()
    mapped = read_labelled_crops(shards, Storage(), crop=64, file=tmp_path / "crops.bin")
    assert isinstance(mapped.crops, np.memmap)
    assert (mapped.crops == found.crops).all()
    assert (mapped.images.content == crops.content).all()
