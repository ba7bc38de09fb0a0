r"""Names as the world has them, bytes, and as tables, URIs and terminals can hold them.

A store's names are bytes that are UTF-8 by custom only. :func:`text_of` is the one way from them to text, :func:`raw_path` the
way back to the file that a text names, and :func:`printable` what may be shown of any text.
"""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata

MAX_NAME_BYTES = 4096
"""Of a name as text. What is longer is cut, and keeps its beginning, its end (the suffixes) and a digest of the whole."""
_KEPT_END = 256
_ESCAPED = re.compile(rb"\\x([89a-f][0-9a-f])")
_JOINERS = "\u200c\u200d"  # parts of words and of emoji, and of no use to deceive
_HIDDEN = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def text_of(name: str | bytes) -> str:
    r"""A name as text that any table, file and URI can hold: UTF-8, each other byte as ``\xe9``.

    Args:
        name: bytes, or the text that Python makes of a file's name, in which bytes that are no UTF-8 are lone surrogates.

    Returns:
        at most 4 KiB of UTF-8; of a longer name its beginning and its end, and between them the digest of the whole.
    """
    if isinstance(name, str):
        if name.isascii() and len(name) <= MAX_NAME_BYTES:
            return name
        name = _bytes_of(name)
    if len(name) > MAX_NAME_BYTES:
        digest = hashlib.sha256(name).hexdigest()[:32].encode()
        begin = name[: MAX_NAME_BYTES - _KEPT_END - 64]
        return _utf8(begin) + f"…{digest.decode()}…" + _utf8(name[-_KEPT_END:])
    return _utf8(name)


def well_formed(text: str) -> str:
    r"""``text`` of any length as valid UTF-8: what Python makes of bytes that are no UTF-8 is written ``\xe9``."""
    return text if text.isascii() else _utf8(_bytes_of(text))


def raw_path(path: str) -> str:
    r"""The local path that ``path`` names: itself, or if only that is there, the one whose bytes are written ``\xe9`` in it."""
    if "\\x" not in path or os.path.lexists(path):
        return path
    raw = os.fsdecode(_ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), os.fsencode(path)))
    return raw if os.path.lexists(raw) else path


def printable(text: str, keep: str = "") -> str:
    r"""``text`` without what a terminal obeys or does not show: controls and marks of direction become ``\x1b``, ``\u202e``.

    Args:
        text: any.
        keep: characters to leave: a newline in what is several lines.
    """
    return text if text.isascii() and text.isprintable() else "".join(_shown(each, keep) for each in text)


def json_printable(text: str) -> str:
    r"""JSON text with the same characters written ``\u202e``: the same value for every reader."""
    if text.isascii() and "\x7f" not in text:
        return text
    return "".join(each if _is_shown(each, "\n") else _json_escape(each) for each in text)


def _shown(each: str, keep: str) -> str:
    return each if _is_shown(each, keep) else each.encode("unicode_escape").decode()


def _is_shown(each: str, keep: str) -> bool:
    return unicodedata.category(each) not in _HIDDEN or each in _JOINERS or each in keep


def _json_escape(each: str) -> str:
    units = each.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2], 'big'):04x}" for at in range(0, len(units), 2))


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # lone surrogates that stand for no byte
        return text.encode("utf-8", "backslashreplace")


def _utf8(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
