"""What glibc does with memory that is free again; without glibc nothing is done."""

from __future__ import annotations

import ctypes
import sys

MALLOC = {-3: 32 << 20, -1: 128 << 20, -2: 64 << 20}
"""glibc's ``M_MMAP_THRESHOLD``, ``M_TRIM_THRESHOLD`` and ``M_TOP_PAD``, in bytes. The last is as large as a thread's heap can be,
so that none is given back."""


def keep_freed_memory() -> None:
    """Has it keep what tensors leave behind for the next ones.

    By itself it gives memory of that size back to the system at once, and every page that comes anew costs a fault: a fifth
    of the processor's time of the residual that ships.
    """
    for parameter, size in MALLOC.items():
        _glibc("mallopt", parameter, size)


def give_back_memory() -> None:
    """Has it give back what is free now: after what is not done again, such as loading a model, which takes as much as that."""
    _glibc("malloc_trim", 0)


def _glibc(name: str, *numbers: int) -> None:
    library = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, name):
        getattr(library, name)(*numbers)
