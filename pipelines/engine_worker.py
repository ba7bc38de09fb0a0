"""The command ``causalprint-worker``: what an engine (Flink, Spark) starts on its machines to run Python.

It is the ``command`` of Beam's environment PROCESS and the executable of a worker pool (EXTERNAL): the engine calls it with its
own arguments and nothing else, and it asks the engine what to do, as the executable of Beam's containers does.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from apache_beam.portability.api.beam_provision_api_pb2 import ProvisionInfo

COMMAND = "causalprint-worker"
ANSWER_SECONDS = 60.0
INSTALLED = "causalprint_installed="
"""Begins the experiment by which the launcher tells its workers what it runs with. Commas would end an experiment."""


class WorkerError(Exception):
    """This machine cannot work for the launcher; the message says why and what to do."""


def main(argv: Sequence[str] | None = None) -> None:
    """Serves the engine until it closes the connection.

    Args:
        argv: the engine's arguments; ``None``: the process's.
    """
    parser = argparse.ArgumentParser(COMMAND, description="Work for an engine, which calls this and adds the arguments.")
    parser.add_argument("--id", required=True)
    parser.add_argument("--provision_endpoint", required=True)
    given, _ = parser.parse_known_args(argv)  # a worker pool adds what the provision service tells as well
    info = _provision(given.provision_endpoint, given.id)
    os.environ |= surroundings(given.id, info)

    from apache_beam.runners.worker import sdk_worker_main

    told = dict(info.pipeline_options).get("beam:option:experiments:v1") or ()
    _tell_failures(mismatch([str(one) for one in told]))
    sdk_worker_main.main([])


def surroundings(worker_id: str, info: ProvisionInfo) -> dict[str, str]:
    """The environment variables in which Beam's harness finds what the engine told."""
    from google.protobuf import json_format, text_format

    return {
        "WORKER_ID": worker_id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "CONTROL_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.control_endpoint),
        "LOGGING_API_SERVICE_DESCRIPTOR": text_format.MessageToString(info.logging_endpoint),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }


def installed() -> str:
    """What rows and the launcher's pickles depend on here, in words."""
    from importlib.metadata import version

    import causalprint

    python = ".".join(platform.python_version_tuple()[:2])
    return f"causalprint {causalprint.__version__} and apache-beam {version('apache-beam')} on Python {python}"


def mismatch(experiments: Sequence[str]) -> WorkerError | None:
    """Why the launcher and this machine do not go together; ``None`` where they do, or the launcher says nothing."""
    wanted = next((one.removeprefix(INSTALLED) for one in experiments if one.startswith(INSTALLED)), installed())
    if wanted == installed():
        return None
    return WorkerError(
        f"on the worker {platform.node()}, {sys.executable} has {installed()}, and the launcher has {wanted}; install the same "
        "there"
    )


def _tell_failures(refusal: WorkerError | None) -> None:
    """Lets a task that cannot begin, since something is missing here or for ``refusal``, say so to the launcher.

    An engine looks at what a task answers once the task has opened its connection for data, which Beam does last; until then it
    waits for that, for minutes, and then tells of a timeout. What a worker prints is seen by nobody.
    """
    from apache_beam.portability.api import beam_fn_api_pb2
    from apache_beam.runners.worker.bundle_processor import DATA_INPUT_URN, BundleProcessor

    begin = BundleProcessor.create_execution_tree

    def begin_or_tell(task: BundleProcessor, descriptor: Any) -> Any:
        try:
            if refusal is not None:
                raise refusal  # noqa: TRY301 - told as what is missing is
            return begin(task, descriptor)
        except Exception:
            for step in descriptor.transforms.values():
                if step.spec.urn == DATA_INPUT_URN:
                    port = beam_fn_api_pb2.RemoteGrpcPort.FromString(step.spec.payload)
                    task.data_channel_factory.create_data_channel(port)
            raise

    BundleProcessor.create_execution_tree = begin_or_tell


def _provision(endpoint: str, worker_id: str) -> ProvisionInfo:
    import grpc
    from apache_beam.portability.api import beam_provision_api_pb2, beam_provision_api_pb2_grpc

    request = beam_provision_api_pb2.GetProvisionInfoRequest()
    with grpc.insecure_channel(endpoint) as channel:
        ask = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel).GetProvisionInfo
        return ask(request, metadata=(("worker_id", worker_id),), wait_for_ready=True, timeout=ANSWER_SECONDS).info


if __name__ == "__main__":
    main()
