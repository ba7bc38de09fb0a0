"""What several benchmarks share: clocks, the median of pairs, what a command's processes took, and shards that are made up."""

from __future__ import annotations

import gc
import io
import os
import platform
import resource
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from causalprint.models.encodings import encode_jpeg
from causalprint.pipelines.audit import execute, plan
from causalprint.pipelines.worker import WORKER
from causalprint.schemas.config import AuditConfig

TICKS = os.sysconf("SC_CLK_TCK")
Times = NDArray[np.float64]
"""Seconds of processor time and of wall time."""


def machine(device: str = "cpu") -> str:
    """What was measured on: the device's name, and how busy it was before."""
    if device.startswith("cuda"):
        import torch  # noqa: PLC0415 - a child of a process counts its memory, until it is another program

        return f"{torch.cuda.get_device_name(device)}, {len(os.sched_getaffinity(0))} cores beside it"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} before"


def audited(config: AuditConfig) -> None:
    """One audit, planning included."""
    execute(plan(config))


def timed(work: Callable[[], object]) -> Times:
    """Seconds of processor time, also of processes that decode, and of wall time."""
    own, others, began = _spent(resource.RUSAGE_SELF), _spent(resource.RUSAGE_CHILDREN), time.perf_counter()
    work()
    own, clock = _spent(resource.RUSAGE_SELF) - own, time.perf_counter() - began
    gc.collect()  # the time of a process counts once it is gone
    return np.array([own + _spent(resource.RUSAGE_CHILDREN) - others, clock])


def _spent(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def median(times: Iterable[Times]) -> str:
    """Of each of the two."""
    return "  ".join(f"{value:10.3f}" for value in np.median(list(times), axis=0))


@dataclass
class Took:
    """What a command took.

    Attributes:
        output: what it printed.
        code: its exit code.
        seconds: by the clock.
        cpu: seconds of the processor, of all its processes.
        largest: MiB, the most that one of its processes held.
        workers: of each worker the CPU-seconds, those of the processes that decode for it too, as they were seen last.
        held: MiB, the most that one process of a kind held, by kind.
    """

    output: bytes = b""
    code: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    largest: float = 0.0
    workers: dict[int, float] = field(default_factory=dict)
    held: dict[str, float] = field(default_factory=dict)


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, *, watch: bool = False) -> Took:
    """Runs ``causalprint`` with these words; with ``watch``, looks at its processes five times a second."""
    words, took, began = [sys.executable, "-m", "causalprint", *command], Took(), time.monotonic()
    with (
        subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as running,
    ):
        if watch:
            while os.waitid(os.P_PID, running.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                _look(running.pid, took)
                time.sleep(0.2)
        took.output = running.stdout.read() if running.stdout else b""
        _, status, usage = os.wait4(running.pid, 0)
        running.returncode = took.code = os.waitstatus_to_exitcode(status)
    took.seconds, took.cpu, took.largest = time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    return took


def _look(launcher: int, took: Took) -> None:
    """Notes what the processes below ``launcher`` have taken."""
    every = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            every[int(folder.name)] = _fields(int(folder.name))
    workers: Counter[int] = Counter()
    for pid in every:
        line = [pid]
        while line[-1] != launcher and int(every[line[-1]][1]) in every:
            line.append(int(every[line[-1]][1]))
        with suppress(OSError, StopIteration):
            if line[-1] == launcher:
                worker = next((one for one in line if f"{WORKER}\0{launcher}" in Path(f"/proc/{one}/cmdline").read_text()), None)
                kind = {launcher: "launcher", worker: "worker"}.get(pid, "decoder")
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                peak = next(int(words.split()[1]) / 1024 for words in status if words.startswith("VmHWM"))
                took.held[kind] = max(took.held.get(kind, 0.0), peak)
                if worker:
                    workers[worker] += sum(map(int, every[pid][11:15]))
    took.workers |= {worker: ticks / TICKS for worker, ticks in workers.items()}


def _fields(pid: int) -> list[str]:
    """Of a process what ``/proc`` says of it, from its state on."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def textured(side: int, rng: np.random.Generator) -> bytes:
    """A JPEG whose content costs a decoder about what a photograph does."""
    coarse = rng.integers(0, 256, (max(1, side // 16), max(1, side // 16), 3), np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), np.float32)
    return encode_jpeg(np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8), 90)


def make_shards(folder: Path, images: int, shards: int, side: int) -> list[str]:
    """Tars of textured JPEGs, so many in all, evenly; their paths."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06d}.tar" for number in range(shards)]
    for number, path in enumerate(paths):
        with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
            for index in range(number, images, shards):
                data, member = textured(side, rng), tarfile.TarInfo(f"{index:06d}.jpg")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return [str(path) for path in paths]


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table as Markdown has it, numbers to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
