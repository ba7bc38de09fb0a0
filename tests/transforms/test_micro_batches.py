"""Slices are computed together, in full micro-batches, and leave whole and in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.elements import EncodedImage, ImageSlice, Shard
from causalprint.transforms.counting import Pool
from causalprint.transforms.map_slices import streamed
from causalprint.transforms.micro_batches import WAITING_BYTES, MicroBatches, Opened, Together, Work

SHARD = Shard("file:///data/0.tar", 1, "etag", "tar")


def slices_of(sizes: Sequence[int], data: bytes = b"x") -> list[ImageSlice]:
    return [
        ImageSlice(
            f"{index:032x}", SHARD, index, tuple(EncodedImage(f"{index}-{place}", place, data, None) for place in range(size))
        )
        for index, size in enumerate(sizes)
    ]


class Watched:
    """Work that is watched: every third image waits for none, and computing marks what it was given."""

    def __init__(self, fails: str = "") -> None:
        self.groups: list[list[str]] = []
        self._fails = fails

    def open(self, image: EncodedImage) -> Opened:
        time.sleep(hash(image.member) % 3 / 5000)  # so that later ones may be opened first
        return Opened(image.member, waiting=int(image.member.split("-")[1]) % 3 != 2)

    def compute(self, members: Sequence[str]) -> Together:
        if self._fails in members:
            raise ValueError(self._fails)
        self.groups.append([*members])
        return Together([f"{member} computed" for member in members], 0.0)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    with Pool(3) as threads:
        yield threads


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 9), max_size=8),
    together=st.integers(1, 5),
    ahead=st.integers(1, 7),
    device=st.booleans(),
)
def test_slices_leave_whole_in_order_and_only_the_last_micro_batch_is_not_full(
    pool: Pool, sizes: list[int], together: int, ahead: int, device: bool
) -> None:
    watched, slices = Watched(), slices_of(sizes)
    with Pool(1) as one:
        work = Work(watched.open, pool, ahead, watched.compute, together, one if device else None)
        found = list(streamed(MicroBatches(work), slices))
    assert [images for images, _ in found] == slices
    for images, outcomes in found:
        waits = [place % 3 != 2 for place in range(len(images.images))]
        names = [image.member for image in images.images]
        assert outcomes == [f"{name} computed" if waiting else name for name, waiting in zip(names, waits, strict=True)]
    assert all(len(group) == together for group in watched.groups[:-1] if device)
    assert sorted(map(len, watched.groups))[1:] == [together] * (len(watched.groups) - 1)


def test_images_that_are_opened_and_not_computed_are_bounded(pool: Pool) -> None:
    opened: list[str] = []
    taken = threading.Semaphore(0)

    def compute(members: Sequence[str]) -> Together:
        taken.acquire()
        return Together(members, 0.0)

    def open_one(image: EncodedImage) -> Opened:
        opened.append(image.member)
        return Opened(image.member, waiting=True)

    with Pool(1) as device:
        batches = MicroBatches(Work(open_one, pool, 4, compute, 2, device))
        feeder = threading.Thread(target=lambda: list(streamed(batches, slices_of([100]))))
        feeder.start()
        time.sleep(0.2)
        # Of the first two micro-batches one is computed and one waits for it; a third is full; four are ahead of it.
        assert len(opened) <= 2 * 2 + 2 + 4
        for _ in range(50):
            taken.release()
        feeder.join()
    assert len(opened) == 100


def test_small_slices_wait_for_others_and_large_ones_do_not(pool: Pool) -> None:
    watched = Watched()
    batches = MicroBatches(Work(watched.open, pool, 8, watched.compute, 4))
    small, large = slices_of([2, 2])[1], slices_of([3], bytes(WAITING_BYTES // 3))[0]
    assert list(batches.add(small)) == []
    assert [images for images, _ in batches.add(large)] == [small, large]
    assert list(batches.finish()) == []


def test_what_was_not_given_can_be_had_back(pool: Pool) -> None:
    watched = Watched(fails="2-0")
    batches = MicroBatches(Work(watched.open, pool, 1, watched.compute, 2))
    slices = slices_of([2, 3, 2, 4])
    given_out: list[ImageSlice] = []
    with pytest.raises(ValueError, match="2-0"):
        given_out.extend(images for images, _ in streamed(batches, slices))
    assert [*given_out, *batches.give_up()] in (slices[:3], slices)
    assert [images for images, _ in streamed(batches, slices[:2])] == slices[:2]
