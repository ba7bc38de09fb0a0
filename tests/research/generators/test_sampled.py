"""Samples of the prior become a labelled shard."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from causalprint.research.generators.sampled import write_sampled_shard
from tests.bundles import tiny_prior


def test_samples_are_labelled_and_are_contents_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "out" / "samples.tar"
    write_sampled_shard(tiny_prior(tmp_path / "prior"), path, samples=4)
    with tarfile.open(path) as tar:
        texts = [tar.extractfile(member) for member in tar if member.name.endswith(".json")]
        sidecars = [json.loads(text.read()) for text in texts if text is not None]
    assert {sidecar["source"] for sidecar in sidecars} == {"causalprint-prior"}
    assert len({sidecar["content"] for sidecar in sidecars}) == len(sidecars) == 4
