"""Whole audits for tests: their input, a run of the command in this process, and what it left."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from causalprint.__main__ import main
from tests.bundles import photograph


class Answer(NamedTuple):
    """What one call of the command gave: its exit code, its JSON object, its standard error."""

    code: int
    found: dict[str, Any]
    log: str


def jpeg(seed: int, side: int = 256) -> bytes:
    """A square photograph of its own for every seed."""
    buffer = io.BytesIO()
    Image.fromarray(photograph(seed, side, side)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def sidecar(seed: int) -> bytes:
    return json.dumps({"url": f"https://example.org/{seed}.jpg"}).encode()


def tar(path: Path, members: Iterable[tuple[str, bytes]]) -> Path:
    """A tar of these members, in order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


def photographs_tar(path: Path, seeds: Iterable[int], side: int = 256) -> Path:
    """A WebDataset tar: an image and its sidecar for every seed."""
    pairs = ((f"{seed:05d}", seed) for seed in seeds)
    return tar(
        path, (member for key, seed in pairs for member in ((f"{key}.jpg", jpeg(seed, side)), (f"{key}.json", sidecar(seed))))
    )


def command(capsys: pytest.CaptureFixture[str], *arguments: object) -> Answer:
    """Runs ``causalprint … --json`` in this process."""
    given = [str(argument) for argument in arguments]
    cut = given.index("--") if "--" in given else len(given)
    capsys.readouterr()
    code = main([*given[:cut], "--json", *given[cut:]])
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert len(lines) == 1, captured.out
    answer = json.loads(lines[0])
    assert isinstance(answer, dict)
    return Answer(code, answer, captured.err)
