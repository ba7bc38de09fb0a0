"""Weights on this machine that a bundle takes in, so that it holds all that a run depends on besides its input."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from causalprint.schemas.model_spec import INSIDE, ModelSpec, is_spec

SUFFIXES = (".json", ".safetensors", ".onnx", ".md", ".txt")
LICENCE = "LICENCE.txt"
"""A file beside weights that says under what licence they are; without it they have the bundle's."""


class TakenIn(NamedTuple):
    """A residual or a lens as a bundle names it.

    Attributes:
        spec: ``kind:./folder?options`` where its files go into the bundle, else as it was given.
        source: the file or folder to copy; ``None`` for a name on the model hub.
        folder: where to, inside the bundle.
    """

    spec: str
    source: Path | None
    folder: str

    def copy(self, bundle: Path) -> None:
        """Copies the files into ``bundle``; nothing where there are none, or where they lie there already."""
        if self.source is None:
            return
        files = sorted(self.source.rglob("*")) if self.source.is_dir() else [self.source]
        root = self.source if self.source.is_dir() else self.source.parent
        for file in files:
            target = bundle / self.folder / file.relative_to(root)
            if file.suffix in SUFFIXES and file.resolve() != target.resolve():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)

    def licences(self) -> dict[str, str]:
        """The licence of each file, by its path in the bundle, where one is stated beside them."""
        if self.source is None or not self.source.is_dir() or not (self.source / LICENCE).is_file():
            return {}
        text = (self.source / LICENCE).read_text(encoding="utf-8").strip()
        files = [file for file in self.source.rglob("*") if file.is_file()]
        return {f"{self.folder}/{file.relative_to(self.source).as_posix()}": text for file in files}


def take_in(spec: str, folder: str) -> TakenIn:
    """How a bundle names ``spec``, ``kind:location?options``, whose files would go into its ``folder``."""
    parsed = ModelSpec.parse(spec)
    return _taken_in(parsed, Path(parsed.location).expanduser(), folder)


def take_in_lens(lens: str) -> TakenIn:
    """As :func:`take_in`, each learned lens in a folder of its own; one by name is that of the package."""
    from causalprint.models.bundles.bundle import LENSES_FOLDER
    from causalprint.models.lenses.base import find_folder

    if not is_spec(lens):
        return TakenIn(lens, None, LENSES_FOLDER)
    spec = ModelSpec.parse(lens)
    path = find_folder(spec.location) if spec.kind in ("convolutional", "onnx") else Path(spec.location).expanduser()
    return _taken_in(spec, path, f"{LENSES_FOLDER}/{path.stem if path.is_file() else path.name}")


def _taken_in(spec: ModelSpec, source: Path, folder: str) -> TakenIn:
    if not source.exists():
        return TakenIn(str(spec), None, folder)
    return TakenIn(str(spec.relocate(f"{INSIDE}{folder if source.is_dir() else f'{folder}/{source.name}'}")), source, folder)


def check_folders(parts: Sequence[TakenIn]) -> None:
    """Refuses files of two places under one name.

    Raises:
        ValueError: two of ``parts`` would go into one folder of the bundle and come from different places.
    """
    places: dict[str, Path] = {}
    for part in parts:
        if part.source is not None and places.setdefault(part.folder, part.source.resolve()) != part.source.resolve():
            raise ValueError(f"{places[part.folder]} and {part.source} would both be {part.folder} in the bundle; rename one")
