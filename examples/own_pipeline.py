"""Parts of an audit in a Beam pipeline of one's own: how many images of each verdict, and nothing written but the counts.

    python examples/own_pipeline.py OUTPUT INPUT…

``OUTPUT-00000-of-00001`` holds a line a verdict. What an audit does besides, closing accounts, committing slices and resuming, is
left to the pipeline that takes its place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import apache_beam as beam

import causalprint as cp
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import AttributedSlice


def verdicts(attributed: AttributedSlice) -> Iterator[str]:
    """The verdict on each image of a slice, with its source where one is named."""
    for row in attributed.attributions.to_pylist():
        yield " ".join(filter(None, (row["verdict"], row["source"])))


def run(output: str, inputs: list[str]) -> None:
    """Counts the verdicts on the images of ``inputs``, by the bundle inside the package."""
    with beam.Pipeline() as pipeline:
        shards = pipeline | beam.Create(list(cp.match_shards(inputs, Storage())))
        slices = shards | cp.ReadImageShards("own-pipeline", Slicing())
        attributed = slices | cp.ComputeFingerprints() | cp.AttributeSources()
        counts = attributed | beam.FlatMap(verdicts) | beam.combiners.Count.PerElement()
        _ = counts | beam.MapTuple(lambda verdict, images: f"{verdict}: {images}") | beam.io.WriteToText(output)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2:])
