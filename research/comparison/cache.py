"""What a comparison keeps on disk, each under a digest of all that it depends on: crops, features, and what methods answered."""

from __future__ import annotations

import ast
import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

import causalprint
from causalprint.pipelines.results.sections import publish
from causalprint.research.methods.base import Kit, Method
from causalprint.schemas.arrays import Crops
from causalprint.schemas.model_spec import ModelSpec

CHUNK = 16
"""Crops that a method is given at once."""

SAVE_SECONDS = 30.0
"""Features are safe from a kill so often."""

_ROOT = Path(causalprint.__file__).parent
_REGISTRY = "causalprint.research.methods"
_CODE = ("causalprint.models.", f"{_REGISTRY}.")
"""What methods are made of."""

Features = npt.NDArray[Any]
Compute = Callable[[Crops], Features]


class Cached(NamedTuple):
    """Features of all crops, (N, …), perhaps a map of a file, and the seconds that they took to compute on one thread each."""

    features: Features
    seconds: float


def cached_features(
    file: Path, crops: Crops, compute: Compute, threads: int, resume: bool, tell: Callable[[int], None]
) -> Cached:
    """Features of ``crops`` (N, C, C, 3), computed in chunks, so many ``threads`` at a time; ``tell`` is told how many are done.

    They are kept in ``file``, ``.npy``, whose name must tell everything that they depend on; with ``resume`` what is there is
    trusted, also where a run was stopped midway.
    """
    part, progress = file.with_suffix(".part.npy"), file.with_suffix(".json")
    done, seconds = 0, 0.0
    if resume and progress.exists() and (file.exists() or part.exists()):
        found = json.loads(progress.read_text())
        done, seconds = found["rows"], found["seconds"]

    def save() -> None:
        publish(file.parent, {progress.name: json.dumps({"rows": done, "seconds": seconds}).encode()})

    if not (resume and file.exists()):
        if done:
            stored = np.lib.format.open_memmap(part, "r+")
        else:
            save()  # nothing of what an earlier run left there is trusted
            row = compute(crops[:1])
            stored = np.lib.format.open_memmap(part, "w+", row.dtype, (len(crops), *row.shape[1:]))
        saved = time.monotonic()
        for start, features, took in _chunks(crops, done, compute, threads):
            stored[start : start + CHUNK] = features
            done, seconds = min(start + CHUNK, len(crops)), seconds + took
            if time.monotonic() - saved > SAVE_SECONDS:
                stored.flush()
                save()
                saved = time.monotonic()
            tell(done)
        stored.flush()
        save()
        part.replace(file)
    return Cached(np.load(file, mmap_mode="r"), seconds)


def save_arrays(file: Path, arrays: dict[str, Any]) -> None:
    """Writes ``arrays`` to ``file`` whole or not at all."""
    data = io.BytesIO()
    np.savez(data, **arrays)
    publish(file.parent, {file.name: data.getvalue()})


def load_arrays(file: Path) -> dict[str, Any]:
    """What :func:`save_arrays` wrote."""
    with np.load(file, allow_pickle=False) as stored:
        return dict(stored)


def method_digest(method: Method) -> str:
    """What tells this version of a method from others: every module of the package that its own imports, hex."""
    home = next(
        (
            name
            for name, module in sorted(sys.modules.items())
            if name.startswith(f"{_REGISTRY}.") and any(value is method for value in vars(module).values())
        ),
        getattr(method.features, "__module__", _REGISTRY),
    )
    files = sorted(_imports(home))
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


@lru_cache(maxsize=8)
def kit_digest(kit: Kit) -> str:
    """What features may depend on of ``kit``: its models, by their files where these are local, and the kind of device."""
    specs = filter(None, (kit.residual, *kit.autoencoders, kit.clip))
    return hashlib.sha256(" ".join([kit.device.type, *map(_spec_digest, specs)]).encode()).hexdigest()


def array_digest(*arrays: npt.NDArray[Any]) -> str:
    """A digest of values, shapes and types."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _chunks(crops: Crops, done: int, compute: Compute, threads: int) -> Iterator[tuple[int, Features, float]]:
    """Start, features and seconds of each chunk that is not done, in order, no more than a few ahead of what was taken."""

    def work(start: int) -> tuple[int, Features, float]:
        chosen = np.asarray(crops[start : start + CHUNK])
        began = time.perf_counter()
        return start, compute(chosen), time.perf_counter() - began

    starts = range(done, len(crops), CHUNK)
    with ThreadPoolExecutor(threads) as pool:
        for place in range(0, len(starts), 4 * threads):
            yield from pool.map(work, starts[place : place + 4 * threads])


def _spec_digest(spec: str) -> str:
    """The spec, with the content of the files that it names in place of their path."""
    named = ModelSpec.parse(spec)
    path = Path(named.location)
    if not path.exists():
        return spec
    files = sorted(each for each in (path, *path.rglob("*")) if each.is_file())
    return " ".join([named.kind, named.query, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)])


def _imports(module: str) -> set[Path]:
    """Files of the package that ``module`` imports, however far; a package stands for all of its files, but for the registry."""
    found = {_ROOT / "research" / "methods" / "base.py"}  # what a method is; what the default kit holds is in the kit's digest
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _ROOT.joinpath(*name.split(".")[1:])
        whole = path.is_dir() and name.count(".") > 1 and name != _REGISTRY
        files = {file for file in (path.rglob("*.py") if whole else [path.with_suffix(".py")]) if file.is_file()} - found
        found |= files
        for file in files:
            waiting += _imported(file)
    return found


@lru_cache(maxsize=256)
def _imported(file: Path) -> tuple[str, ...]:
    """Modules of :data:`_CODE` that ``file`` imports, and names in them, which may be modules too."""
    names: list[str] = []
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.startswith(_CODE))
