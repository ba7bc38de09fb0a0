"""The repository's own generators become labelled shards that keep where their photographs came from."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from causalprint.models.bundle import DEFAULT
from causalprint.pipelines.generated_shards import photographs_of, write_generated_shards
from tests.bundles import photograph, tiny_prior
from tests.pipelines.test_train import write_tar


def test_photographs_come_back_through_each_generator_with_their_origin(tmp_path: Path) -> None:
    rows = [
        (photograph(seed), {"source": "real", "origin": "here", "content": f"scene-{seed}", "licence": "CC0"})
        for seed in range(2)
    ]
    rows.append((photograph(9), {"source": "dalle-3", "origin": "there", "content": "x", "licence": "CC0"}))
    shard = write_tar(tmp_path / "photographs.tar", rows)
    assert len(list(photographs_of([shard], per_origin=1))) == 1
    written = write_generated_shards([shard], DEFAULT.parent, tiny_prior(tmp_path / "prior"), tmp_path / "out", samples=4)
    labels = {}
    for path in written:
        with tarfile.open(path) as tar:
            texts = [tar.extractfile(member) for member in tar if member.name.endswith(".json")]
            labels[path.stem] = [json.loads(text.read()) for text in texts if text is not None]
    assert set(labels) == {"autoencoder-nearest", "autoencoder-pixelshuffle", "causalprint-prior"}
    for name, sidecars in labels.items():
        assert {sidecar["source"] for sidecar in sidecars} == {name}
    assert [sidecar["content"] for sidecar in labels["autoencoder-nearest"]] == ["scene-0", "scene-1"]
    assert {sidecar["origin"] for sidecar in labels["autoencoder-pixelshuffle"]} == {"here"}
    assert len({sidecar["content"] for sidecar in labels["causalprint-prior"]}) == 4
