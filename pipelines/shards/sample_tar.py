"""Writes WebDataset tars: for each image its file and its sidecar."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

Row = tuple[str, str, bytes, Mapping[str, object]]
"""Key, extension, encoded image, sidecar."""


def add_row(tar: tarfile.TarFile, row: Row) -> None:
    """Adds the image, then its sidecar. The bytes depend on ``row`` alone: no owner, no time."""
    key, extension, data, sidecar = row
    for suffix, content in ((extension, data), ("json", json.dumps(sidecar, ensure_ascii=False).encode())):
        member = tarfile.TarInfo(f"{key}.{suffix}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def write_tar(path: Path, rows: Iterable[Row]) -> None:
    """Writes a tar of ``rows``, in order."""
    with tarfile.open(path, "w") as tar:
        for row in rows:
            add_row(tar, row)
