"""The work of a slice, counted as it is done: metrics that every runner shows, and here a file that the command line follows.

Beam's runner on this machine gives metrics only once a run has ended, so whoever watches one reads the file instead. Its folder
is named in the environment, which worker processes inherit.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.schemas.elements import Reject

if TYPE_CHECKING:
    from apache_beam.runners.runner import PipelineResult

NAMESPACE = "causalprint"
"""Of all metrics."""

FOLDER = "CAUSALPRINT_TALLY"
"""The environment variable that names the folder of the file; without it nobody watches."""

listeners: list[Callable[[Tally], None]] = []
"""Of what this process counts: each is given every count, in the thread that counts."""

FILE = "tally"
PLACE = "at-"
"""Begins the name of a file that says what a thread is at."""
_RECORD = struct.Struct("<7q")


class Tally(NamedTuple):
    """What was done; tallies add up. Each field is also a metric.

    Attributes:
        images: images computed or rejected by this run.
        rejects: those of them that were rejected.
        encoded_bytes: their encoded bytes.
        kept: images that an earlier run had committed.
        shards: shards that are done with.
        shard_bytes: bytes of those shards.
        kept_bytes: bytes of those of them that an earlier run had done.
    """

    images: int = 0
    rejects: int = 0
    encoded_bytes: int = 0
    kept: int = 0
    shards: int = 0
    shard_bytes: int = 0
    kept_bytes: int = 0

    def plus(self, other: Tally) -> Tally:
        """The sum, field by field."""
        return Tally(*(mine + its for mine, its in zip(self, other, strict=True)))

    def minus(self, other: Tally) -> Tally:
        """The difference, field by field."""
        return Tally(*(mine - its for mine, its in zip(self, other, strict=True)))


class Pool(ThreadPoolExecutor):
    """Threads that decode and compute, and for how long they were there.

    Args:
        threads: how many; ``None`` takes every core.
    """

    def __init__(self, threads: int | None) -> None:
        self.threads = threads or os.cpu_count() or 1
        super().__init__(self.threads)
        self._since = time.perf_counter()
        self._lock = threading.Lock()

    def there(self) -> float:
        """Seconds of all its threads together, idle or not, since this was asked last; at first, since the pool was made."""
        with self._lock:
            since, self._since = self._since, time.perf_counter()
            return self.threads * (self._since - since)


def count(**amounts: float) -> None:
    """Adds to the metrics of these names, and those of them that are fields of :class:`Tally` to the file, where there is one.

    Amounts are rounded to whole numbers.

    Besides the fields: ``rejects/STAGE/REASON`` (images), ``read_ms``, ``decode_ms``, ``compute_ms`` and ``write_ms``,
    milliseconds of all threads together, and ``pool_ms``, for which the threads that decode and compute were there; where a GPU
    computes beside them, ``on_device_ms`` for which it did, and ``device_ms`` for which it was there. To be called
    in the thread in which Beam calls the transform: what other threads count is in no metric. Outside a pipeline there are no
    metrics, and once the folder is gone there is no file: a lost count must not stop work.
    """
    from apache_beam.metrics import Metrics  # noqa: PLC0415 - who only reads the file need not load Beam

    whole = {name: round(amount) for name, amount in amounts.items() if round(amount)}
    for name, amount in whole.items():
        Metrics.counter(NAMESPACE, name).inc(amount)
    told = {name: amount for name, amount in whole.items() if name in Tally._fields}
    if told and (folder := os.environ.get(FOLDER)):
        append(folder, Tally(**told))
    for listen in listeners if told else ():
        listen(Tally(**told))


def at(place: str) -> None:
    """Notes what this thread is at, for whoever watches; an empty text: at nothing that could hold it up."""
    if folder := os.environ.get(FOLDER):
        path = Path(folder) / f"{PLACE}{os.getpid()}-{threading.get_ident()}"
        with suppress(OSError):
            if place:
                path.write_text(place, encoding="utf-8", errors="backslashreplace")
            else:
                path.unlink()


def places(folder: str) -> dict[str, float]:
    """Where threads have been, and for how many seconds: what each noted last by :func:`at`."""
    found = {}
    for path in Path(folder).glob(f"{PLACE}*"):
        with suppress(OSError):
            found[path.read_text(encoding="utf-8")] = time.time() - path.stat().st_mtime
    return found


def rejects_by(outcomes: Iterable[object]) -> dict[str, int]:
    """What to :func:`count` of the rejects among ``outcomes``: all of them, and by stage and reason."""
    counts = Counter(f"rejects/{item.stage}/{item.reason}" for item in outcomes if isinstance(item, Reject))
    return {"rejects": counts.total(), **counts}


def counters(result: PipelineResult) -> dict[str, int]:
    """What :func:`count` has counted in a pipeline that has ended, by name; a runner may count twice what it tried twice."""
    from apache_beam.metrics import MetricsFilter  # noqa: PLC0415 - as above

    found = Counter[str]()
    for metric in result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]:
        found[metric.key.metric.name] += metric.result
    return dict(found)


def read_tally(folder: str, offset: int = 0) -> tuple[Tally, int]:
    """The sum of the whole records from byte ``offset`` on, and the offset of the first that was not read yet."""
    try:
        with (Path(folder) / FILE).open("rb") as stream:
            stream.seek(offset)
            data = stream.read()
    except FileNotFoundError:
        return Tally(), offset
    whole = len(data) - len(data) % _RECORD.size
    records = map(Tally._make, _RECORD.iter_unpack(data[:whole]))
    return reduce(Tally.plus, records, Tally()), offset + whole


def append(folder: str, tally: Tally) -> None:
    """Adds to the file, by one append of one small record, which the kernel keeps whole between processes and threads."""
    try:
        descriptor = os.open(Path(folder) / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, _RECORD.pack(*tally))
    finally:
        os.close(descriptor)
