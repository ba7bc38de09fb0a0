"""Values of weights, looked at without torch: whether every number in a safetensors file is one."""

from __future__ import annotations

import numpy as np
from safetensors import SafetensorError, deserialize

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
    try:
        tensors = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise ValueError(f"no safetensors file: {error}") from error
    for name, entry in tensors:
        bits, exponent = _EXPONENTS.get(entry["dtype"], (None, 0))
        if bits is None:
            continue
        values, mask = np.frombuffer(entry["data"], bits), bits(exponent)
        if any(((part & mask) == mask).any() for part in np.split(values, range(_PART, len(values), _PART))):
            return str(name)
    return None
