"""Temporary folders of a run, which go with it: those of a run that was killed go when the next one starts."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "causalprint-"
LOCK = ".lock"
OLD_SECONDS = 24 * 3600.0
"""A folder without a lock is some other program's, or of a moment ago, unless it is older than this."""


@contextmanager
def scratch() -> Iterator[str]:
    """A new folder for the time of a run, once what killed runs of this user left is gone."""
    _clear(Path(tempfile.gettempdir()))
    # Under another name until it is locked, or a run that starts at this moment would take it for one left behind.
    folder = Path(tempfile.mkdtemp(prefix=f".{PREFIX}"))
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = folder.rename(folder.with_name(folder.name.removeprefix(".")))
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _clear(temporary: Path) -> None:
    for folder in [*temporary.glob(f"{PREFIX}*"), *temporary.glob(f".{PREFIX}*")]:
        with suppress(OSError):
            if folder.is_dir() and not folder.is_symlink() and folder.stat().st_uid == os.getuid() and _is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_left(folder: Path) -> bool:
    """Whether whoever made the folder has ended: the kernel let go of its lock."""
    old = time.time() - folder.stat().st_mtime > OLD_SECONDS
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return old
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return old or not folder.name.startswith(".")
    finally:
        os.close(lock)
