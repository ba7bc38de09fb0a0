"""Reading shards in a pipeline."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from causalprint.schemas.config import Slicing, Storage
from causalprint.transforms.deal_shards import portions
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.read_image_shards import ReadImageShards
from tests.shards import make_samples, write_shard


def test_the_slices_of_every_shard_come_out(tmp_path: Path) -> None:
    for number, kind in enumerate(["tar", "parquet", "tfrecord"]):
        write_shard(kind, make_samples(10, seed=number), tmp_path / f"{number}.{kind}")
    (tmp_path / "broken.tar").write_bytes(b"")
    shards = list(match_shards([str(tmp_path)], Storage()))
    expected = [each for shard in shards for each in read_slices(shard, "bundle", Slicing(4), Storage())]
    assert len(expected) == 10
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        whole = pipeline | "Shards" >> beam.Create(shards) | ReadImageShards("bundle", Slicing(4))
        in_portions = pipeline | "Portions" >> beam.Create(portions(shards, 3)) | "Read" >> ReadImageShards("bundle", Slicing(4))
        assert_that(whole, equal_to(expected), "whole")
        assert_that(in_portions, equal_to(expected), "in portions")
