"""What a run came to, for node_exporter's textfile collector: one gauge for every number of the object that ``--json`` prints."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.errors import ExitCode, Interruption
from causalprint.schemas.runs import Work
from causalprint.schemas.urls import public

if TYPE_CHECKING:
    from causalprint.pipelines.report import AuditReport

PREFIX = "causalprint_"
_COUNTS = {
    "shards": "Shards of the run.",
    "complete": "Shards of which nothing is missing.",
    "limited": "Shards of which nothing is missing but what --limit or --sample left out.",
    "incomplete": "Shards of which something is missing.",
    "retryable": "Incomplete shards of which another run may read more.",
    "slices": "Slices that are committed.",
    "computed": "Slices that this run computed.",
    "seen": "Images of the run's shards: attributed, rejected and forgotten ones.",
    "attributed": "Images with a verdict.",
    "rejected": "Images without one.",
    "forgotten": "Images whose rows were erased.",
    "skipped": "Members of shards that are no images.",
    "seconds": "Seconds that the command took.",
}
_WORK = {
    "seconds": "Seconds from the start of the pipeline to its end.",
    "images": "Images that this run computed or rejected.",
    "rejects": "Images that this run rejected.",
    "encoded_bytes": "Encoded bytes of the images that this run computed or rejected.",
    "kept": "Images that an earlier run had committed.",
    "read_seconds": "Seconds of reading, of all threads together.",
    "decode_seconds": "Seconds of decoding, of all threads together.",
    "compute_seconds": "Seconds of computing, of all threads together.",
    "write_seconds": "Seconds of writing, of all threads together.",
    "idle": "Share of their time for which the threads that decode and compute did neither, 0 to 1.",
    "device_idle": "Share of its time for which the GPU had no micro-batch to compute, 0 to 1.",
}


class Gauge(NamedTuple):
    """A number by its name (without :data:`PREFIX`), what it means, and what it is the number of."""

    name: str
    help: str
    value: float
    labels: dict[str, str] = {}  # noqa: RUF012 - read only


@dataclass(frozen=True, slots=True)
class MetricsFile:
    """A file that is written in one step when a run has ended, so that a collector never reads half of it.

    Every gauge is labelled with the output, so that the files of several audits can lie in one folder. A run that failed has only
    its exit code and when it ended: what is absent can be alerted on, too.

    Attributes:
        path: a file of this machine, ``*.prom`` for node_exporter.
        output: root of the audit's tables.
    """

    path: str
    output: str

    def __str__(self) -> str:
        return self.path

    def start(self) -> None:
        """Leaves what the run before has written, until there is more to say."""

    def complete(self, found: AuditReport) -> None:
        """Writes all numbers of the report."""
        self._write(found.exit_code, gauges(found))

    def fail(self, error: BaseException) -> None:
        """Writes that it failed."""
        self._write(error.exit_code if isinstance(error, Interruption) else ExitCode.ERROR)

    def _write(self, exit_code: int, counted: Iterable[Gauge] = ()) -> None:
        from prometheus_client import CollectorRegistry, write_to_textfile
        from prometheus_client import Gauge as Family

        code = "What the command left with: 0 complete, 3 something is missing, 4 --fail-if holds; else it failed."
        ended = Gauge("finished_timestamp_seconds", "When the run ended, in seconds since 1970.", time.time())
        registry = CollectorRegistry()
        families: dict[str, Family] = {}
        for each in (Gauge("exit_code", code, exit_code), ended, *counted):
            if each.name not in families:
                families[each.name] = Family(PREFIX + each.name, each.help, ["output", *each.labels], registry=registry)
            families[each.name].labels(output=public(self.output), **each.labels).set(each.value)
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(self.path, registry)


def gauges(found: AuditReport) -> Iterator[Gauge]:
    """The numbers of a finished run. They are called as in the report, those of its ``work`` with ``work_`` before."""
    for name, meaning in _COUNTS.items():
        yield Gauge(name, meaning, getattr(found, name))
    for verdict, source, reason, images in found.verdicts:
        labels = {"verdict": verdict, "source": source or "", "reason": reason or ""}
        yield Gauge("verdicts", "Images by verdict.", images, labels)
    for stage, reason, images in found.rejects:
        yield Gauge("rejects", "Rejected images by stage and reason.", images, {"stage": stage, "reason": reason})
    yield Gauge("now_shards", "Shards that the audit has now, by runs over other inputs too.", found.now.shards)
    yield Gauge("now_images", "Images that the audit has now, by runs over other inputs too.", found.now.images)
    yield from _of_work(found.work or Work(0.0))


def _of_work(work: Work) -> Iterator[Gauge]:
    for field in fields(work):
        value = getattr(work, field.name)
        if field.name in _WORK and value is not None:
            yield Gauge(f"work_{field.name}", _WORK[field.name], value)
    for stage, reason, images in work.reasons:
        yield Gauge("work_reasons", "Images that this run rejected.", images, {"stage": stage, "reason": reason})
