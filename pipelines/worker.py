"""A worker process of the direct runner: Beam's own harness, quiet, and gone when its launcher is."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from functools import partial

CHECK_SECONDS = 0.25


def main() -> None:
    """Serves the launcher whose process id is the only argument."""
    launcher = int(sys.argv[1])
    threading.Thread(target=_leave_with, args=(launcher,), daemon=True).start()
    threading.excepthook = partial(_report_unless_orphan, launcher)
    # Ctrl-C in a terminal reaches the whole process group; the launcher decides, and this process follows it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Beam sends every record to the launcher; without a handler here they would be on the terminal twice.
    logging.getLogger().addHandler(logging.NullHandler())
    from apache_beam.runners.worker import sdk_worker_main

    try:
        sdk_worker_main.main([])
    except Exception:
        _leave_if_orphan(launcher)
        raise


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
