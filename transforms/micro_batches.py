"""Images of slice after slice, decoded in a pool and computed together: what is computed in one call need not be of one slice.

A slice leaves once all its images are done, in order. A few images wait for those of the next slice, so that small shards keep
all threads busy, and fill the micro-batches of a GPU.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import Any, NamedTuple

from causalprint.schemas.elements import EncodedImage, ImageSlice
from causalprint.transforms.counting import Pool, at, count, rejects_by

UNDER_WAY = 2
"""Micro-batches that were handed over and are not done: one that is computed, and one that waits for its end."""
WAITING_BYTES = 32 * 1024**2
"""Of slices that are not done nothing is left waiting for others beyond this."""
ROW_BYTES = 1024
"""For what of an image is not its encoded bytes."""


class Opened(NamedTuple):
    """What came of an image in the pool, and the seconds that it took there to decode it and to compute it.

    Attributes:
        outcome: what it is; of one that is ``waiting``, what is to be computed together with others.
    """

    outcome: Any
    decoding: float = 0.0
    computing: float = 0.0
    waiting: bool = False


class Together(NamedTuple):
    """What came of the images of a micro-batch, in order, and the seconds that it took to compute them."""

    outcomes: Sequence[Any]
    computing: float


class Finished(NamedTuple):
    """A slice and what came of each of its images, in order."""

    images: ImageSlice
    outcomes: list[Any]


class Work(NamedTuple):
    """How images are computed.

    Attributes:
        open: one of them, in a thread of ``pool``.
        pool: its threads.
        ahead: images that are being opened, or are opened and wait for those before them; with ``together`` it bounds the memory
            of pixels.
        compute: those that are left waiting, ``together`` of them at most.
        together: images of a micro-batch.
        device: where micro-batches are computed, one after another; ``None``: in ``pool``.
    """

    open: Callable[[EncodedImage], Opened]
    pool: Pool
    ahead: int
    compute: Callable[[Sequence[Any]], Together] = lambda waiting: Together(waiting, 0.0)
    together: int = 1
    device: Pool | None = None


class _Held:
    """A slice of which not all images are done."""

    def __init__(self, images: ImageSlice) -> None:
        self.images = images
        self.outcomes: list[Any] = [None] * len(images.images)
        self.missing = len(self.outcomes)
        rows = 1 + len(images.images) + len(images.rejects)
        self.size = rows * ROW_BYTES + sum(len(image.data) for image in images.images)


class _Place(NamedTuple):
    """An image: its slice, and its number there."""

    held: _Held
    number: int

    @property
    def image(self) -> EncodedImage:
        return self.held.images.images[self.number]


class MicroBatches:
    """Slices on their way; for one thread. What it counts is counted in that thread, as images are done."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._held: deque[_Held] = deque()
        self._opening: deque[tuple[_Place, Future[Opened]]] = deque()
        self._group: list[tuple[_Place, Any]] = []
        self._computing: deque[tuple[list[_Place], Future[Together]]] = deque()
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def add(self, images: ImageSlice) -> Iterator[Finished]:
        """Takes a slice, and gives those that are done; its rejects are counted first."""
        held = _Held(images)
        self._held.append(held)
        count(images=len(images.rejects), **rejects_by(images.rejects))
        for number, image in enumerate(images.images):
            if len(self._opening) >= self._work.ahead:
                self._take()
            self._opening.append((_Place(held, number), self._work.pool.submit(self._work.open, image)))
        yield from self._finished()
        while sum(held.size for held in self._held) > WAITING_BYTES:
            self._go_on()
            yield from self._finished()

    def finish(self) -> Iterator[Finished]:
        """Gives all that were taken, once they are done."""
        while self._opening or self._group or self._computing:
            self._go_on()
        yield from self._finished()

    def give_up(self) -> list[ImageSlice]:
        """Slices that were not given, once nothing of them holds memory any more; after that, nothing was ever taken."""
        futures: list[Future[Any]] = [*(future for _, future in self._opening), *(future for _, future in self._computing)]
        for future in futures:
            future.cancel()
        wait(futures)
        left = [held.images for held in self._held]
        for part in (self._held, self._opening, self._group, self._computing):
            part.clear()
        return left

    def _go_on(self) -> None:
        """Waits for what is next, where something is on its way."""
        if self._opening:
            self._take()
        elif self._group:
            self._compute()
        else:
            self._close()

    def _take(self) -> None:
        """Waits for the image that was taken first and is not opened yet."""
        place, future = self._opening.popleft()
        at(f"{place.held.images.shard.uri}: {place.image.member}")
        opened = future.result()
        self._seconds["decode"] += opened.decoding
        self._seconds["compute"] += opened.computing
        if not opened.waiting:
            self._done([place], [opened.outcome])
            return
        self._group.append((place, opened.outcome))
        if len(self._group) == self._work.together:
            self._compute()

    def _compute(self) -> None:
        """Hands the micro-batch over, full or not."""
        if len(self._computing) == UNDER_WAY:
            self._close()
        places, waiting = zip(*self._group, strict=True)
        self._group = []
        self._computing.append(([*places], (self._work.device or self._work.pool).submit(self._work.compute, waiting)))

    def _close(self) -> None:
        """Waits for the micro-batch that was handed over first."""
        places, future = self._computing.popleft()
        at(f"{places[0].held.images.shard.uri}: {places[0].image.member} and what is computed with it")
        together = future.result()
        self._seconds["on_device" if self._work.device else "compute"] += together.computing
        self._done(places, together.outcomes)

    def _done(self, places: Sequence[_Place], outcomes: Sequence[Any]) -> None:
        for place, outcome in zip(places, outcomes, strict=True):
            place.held.outcomes[place.number] = outcome
            place.held.missing -= 1
        count(images=len(places), encoded_bytes=sum(len(place.image.data) for place in places), **rejects_by(outcomes))

    def _finished(self) -> Iterator[Finished]:
        while self._held and not self._held[0].missing:
            yield Finished(self._held[0].images, self._held[0].outcomes)
            self._held.popleft()  # whoever fails at what it is given finds it among what was not given
        self._seconds["pool"] += self._work.pool.there()
        self._seconds["device"] += self._work.device.there() if self._work.device else 0
        count(**{f"{name}_ms": 1000 * seconds for name, seconds in self._seconds.items()})
        self._seconds.clear()
        at("")


def compute_images(images: ImageSlice, work: Work) -> list[Any]:
    """What came of each image of one slice, in order."""
    batches = MicroBatches(work)
    try:
        (*_, finished) = (*batches.add(images), *batches.finish())
    except Exception:
        batches.give_up()  # so that nothing of this slice holds memory when it is tried again
        raise
    return finished.outcomes
