"""An XMP packet (ISO 16684-1) read for the few properties that say where an image is from."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from xml.parsers import expat

MAX_ELEMENTS = 20_000
MAX_DEPTH = 64
MAX_VALUE = 4_096
"""Characters kept of a value."""
_NAMESPACES = {
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://www.tc260.org.cn/ns/AIGC/1.0/": "TC260",
}
WANTED = frozenset(
    (
        "Iptc4xmpExt:DigitalSourceType",
        "Iptc4xmpExt:DigitalSourcetype",
        "Iptc4xmpExt:AISystemUsed",
        "xmp:CreatorTool",
        "photoshop:Credit",
        "tiff:Make",
        "tiff:Model",
        "tiff:Software",
        "TC260:AIGC",
    )
)


class _StopError(Exception):
    """The packet is no longer worth reading."""


class _Reader:
    """Collects the first value of each wanted property, an attribute or the text of an element."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}
        self._open: list[str] = []
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS or len(self._open) >= MAX_DEPTH:
            raise _StopError
        self._open.append(_property(name))
        for key, value in attributes.items():
            if (wanted := _property(key)) in WANTED and value.strip():
                self.found.setdefault(wanted, value[:MAX_VALUE].strip())
            elif key.endswith(" resource") and self._open[-1] in WANTED:
                self.found.setdefault(self._open[-1], value[:MAX_VALUE].strip())

    def end(self, _name: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        wanted = next((name for name in reversed(self._open) if name in WANTED), None)
        if wanted is None or not (text.strip() or wanted in self.found):
            return
        self.found[wanted] = (self.found.get(wanted, "") + text)[:MAX_VALUE].rstrip()


def read_xmp(packet: bytes) -> dict[str, str]:
    """The wanted properties of a packet, by their usual names: ``{"xmp:CreatorTool": "…"}``.

    A packet that declares a document type or entities, is deeper or longer than any that is written, or is no XML, gives what
    was read before that; nothing is fetched, and no entity expanded.
    """
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.SetParamEntityParsing(expat.XML_PARAM_ENTITY_PARSING_NEVER)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    with suppress(expat.ExpatError, _StopError, LookupError, ValueError):  # of an unknown encoding any of the last two
        parser.Parse(packet.strip(b"\0 \t\r\n"), True)
    return {name: value for name, value in reader.found.items() if value}


def _property(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    return f"{_NAMESPACES.get(namespace, '')}:{local}"


def _refuse(*_: Any) -> None:
    raise _StopError
