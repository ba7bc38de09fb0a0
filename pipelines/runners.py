"""Where a pipeline runs. A new runner is a line in :data:`RUNNERS`, and a name that ``--runner`` takes."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.engines import SHIPPING, RunnerError, cancel_on_flink, flink, flink_notes, on_the_worker, spark
from causalprint.pipelines.jobs import cancel_job, jobs
from causalprint.pipelines.scratch import scratch
from causalprint.pipelines.worker import WORKER, stop_workers
from causalprint.schemas.options import HERE, Command

if TYPE_CHECKING:
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.runners.runner import PipelineResult, PipelineRunner

__all__ = ["RUNNERS", "Runner", "RunnerError"]
SHOWN = 4
"""Paths that are named to a user at most."""


@dataclass(frozen=True, slots=True)
class Runner:
    """One place to run.

    Attributes:
        local: whether workers share this machine's disk, processor and devices.
        create: makes Beam's runner from the options, which it may complete.
        notes: what whoever starts a run should know, as far as the options as they were given tell it.
        cancel: cancels a job that was run with these options; see :class:`~causalprint.pipelines.jobs.Job`.
    """

    local: bool
    create: Callable[[PipelineOptions], PipelineRunner]
    notes: Callable[[PipelineOptions], Iterable[str]] = lambda _: ()
    cancel: Callable[[PipelineOptions, PipelineResult], None] = lambda _, result: cancel_job(result)


class Ended(NamedTuple):
    """How a pipeline ended: the state by the runner's name, and what was counted meanwhile; ``None`` where that is not told."""

    state: str
    counters: dict[str, int] | None


def pipeline_options(name: str, beam_options: Sequence[str]) -> PipelineOptions:
    """Beam's options for runner ``name``, from those given after ``--``.

    Raises:
        RunnerError: one of them is unknown, or belongs to this command.
    """
    from apache_beam.options.pipeline_options import PipelineOptions

    if any(option.partition("=")[0] == "--runner" for option in beam_options):
        raise RunnerError(f"--runner stands before the two dashes; it takes {', '.join(RUNNERS)}")
    # Everything a worker needs is imported by name; a pickled main session would only drag this process's state along.
    options = PipelineOptions([*beam_options, "--no_save_main_session"])
    try:
        known = options.get_all_options()
        unknown = sorted(options.get_all_options(retain_unknown_options=True).keys() - known.keys())
    except SystemExit as error:  # argparse has printed which option and why
        raise RunnerError("Beam refused an option given after the two dashes; the line above says which") from error
    # The job server of another runner may know more options than Beam's Python side does.
    if unknown and RUNNERS[name].local:
        raise RunnerError(f"Beam knows no option --{unknown[0]}; its PipelineOptions lists those that it knows")
    if beam_options and not beam_options[0].startswith("--"):
        raise RunnerError(f"after the two dashes come Beam options (--name=value), not {beam_options[0]!r}")
    return options


def notes(config: Command) -> Iterator[str]:
    """What whoever gives ``config`` should know before its pipeline runs, in a line each; none where it runs here.

    Raises:
        RunnerError: the runner or its options cannot be used.
    """
    name = getattr(config, "runner", HERE)
    if RUNNERS[name].local:
        return
    yield from RUNNERS[name].notes(pipeline_options(name, getattr(config, "beam_options", ())))
    if paths := config.local_paths():
        shown = ", ".join(paths[:SHOWN]) + (", …" if len(paths) > SHOWN else "")
        yield f"workers on other machines must find these under the same path, on a disk that all share: {shown}"


def run_pipeline(name: str, beam_options: Sequence[str], build: Callable[[Pipeline], object]) -> Ended:
    """Builds a pipeline and runs it on runner ``name`` to its end.

    A job that another machine runs is known to :data:`~causalprint.pipelines.jobs.jobs` meanwhile, which cancels it.

    Raises:
        RunnerError: the runner or its options cannot be used.
        Exception: what a worker raised; under most runners as a RuntimeError with the worker's traceback as its text.
    """
    options = pipeline_options(name, beam_options)
    root = _built(name, options, build)
    if RUNNERS[name].local:
        return _ended(root.run())
    with jobs.submitted(root.run, partial(RUNNERS[name].cancel, options)) as job:
        try:
            return _ended(job)
        except RuntimeError as error:
            raise on_the_worker(error, options) from error


def begin_pipeline(name: str, beam_options: Sequence[str], build: Callable[[Pipeline], object]) -> PipelineResult:
    """Builds a pipeline and gives it to runner ``name``.

    Raises:
        RunnerError: the runner or its options cannot be used.
    """
    return _built(name, pipeline_options(name, beam_options), build).run()


def _built(name: str, options: PipelineOptions, build: Callable[[Pipeline], object]) -> Pipeline:
    from apache_beam import Pipeline

    root = Pipeline(runner=RUNNERS[name].create(options), options=options)
    shutil.rmtree(root.local_tempdir)  # for transforms in other languages; a run that is killed would leave it
    build(root)
    return root


def _ended(result: PipelineResult) -> Ended:
    from causalprint.transforms.counting import counters

    state = str(result.wait_until_finish())
    try:
        return Ended(state, counters(result))
    except Exception:  # noqa: BLE001 - what was done is done, whatever a job server still answers
        return Ended(state, None)


def worker_processes(options: PipelineOptions) -> int:
    """How many worker processes the direct runner is to start; 1 means none besides this one."""
    from apache_beam.options.pipeline_options import DirectOptions

    wanted = options.view_as(DirectOptions).direct_num_workers
    return cores() if wanted == 0 else int(wanted or 1)


def workers(name: str, beam_options: Sequence[str]) -> int:
    """Workers of runner ``name`` among which shards are dealt out, as far as its options, or its cluster, tell; else 1."""
    options = pipeline_options(name, beam_options)
    if RUNNERS[name].local:
        return worker_processes(options)
    with suppress(RunnerError):  # is told where a run is planned
        RUNNERS[name].create(options)  # which fills in what the cluster tells
    told = options.get_all_options(retain_unknown_options=True)
    return max(1, *(int(told.get(option) or 1) for option in ("parallelism", "max_num_workers")))


def worker_threads(asked: int | None, name: str, beam_options: Sequence[str]) -> int | None:
    """Threads that compute in one worker of runner ``name``: as asked, else its share of this machine's cores."""
    if asked is not None or not RUNNERS[name].local:
        return asked
    return max(1, cores() // worker_processes(pipeline_options(name, beam_options)))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _direct(options: PipelineOptions) -> PipelineRunner:
    # Named explicitly: Beam's DirectRunner would first try to download another runner.
    from apache_beam.options.pipeline_options import DirectOptions
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    direct = options.view_as(DirectOptions)
    workers = worker_processes(options)
    if direct.direct_running_mode == "multi_threading" or (workers == 1 and direct.direct_running_mode == "in_memory"):
        return FnApiRunner()
    from causalprint.transforms.worker_processes import WatchedRunner

    direct.direct_num_workers = workers
    # None, or Beam would start its own worker command, which outlives a launcher that was killed.
    direct.direct_running_mode = None
    return WatchedRunner([sys.executable, "-m", WORKER, str(os.getpid())], workers, stop_workers, scratch)


def _dataflow(_: PipelineOptions) -> PipelineRunner:
    try:
        importlib.import_module("apitools")  # Beam imports without it and fails much later
        from apache_beam.runners.dataflow.dataflow_runner import DataflowRunner

        return DataflowRunner()
    except ImportError as error:
        raise RunnerError(
            f"--runner dataflow needs Beam's Google Cloud extra ({error}): pip install 'apache-beam[gcp]'"
        ) from error


def _dataflow_notes(options: PipelineOptions) -> Iterable[str]:
    if not any(options.get_all_options(drop_default=True).get(name) for name in SHIPPING):
        yield "workers must have causalprint installed; without an image that has it, add -- --setup_file=./setup.py"


RUNNERS: dict[str, Runner] = {
    "direct": Runner(local=True, create=_direct),
    "flink": Runner(local=False, create=flink, notes=flink_notes, cancel=cancel_on_flink),
    "spark": Runner(local=False, create=spark),
    "dataflow": Runner(local=False, create=_dataflow, notes=_dataflow_notes),
}
"""Every runner by the name that ``--runner`` takes; its option (causalprint.schemas.config.Runner) says what each is."""
