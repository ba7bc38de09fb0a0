"""Flink and Spark: what a cluster's address is enough to fill in of Beam's options, and what is missing, said before the work."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from causalprint.pipelines.engine_worker import COMMAND, INSTALLED, installed
from causalprint.pipelines.jobs import LOOK_SECONDS, cancel_job, job_name, jobs

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineResult, PipelineRunner

SHIPPING = ("environment_type", "environment_config", "sdk_container_image", "setup_file", "requirements_file")
"""Beam options by which a user says how workers get this package."""
ANSWER_SECONDS = 10.0
BEGIN_SECONDS = 5.0
"""So long after its submission a job may not be listed yet."""
ENDED = ("FINISHED", "CANCELED", "FAILED")
"""States of a job of Flink in which it holds no slots."""
EMBEDDED = ("embed", "[local]", "[auto]")
"""What stands where an address would, for servers that Beam starts itself."""


_NO_COMMAND = re.compile(r"Cannot run program|IOException: error=(2|13),")
_ENDED = re.compile(r"Process died with exit code (\d+)")
_MISSING = re.compile(r"^(?:ModuleNotFoundError|ImportError): (No module named \S+|.+)$", re.MULTILINE)
"""Texts by which engines, and Python on their machines, tell what a worker lacks."""


class RunnerError(Exception):
    """A runner cannot be used as asked; the message says why and what to do."""


class Slots(NamedTuple):
    """A Flink cluster, as its REST address tells.

    Attributes:
        version: such as ``1.19.3``.
        slots: of all TaskManagers.
        free: those of them in which nothing runs.
    """

    version: str
    slots: int
    free: int


def flink(options: PipelineOptions) -> PipelineRunner:
    """Beam's runner for Flink; ``options`` are completed.

    Raises:
        RunnerError: nothing names the cluster, or what is named does not answer.
    """
    from apache_beam.options.pipeline_options import FlinkRunnerOptions, PortableOptions

    given, endpoint = options.view_as(FlinkRunnerOptions), options.view_as(PortableOptions).job_endpoint
    _complete(options)
    if not endpoint and given.flink_master in EMBEDDED:
        raise RunnerError(
            "--runner flink needs a cluster: -- --flink_master=HOST:PORT, its REST address, or -- --job_endpoint=HOST:PORT, of a "
            "job server of Beam that serves it"
        )
    if given.flink_master not in EMBEDDED:
        found = _slots(given.flink_master)
        if given.parallelism < 1 and found.slots:
            given.parallelism = found.slots
        if not endpoint:
            _choose_job_server(given, found.version)
    from causalprint.transforms.engine_runners import OnFlink

    return OnFlink(jobs.serve)


def spark(options: PipelineOptions) -> PipelineRunner:
    """Beam's runner for Spark; ``options`` are completed.

    Raises:
        RunnerError: nothing names the cluster, or what is named does not answer.
    """
    from apache_beam.options.pipeline_options import PortableOptions, SparkRunnerOptions

    given, endpoint = options.view_as(SparkRunnerOptions), options.view_as(PortableOptions).job_endpoint
    _complete(options)
    if not endpoint:
        if given.spark_master_url.startswith("local"):
            raise RunnerError(
                "--runner spark needs a cluster: -- --spark_master_url=spark://HOST:7077, or -- --job_endpoint=HOST:PORT, of a "
                "job server of Beam that serves it"
            )
        _need_java("--spark_master_url")
        reach(given.spark_master_url, "a Spark master", "--spark_master_url=spark://HOST:7077")
    from causalprint.transforms.engine_runners import OnSpark

    return OnSpark(jobs.serve)


def flink_notes(options: PipelineOptions) -> Iterator[str]:
    """What whoever starts a job on Flink should know of ``options``, which are not completed yet."""
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    given = options.view_as(FlinkRunnerOptions)
    if given.flink_master in EMBEDDED:
        if given.parallelism < 1:
            yield (
                "a job server does not tell how many slots its cluster has, and without --parallelism=N Flink takes its own "
                "default, 1 unless it was set: give it, or --flink_master=HOST:PORT too, the cluster's REST address"
            )
        return
    found = _slots(given.flink_master)
    wanted = given.parallelism if given.parallelism > 0 else found.slots
    if found.free < max(1, wanted):
        yield (
            f"the cluster has {found.free} free slots of {found.slots}, and the job wants {max(1, wanted)}: it waits for them; "
            "Ctrl-C cancels it"
        )


def reach(address: str, what: str, example: str) -> None:
    """Makes sure that something takes connections at ``address``.

    Raises:
        RunnerError: it does not, within :data:`ANSWER_SECONDS`.
    """
    place = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = place.hostname, place.port
    except ValueError:
        host = port = None
    if not host or not port:
        raise RunnerError(f"{address!r} is no address; give -- {example}")
    try:
        socket.create_connection((host, port), ANSWER_SECONDS).close()
    except OSError as error:
        why = error.strerror or str(error)
        raise RunnerError(
            f"{what} does not answer at {address} ({why}): see that it runs and can be reached from here"
        ) from error


def _complete(options: PipelineOptions) -> None:
    """Checks the job server, where one is named, and says how workers are started, where nobody has."""
    from apache_beam.options.pipeline_options import DebugOptions, PortableOptions

    portable = options.view_as(PortableOptions)
    if portable.job_endpoint and portable.job_endpoint not in EMBEDDED:
        reach(portable.job_endpoint, "a job server of Beam", "--job_endpoint=HOST:PORT")
        _serves_jobs(portable.job_endpoint)
    asked = options.get_all_options(drop_default=True)
    if not any(asked.get(name) for name in SHIPPING):
        portable.environment_type = "PROCESS"
        portable.environment_config = json.dumps({"command": worker_command()})
    options.view_as(DebugOptions).add_experiment(f"{INSTALLED}{installed()}")


def worker_command() -> str:
    """The worker command beside this interpreter, for machines that are set up alike; its bare name where it is not here."""
    return shutil.which(COMMAND, path=str(Path(sys.executable).parent)) or COMMAND


def _serves_jobs(endpoint: str) -> None:
    import grpc
    from apache_beam.portability.api import beam_job_api_pb2, beam_job_api_pb2_grpc

    request = beam_job_api_pb2.DescribePipelineOptionsRequest()
    with grpc.insecure_channel(endpoint) as channel:
        try:
            beam_job_api_pb2_grpc.JobServiceStub(channel).DescribePipelineOptions(request, timeout=ANSWER_SECONDS)
        except grpc.RpcError as error:
            why = f"{error.code().name}: {error.details()}"
            raise RunnerError(
                f"what answers at {endpoint} is no job server of Beam ({why}); give -- --job_endpoint=HOST:PORT"
            ) from error


def cancel_on_flink(options: PipelineOptions, result: PipelineResult) -> None:
    """Cancels a job, and returns once Flink says that it has ended.

    The job service's own ``Cancel`` is not enough: of a batch job it ends the watch, and not the job.

    Raises:
        RunnerError: nobody has told where to ask Flink.
    """
    from apache_beam.options.pipeline_options import FlinkRunnerOptions

    cancel_job(result)
    master = options.view_as(FlinkRunnerOptions).flink_master
    if master in EMBEDDED:
        raise RunnerError("with --flink_master=HOST:PORT beside --job_endpoint, the next one is cancelled from here")
    begun = time.monotonic()
    while True:
        same = [job for job in _told(master, "jobs/overview")["jobs"] if job["name"] == job_name(result)]
        running = [job for job in same if job["state"] not in ENDED]
        if not running and (same or time.monotonic() - begun > BEGIN_SECONDS):
            return
        for job in running:
            if job["state"] != "CANCELLING":
                _told(master, f"jobs/{job['jid']}?mode=cancel", "PATCH")
        time.sleep(LOOK_SECONDS)


def on_the_worker(error: RuntimeError, options: PipelineOptions) -> Exception:
    """What ended a job, in the words of whoever can mend it; ``error`` itself where that says enough."""
    from apache_beam.options.pipeline_options import PortableOptions

    text = str(error)
    if "failed in state CANCELLED" in text:
        return RunnerError("the job was cancelled on the cluster")
    config = options.view_as(PortableOptions).environment_config or ""
    command = json.loads(config).get("command", COMMAND) if config.startswith("{") else COMMAND
    if _NO_COMMAND.search(text):
        return RunnerError(
            f"on the worker there is no {command}: install causalprint there as it is here, or say where it is: -- "
            f'--environment_type=PROCESS --environment_config=\'{{"command": "/path/to/{COMMAND}"}}\''
        )
    if ended := _ENDED.search(text):
        return RunnerError(
            f"on the worker {command} ended with exit code {ended[1]} before it took work: call it there with --help, which "
            "shows what is missing"
        )
    if missing := _MISSING.findall(text):
        return RunnerError(f"on the worker: {missing[-1]}; install causalprint there as it is here, with its extras")
    return error


def _slots(master: str) -> Slots:
    """What a Flink cluster tells at its REST address.

    Raises:
        RunnerError: it tells nothing.
    """
    reach(master, "Flink's REST interface", "--flink_master=HOST:PORT")
    try:
        told = _told(master, "overview")
        return Slots(str(told["flink-version"]), int(told["slots-total"]), int(told["slots-available"]))
    except (OSError, ValueError, KeyError, HTTPException) as error:
        raise RunnerError(
            f"what answers at {master} is no REST interface of Flink ({type(error).__name__}); its port is 8081 as a rule"
        ) from error


def _told(master: str, path: str, method: str = "GET") -> dict[str, Any]:
    """What Flink's REST interface answers."""
    url = master if "://" in master else f"http://{master}"
    request = urllib.request.Request(f"{url.rstrip('/')}/{path}", method=method)  # noqa: S310 - http(s)
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310 - as above
        told: dict[str, Any] = json.load(answer)
    return told


def _choose_job_server(options: Any, version: str) -> None:
    """Sets the version of Flink for the job server that Beam is to start here."""
    _need_java("--flink_master")
    if options.flink_job_server_jar:
        return
    served = options.PUBLISHED_FLINK_VERSIONS
    short = ".".join(version.split(".")[:2])
    if short not in served:
        raise RunnerError(
            f"Beam has job servers for Flink {', '.join(served)}, and the cluster runs {version}; give "
            "-- --flink_job_server_jar=FILE, or -- --job_endpoint=HOST:PORT of one that serves it"
        )
    options.flink_version = short


def _need_java(option: str) -> None:
    if shutil.which("java") is None:
        raise RunnerError(
            f"{option} alone starts a job server of Beam on this machine, which needs Java 11 or 17, and no java is on PATH; "
            "install one, or give -- --job_endpoint=HOST:PORT of a job server that runs elsewhere"
        )
