"""A run as OpenLineage events: that it started, and how it ended; what it reads and writes, and what it came to.

The client is OpenLineage's own, which also takes ``OPENLINEAGE_API_KEY`` and ``OPENLINEAGE_NAMESPACE`` from the environment.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalprint.pipelines.errors import Interruption, explain
from causalprint.schemas.records import to_json
from causalprint.schemas.urls import public

if TYPE_CHECKING:
    from openlineage.client.event_v2 import InputDataset, OutputDataset, RunState

    from causalprint.pipelines.report import AuditReport
    from causalprint.schemas.config import AuditConfig

PRODUCER = "https://pypi.org/project/causalprint"
SECONDS = 5.0
"""For which an answer to one event is waited for."""
_RETRIES = {"total": 2, "connect": 2, "read": 2, "backoff_factor": 0.2, "allowed_methods": ["POST"]}


class LineageError(ValueError):
    """No events can be sent as asked; the message says what to do."""


class Lineage:
    """One run of an audit, told to the service at ``url``.

    Raises:
        LineageError: the client's package is missing, or the URL is none.
    """

    def __init__(self, url: str, config: AuditConfig) -> None:
        try:
            from openlineage.client import OpenLineageClient, set_producer
            from openlineage.client.transport.http import HttpConfig, HttpTransport
            from openlineage.client.uuid import generate_new_uuid
        except ImportError as error:
            raise LineageError(f"--openlineage needs OpenLineage's client ({error}): pip install openlineage-python") from error
        options: dict[str, Any] = {"url": url, "timeout": SECONDS, "retry": _RETRIES}
        if key := os.environ.get("OPENLINEAGE_API_KEY"):
            options["auth"] = {"type": "api_key", "apiKey": key}
        try:
            self._client = OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict(options)))
        except ValueError as error:
            raise LineageError(f"--openlineage {public(url)!r} is no URL of an OpenLineage service: {error}") from error
        set_producer(PRODUCER)
        self._url = url
        self._run_id = str(generate_new_uuid())
        self._config = config

    def __str__(self) -> str:
        return f"the OpenLineage service at {public(self._url)}"

    def start(self) -> None:
        """It has started."""
        from openlineage.client.event_v2 import RunState

        self._emit(RunState.START)

    def complete(self, found: AuditReport) -> None:
        """It has finished, and came to what was ``found``; that something is missing is told by its counts."""
        from openlineage.client.event_v2 import RunState
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics
        from openlineage.client.generated.base import RunFacet

        told = {name: getattr(found, name) for name in ("run_id", "bundle_id", "exit_code", "shards", "incomplete")}
        work = json.loads(to_json(found.work)) if found.work else {}
        rows = statistics.OutputStatisticsOutputDatasetFacet(rowCount=found.attributed)
        facets = {"causalprint": RunFacet().with_additional_properties(**told, work=work)}
        self._emit(RunState.COMPLETE, facets, {"outputStatistics": rows})

    def fail(self, error: BaseException) -> None:
        """It ended with ``error``."""
        from openlineage.client.event_v2 import RunState
        from openlineage.client.facet_v2 import error_message_run

        if isinstance(error, Interruption):
            self._emit(RunState.ABORT)
        else:
            message = error_message_run.ErrorMessageRunFacet(message=explain(error), programmingLanguage="python")
            self._emit(RunState.FAIL, {"errorMessage": message})

    def _emit(self, state: RunState, run_facets: dict[str, Any] | None = None, statistics: dict[str, Any] | None = None) -> None:
        from openlineage.client.event_v2 import Job, Run, RunEvent
        from openlineage.client.facet_v2 import job_type_job

        kind = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="CAUSALPRINT", jobType="JOB")
        job = Job(
            os.environ.get("OPENLINEAGE_NAMESPACE", "causalprint"), f"audit {public(self._config.output)}", {"jobType": kind}
        )
        inputs, output = datasets(self._config)
        output.outputFacets = statistics or {}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        self._client.emit(
            RunEvent(
                eventType=state,
                eventTime=now,
                run=Run(self._run_id, run_facets or {}),
                job=job,
                inputs=inputs,
                outputs=[output],
            )
        )


def datasets(config: AuditConfig) -> tuple[list[InputDataset], OutputDataset]:
    """What an audit reads, as it was asked, and where it writes, named as OpenLineage's naming has it: by store and path."""
    from openlineage.client.event_v2 import InputDataset, OutputDataset

    return [InputDataset(*_name(url)) for url in config.inputs], OutputDataset(*_name(config.output))


def _name(url: str) -> tuple[str, str]:
    protocol, found, rest = public(url).partition("://")
    if not found or protocol == "file":
        return "file", str(Path(rest or url).absolute())
    store, _, path = rest.partition("/")
    return f"{protocol}://{store}", path or "/"
