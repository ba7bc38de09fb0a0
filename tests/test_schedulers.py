"""The examples for schedulers: whole by the rules of each, and with commands that ours takes."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from causalprint.__main__ import app
from causalprint.pipelines.beam_main import arguments
from causalprint.pipelines.cli import main
from causalprint.pipelines.commands.command import SPEAKS
from causalprint.pipelines.errors import ExitCode
from causalprint.pipelines.runners import pipeline_options
from causalprint.schemas.config import AuditConfig
from tests.audits import photographs_tar

ROOT = Path(__file__).parents[1]
SCHEDULERS = ROOT / "examples" / "schedulers"
EVERY_NIGHT = "15 2 * * *"


def asked(words: list[str]) -> AuditConfig:
    """What our command line makes of words after ``causalprint``."""
    cut = words.index("--") if "--" in words else len(words)
    name, *own = words[:cut]
    command = typer.main.get_command(app).get_command(None, name)  # type: ignore[attr-defined]
    values = command.make_context(name, own).params
    given = {name: value for name, value in values.items() if value is not None and name not in SPEAKS}
    return AuditConfig(**given, beam_options=tuple(words[cut + 1 :]))


def operator() -> dict[str, Any]:
    """The keywords of the one Beam operator of the DAG, read and not run: Airflow is not installed here."""
    tree = ast.parse((SCHEDULERS / "airflow_dag.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    (found,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "BeamRunPythonPipelineOperator"]
    values = {word.arg: word.value for word in found.keywords if word.arg not in {None, "retry_delay"}}
    (dag,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "DAG"]
    schedule = {word.arg: word.value for word in dag.keywords}["schedule"]
    return {str(name): ast.literal_eval(value) for name, value in values.items()} | {"schedule": ast.literal_eval(schedule)}


def as_airflow_says(options: dict[str, Any]) -> list[str]:
    """Options as the operator gives them to its program: lists word by word, and a label of its own."""
    words = []
    for name, value in (options | {"labels": ["airflow-version=v3"]}).items():
        words += [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]
    return words


def test_cron_runs_the_line_to_its_end() -> None:
    (line,) = [line for line in (SCHEDULERS / "crontab").read_text().splitlines() if line and not line.startswith("#")]
    fields = line.split(maxsplit=5)
    assert " ".join(fields[:5]) == EVERY_NIGHT
    assert not re.search(r"(?<!\\)%", fields[5]), "cron ends the command at a bare %"
    words = shlex.split(fields[5].replace(r"\%", "%"))
    command = words[words.index("causalprint") + 1 : words.index(">>")]
    config = asked(command)
    assert (config.inputs, config.output) == (("/data/crawl",), "/data/audit")
    assert str(config.fail_if[0]) == "generated > 5 %"
    assert config.metrics_file is not None
    assert config.metrics_file.endswith(".prom")


def test_a_cluster_starts_the_container_and_tries_again_what_may_come_out_better() -> None:
    job = yaml.safe_load((SCHEDULERS / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]
    assert (spec["schedule"], spec["concurrencyPolicy"]) == (EVERY_NIGHT, "Forbid")
    pod = spec["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["restartPolicy"] == "Never", "a podFailurePolicy is refused with any other"
    (container,) = pod["containers"]
    failing, _ = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert failing["onExitCodes"]["containerName"] == container["name"]
    assert {*failing["onExitCodes"]["values"]} == {ExitCode.USAGE, ExitCode.CONDITION}
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert 'ENTRYPOINT ["causalprint"]' in (ROOT / "Dockerfile").read_text(), "the container's arguments begin with the command"
    config = asked(container["args"])
    assert (config.inputs, config.output) == (("s3://crawl/2026/",), "s3://audits/crawl")


def test_airflow_asks_for_an_audit() -> None:
    told = operator()
    assert told["schedule"] == EVERY_NIGHT
    assert [*told["py_options"], told["py_file"]] == ["-m", "causalprint.pipelines.beam_main"]
    google = {"project": told["dataflow_config"]["project_id"], "region": told["dataflow_config"]["location"]}
    config = asked(arguments([f"--runner={told['runner']}", *as_airflow_says(told["pipeline_options"] | google)]))
    assert (config.inputs, config.output, config.runner) == (("gs://crawl/2026/*.tar",), "gs://audits/crawl", "dataflow")
    assert [str(condition) for condition in config.fail_if] == ["generated > 5 %"]
    known = pipeline_options("direct", config.beam_options).get_all_options()
    assert (known["project"], known["region"], known["temp_location"]) == ("PROJECT", "europe-west4", "gs://audits/tmp")
    assert known["labels"] == ["airflow-version=v3"]


def test_what_a_launcher_starts_audits(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard = photographs_tar(tmp_path / "a.tar", range(2))
    options = {"input": [str(shard)], "output": str(tmp_path / "out"), "bundle": str(tiny), "slice_images": 1}
    assert main([*arguments(["--runner=DirectRunner", "--json", *as_airflow_says(options)])]) == 0
    assert '"seen": 2' in capsys.readouterr().out
