"""Faults of the machine, told from faults of an image: memory, disk and device are never booked on anybody's bytes."""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from causalprint.schemas.elements import ShardDamageError
from causalprint.schemas.names import well_formed
from causalprint.schemas.urls import scrubbed

Result = TypeVar("Result")

_log = logging.getLogger(__name__)
_ERRNOS = frozenset(
    {errno.ENOMEM, errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ESTALE, errno.ENODEV, errno.EAGAIN}
)
_KINDS = frozenset({"OutOfMemoryError", "AcceleratorError"})
_SHORTAGE = (
    r"out of memory|can.?t allocate|cannot allocate|failed to allocate|(not enough|insufficient) memory|bad.?alloc|"
    r"DefaultCPUAllocator"
)
_SHORT = re.compile(_SHORTAGE, re.IGNORECASE)
_TEXT = re.compile(
    _SHORTAGE
    + r"|(CUDA|cuDNN|cuBLAS|HIP|NCCL|NVML)\w* error|(CUDNN|CUBLAS|CUSOLVER|CUFFT|CUSPARSE)_STATUS|device-side assert|ECC error",
    re.IGNORECASE,
)
_ALONE = threading.Lock()
_LONGEST = 300


class MachineFaultError(Exception):
    """The machine could not do what it was asked; no image is to blame, and another run may go through."""


class BrokenMachineError(Exception):
    """The machine does not compute what it computed before; nothing that it says now is to be believed."""


def is_machine_fault(error: BaseException, *, by_text: bool = True) -> bool:
    """Whether memory, the disk or the device failed, and not what was computed.

    Args:
        error: with what it was raised from.
        by_text: whether the words of an error tell, as those of torch and onnxruntime do. Words of an image's decoder do not: a
            broken file may make it ask for more than there can be.
    """
    return any(
        isinstance(one, MemoryError | MachineFaultError | BrokenMachineError)
        or (isinstance(one, OSError) and one.errno in _ERRNOS)
        or type(one).__name__ in _KINDS
        or (by_text and _TEXT.search(str(one)) is not None)
        for one in _chain(error)
    )


def is_shortage(error: BaseException) -> bool:
    """Whether it is memory that was short, of which there may be enough in a moment."""
    return any(
        isinstance(one, MemoryError | MachineFaultError)
        or (isinstance(one, OSError) and one.errno == errno.ENOMEM)
        or type(one).__name__ == "OutOfMemoryError"
        or _SHORT.search(str(one)) is not None
        for one in _chain(error)
    )


def settled(attempt: Callable[[], Result], final: tuple[type[Exception], ...], room: Callable[[], int]) -> Result:
    """The result of ``attempt``; where it fails, that of a second one, which no other second one disturbs.

    Libraries turn an allocation that failed into any error, also one that says that a file is broken. So a failure counts only
    where it comes again while there is memory.

    Args:
        attempt: depends on its input alone, and may be repeated.
        final: errors that say what is wrong with the input, and need no second attempt.
        room: bytes that a sound input would need, at most.

    Raises:
        MachineFaultError: memory, the disk or the device failed.
        Exception: what ``attempt`` raised, and what its input is to blame for.
    """
    try:
        return attempt()
    except final:
        raise
    except Exception as error:  # noqa: BLE001 - looked at below, where it comes again
        _log.debug("tried again: %s", error)
    with _ALONE:
        try:
            return attempt()
        except final:
            raise
        except Exception as error:
            if is_machine_fault(error, by_text=False):
                raise MachineFaultError(told(error)) from error
            if not has_room(room()):
                raise MachineFaultError(f"{told(error)}, while memory was short") from error
            raise


def raise_foreign(error: Exception) -> None:
    """Raises an error that a parser of one member met and that this member is not to blame for; others it leaves alone.

    Raises:
        ShardDamageError, ImportError: as they are; the store did not give the bytes, or a package is missing.
        MachineFaultError: memory, the disk or the device failed.
    """
    if isinstance(error, ShardDamageError | ImportError | MachineFaultError):
        raise error
    if is_machine_fault(error, by_text=False):
        raise MachineFaultError(told(error)) from error


def unforeseen(error: Exception) -> str:
    """An error that nobody foresaw and a member's bytes made its parser raise, in words that a table can hold.

    Raises:
        ShardDamageError, ImportError, MachineFaultError: as :func:`raise_foreign`.
    """
    raise_foreign(error)
    return f"{scrubbed(well_formed(told(error)))}; please report this"


def has_room(size: int) -> bool:
    """Whether so many bytes of memory can be had."""
    try:
        np.empty(size, np.uint8)
    except MemoryError:
        return False
    return True


def told(error: BaseException) -> str:
    """An error in one line, which is not long."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:_LONGEST]}" if text else type(error).__name__


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen.add(id(one))
            yield one
            waiting += [other for other in (one.__cause__, one.__context__) if other is not None]
