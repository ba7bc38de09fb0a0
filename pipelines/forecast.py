"""What an audit will cost, before anything is spent: ``causalprint audit … --dry-run``.

A few images are read and computed with the run's own bundle, device and threads, and a forecast is made of them. Nothing is
written.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import ceil, inf
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.console import new_table
from causalprint.pipelines.forecast_files import written_alone, written_together
from causalprint.pipelines.progress import duration
from causalprint.pipelines.runners import RUNNERS, worker_threads, workers
from causalprint.schemas.config import DEFAULT_READING, AuditConfig, Slicing, Storage

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.audit import Plan
    from causalprint.schemas.elements import AttributedSlice, ImageSlice, Shard
    from causalprint.transforms.tables.output import Output

SAMPLED_SHARDS = 16
SAMPLED_IMAGES = 96
"""Images in all that are read and computed."""
WARMING = 4
"""Images that are computed first and do not count: the first take longer."""
ASKED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an audit will come to. Images are estimated unless ``counted``, and all that follows from them.

    Attributes:
        output, bundle_id, device: as of the run.
        shards, bytes: of the input.
        kept: shards that the output holds already; what follows is of the others.
        moved: of these, those that it holds at another address (``--same-as``): they are read, and their rows written, but
            nothing of them is computed.
        images: of which rows are to be written.
        counted: whether they were counted and not estimated.
        sampled_images, sampled_shards: from which the rest is estimated.
        seconds_an_image: by the clock, with all ``threads`` at work: decoded, computed and attributed; as measured here, now.
        threads: that decode and compute in all workers together.
        start_seconds: to load the bundle, once a worker.
        seconds: of the whole run on this machine; ``None`` where the runner takes others.
        core_hours: processor cores times hours that they are held, with cores as of this machine.
        gpu_hours: hours that a device as of this machine is held; ``None`` without one.
        files, output_bytes: of the tables.
        requests: to the object stores of input and output; 0 where both are disks.
        sampled_to: of a sample, how far from the truth a share of one half may be by sampling alone, at 95 %: where every shard
            holds as much of everything as any other, and where each is all one thing; ``None`` where all is read.
    """

    output: str
    bundle_id: str
    device: str
    shards: int
    bytes: int
    kept: int
    moved: int
    images: int
    counted: bool
    sampled_images: int
    sampled_shards: int
    seconds_an_image: float
    threads: int
    start_seconds: float
    seconds: float | None
    core_hours: float
    gpu_hours: float | None
    files: int
    output_bytes: int
    requests: int
    sampled_to: tuple[float, float] | None = None


class _Size(NamedTuple):
    """What a shard holds: images, and whether they were counted."""

    images: float
    counted: bool


class Speed(NamedTuple):
    """What computing a few images took and gave."""

    images: int
    seconds: float
    start_seconds: float
    device: str
    attributed: tuple[AttributedSlice, ...]


def forecast(planned: Plan) -> Forecast:
    """Reads and computes a few images of what is to be done.

    Raises:
        ImportError, ValueError, OSError: what the audit would raise before its first image.
    """
    from causalprint.transforms.deal_shards import grouped

    config, output = planned.config, planned.output
    to_do, moved = _to_do(planned)
    asked = random.Random(0).sample(to_do, min(len(to_do), SAMPLED_SHARDS))  # noqa: S311 - no secret
    heads = [_head(shard, output, config.storage, ceil(SAMPLED_IMAGES / len(asked))) for shard in asked]
    sizes = _sizes(to_do, dict(zip((shard.uri for shard in asked), map(_size, heads), strict=True)))
    images = round(sum(size.images for size in sizes))
    at_work = threads_at_work(config)
    speed = measure(planned, heads, at_work)
    an_image = speed.seconds / max(1, speed.images)
    per_slice = [_slices(shard, size.images, planned.slicing) for shard, size in zip(to_do, sizes, strict=True)]
    groups = [] if output.replaces else grouped(to_do)
    together = {shard.uri for group in groups for shard in group}
    alone = [place for place, shard in enumerate(to_do) if shard.uri not in together]
    images_alone = round(sum(sizes[place].images for place in alone))
    written = (
        written_alone(speed.attributed, images_alone, sum(per_slice[place] for place in alone), len(alone), output),
        written_together(speed.attributed, images - images_alone, len(groups), output),
    )
    files, size = (sum(several) for several in zip(*written, strict=True))
    if len(to_do) == len(planned.shards):
        files += len(output.tables)  # those without rows, which each table of a new output has
    computed = sum(size.images for shard, size in zip(to_do, sizes, strict=True) if shard.uri not in moved)
    seconds = speed.start_seconds + computed * an_image if computed else 0.0
    return Forecast(
        output=config.output,
        bundle_id=planned.run.bundle_id,
        device=speed.device,
        shards=len(planned.shards),
        bytes=sum(shard.size for shard in planned.shards),
        kept=len(planned.shards) - len(to_do),
        moved=len(moved),
        images=images,
        counted=all(each.counted for each in sizes),
        sampled_images=speed.images,
        sampled_shards=len(asked),
        seconds_an_image=an_image,
        threads=at_work,
        start_seconds=speed.start_seconds,
        seconds=seconds if RUNNERS[config.runner].local else None,
        core_hours=seconds * at_work / 3600,
        gpu_hours=seconds / 3600 if speed.device.startswith("cuda") else None,
        files=files,
        output_bytes=size,
        requests=_requests(to_do, per_slice, files, output),
        sampled_to=None if config.sample is None else _sampled_to(planned.shards, min(config.sample, max(1, images))),
    )


def threads_at_work(config: AuditConfig) -> int:
    """Threads that decode and compute in all workers together."""
    threads = worker_threads(config.threads, config.runner, config.beam_options) or os.cpu_count() or 1
    return threads * workers(config.runner, config.beam_options)


def show(found: Forecast, out: Console) -> None:
    """Prints it."""
    about = "" if found.counted else "about "
    out.print(
        f"{found.shards:,} shards of {found.bytes:,} bytes, of which {found.output} holds {found.kept:,} already", soft_wrap=True
    )
    table = new_table("the audit of the others would take", numbers=("forecast",))
    table.add_row("images", f"{about}{found.images:,}")
    if found.moved:
        table.add_row("shards that only moved, and are read", f"{found.moved:,}")
    table.add_row(f"seconds an image, {found.threads} threads, {found.device}", f"{found.seconds_an_image:.3f}")
    if found.seconds is not None:
        table.add_row("time on this machine", duration(found.seconds))
    table.add_row("core-hours, with cores as here", f"{found.core_hours:,.2f}")
    if found.gpu_hours is not None:
        table.add_row("GPU-hours, with a device as here", f"{found.gpu_hours:,.2f}")
    table.add_row("files", f"{found.files:,}")
    table.add_row("bytes of tables", f"{found.output_bytes:,}")
    if found.requests:
        table.add_row("requests to object stores", f"{found.requests:,}")
    if found.sampled_to:
        least, most = (f"{width:.3f}" for width in found.sampled_to)
        table.add_row("a share of one half is known to, by sampling", least if least == most else f"{least} to {most}")
    out.print(table)
    out.print(
        f"measured on {found.sampled_images:,} images of {found.sampled_shards:,} shards; nothing was written", soft_wrap=True
    )


def _to_do(planned: Plan) -> tuple[list[Shard], set[str]]:
    """The shards that an audit would read: those that neither the list of the run before nor an account tells to be done.

    And the URIs of those of them that are done at an address where they were before.
    """
    from causalprint.transforms.tables.committed import closed
    from causalprint.transforms.tables.known import known_accounts
    from causalprint.transforms.tables.run_shards import inputs_of
    from causalprint.transforms.tables.stored import Stored

    output = planned.output
    stored = Stored(output, planned.config.retry_rejects)
    known = {one.shard_id for one in known_accounts(planned.shards, inputs_of(planned.run), output, stored)}
    left = [shard for shard in planned.shards if shard.shard_id(output.bundle_id) not in known]

    def is_done(shard: Shard) -> bool:
        return closed(output, shard, stored) is not None

    def is_moved(shard: Shard) -> bool:
        return any(is_done(replace(shard, uri=version.uri, generation=version.generation)) for version in shard.was)

    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        to_do = [shard for shard, done in zip(left, pool.map(is_done, left), strict=True) if not done]
        return to_do, {shard.uri for shard, moved in zip(to_do, pool.map(is_moved, to_do), strict=True) if moved}


def _head(shard: Shard, output: Output, storage: Storage, images: int) -> ImageSlice:
    """The first images of a shard."""
    from causalprint.transforms.formats.slices import read_slices

    return next(read_slices(shard, output.bundle_id, Slicing(images), storage))


def _size(head: ImageSlice) -> _Size:
    """How many images are in the shard that begins so, by the bytes that these take in it."""
    if head.last or not head.images:
        return _Size(head.seen, counted=head.last)
    last = head.images[-1]
    in_order = head.shard.format in ("tar", "tfrecord")  # there, the offset of an image is its byte
    taken = last.offset + len(last.data) if in_order else sum(len(image.data) for image in head.images)
    estimate = head.seen * max(1.0, head.shard.size / max(1, taken))
    return _Size(min(estimate, head.shard.limit or estimate), counted=False)


def _sizes(shards: Sequence[Shard], known: dict[str, _Size]) -> list[_Size]:
    """How many images are in each shard: those of shards that were not looked at, by their bytes."""
    looked = [shard for shard in shards if shard.uri in known]
    a_byte = sum(known[shard.uri].images for shard in looked) / max(1, sum(shard.size for shard in looked))

    def guess(shard: Shard) -> _Size:
        if shard.drawn:
            return _Size(shard.drawn.of if shard.limit is None else shard.limit, counted=True)
        return _Size(min(shard.size * a_byte, shard.limit or float("inf")), counted=False)

    return [known.get(shard.uri) or guess(shard) for shard in shards]


def measure(planned: Plan, heads: Sequence[ImageSlice], threads: int, seconds: float = inf) -> Speed:
    """Computes a few images as a worker does, until so many seconds have passed."""
    from causalprint.models.features import pick_device
    from causalprint.transforms.attribute_sources import AttributeSources
    from causalprint.transforms.compute_fingerprints import ComputeFingerprints
    from causalprint.transforms.map_slices import streamed

    config = planned.config
    began = time.monotonic()
    fingerprints = ComputeFingerprints(config.bundle, config.residual, config.device, config.batch_size, threads, planned.anchors)
    begin = fingerprints.load()
    attribute = AttributeSources(config.bundle, config.residual, config.prior).load()
    start = time.monotonic() - began
    for _ in streamed(begin(), [replace(head, images=head.images[:WARMING]) for head in heads[:1]]):
        pass
    began = time.monotonic()
    attributed: list[AttributedSlice] = []
    for each in streamed(begin(), heads):
        attributed.append(attribute(each))
        if time.monotonic() - began > seconds:
            break
    images = sum(each.fingerprinted.seen for each in attributed)
    return Speed(images, time.monotonic() - began, start, str(pick_device(config.device)), tuple(attributed))


def _slices(shard: Shard, images: float, slicing: Slicing) -> int:
    return max(1, ceil(images / slicing.images), ceil(shard.size / slicing.bytes))


def _sampled_to(shards: Sequence[Shard], images: int) -> tuple[float, float]:
    """See :class:`Forecast`; what the bundle errs comes on top."""
    import numpy as np

    from causalprint.models.statistics.clusters import Cells, clustered, half_width

    alone = np.array([0.25 / images])
    drawn = [(shard.limit or shard.drawn.of, shard.drawn.chance) for shard in shards if shard.drawn and shard.drawn.chance]
    least = float(half_width(alone)[0])
    if not drawn:
        return least, least
    taken, chance = (np.array(values, np.float64) for values in zip(*drawn, strict=True))
    mixed = clustered(Cells(np.zeros(len(taken), np.int64), taken, chance), np.zeros(len(taken)), 1)
    return least, float(half_width(mixed.at(np.array([0.5]), np.zeros(1), alone), mixed.freedom)[0])


def _requests(shards: Sequence[Shard], slices: Sequence[int], files: int, output: Output) -> int:
    """Requests to object stores: blocks that are read, generations that are looked up, files that are written."""
    from causalprint.transforms.storage.storage import is_local

    read = sum(ceil(shard.size / DEFAULT_READING.block_bytes) for shard in shards if not is_local(shard.uri))
    looked_up = sum(count for shard, count in zip(shards, slices, strict=True) if not is_local(shard.uri))
    return read + looked_up + (0 if is_local(output.root) else files)
