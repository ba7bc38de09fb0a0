"""The commands that train, from their arguments to what they wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import load_bundle
from tests.audits import command, jpeg, photographs_tar, tar
from tests.bundles import tiny_prior

Capture = pytest.CaptureFixture[str]


@pytest.mark.slow
def test_labelled_shards_become_a_bundle_that_audits(tmp_path: Path, capsys: Capture) -> None:
    members = []
    for number in range(24):
        label = {
            "source": ("real", "alpha")[number % 2],
            "origin": f"place-{number % 3}",
            "content": str(number),
            "licence": "CC0",
        }
        members += [(f"{number:03d}.jpg", jpeg(number)), (f"{number:03d}.json", json.dumps(label).encode())]
    tar(tmp_path / "labelled.tar", members)
    prior = tiny_prior(tmp_path / "prior")
    bundle = tmp_path / "bundle"
    arguments = [
        "train",
        tmp_path / "labelled.tar",
        "-o",
        bundle,
        "--residual",
        f"denoise:{prior}",
        "--interventions",
        0,
        "--name",
        "mine",
    ]
    code, found, _ = command(capsys, *arguments, "--licence", "CC0")
    assert (code, found["kind"]) == (0, "bundle")
    assert found["bundle_id"] == load_bundle(bundle).bundle_id
    assert found["bundle_id"].startswith("mine-")
    assert set(found["manifest"]["sources"]) == {"real", "alpha"}
    assert command(capsys, *arguments).code == 1  # it is there
    photographs_tar(tmp_path / "in.tar", range(2))
    assert command(capsys, "audit", tmp_path / "in.tar", "-o", tmp_path / "out", "--bundle", bundle).found["seen"] == 2


@pytest.mark.parametrize("name", ["train", "lab train-prior"])
def test_what_cannot_be_trained_from_is_one_line(name: str, tmp_path: Path, capsys: Capture) -> None:
    residual = ["--residual", f"denoise:{tiny_prior(tmp_path / 'prior')}"] if name == "train" else []
    code, found, log = command(capsys, *name.split(), tmp_path / "nowhere", "-o", tmp_path / "out", *residual)
    assert code == 1
    assert "nowhere" in found["error"]
    assert log.splitlines()[-1].startswith("causalprint: ")
    assert "Traceback" not in log


@pytest.mark.parametrize("name", ["train", "lab train-prior"])
def test_training_without_an_output_is_an_error_of_usage(name: str, capsys: Capture) -> None:
    assert main([*name.split(), "somewhere"]) == 2
    assert "--output" in capsys.readouterr().err
