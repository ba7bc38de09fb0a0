"""Flink and Spark without a cluster: what is filled in and said, how a job is cancelled. The rest is in tests/clusters."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import FlinkRunnerOptions, PipelineOptions, PortableOptions
from apache_beam.portability.api import beam_provision_api_pb2, endpoints_pb2
from apache_beam.runners.portability.flink_runner import FlinkJarJobServer
from apache_beam.runners.portability.job_server import JobServer
from google.protobuf import text_format

from causalprint.pipelines import jobs
from causalprint.pipelines.engine_worker import INSTALLED, installed, mismatch, surroundings
from causalprint.pipelines.engines import RunnerError, cancel_on_flink, on_the_worker
from causalprint.pipelines.jobs import Jobs
from causalprint.pipelines.runners import RUNNERS, notes, pipeline_options
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.prior import EVEN
from tests.audits import command

NOBODY = "127.0.0.1:1"
"""Where nothing listens."""


class Flink(BaseHTTPRequestHandler):
    """The REST interface of a cluster of three slots, one of them free, on which ``mine`` runs until it is cancelled."""

    version = "1.19.3"
    state = "RUNNING"

    def do_GET(self) -> None:
        told: dict[str, Any] = {"flink-version": self.version, "slots-total": 3, "slots-available": 1}
        if self.path == "/jobs/overview":
            told = {
                "jobs": [{"jid": "7", "name": "mine", "state": Flink.state}, {"jid": "8", "name": "other", "state": "RUNNING"}]
            }
        self._answer(told)

    def do_PATCH(self) -> None:
        assert self.path == "/jobs/7?mode=cancel"
        Flink.state = "CANCELED"
        self._answer({})

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def _answer(self, told: dict[str, Any]) -> None:
        data = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def served() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Flink) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def rest() -> Iterator[str]:
    """Its address."""
    Flink.state = "RUNNING"
    with served() as address:
        yield address


@pytest.fixture
def no_job_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beam would start one of its own; here is a java, so far as anybody looks."""
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None if path else f"/usr/bin/{name}")


@pytest.mark.parametrize(
    ("runner", "given", "says"),
    [
        ("flink", [], "--flink_master=HOST:PORT"),
        ("spark", [], "--spark_master_url=spark://HOST:7077"),
        ("flink", [f"--job_endpoint={NOBODY}"], f"a job server of Beam does not answer at {NOBODY}"),
        ("spark", [f"--job_endpoint={NOBODY}"], f"a job server of Beam does not answer at {NOBODY}"),
        ("flink", [f"--flink_master={NOBODY}"], f"Flink's REST interface does not answer at {NOBODY}"),
        ("flink", ["--job_endpoint=nowhere"], "'nowhere' is no address; give -- --job_endpoint=HOST:PORT"),
    ],
)
def test_a_cluster_that_is_not_named_or_does_not_answer_is_one_error(
    runner: str, given: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = time.monotonic()
    answer = command(capsys, "audit", "x.tar", "-o", "out", "--runner", runner, "--", *given)
    assert answer.code == 1
    assert says in answer.found["error"]
    assert time.monotonic() - begun < 30


def test_what_answers_and_is_something_else_is_an_error(rest: str) -> None:
    with pytest.raises(RunnerError, match="no job server of Beam"):
        RUNNERS["flink"].create(PipelineOptions([f"--job_endpoint={rest}"]))


def test_the_address_of_a_cluster_of_flink_is_enough(rest: str, no_job_server: None) -> None:
    options = PipelineOptions([f"--flink_master={rest}"])
    RUNNERS["flink"].create(options)
    assert options.view_as(FlinkRunnerOptions).parallelism == 3
    assert options.view_as(FlinkRunnerOptions).flink_version == "1.19"
    portable = options.view_as(PortableOptions)
    assert (portable.environment_type, json.loads(portable.environment_config)) == ("PROCESS", {"command": "causalprint-worker"})


@pytest.mark.parametrize(
    ("given", "kind"),
    [("--environment_type=EXTERNAL", "EXTERNAL"), ("--sdk_container_image=mine", None), ("--setup_file=s", None)],
)
def test_what_is_given_is_left_as_it_is(given: str, kind: str | None, rest: str, no_job_server: None) -> None:
    options = PipelineOptions([f"--flink_master={rest}", "--parallelism=1", given])
    RUNNERS["flink"].create(options)
    assert options.view_as(FlinkRunnerOptions).parallelism == 1
    assert options.view_as(PortableOptions).environment_type == kind


def test_a_version_that_beam_does_not_serve_is_an_error(rest: str, no_job_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Flink, "version", "1.12.0")
    with pytest.raises(RunnerError, match=r"the cluster runs 1\.12\.0"):
        RUNNERS["flink"].create(PipelineOptions([f"--flink_master={rest}"]))


def test_without_java_a_job_server_elsewhere_is_asked_for(rest: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RunnerError, match="no java is on PATH"):
        RUNNERS["flink"].create(PipelineOptions([f"--flink_master={rest}"]))


def test_what_the_cluster_lacks_is_said_before_the_job(rest: str) -> None:
    config = AuditConfig(("s3://b/x.tar",), "s3://b/out", runner="flink", beam_options=(f"--flink_master={rest}",))
    assert list(notes(config)) == ["the cluster has 1 free slots of 3, and the job wants 3: it waits for them; Ctrl-C cancels it"]
    (line,) = notes(AuditConfig(("s3://b/x.tar",), "s3://b/out", runner="flink", beam_options=("--job_endpoint=h:1",)))
    assert "give it, or --flink_master=HOST:PORT too" in line
    assert list(notes(AuditConfig(("x.tar",), "out"))) == []


def test_local_paths_of_a_run_elsewhere_are_absolute_and_named(
    tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bundle").symlink_to(tiny)
    (tmp_path / "demo").mkdir()  # no bundle: the name is the package's
    (tmp_path / "residual").mkdir()
    inputs = ("./crawl/*.tar", "/abs/x.tar", "s3://b/{0..9}.tar", "~/photos/")
    config = AuditConfig(inputs, "../out", bundle="bundle", residual="denoise:residual?timestep=3", runner="spark")
    home = str(Path("~").expanduser())
    assert config.inputs == (f"{tmp_path}/crawl/*.tar", "/abs/x.tar", "s3://b/{0..9}.tar", f"{home}/photos/")
    assert config.output == f"{tmp_path}/../out"
    assert config.bundle == f"{tmp_path}/bundle"
    assert config.residual == f"denoise:{tmp_path}/residual?timestep=3"
    (line,) = notes(config)
    assert f"{tmp_path}/crawl/*.tar, /abs/x.tar, {home}/photos/, {tmp_path}/../out, …" in line
    named = AuditConfig(("s3://b/x.tar",), "s3://b/out", bundle="demo", residual="autoencoder:some/vae", runner="spark")
    assert (named.bundle, named.residual, list(notes(named))) == ("demo", "autoencoder:some/vae", [])
    assert AuditConfig(("x.tar",), "out").output == "out"
    assert AttributeConfig("out", prior=str(EVEN), runner="flink").output == f"{tmp_path}/out"


class Result:
    """A job that a job service knows; ``ends`` is what it is once it was cancelled."""

    _job_id = "mine_5b2d"

    def __init__(self, ends: str = "CANCELLED") -> None:
        self.state = "RUNNING"
        self._ends = ends

    def cancel(self) -> None:
        self.state = self._ends


def test_a_job_on_flink_is_cancelled_there_and_no_other(rest: str) -> None:
    cancel_on_flink(PipelineOptions([f"--flink_master={rest}"]), Result())
    assert Flink.state == "CANCELED"


def test_where_only_the_job_server_is_known_a_user_is_sent_to_the_cluster() -> None:
    running = Jobs()
    with running.submitted(Result, partial(cancel_on_flink, PipelineOptions([]))):
        told = running.cancel()
    assert told.startswith("the job mine may go on, cancel it on the cluster's own page (with --flink_master=HOST:PORT")


def test_a_job_that_is_being_submitted_is_cancelled_too() -> None:
    running, told = Jobs(), list[str]()
    canceller = threading.Thread(target=lambda: told.append(running.cancel()))

    def submit() -> Any:
        canceller.start()
        time.sleep(0.3)
        return Result()

    with running.submitted(submit, jobs.cancel_job):
        canceller.join()
    assert told == ["the job mine is cancelled on the cluster"]
    assert running.cancel() == ""


class Server(JobServer):
    """A job server on this machine that takes a while to stop."""

    def __init__(self) -> None:
        self.told_to_stop, self.stopped = threading.Event(), False

    def stop(self) -> None:
        self.told_to_stop.set()
        time.sleep(0.3)
        self.stopped = True


def test_whoever_cancels_waits_for_a_job_server_that_the_jobs_own_thread_is_stopping() -> None:
    running, server = Jobs(), Server()
    running.serve(server)

    def run() -> None:
        with running.submitted(Result, jobs.cancel_job):
            pass

    own = threading.Thread(target=run)
    own.start()
    assert server.told_to_stop.wait(10)
    assert running.cancel() == ""
    assert server.stopped
    own.join()


def test_where_a_job_cannot_be_submitted_its_server_is_stopped_and_one_that_never_started_adds_no_error() -> None:
    running, server = Jobs(), Server()
    running.serve(FlinkJarJobServer(PipelineOptions(["--flink_job_server_jar=/nowhere.jar"])))
    running.serve(server)

    def submit() -> Any:
        raise OSError("no such jar")

    with pytest.raises(OSError, match="no such jar"), running.submitted(submit, jobs.cancel_job):
        pass
    assert server.stopped


def test_a_cluster_that_does_not_answer_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "CANCEL_SECONDS", 0.3)
    running = Jobs()
    with running.submitted(lambda: Result("RUNNING"), jobs.cancel_job):
        assert running.cancel().startswith("the job mine may go on")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Pipeline x failed in state FAILED: java.io.IOException: error=2, No such file or directory", "there is no /w: install"),
        ("… failed in state FAILED: java.lang.IllegalStateException: Process died with exit code 3", "/w ended with exit code 3"),
        (
            "… Traceback (most recent call last):\nModuleNotFoundError: No module named 'timm'\n",
            "No module named 'timm'; install",
        ),
        ("Pipeline x failed in state CANCELLED: unknown error", "the job was cancelled on the cluster"),
    ],
)
def test_what_ends_a_job_is_said_so_that_somebody_can_mend_it(text: str, says: str) -> None:
    options = pipeline_options("flink", ["--environment_type=PROCESS", '--environment_config={"command": "/w"}'])
    assert says in str(on_the_worker(RuntimeError(text), options))


def test_an_error_of_the_audit_itself_stays_what_it_is() -> None:
    error = RuntimeError("Traceback (most recent call last):\nOSError: full")
    assert on_the_worker(error, PipelineOptions([])) is error


def test_a_worker_that_is_set_up_otherwise_refuses() -> None:
    assert mismatch([f"{INSTALLED}{installed()}"]) is None
    assert mismatch(["beam_fn_api"]) is None
    assert "and the launcher has causalprint 9 on Python 9; install" in str(mismatch([f"{INSTALLED}causalprint 9 on Python 9"]))
    assert "," not in installed(), "Beam cuts experiments at commas"


def test_a_worker_finds_what_the_engine_told() -> None:
    info = beam_provision_api_pb2.ProvisionInfo(runner_capabilities=["a", "b"])
    info.pipeline_options["beam:option:job_name:v1"] = "mine"
    info.control_endpoint.url = "localhost:7"
    told = surroundings("1-1", info)
    assert (told["WORKER_ID"], told["RUNNER_CAPABILITIES"]) == ("1-1", "a b")
    assert json.loads(told["PIPELINE_OPTIONS"]) == {"beam:option:job_name:v1": "mine"}
    endpoint = text_format.Parse(told["CONTROL_API_SERVICE_DESCRIPTOR"], endpoints_pb2.ApiServiceDescriptor())
    assert endpoint.url == "localhost:7"
