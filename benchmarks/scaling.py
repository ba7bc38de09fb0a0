"""How an audit grows: with its images, with its shards, and with a second worker.

    python benchmarks/scaling.py images [1000 10000 100000]   in shards of 1,000 images
    python benchmarks/scaling.py shards [10 100 1000 10000]   of one image each
    python benchmarks/scaling.py workers [--images 400] [--rounds 3]

Every audit is a command of its own, from its start to its end. The images of the first two are smaller than a crop (48 pixels a
side): they are read, hashed, decoded and written, and abstain, so that what grows is the pipeline beside the model. Printed are
the time of each further image or shard, which is the same at every size where time is linear, and the most memory that one
process of a kind held, which is the same where memory is flat.

``workers`` audits a shard of images of 300 pixels a side with the model, in slices of ten, by one worker on one core and by two
on two, of one thread each, in pairs; and two images alone, whose time is the start-up. Beside the clock stands what the
processors say, for machines that have other work: the time of all processes of one worker's audit over that of the launcher and
the busier of two workers.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from statistics import median

from measure import Took, machine, make_shards, run, table

DEFAULTS = {"images": (1000, 10_000, 100_000), "shards": (10, 100, 1000, 10_000)}
SHARD = 1000


def audit(inputs: Path, output: Path, workers: int, *options: str) -> Took:
    """Runs an audit by so many workers, on as many cores; raises where it fails."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(cores)[:workers])
    command = ["audit", str(inputs), "--output", str(output), "--json", *options, "--", f"--direct_num_workers={workers}"]
    took = run(command, watch=True)
    os.sched_setaffinity(0, cores)
    if took.code:
        raise RuntimeError(f"audit ended with {took.code}: {took.output.decode()}")
    return took


def grow(of: str, sizes: list[int], side: int, workers: int) -> None:
    """Prints what audits of these sizes took."""
    rows: list[list[str]] = []
    before: tuple[int, Took] | None = None
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            make_shards(root / "in", size, size if of == "shards" else -(-size // SHARD), side)
            took = audit(root / "in", root / "out", workers)
            files = sum(path.is_file() for path in (root / "out").rglob("*"))
        further = ["", ""]
        if before:
            more, least = size - before[0], before[1]
            further = [f"{1000 * one / more:.2f}" for one in (took.seconds - least.seconds, took.cpu - least.cpu)]
        held = [f"{took.held.get(kind, 0):,.0f}" for kind in ("launcher", "worker", "decoder")]
        rows.append([f"{size:,}", f"{took.seconds:.1f}", f"{took.cpu:.1f}", *further, *held, f"{files:,}"])
        print(*rows[-1], flush=True)
        before = size, took
    each = of.removesuffix("s")
    head = [of, "seconds", "CPU-seconds", f"ms a further {each}", f"CPU-ms a further {each}"]
    print(table([*head, "launcher, MiB", "worker, MiB", "decoder, MiB", "files"], rows))


def speed_up(images: int, rounds: int) -> None:
    """Prints how much faster two workers are than one, with the start-up and without it."""
    found: dict[str, list[float]] = {"clock": [], "clock, start-up aside": [], "CPU": [], "CPU, start-up aside": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, number in (("few", 2), ("many", images)):
            make_shards(root / name, number, 1, 300)
        for turn in range(rounds):
            took = {
                (name, workers): audit(root / name, root / f"{name}-{workers}-{turn}", workers, "--slice-images", "10")
                for name in ("few", "many")
                for workers in (1, 2)
            }
            for key, of in (("clock", _clock), ("CPU", _longest)):
                one, two = (of(took["many", workers]) for workers in (1, 2))
                first, second = (of(took["few", workers]) for workers in (1, 2))
                found[key].append(one / two)
                found[f"{key}, start-up aside"].append((one - first) / (two - second))
            print(*(f"{name} x {workers}: {one.seconds:.1f} s" for (name, workers), one in took.items()), sep="; ", flush=True)
    print(
        table(["two workers over one", "median", "lowest"], [(k, f"{median(v):.2f}", f"{min(v):.2f}") for k, v in found.items()])
    )


def _clock(took: Took) -> float:
    return took.seconds


def _longest(took: Took) -> float:
    """Processor seconds that come one after another: all but those of the workers that have less to do."""
    return took.cpu - sum(took.workers.values()) + max(took.workers.values(), default=0.0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("of", choices=(*DEFAULTS, "workers"))
    parser.add_argument("sizes", type=int, nargs="*", help="of the audits")
    parser.add_argument("--side", type=int, default=48, help="of the images, in pixels")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=400, help="for the speed-up")
    parser.add_argument("--rounds", type=int, default=3, help="for the speed-up")
    given = parser.parse_args()
    print(machine(), flush=True)
    if given.of == "workers":
        speed_up(given.images, given.rounds)
    else:
        grow(given.of, given.sizes or list(DEFAULTS[given.of]), given.side, given.workers)
