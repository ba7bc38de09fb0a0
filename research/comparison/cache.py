"""What a comparison keeps on disk, each under a digest of all that it depends on: crops, features, and what methods answered."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

import causalprint
from causalprint.schemas.model_spec import ModelSpec

if TYPE_CHECKING:
    from causalprint.research.methods.base import Kit, Method

CHUNK = 16
"""Crops that a method is given at once."""

SAVE_SECONDS = 30.0
"""Features are safe from a kill so often."""

_ROOT = Path(causalprint.__file__).parent
_REGISTRY = "causalprint.research.methods"
_CODE = ("causalprint.models.", f"{_REGISTRY}.")
"""What methods are made of."""

Features = npt.NDArray[Any]
Compute = Callable[[npt.NDArray[np.uint8]], Features]


class Cached(NamedTuple):
    """Features of all crops, (N, …), perhaps a map of a file, and the seconds that they took to compute on one thread each."""

    features: Features
    seconds: float


def cached_features(
    file: Path, crops: npt.NDArray[np.uint8], compute: Compute, threads: int, resume: bool, tell: Callable[[int], None]
) -> Cached:
    """Features of ``crops`` (N, C, C, 3), computed in chunks, in parallel; with ``resume``, what ``file`` has of them is kept.

    A method whose features are the crops is given the crops themselves and nothing is written.

    Args:
        file: where they are kept, ``.npy``; its name must tell everything that they depend on.
        crops: of N images.
        compute: features of some of them.
        threads: how many chunks at a time.
        resume: whether to trust what is there.
        tell: told how many are done.
    """
    if file.exists() and resume:
        return Cached(np.load(file, mmap_mode="r"), _read_progress(file)[1])
    start, seconds = _read_progress(file) if resume and _part(file).exists() else (0, 0.0)
    if start == len(crops):
        _part(file).replace(file)
        return Cached(np.load(file, mmap_mode="r"), seconds)
    rows = _chunks(crops, start, compute, threads)
    first = next(rows)
    if np.shares_memory(first.features, first.crops):
        return Cached(crops, 0.0)
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (len(crops), *first.features.shape[1:])
    if start:
        stored = np.lib.format.open_memmap(_part(file), mode="r+")
    else:
        file.with_suffix(".json").unlink(missing_ok=True)
        stored = np.lib.format.open_memmap(_part(file), mode="w+", dtype=first.features.dtype, shape=shape)
    saved = time.monotonic()
    for chunk in _after(first, rows):
        if chunk.features.shape != (len(chunk.crops), *shape[1:]):
            raise ValueError(f"features of {len(chunk.crops)} crops have shape {chunk.features.shape}, not (N, {shape[1:]})")
        stored[chunk.start : chunk.start + len(chunk.crops)] = chunk.features
        seconds += chunk.seconds
        if time.monotonic() - saved > SAVE_SECONDS:
            stored.flush()
            _write_progress(file, chunk.start + len(chunk.crops), seconds)
            saved = time.monotonic()
        tell(chunk.start + len(chunk.crops))
    stored.flush()
    _write_progress(file, len(crops), seconds)
    _part(file).replace(file)
    return Cached(np.load(file, mmap_mode="r"), seconds)


def save_arrays(file: Path, arrays: dict[str, Any]) -> None:
    """Writes ``arrays`` to ``file`` whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    with part.open("wb") as stream:
        np.savez(stream, **arrays)
    part.replace(file)


def load_arrays(file: Path) -> dict[str, Any]:
    """What :func:`save_arrays` wrote."""
    with np.load(file, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


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
    specs = [kit.residual, *kit.autoencoders, kit.clip or ""]
    return hashlib.sha256(" ".join([kit.device.type, *map(_spec_digest, specs)]).encode()).hexdigest()


def array_digest(*arrays: npt.NDArray[Any]) -> str:
    """A digest of values, shapes and types."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


class _Chunk(NamedTuple):
    start: int
    crops: npt.NDArray[np.uint8]
    features: Features
    seconds: float


def _chunks(crops: npt.NDArray[np.uint8], start: int, compute: Compute, threads: int) -> Iterator[_Chunk]:
    """Chunks in order; no more than a few are ahead of what was taken."""
    starts = range(start, len(crops), CHUNK)
    if threads == 1:
        yield from map(partial(_chunk, crops, compute), starts)
        return
    with ThreadPoolExecutor(threads) as pool:
        for place in range(0, len(starts), 4 * threads):
            yield from pool.map(partial(_chunk, crops, compute), starts[place : place + 4 * threads])


def _chunk(crops: npt.NDArray[np.uint8], compute: Compute, start: int) -> _Chunk:
    chosen = np.asarray(crops[start : start + CHUNK])
    began = time.perf_counter()
    return _Chunk(start, chosen, compute(chosen), time.perf_counter() - began)


def _after(first: _Chunk, others: Iterator[_Chunk]) -> Iterator[_Chunk]:
    yield first
    yield from others


def _part(file: Path) -> Path:
    return file.with_suffix(".part.npy")


def _read_progress(file: Path) -> tuple[int, float]:
    """Rows that are there for certain, and the seconds that they took."""
    try:
        found = json.loads(file.with_suffix(".json").read_text())
    except FileNotFoundError:
        return 0, 0.0
    return int(found["rows"]), float(found["seconds"])


def _write_progress(file: Path, rows: int, seconds: float) -> None:
    part = file.with_suffix(".json.part")
    part.write_text(json.dumps({"rows": rows, "seconds": seconds}))
    part.replace(file.with_suffix(".json"))


def _spec_digest(spec: str) -> str:
    """The spec, with the content of the files that it names in place of their path."""
    if not spec:
        return spec
    named = ModelSpec.parse(spec)
    path = Path(named.location)
    if not path.exists():
        return spec
    files: Sequence[Path] = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    return " ".join([named.kind, named.query, *(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)])


def _imports(module: str) -> set[Path]:
    """Files of the package that ``module`` imports, however far; a package stands for all of its files, but for the registry."""
    found = {_ROOT / "research" / "methods" / "base.py"}  # what a method is; what the default kit holds is in the kit's digest
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _ROOT.joinpath(*name.split(".")[1:])
        files = (
            sorted(path.rglob("*.py"))
            if path.is_dir() and name.count(".") > 1 and name != _REGISTRY
            else [path.with_suffix(".py")]
        )
        for file in files:
            if file in found or not file.is_file():
                continue
            found.add(file)
            waiting += _imported(file)
    return found


@lru_cache(maxsize=256)
def _imported(file: Path) -> tuple[str, ...]:
    """Modules of :data:`_CODE` that ``file`` imports, and names in them, which may be modules too."""
    nodes = [node for node in ast.walk(ast.parse(file.read_bytes())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(name for name in names if name.startswith(_CODE))
