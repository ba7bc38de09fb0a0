"""Beam's runners for Flink and Spark; a job server that one of them starts here starts in any thread, and ends with its job.

Beam's own would take over Ctrl-C, which only a main thread may, and the main thread is the one that shows progress.
"""

from __future__ import annotations

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.flink_runner import FlinkRunner
from apache_beam.runners.portability.job_server import JobServer, StopOnExitJobServer
from apache_beam.runners.portability.spark_runner import SparkRunner

from causalprint.pipelines.jobs import jobs


class OnFlink(FlinkRunner):
    """Beam's, with such a job server."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Called where no endpoint is given."""
        return _kept(super().default_job_server(options))


class OnSpark(SparkRunner):
    """Beam's, with such a job server."""

    def default_job_server(self, options: PipelineOptions) -> JobServer:
        """Called where no endpoint is given."""
        return _kept(super().default_job_server(options))


def _kept(server: JobServer) -> JobServer:
    inner: JobServer = server._job_server if isinstance(server, StopOnExitJobServer) else server  # noqa: SLF001 - see the module
    jobs.serve(inner)
    return inner
