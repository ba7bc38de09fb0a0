"""Values of weights, looked at without torch: whether every number in a safetensors file is one."""

from __future__ import annotations

import json

import numpy as np

_EXPONENTS: dict[str, tuple[type[np.unsignedinteger], int]] = {
    "F64": (np.uint64, 0x7FF0 << 48),
    "F32": (np.uint32, 0x7F80_0000),
    "F16": (np.uint16, 0x7C00),
    "BF16": (np.uint16, 0x7F80),
}
"""By the name of a type: its bits as whole numbers, and those that are all set of NaN and infinity."""
_PART = 1 << 22


def first_not_finite(data: bytes) -> str | None:
    """The name of a tensor that holds NaN or infinity, in the bytes of a safetensors file; ``None`` where none does.

    Types of eight bits are not looked at.

    Raises:
        ValueError: these are the bytes of no such file.
    """
    length = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + length])
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        for name, entry in tensors.items():
            bits, exponent = _EXPONENTS.get(entry["dtype"], (None, 0))
            if bits is None:
                continue
            start, end = (8 + length + at for at in entry["data_offsets"])
            values = np.frombuffer(data[start:end], bits)
            mask = bits(exponent)
            if any(((part & mask) == mask).any() for part in np.split(values, range(_PART, len(values), _PART))):
                return str(name)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no safetensors file: {error}") from error
    return None
