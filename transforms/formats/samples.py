"""WebDataset samples: members in a row whose names agree up to the first dot; images get their sidecars as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from causalprint.schemas.elements import EncodedImage, Reject, Skipped
from causalprint.transforms.formats.metadata import json_safe, parse_json, strict_json
from causalprint.transforms.images.kinds import sample_key
from causalprint.transforms.storage.options import ReadOptions

Item = EncodedImage | Reject | Skipped


class Sidecar(NamedTuple):
    """A member that describes the images of its sample."""

    member: str
    offset: int
    data: bytes


def group_samples(entries: Iterable[Item | Sidecar], options: ReadOptions) -> Iterator[Item]:
    """Images and rejects in order, each with the metadata of its sample; sidecars of no image become skipped members.

    An image waits until its sample ends, so a sample's images are held together, up to ``options.max_sample_bytes``;
    beyond that they go on with the sidecars met so far. An entry without a name (hidden by damage) joins no sample and ends none.
    """
    sample = _Sample("", options)
    for entry in entries:
        if isinstance(entry, Skipped):
            yield entry
            continue
        key = sample_key(entry.member)[0] if entry.member else sample.key
        if key != sample.key:
            yield from sample.close()
            sample = _Sample(key, options)
        yield from sample.add(entry)
    yield from sample.close()


class _Sample:
    def __init__(self, key: str, options: ReadOptions) -> None:
        self.key = key
        self._options = options
        self._waiting: list[EncodedImage | Reject] = []
        self._waiting_bytes = 0
        self._sidecars: list[Sidecar] = []
        self._sidecar_bytes = 0
        self._described = False

    def add(self, entry: EncodedImage | Reject | Sidecar) -> Iterator[Item]:
        if isinstance(entry, Sidecar):
            self._sidecar_bytes += len(entry.data)
            if self._sidecar_bytes > self._options.max_sidecar_bytes:
                yield Skipped(entry.member, entry.offset)
            else:
                self._sidecars.append(entry)
            return
        held = len(entry.data) if isinstance(entry, EncodedImage) else 1024
        if self._waiting and self._waiting_bytes + held > self._options.max_sample_bytes:
            yield from self._flush()
        self._waiting.append(entry)
        self._waiting_bytes += held

    def close(self) -> Iterator[Item]:
        """The sample's items; its sidecars too where there was no image for them."""
        yield from self._flush()
        if not self._described:
            yield from (Skipped(sidecar.member, sidecar.offset) for sidecar in self._sidecars)

    def _flush(self) -> Iterator[Item]:
        metadata = sidecar_metadata([(sample_key(each.member)[1], each.data) for each in self._sidecars])
        for item in self._waiting:
            self._described |= bool(item.member)
            yield item._replace(metadata=metadata) if item.member else item
        self._waiting, self._waiting_bytes = [], 0


def sidecar_metadata(sidecars: list[tuple[str, bytes]]) -> str | None:
    """One JSON object from sidecars ``(suffix, data)``; ``None`` where there are none.

    The object in ``.json`` is kept as it is written. Every other sidecar becomes a key named by its suffix (``txt``, ``cls``, …)
    with its text, unless the object has that key. A ``.json`` that holds no object, or is no JSON, is kept under ``json``.
    """
    if not sidecars:
        return None
    merged: dict[str, object] = {}
    for name, data in sorted(sidecars, key=lambda each: each[0] != "json"):
        text = data.decode("utf-8-sig", "replace")
        value = parse_json(text) if name.endswith("json") else text
        if name == "json" and isinstance(value, dict):
            if len(sidecars) == 1 and strict_json(value) is not None:
                return text.strip()
            merged = value
        else:
            merged.setdefault(name, text if value is None else value)
    return strict_json(merged) or strict_json(json_safe(merged))
