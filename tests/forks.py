"""Processes that run the command and may be killed: forked from one that has imported everything, so that each starts at once.

Importing torch and Beam takes seconds; a promise about twenty kills would take minutes.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

ROOT = Path(__file__).parents[1]


class End(NamedTuple):
    """How a process ended: its exit code (negative: the signal that killed it), its peak memory in bytes."""

    code: int
    peak: int


@dataclass(frozen=True)
class Fork:
    """A call of the command in a process of its own.

    Attributes:
        pid: of the process.
        out, err: files that hold what it printed.
        parent: who waits for it.
    """

    pid: int
    out: Path
    err: Path
    parent: Forks

    def kill(self, signum: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal."""
        os.kill(self.pid, signum)

    def wait(self) -> End:
        """Waits for its end; once."""
        return End(*json.loads(self.parent.ask(["wait", str(self.pid)])))

    @property
    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


class Forks:
    """Starts forks. A context manager; what it started is gone at the end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def __enter__(self) -> Self:
        self._server = subprocess.Popen(
            [sys.executable, "-c", "from tests.forks import serve; serve()"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(self.folder), "OPENBLAS_NUM_THREADS": "1"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.stdout.close()
        self._server.wait()

    def start(self, *arguments: object) -> Fork:
        """Runs ``causalprint`` with ``arguments``."""
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("out", "err"))
        pid = int(self.ask(["start", str(out), str(err), *map(str, arguments)]))
        return Fork(pid, out, err, self)

    def run(self, *arguments: object) -> End:
        """Runs it to its end."""
        return self.start(*arguments).wait()

    def ask(self, request: list[str]) -> str:
        """One request to the server, one line in return."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        line = self._server.stdout.readline()
        assert line, "the server of forks has died"
        return line


def serve() -> None:
    """Answers requests on standard input until it closes."""
    _import_everything()
    # A fork takes one thread along; locks that another one held would be held for ever. (The allocator's own thread knows.)
    tasks = {(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())}
    assert tasks <= {"jemalloc_bg_thd"}, tasks
    started: set[int] = set()
    for line in sys.stdin:
        what, *rest = json.loads(line)
        if what == "start":
            pid = _fork(*rest)
            started.add(pid)
            _reply(str(pid))
        else:
            _, status, usage = os.wait4(int(rest[0]), 0)
            started.remove(int(rest[0]))
            _reply(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024]))
    for pid in started:
        os.kill(pid, signal.SIGKILL)


def _import_everything() -> None:
    logging.basicConfig(handlers=[logging.NullHandler()])  # as the command does, before Beam's import warns

    import causalprint.models.residuals.denoise
    import causalprint.pipelines.commands.audit
    import causalprint.transforms.attribute_sources
    import causalprint.transforms.compute_features
    import causalprint.transforms.compute_fingerprints
    import causalprint.transforms.feature_files
    import causalprint.transforms.process_shards
    import causalprint.transforms.tables.write_manifest  # noqa: F401


def _fork(out: str, err: str, *arguments: str) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        return pid
    from causalprint.__main__ import main

    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    code = main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _reply(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
