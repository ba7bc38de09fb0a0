"""What a person sees while an audit runs: one live line on a terminal, a plain line now and then in a log."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from causalprint.pipelines.scratch import scratch
from causalprint.pipelines.worker import suspended_workers
from causalprint.schemas.config import NO_OPTIONS, Storage
from causalprint.transforms.counting import FOLDER, Tally, append, places, read_tally

if TYPE_CHECKING:
    from causalprint.pipelines.console import SafeConsole

REFRESH_SECONDS = 0.25
LINE_SECONDS = 30.0
STILL_SECONDS = 300.0
"""So long a thread may be at one place before a line says where."""
ELSEWHERE_SECONDS = 10.0
"""Between two looks at what workers elsewhere tell."""
BEGIN_SECONDS = 25.0
"""So long workers elsewhere may take to begin before a line says what may hold them up."""
NOT_BEGUN = (
    f"no worker has begun after {BEGIN_SECONDS:.0f} s: the cluster may have no free slot, or be starting workers still; its page "
    "tells. Ctrl-C cancels the job"
)

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is.

    Attributes:
        done: what the workers have told so far.
        shards, shard_bytes: what there is to do.
        seconds: since images are being computed.
    """

    done: Tally
    shards: int
    shard_bytes: int
    seconds: float

    @property
    def share(self) -> float:
        """Of the input's bytes, how many are done, 0 to 1. Shards under way count by the images computed so far."""
        if self.done.shards >= self.shards:
            return 1.0
        return min(1.0, max(self.done.shard_bytes, self.done.kept_bytes + self.done.encoded_bytes) / max(1, self.shard_bytes))

    @property
    def seconds_left(self) -> float | None:
        """At the rate of bytes so far; ``None`` while there is none."""
        if self.done.shards >= self.shards:
            return 0.0
        if self.done.encoded_bytes == 0 or self.seconds <= 0:
            return None
        return (1 - self.share) * self.shard_bytes * self.seconds / self.done.encoded_bytes

    def __str__(self) -> str:
        """One line."""
        left = self.seconds_left
        rate = self.done.images / self.seconds if self.seconds > 0 else 0.0
        parts = [
            f"{self.done.shards:,}/{self.shards:,} shards",
            f"{self.done.images:,} images",
            f"{rate:,.1f} images/s",
            f"{self.done.rejects:,} rejects",
            *([f"{self.done.kept:,} images there already"] if self.done.kept else []),
            "time left unknown" if left is None else f"about {duration(left)} left",
        ]
        return ", ".join(parts)


class Sized(Protocol):
    """A shard, or what stands for one: so many bytes."""

    @property
    def size(self) -> int:
        """Bytes."""


class Follower:
    """Adds up the tally of a run's folder as it grows."""

    def __init__(self, folder: str, shards: int, shard_bytes: int, *, elsewhere: bool = False) -> None:
        self._folder = folder
        self._awaited = elsewhere
        # What is heard of workers elsewhere took so long to come about.
        self._lag = ELSEWHERE_SECONDS if elsewhere else 0.0
        self._shards = shards
        self._shard_bytes = shard_bytes
        self._offset = 0
        self._done = Tally()
        self._idle = self._moved = time.monotonic()
        self._told: set[str] = set()

    def still(self) -> list[str]:
        """Where nothing has moved for :data:`STILL_SECONDS`, each place once; or that nothing has, wherever that is."""
        still = {f" at {place}": seconds for place, seconds in places(self._folder).items() if seconds > STILL_SECONDS}
        idle = time.monotonic() - self._moved
        if idle > STILL_SECONDS:
            still |= {"": idle} if not still else {}
            for worker in suspended_workers():
                still[f" in worker process {worker}, which somebody stopped (kill -CONT {worker} lets it go on)"] = idle
        new = sorted(still.keys() - self._told)
        self._told = set(still)
        if self._awaited and (self._offset or idle > BEGIN_SECONDS):
            self._awaited = False
            if not self._offset:
                return [NOT_BEGUN]
        return [f"nothing has moved for {duration(still[place])}{place}; the run goes on" for place in new]

    def poll(self) -> Status:
        """The status now."""
        more, self._offset = read_tally(self._folder, self._offset)
        self._done = self._done.plus(more)
        now = time.monotonic()
        if more != Tally():
            self._moved = now
        if not self._done.images:
            self._idle = now - self._lag  # matching inputs and loading models is no part of the rate
        return Status(self._done, self._shards, self._shard_bytes, now - self._idle)


class Elsewhere(NamedTuple):
    """Where workers on other machines tell how far they are.

    Attributes:
        output: root of the output; empty where they tell nothing.
        run_id: as of :mod:`causalprint.transforms.tables.tallies`.
        storage: fsspec options.
    """

    output: str
    run_id: str
    storage: Storage


UNSEEN = Elsewhere("", "", NO_OPTIONS)
"""Workers that tell nothing."""


@contextmanager
def watched(shards: Sequence[Sized], elsewhere: Elsewhere | None = None) -> Iterator[Follower]:
    """What follows a run over ``shards``, for the time of that run.

    Args:
        shards: what there is to do.
        elsewhere: where workers on other machines tell how far they are; ``None`` where they share this machine.
    """
    sizes = [shard.size for shard in shards]
    with scratch() as folder:
        follower = Follower(folder, len(sizes), sum(sizes), elsewhere=elsewhere not in (None, UNSEEN))
        if elsewhere is None:
            os.environ[FOLDER] = folder
            try:
                yield follower
            finally:
                os.environ.pop(FOLDER, None)
        elif elsewhere is UNSEEN:
            yield follower
        else:
            with _collected(folder, elsewhere):
                yield follower


@contextmanager
def _collected(folder: str, elsewhere: Elsewhere) -> Iterator[None]:
    """Adds to the tally of ``folder`` what workers elsewhere tell, and removes in the end what they told by."""
    from causalprint.transforms.tables.tallies import clear, told

    ended = threading.Event()

    def collect() -> None:
        known = Tally()
        while not ended.wait(ELSEWHERE_SECONDS):
            with suppress(Exception):  # the store is asked again; what is shown need not be the newest
                if tallies := told(*elsewhere):
                    total = reduce(Tally.plus, tallies)
                    append(folder, total.minus(known))
                    known = total

    threading.Thread(target=collect, name="told", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        with suppress(Exception):
            clear(*elsewhere)


@contextmanager
def telling(console: SafeConsole) -> Iterator[Callable[[str], None]]:
    """A function that tells in a few words what is being done: in one live line, or in a plain line now and then."""
    if console.is_terminal:
        with console.status("beginning") as status:
            yield status.update
    else:
        yield plain_lines(console, time.monotonic() - LINE_SECONDS)


@contextmanager
def display(console: SafeConsole) -> Iterator[Callable[[Status], None]]:
    """A function that shows a status: in a live line with a bar, which is gone at the end, or in a plain line now and then."""
    if not console.is_terminal:
        tell = plain_lines(console, time.monotonic())
        yield lambda status: tell(str(status), **status.done._asdict(), of=status.shards)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), BarColumn(bar_width=20), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("loading the models", total=None)

        def show(status: Status) -> None:
            if status.done != Tally():
                progress.update(task, description=str(status), total=1.0, completed=status.share)

        yield show


def plain_lines(console: SafeConsole, last: float) -> Callable[..., None]:
    """A function that prints its words where :data:`LINE_SECONDS` have passed since it last did, at first since ``last``."""

    def tell(words: str, **numbers: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_SECONDS:
            last = time.monotonic()
            console.tell(words, "info", **numbers)

    return tell


def follow(
    work: Callable[[], ResultT],
    follower: Follower,
    show: Callable[[Status], None],
    warn: Callable[[str], None] = lambda _: None,
) -> ResultT:
    """Does ``work`` in a thread while this one shows how far it is, and stays free to act on signals at once.

    Args:
        work: to be done.
        follower: of its progress.
        show: is given how far it is, now and then.
        warn: is given a line where nothing moves for long.

    Returns:
        what ``work`` returns.

    Raises:
        BaseException: what ``work`` raises.
    """
    outcome: Future[ResultT] = Future()
    finished = threading.Event()

    def target() -> None:
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            outcome.set_exception(error)
        finally:
            finished.set()

    # A daemon: when a signal ends the wait, the process must not wait for the work.
    threading.Thread(target=target, name="audit", daemon=True).start()
    while not finished.wait(REFRESH_SECONDS):
        show(follower.poll())
        for line in follower.still():
            warn(line)
    return outcome.result()


def duration(seconds: float) -> str:
    """Seconds for a person: ``42 s``, ``7 min``, ``3 h 20 min``, ``2 d 4 h``."""
    whole = round(seconds)
    if whole < 90:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 36:
        return f"{hours} h {minutes} min"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h"
