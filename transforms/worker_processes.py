"""The worker processes of the direct runner, watched: one that ends before its time ends the run, and is named.

Beam's own launcher only notes that a process has ended, and waits for its answers for ever.
"""

from __future__ import annotations

import re
import shlex
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import grpc
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import Pipeline
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import (
    BeamFnControlServicer,
    SubprocessSdkWorkerHandler,
    WorkerHandler,
)
from apache_beam.runners.portability.local_job_service import SubprocessSdkWorker
from apache_beam.runners.runner import PipelineResult
from apache_beam.transforms.environments import SubprocessSDKEnvironment, python_sdk_capabilities

URN = "causalprint:environment:worker_process:v1"
STARTS = 3
"""A worker that is killed before it has reported for work is started so often in all."""
ANSWER_SECONDS = 0.2
REMEDIES = {
    signal.SIGKILL: "as the kernel does where memory is short: give fewer workers, a smaller --batch-size or more memory",
    signal.SIGTERM: "by somebody, or by the machine going down",
    signal.SIGSEGV: "in a native library: run with --verbose, and report the image at which it happens",
    signal.SIGABRT: "in a native library: run with --verbose, and report the image at which it happens",
    signal.SIGBUS: "as where a disk is full or a file was cut while it was mapped",
    signal.SIGILL: "in a native library that is built for another processor",
}


class WorkerDiedError(Exception):
    """A worker process ended before its time; the message says which, how, and what to do."""


class Crew:
    """The worker processes of one run.

    Attributes:
        command: starts one.
        size: how many there are.
        folder: for what they print.
        failure: which of them ended first before its time, and how; ``None`` while none has.
    """

    def __init__(self, command: str, size: int, stop: Callable[[], None]) -> None:
        self.command = command
        self.size = size
        self.folder = ""
        self.failure: str | None = None
        self._stop = stop
        self._lock = threading.Lock()
        self._joined = 0

    def join(self) -> int:
        """The number of one more worker, from 1."""
        with self._lock:
            self._joined += 1
            return self._joined

    def report(self, failure: str) -> None:
        """Ends the others: what they were at is of no use to a run that has lost a part of its work."""
        with self._lock:
            self.failure = self.failure or failure
        self._stop()


_crews: dict[str, Crew] = {}
"""By the name that an environment carries, since Beam makes the handlers from nothing else."""


class WatchedRunner(FnApiRunner):
    """Beam's runner on this machine, with worker processes that are watched.

    Args:
        command: words that start a worker.
        workers: how many.
        stop: kills all workers of this process.
        scratch: a folder for the time of a run.
    """

    def __init__(
        self, command: list[str], workers: int, stop: Callable[[], None], scratch: Callable[[], AbstractContextManager[str]]
    ) -> None:
        self._scratch = scratch
        self.crew = Crew(f"exec {shlex.join(command)}", workers, stop)
        self._name = uuid.uuid4().hex
        super().__init__(default_environment=_Environment(self._name, capabilities=python_sdk_capabilities()))

    def run_pipeline(self, pipeline: Pipeline, options: PipelineOptions) -> PipelineResult:
        """Runs it to its end.

        Raises:
            WorkerDiedError: a worker ended before its time.
        """
        _crews[self._name] = self.crew
        try:
            with self._scratch() as self.crew.folder, _quiet(self.crew):
                return super().run_pipeline(pipeline, options)
        except Exception as error:
            if self.crew.failure:
                raise WorkerDiedError(self.crew.failure) from error
            raise
        finally:
            del _crews[self._name]


class _Environment(SubprocessSDKEnvironment):
    def to_runner_api_parameter(self, _: Any) -> tuple[str, bytes]:
        return URN, self.command_string.encode()


@WorkerHandler.register_environment(URN, bytes)
class _WatchedHandler(SubprocessSdkWorkerHandler):
    """One worker process, started, watched and, where it ends before its time, answered for."""

    def start_worker(self) -> None:
        self._crew = _crews[self._worker_command_line.decode()]
        self._number = self._crew.join()
        self._said = Path(self._crew.folder) / f"worker-{self._number}"
        self._closing = threading.Event()
        self.worker_thread = threading.Thread(name="run_worker", target=self._watch, daemon=True)
        self.worker_thread.start()

    def stop_worker(self) -> None:
        self._closing.set()
        super().stop_worker()

    def close(self) -> None:
        self._closing.set()
        try:
            super().close()
        except Exception:  # the connections of a dead worker, which are broken
            if self._crew.failure is None:
                raise

    def _watch(self) -> None:
        starts = 0
        while not self._crew.failure and not self._closing.is_set():
            starts += 1
            code = self._run()
            if self._closing.is_set():
                return
            connected = self.control_conn._state != BeamFnControlServicer.UNSTARTED_STATE  # noqa: SLF001
            if connected or code >= 0 or starts == STARTS:
                self._crew.report(self._how(code, connected=connected))
        while not self._closing.wait(ANSWER_SECONDS):
            self._answer_all()

    def _run(self) -> int:
        """The exit code of a process, once it has ended; negative: the signal that killed it."""
        command = f"{self._crew.command} 2>{shlex.quote(str(self._said))}"
        worker = SubprocessSdkWorker(command.encode(), self.control_address, self.provision_info, self.worker_id)
        try:
            worker.run()
        except RuntimeError as error:
            code = re.search(r"(-?\d+)$", str(error))
            return int(code[1]) if code else 1
        return 0

    def _how(self, code: int, *, connected: bool) -> str:
        when = "" if connected else " while it started"
        who = f"worker {self._number} of {self._crew.size}"
        if code < 0:
            signum = signal.Signals(-code)
            remedy = REMEDIES.get(signum, "by somebody")
            return f"{who} was killed{when} by {signum.name}, {remedy}; the same command resumes"
        lines = self._said.read_text(errors="replace").split("\n") if self._said.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
        return f"{who} ended{when} with exit code {code}: {last}; mend that, and the same command resumes"

    def _answer_all(self) -> None:
        """Answers for a worker that cannot, so that nobody waits for it."""
        conn = self.control_conn
        for name in list(conn._futures_by_id):  # noqa: SLF001 - its own `abort` leaves those waiting who wait for data
            future = conn._futures_by_id.pop(name, None)  # noqa: SLF001
            if future is not None:
                future.set(beam_fn_api_pb2.InstructionResponse(instruction_id=name, error=self._crew.failure))


@contextmanager
def _quiet(crew: Crew) -> Iterator[None]:
    """That connections to a dead worker break is no news: the run says that it is dead. They break before that and after."""
    before = threading.excepthook

    def report(failure: threading.ExceptHookArgs) -> None:
        if not issubclass(failure.exc_type, grpc.RpcError):
            before(failure)

    threading.excepthook = report
    try:
        yield
    finally:
        if crew.failure is None:
            threading.excepthook = before
