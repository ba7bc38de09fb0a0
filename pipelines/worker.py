"""Worker processes of the direct runner: Beam's own harness, quiet, and gone with its launcher; and how that finds them."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from causalprint.pipelines.importing import import_at_once

WORKER = "causalprint.pipelines.worker"
"""This module, by which a process is known to be a worker."""
CHECK_SECONDS = 0.25
LOOKS = 10
"""At the threads of this process, for their children, while threads end."""


def main() -> None:
    """Serves the launcher whose process id is the only argument."""
    launcher = int(sys.argv[1])
    threading.Thread(target=_leave_with, args=(launcher,), daemon=True).start()
    threading.excepthook = partial(_report_unless_orphan, launcher)
    # Ctrl-C in a terminal reaches the whole process group; the launcher decides, and this process follows it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Beam sends every record to the launcher; without a handler here they would be on the terminal twice.
    logging.getLogger().addHandler(logging.NullHandler())
    import_at_once("apache_beam.runners.worker.sdk_worker_main")
    from apache_beam.runners.worker import sdk_worker_main

    try:
        sdk_worker_main.main([])
    except Exception:
        _leave_if_orphan(launcher)
        raise


def stop_workers() -> None:
    """Kills the worker processes that this process has started, so that nothing of theirs comes after its last word.

    Where there is no /proc, they notice by themselves that their launcher is gone.
    """
    for worker in _workers():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            os.kill(worker, signal.SIGKILL)


def suspended_workers() -> list[int]:
    """The worker processes that somebody has stopped (SIGSTOP), and that wait to be told to go on."""
    found = []
    for worker in _workers():
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{worker}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
            found += [worker] if state in "Tt" else []
    return found


def _workers() -> Iterator[int]:
    for child in _children():
        with contextlib.suppress(OSError):
            if WORKER.encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                yield child


def _children() -> set[int]:
    """The child processes of all threads of this one."""
    found: set[int] = set()
    for _ in range(LOOKS):
        ended = False
        for children in Path("/proc/self/task").glob("*/children"):
            try:
                found.update(map(int, children.read_text().split()))
            except OSError:  # the thread has ended meanwhile, and its children are now another's, perhaps one that was looked at
                ended = True
        if not ended:
            break
    return found


def _leave_with(launcher: int) -> None:
    # Killed with -9, a launcher cannot take its workers along: they notice that they have another parent.
    while os.getppid() == launcher:
        time.sleep(CHECK_SECONDS)
    os._exit(1)


def _leave_if_orphan(launcher: int) -> None:
    # Connections break a moment before the parent changes.
    time.sleep(2 * CHECK_SECONDS)
    if os.getppid() != launcher:
        os._exit(1)


def _report_unless_orphan(launcher: int, failure: threading.ExceptHookArgs) -> None:
    # That its launcher is gone is no news: the launcher has said why.
    _leave_if_orphan(launcher)
    threading.__excepthook__(failure)


if __name__ == "__main__":
    main()
