"""An image's label: from its sidecar or its row in every format of shards, else from the folder that it lies in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import EncodedImage, Shard
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.labels import Label, LabelError, label_of
from causalprint.transforms.match_shards import match_shards
from tests.shards import MAKERS, make_samples, write_shard

TAR = Shard("file:///data/0.tar", 1, "etag", "tar")
FOLDER = Shard("file:///data/dalle-3/", 1, "etag", "folder")


def labels_in(path: Path, label_field: str = "source") -> list[Label]:
    shards = match_shards([str(path)], Storage())
    slices = (slice_ for shard in shards for slice_ in read_slices(shard, "labels", Slicing(), Storage()))
    return [label_of(image, slice_.shard, label_field) for slice_ in slices for image in slice_.images]


@pytest.mark.parametrize("kind", [*MAKERS, "folder"])
def test_every_format_carries_labels(kind: str, tmp_path: Path) -> None:
    known = {"source": "alpha", "maker": "beta", "class": 3, "origin": "here", "content": "7", "licence": "MIT"}
    samples = [sample._replace(metadata=known) for sample in make_samples(3)]
    path = write_shard(kind, samples, tmp_path / f"shard.{kind}")
    assert labels_in(path) == [("alpha", "here", "7", "MIT")] * 3
    assert [label.source for label in labels_in(path, "maker")] == ["beta"] * 3
    assert [label.source for label in labels_in(path, "class")] == ["3"] * 3


def test_without_metadata_the_folder_names_the_source_and_the_image_is_its_own_content() -> None:
    image = EncodedImage("1.png", 0, b"x")
    assert label_of(image, FOLDER, "source") == ("dalle-3", FOLDER.uri, image.image_id, "unstated")
    assert label_of(image._replace(member="gamma/1.png"), TAR, "source").source == "gamma"
    alone = replace(FOLDER, uri=f"{FOLDER.uri}1.png")
    assert label_of(image, alone, "source") == label_of(image, FOLDER, "source")


@pytest.mark.parametrize(
    ("metadata", "why"),
    [(None, "is not there and it lies in no folder"), ('{"source": 3.5}', "holds 3.5"), ('{"source": ""}', "holds ''")],
)
def test_an_image_that_nothing_labels_is_an_error_with_its_remedy(metadata: str | None, why: str) -> None:
    with pytest.raises(LabelError, match=rf"1\.png in file:///data/0\.tar has no label: 'source' .*{why}.*another --label-field"):
        label_of(EncodedImage("1.png", 0, b"", metadata), TAR, "source")
