"""From a planned run to its manifest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from causalprint.pipelines.runners import run_pipeline
from causalprint.schemas.runs import Run, RunManifest, work_of

if TYPE_CHECKING:
    from apache_beam import Pipeline


class AuditError(Exception):
    """A run ended without its manifest; the message says how."""


def run_to_manifest(run: Run, build: Callable[[Pipeline], object]) -> RunManifest:
    """Builds the pipeline of a run, runs it to its end, and describes the output as it is then.

    Raises:
        AuditError: the runner ended without writing the manifest.
        Exception: what a worker raised; under most runners as a RuntimeError with the worker's traceback as its text.
    """
    from causalprint.pipelines.describe import describe
    from causalprint.transforms.tables.manifests import read_manifest
    from causalprint.transforms.tables.write_manifest import add_work

    config = run.config
    began = time.monotonic()
    ended = run_pipeline(config.runner, config.beam_options, build)
    manifest = read_manifest(config.output, run.run_id, config.storage)
    if manifest is None:
        raise AuditError(
            f"the runner {config.runner} ended in state {ended.state} and no manifest was written; look at its own log"
        )
    if ended.counters is not None:
        manifest = add_work(manifest, work_of(ended.counters, time.monotonic() - began), config.storage)
    describe(config.output, manifest, config.storage)
    return manifest
