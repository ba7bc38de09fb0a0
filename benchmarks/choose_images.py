"""Which development images the bundle that ships learns from, and which are put aside to measure it.

    python benchmarks/choose_images.py IMAGES PICTURES --output OUT [--most 60] [--any-licence]

IMAGES holds labelled WebDataset tars of photographs and generated images, PICTURES those of ``causalprint lab make-pictures``.
Writes ``OUT/learn/NAME.tar`` and ``OUT/aside/NAME.tar``, NAME one of ``photographs``, ``generated``, ``graphics``, ``open`` (of
generators that are not to be named; half of their kins are learned as ``unregistered``) and ``paintings``. An origin of a source
is on one side only. Learned are photographs, graphics and paintings whose licence lets the bundle be used for anything, which the
GPL does not clearly do; of an origin at most ``--most`` images, drawn by their digests. ``--any-licence`` learns from half of the
other origins as well, drawn by their names: a bundle for research alone, which shows what the licence costs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tarfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from causalprint.models.bundles.manifest import UNREGISTERED
from causalprint.pipelines.shards.sample_tar import Row, write_tar
from causalprint.research.pictures.packages import PACKAGES

PHOTOGRAPHS = (
    "alexeygrigorev/clothing-dataset-small",
    "alicevision/dataset_monstree",
    "ardamavi/Dog-Cat-Classifier",
    "datitran/raccoon_dataset",
    "dusty-nv/jetson-inference",
    "EdjeElectronics/TensorFlow-Object-Detection-API-Tutorial-Train-Multiple-Objects-Windows-10",
    "google/dreambooth",
    "imazen/codec-corpus",
    "mapillary/OpenSfM",
    "marcusklasson/GroceryStoreDataset",
    "muxspace/facial_expressions",
    "naoto0804/pytorch-AdaIN",
)
"""Origins of photographs that state CC0, CC BY, CC BY-SA, public domain, or a licence of software for the whole."""

ASIDE = (
    "frankperez-github/card-game_GODOT",
    "CollectMods/Img",
    "unnamedmistress/images",
    "DawlatiBaqiah/ComfyUI",
    "Sathvik2309/AI-Image-Generation",
    "HelloAcorn/custom-diffusion-pogny",
)
"""Origins of generated images that are put aside: one or two of each source that has several."""

REGISTERED = frozenset(("dalle", "gemini", "gpt", "latent", "midjourney", "stable", "stylegan"))
"""How names of generators begin that the bundle names: their kin is never learned as unregistered."""

MOST_GRAPHICS = 24
"""Of an origin, on either side: there are many."""


def main(images: Path, pictures: Path, output: Path, most: int, any_licence: bool) -> None:
    """Writes the tars and prints how many images of each source are where."""
    chosen: dict[tuple[str, str], dict[tuple[str, str], list[tuple[str, Row]]]] = defaultdict(lambda: defaultdict(list))
    for tar in (*sorted(images.rglob("*.tar")), *sorted(pictures.glob("*.tar"))):
        for key, extension, data, sidecar in rows(tar):
            source, origin = str(sidecar["source"]), str(sidecar["origin"])
            place = where(source, origin, str(sidecar.get("licence", "")), tar, any_licence)
            if place:
                told = {"source": UNREGISTERED, "origin": source} if place == ("learn", "open") else {}
                row = (key, extension, data, {**sidecar, **told})
                chosen[place][source, origin].append((digest(hashlib.sha256(data).hexdigest()), row))
    for (side, name), kinds in sorted(chosen.items()):
        cap = MOST_GRAPHICS if name == "graphics" else most if side == "learn" else None
        kept = [row for kind in sorted(kinds) for _, row in sorted(kinds[kind], key=lambda one: one[0])[:cap]]
        target = output / side / f"{name}.tar"
        target.parent.mkdir(parents=True, exist_ok=True)
        write_tar(target, ((f"{number:06d}", *row[1:]) for number, row in enumerate(kept)))
        counts = Counter(str(row[3]["source"]) for row in kept)
        print(f"{target}: {len(kept)} images of {len(kinds)} origins: {dict(counts)}")


def where(source: str, origin: str, licence: str, tar: Path, any_licence: bool) -> tuple[str, str] | None:
    """The side and the tar that an image goes to; ``None`` where it goes nowhere: whole originals, whose crops are there too."""
    if tar.name == "originals.tar":
        return None
    free = "GPL" not in licence or "CC" in licence
    if source == "real-art":
        return ("learn" if free and origin in PACKAGES else "aside"), "paintings"
    drawn = any_licence and bool(int(digest(origin), 16) % 2)
    if source == "graphic":
        return ("learn" if free or drawn else "aside"), "graphics"
    if source == "real":
        return ("learn" if drawn or origin in PHOTOGRAPHS or (free and origin in PACKAGES) else "aside"), "photographs"
    if "unknown" in tar.parts:
        kin = kin_of(source)
        return ("learn" if kin not in REGISTERED and int(digest(kin), 16) % 2 else "aside"), "open"
    return ("aside" if origin in ASIDE else "learn"), "generated"


def rows(path: Path) -> Iterator[Row]:
    """Each image with its sidecar."""
    with tarfile.open(path) as tar:
        held: dict[str, dict[str, bytes]] = defaultdict(dict)
        for member in tar:
            file = tar.extractfile(member)
            if file is None:
                continue
            key, _, extension = member.name.rpartition(".")
            held[key][extension] = file.read()
            parts = held[key]
            if len(parts) == 2 and "json" in parts:
                sidecar = json.loads(parts.pop("json"))
                ((extension, data),) = parts.items()
                if "source" in sidecar and "origin" in sidecar:
                    yield key, extension, data, sidecar
                del held[key]


def kin_of(source: str) -> str:
    """What versions of one generator have in common: how their names begin."""
    return re.split(r"[^a-z]", source)[0]


def digest(text: str) -> str:
    """What orders alike wherever it runs."""
    return hashlib.sha256(f"causalprint {text}".encode()).hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--most", type=int, default=60)
    parser.add_argument("--any-licence", action="store_true")
    given = parser.parse_args()
    main(given.images, given.pictures, given.output, given.most, given.any_licence)
