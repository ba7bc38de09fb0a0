"""Lenses: ways to look at a residual, without learned weights (a line in :data:`LENSES`) or with a pretrained encoder's.

``convolutional:FOLDER-OR-NAME`` is of our own (:mod:`causalprint.models.lenses.convolutional`), and in the package;
``?statistic=correlations`` takes correlations of its channels in place of their ``moments``. ``onnx:PATH-OR-NAME`` is an image
encoder, such as the one of the bundle that ships. Optional: ``transformers:PATH-OR-HUB-NAME`` (the SL, VSL and SSL lenses of
arXiv 2509.15406 are of this kind), ``timm:NAME``;
``?mean=…&std=…`` (one number, or three with commas) says how the encoder wants its pixels, where its own files do not;
``?blocks=4,6,8`` reads a vision transformer after these blocks, and no further, in place of its end: of each the class token, and
mean and deviation of the others (``pool=moments``) or it alone (``pool=class``). An ONNX file that was cut to some blocks
(``causalprint lab cut-encoder``) gives its own, by ``?pool=…``.
An image is never resized: its centre is cut to the encoder's size, and a smaller one reflected at its borders.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module

import torch

from causalprint.models.lenses.base import Lens, find_folder, read
from causalprint.models.lenses.dct import DCT
from causalprint.models.lenses.fourier import DFT, QFT, RADIAL
from causalprint.models.lenses.rgb import RGB
from causalprint.models.lenses.stats import STATS
from causalprint.schemas.model_spec import LensError, LensSpec, is_spec

__all__ = ["KINDS", "LENSES", "Lens", "load_lens", "parse_lens", "read"]

LENSES: Mapping[str, Lens] = {lens.name: lens for lens in (RGB, DFT, DCT, QFT, RADIAL, STATS)}
"""Every lens without learned weights by name, in the order in which their features are put side by side."""


_PIXELS = ("mean", "std")
_BLOCKS = ("blocks", "pool")
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "convolutional": ("convolutional", ("statistic",)),
    "transformers": ("torch_encoder", (*_PIXELS, *_BLOCKS)),
    "timm": ("torch_encoder", _PIXELS),
    "onnx": ("onnx_encoder", (*_PIXELS, *_BLOCKS)),
}
"""Every kind of learned lens by its name in a spec: the file in this folder that holds ``load(spec, device) -> Lens``, imported
on use since most need a package; and what options may follow the location."""


def load_lens(name: str, device: torch.device | str = "cpu") -> Lens:
    """The lens of that name, or the learned one that the spec ``name`` names, on ``device``.

    Reads files, and the model hub for a hub's name; unpickles nothing. ONNX models run on the CPU wherever ``device`` is, so that
    their features do not depend on it. Of a process, each of the last eight is loaded once: its size, its digests and its
    features are asked for in different places.

    Raises:
        LensError: it cannot be had as named, with the remedy.
    """
    if name in LENSES:
        return LENSES[name]
    if not is_spec(name):
        raise LensError(f"lens {name!r} is none of {', '.join(LENSES)} and not of the form kind:path-or-name; {LensSpec.example}")
    spec = parse_lens(name)
    return _load(spec, torch.device(device), _stamp(spec.location))


def parse_lens(text: str) -> LensSpec:
    """``kind:location?option=value`` as a value. Looks at no file.

    Raises:
        LensError: the form, the kind or the name of an option is wrong.
    """
    spec = LensSpec.parse(text)
    spec.check_kind(KINDS)
    _, options = KINDS[spec.kind]
    spec.check_options(options)
    return spec


def _stamp(location: str) -> tuple[tuple[str, int, int], ...]:
    """Path, time and size of the files at ``location``: where they change, the lens is loaded again."""
    path = find_folder(location)
    files = sorted(path.rglob("*")) if path.is_dir() else [path] if path.exists() else []
    return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)


@lru_cache(maxsize=8)
def _load(spec: LensSpec, device: torch.device, stamp: tuple[tuple[str, int, int], ...]) -> Lens:
    del stamp  # a part of the key alone
    module, _ = KINDS[spec.kind]
    lens: Lens = import_module(f"{__name__}.{module}").load(spec, device)
    return lens
