"""Jobs that an engine elsewhere runs for this process: they end with it, unless it is killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from apache_beam.runners.portability.job_server import JobServer
    from apache_beam.runners.runner import PipelineResult

LOOK_SECONDS = 0.3
CANCEL_SECONDS = 30.0
"""So long a process that was told to stop waits for the cluster to say that a job is cancelled."""


class Job(NamedTuple):
    """A job that runs elsewhere.

    Attributes:
        name: by which the cluster shows it.
        cancel: cancels it, and returns once the cluster says that it has ended; raises where that cannot be known.
    """

    name: str
    cancel: Callable[[], None]


class Jobs:
    """Those of this process. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Lock()
        self._submitting = 0
        self._running: list[Job] = []
        self._servers: list[JobServer] = []

    @contextmanager
    def submitted(
        self, submit: Callable[[], PipelineResult], cancel: Callable[[PipelineResult], None]
    ) -> Iterator[PipelineResult]:
        """The job that ``submit`` submits, known here until it has ended, with what cancels it."""
        try:
            job, result = self._submit(submit, cancel)
            try:
                yield result
            finally:
                with self._lock:
                    self._running.remove(job)
        finally:
            self._stop_servers()

    def serve(self, server: JobServer) -> None:
        """Takes a job server that is started on this machine, to stop it when the jobs of this process have ended."""
        with self._lock:
            self._servers.append(server)

    def cancel(self) -> str:
        """Cancels all, also one that is just being submitted, and says so; empty where there is none."""
        end = time.monotonic() + CANCEL_SECONDS
        while self._submitting and time.monotonic() < end:
            time.sleep(0.1)
        with self._lock:
            running = list(self._running)
        told = "; ".join(_cancelled(job, end) for job in running)
        self._stop_servers()
        return told

    def _submit(
        self, submit: Callable[[], PipelineResult], cancel: Callable[[PipelineResult], None]
    ) -> tuple[Job, PipelineResult]:
        with self._lock:
            self._submitting += 1
        try:
            result = submit()
            job = Job(job_name(result), partial(cancel, result))
            with self._lock:
                self._running.append(job)
            return job, result
        finally:
            with self._lock:
                self._submitting -= 1

    def _stop_servers(self) -> None:
        with self._stopping:  # whoever ends the process next must wait here for the thread that is stopping them
            with self._lock:
                servers, self._servers = self._servers, []
            for server in servers:
                with suppress(AttributeError):  # Beam's own, where the server was never started
                    server.stop()


jobs = Jobs()
"""Of this process, for whoever is told to stop it."""


def job_name(result: PipelineResult) -> str:
    """By which a cluster shows a job: the job service's id without its last part, which only the service knows."""
    return str(getattr(result, "_job_id", "")).rpartition("_")[0] or "of this run"


def cancel_job(result: PipelineResult) -> None:
    """Cancels a job by the service that runs it, and waits until that says that it has ended."""
    from apache_beam.runners.runner import PipelineState

    result.cancel()
    while not PipelineState.is_terminal(result.state):
        time.sleep(LOOK_SECONDS)


def _cancelled(job: Job, end: float) -> str:
    """Cancels one job, and says what became of it by the time ``end`` of the monotonic clock."""
    outcome: Future[None] = Future()

    def cancel() -> None:
        try:
            outcome.set_result(job.cancel())
        except Exception as error:  # noqa: BLE001 - told below
            outcome.set_exception(error)

    # A daemon: a cluster that does not answer must not hold up the end of this process.
    threading.Thread(target=cancel, daemon=True).start()
    try:
        outcome.result(max(0.0, end - time.monotonic()))
    except Exception as error:  # noqa: BLE001 - whatever it is, the user must look there
        return f"the job {job.name} may go on, cancel it on the cluster's own page ({error or 'no answer'})"
    return f"the job {job.name} is cancelled on the cluster"
