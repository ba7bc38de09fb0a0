"""Another bundle of the same fingerprint: one that knows a source more."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save

from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, HELD_OUT_FILE, MANIFEST, Bundle, file_of, load_bundle
from causalprint.models.bundles.card import card
from causalprint.models.bundles.gallery import GALLERY_FILE, Gallery, read_gallery
from causalprint.models.bundles.manifest import Enrolled
from causalprint.schemas.arrays import Floats
from causalprint.schemas.records import to_json

WEIGHT, BIAS = "enrolled.weight", "enrolled.bias"


def add_source(bundle: Bundle, directory: Path, source: Enrolled, weight: Floats, bias: float, images: Gallery) -> Bundle:
    """Writes ``bundle`` and a ``source`` more to ``directory``, ``bundle.json`` last, and loads it.

    All files but the attribution and the gallery are copied byte for byte, so that the two share all fingerprints. Scores of
    held-out images are left out: they say nothing of the new source, nor of what it takes from others.

    Args:
        bundle: that is extended, with its own residual.
        directory: without a bundle.
        source: its name, its limit and what is expected of it.
        weight: of its discriminant, float32 (128,).
        bias: likewise.
        images: that it was learned from.
    """
    before = bundle.manifest
    kept = [one for one in before.files if one.path != HELD_OUT_FILE]
    for file in (*(one.path for one in kept), *_texts(bundle.directory)):
        target = directory / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(bundle.directory / file, target)
    tensors = load_file(bundle.directory / ATTRIBUTION_FILE)
    for name, row in ((WEIGHT, weight[None]), (BIAS, np.array([bias]))):
        several = np.concatenate([tensors[name], row]) if name in tensors else row
        tensors[name] = np.ascontiguousarray(several, np.float32)
    gallery = read_gallery(bundle)
    (directory / ATTRIBUTION_FILE).write_bytes(save(tensors))
    (directory / GALLERY_FILE).write_bytes((images if gallery is None else gallery.join(images)).to_bytes())
    licences = {one.path: one.licence for one in kept}
    paths = dict.fromkeys([*licences, GALLERY_FILE])
    files = tuple(file_of(directory, path, licences.get(path, before.licence)) for path in paths)
    manifest = replace(before, files=files, enrolled=(*before.enrolled, source))
    (directory / MANIFEST).write_text(to_json(manifest, indent=1) + "\n", encoding="utf-8")
    (directory / "card.md").write_text(card(manifest), encoding="utf-8")
    return load_bundle(directory)


def _texts(directory: Path) -> list[str]:
    """Licences and cards of what the bundle took in, which ``bundle.json`` does not name."""
    below = (path.relative_to(directory) for path in directory.rglob("*") if path.suffix in (".md", ".txt"))
    return sorted(path.as_posix() for path in below if path.parent != Path())
