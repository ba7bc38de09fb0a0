"""Beam's runners for Flink and Spark; a job server that one of them starts here starts in any thread, and ends with its job.

Beam's own would take over Ctrl-C, which only a main thread may, and the main thread is the one that shows progress.
"""

from __future__ import annotations

from collections.abc import Callable

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.job_server import JobServer, StopOnExitJobServer
from apache_beam.runners.portability.spark_runner import SparkRunner

Serve = Callable[[JobServer], None]
"""Is given each job server that is started here, and stops it when its job ends."""


class OnFlink(FlinkRunner):
    """Beam's, with such a job server."""

    def __init__(self, serve: Serve) -> None:
        super().__init__()
        self._serve = serve

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Called where no endpoint is given."""
        return _kept(super().default_job_server(options), self._serve)


class OnSpark(SparkRunner):
    """Beam's, with such a job server."""

    def __init__(self, serve: Serve) -> None:
        super().__init__()
        self._serve = serve

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Called where no endpoint is given."""
        return _kept(super().default_job_server(options), self._serve)


def _kept(server: JobServer, serve: Serve) -> JobServer:
    inner: JobServer = server._job_server if isinstance(server, StopOnExitJobServer) else server  # noqa: SLF001 - see the module
    serve(inner)
    return inner
