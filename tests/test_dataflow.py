"""Dataflow, as far as it goes without a cloud: machines, template, image, and the translation where its client is installed."""

from __future__ import annotations

import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import google.auth.credentials
import pytest
from apache_beam import Pipeline
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from causalprint.pipelines.audit import build, plan
from causalprint.pipelines.beam_main import arguments
from causalprint.pipelines.cli import main
from causalprint.pipelines.dataflow import ACCELERATOR
from causalprint.pipelines.flex_template import document, metadata
from causalprint.schemas.config import AuditConfig
from causalprint.transforms.deal_shards import Planned
from tests.audits import command, photographs_tar
from tests.servers import ObjectStore
from tests.test_schedulers import asked

DEPLOY = Path(__file__).parents[1] / "deploy" / "dataflow"
ACCELERATOR_URN, RAM_URN = "beam:resources:accelerator:v1", "beam:resources:min_ram_bytes:v1"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> AuditConfig:
    """An audit of one image."""
    folder = tmp_path_factory.mktemp("dataflow")
    return AuditConfig((str(photographs_tar(folder / "a.tar", range(1))),), str(folder / "out"), str(tiny))


def hints_of(pipeline: Any) -> dict[str, dict[str, str]]:
    """The resource hints of every step that works, by its name."""
    parts = pipeline.components
    return {
        step.unique_name: {name: value.decode() for name, value in parts.environments[step.environment_id].resource_hints.items()}
        for step in parts.transforms.values()
        if step.environment_id and not step.subtransforms
    }


def translated(config: AuditConfig, **changes: Any) -> dict[str, dict[str, str]]:
    planned = plan(config)
    root = Pipeline(runner=FnApiRunner())
    build(root, replace(planned, config=replace(config, **changes)), Planned(planned.shards))
    return hints_of(root.to_runner_api())


def test_all_from_reading_to_writing_asks_for_the_same_machines(config: AuditConfig) -> None:
    steps = translated(config, runner="dataflow", device="cuda")
    heavy = {name: hints for name, hints in steps.items() if "ProcessShards" in name}
    assert {part for part in ("Read", "Compute", "WriteSlice") if any(part in name for name in heavy)} == {
        "Read",
        "Compute",
        "WriteSlice",
    }
    assert {tuple(sorted(hints.items())) for hints in heavy.values()} == {
        ((ACCELERATOR_URN, ACCELERATOR), (RAM_URN, "8000000000"))
    }
    assert {tuple(hints) for name, hints in steps.items() if name not in heavy} == {()}


def test_what_was_asked_of_beam_is_not_asked_again_and_elsewhere_nothing_is(config: AuditConfig) -> None:
    own = ("--resource_hint=accelerator=type:nvidia-tesla-t4;count:1",)
    for changes in ({"device": "cpu"}, {"device": "cuda", "beam_options": own}):
        asked_for = translated(config, runner="dataflow", **changes)
        assert {key for hints in asked_for.values() for key in hints} == {RAM_URN}
    assert {key for hints in translated(config, device="cpu").values() for key in hints} == set()


def test_a_template_is_no_job_of_another_runner(config: AuditConfig, capsys: pytest.CaptureFixture[str]) -> None:
    words = (*config.argv()[1:], "--", "--template_location=/tmp/job")
    assert command(capsys, *words).found["error"].startswith("--template_location is an option of --runner dataflow")


def test_the_template_offers_what_the_launcher_understands() -> None:
    assert (DEPLOY / "metadata.json").read_text() == document(), "make docs writes it anew"
    parameters = metadata()["parameters"]
    assert len({one["name"] for one in parameters}) == len(parameters)
    given = {"input": "gs://a/*.tar", "output": "gs://b", "prior": "photograph=0.9", "retry_rejects": "read", "seed": "1"}
    given["same_as"] = "gs://old=gs://a"
    words = []
    for one in parameters:
        assert set(one) <= {"name", "label", "helpText", "isOptional", "paramType", "regexes"}
        assert re.fullmatch("[a-z][a-z0-9_]*", one["name"])
        if one["name"] in {"limit", "c2pa_trust"}:
            continue  # the one excludes --sample, the other is a file that is read at once
        value = given.get(one["name"], "1" if "regexes" in one else "auto")
        assert all(re.fullmatch(regex, value) for regex in one.get("regexes", ()))
        words.append(f"--{one['name']}={value}")
    config = asked(arguments([*words, "--runner=DataflowRunner", "--template_location=gs://b/job"]))
    assert (config.inputs, config.output, config.runner) == (("gs://a/*.tar",), "gs://b", "dataflow")
    assert (config.slice_images, config.sample, config.prior.photograph) == (1, 1, 0.9)
    assert config.beam_options == ("--template_location=gs://b/job",)


def test_the_image_has_all_folders_and_runs_as_nobody_in_particular() -> None:
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    root = DEPLOY.parents[1]
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert [path for paths in copied for path in paths if not (root / path).exists()] == []
    linked = {path.resolve().name for path in (root / "causalprint").iterdir() if path.is_symlink()}
    assert linked <= {path for paths in copied for path in paths}
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["auditor"]
    assert not any(line.startswith("RUN ") for line in lines[lines.index("USER auditor") :])
    pinned = re.search(r"^apache-beam==(.+)$", (root / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert f"FROM apache/beam_python3.11_sdk:{pinned[1]} AS beam" in lines


@pytest.mark.skipif(importlib.util.find_spec("apitools") is None, reason="Dataflow's client comes with the extra dataflow")
def test_the_launcher_of_a_template_writes_a_job(
    config: AuditConfig, gcs_store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    anonymous = (google.auth.credentials.AnonymousCredentials(), "my-project-1")  # type: ignore[no-untyped-call]
    monkeypatch.setattr("google.auth.default", lambda *_, **__: anonymous)
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{gcs_store.port}")
    cloud = ["--project=my-project-1", "--region=europe-west4", "--sdk_location=container"]
    image = "--sdk_container_image=example.org/a/b:1"
    places = [f"--temp_location={gcs_store.url}/tmp", f"--staging_location={gcs_store.url}/st"]
    own = [f"--input={config.inputs[0]}", f"--output={config.output}", f"--bundle={config.bundle}", "--runner=DataflowRunner"]
    template = f"--template_location={gcs_store.url}/job.json"
    assert main(arguments([*own, *cloud, image, *places, template])) == 0
    assert json.loads(gcs_store.get("job.json"))["type"] == "JOB_TYPE_BATCH"
    (name,) = [name for name in gcs_store.names() if name.endswith("pipeline.pb")]
    pipeline = beam_runner_api_pb2.Pipeline.FromString(gcs_store.get(name))
    assert {key for hints in hints_of(pipeline).values() for key in hints} == {RAM_URN}
