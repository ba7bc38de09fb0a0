"""``causalprint lab make-aligned``: the same photographs as they are and through each decoder.

The direct test of a causal fingerprint: content is the same in every class, so whatever tells the classes apart is the decoder's
artefact.
"""

from __future__ import annotations

import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import torch

from causalprint.models.bundles.bundle import DEFAULT, RESIDUAL_FOLDER
from causalprint.models.bundles.manifest import REAL
from causalprint.models.encodings import ENCODINGS
from causalprint.models.features import pick_device
from causalprint.models.residuals import load_residual
from causalprint.models.residuals.base import Residual
from causalprint.models.sampling import pass_through
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, Report, central_crop
from causalprint.pipelines.shards.sample_tar import Row, add_row
from causalprint.research.aligned.config import AlignedConfig, AlignedError, Decoder
from causalprint.schemas.elements import digest
from causalprint.schemas.reasons import Abstention
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.labels import UNLABELLED
from causalprint.transforms.match_shards import match_shards

CROP = 256
MANIFEST = "aligned.json"
SIGMA = 0.1
"""Of the default bundle's denoiser as a decoder: at the residual's own level it changes too little to be called one."""


class AlignedFile(NamedTuple):
    """One tar: its name, the source of all its images and its size in bytes."""

    name: str
    source: str
    bytes: int


class AlignedReport(NamedTuple):
    """What was made of what; also ``aligned.json`` in the folder.

    Attributes:
        output: the folder.
        encoding: as of the configuration.
        photographs: images in each tar, the same in all.
        other: images of other sources, skipped.
        small: photographs smaller than the crop.
        damaged: photographs that could not be decoded, and members that could not be read.
        repeated: photographs seen before, byte by byte.
        beyond: photographs left out by ``limit``.
        files: the tars, ``real.tar`` first.
        unlabelled: images of which nothing says what made them.
        damage: of each shard that could not be read to its end, what is missing.
    """

    output: str
    encoding: str
    photographs: int
    other: int
    small: int
    damaged: int
    repeated: int
    beyond: int
    files: tuple[AlignedFile, ...]
    unlabelled: int = 0
    damage: tuple[str, ...] = ()


def default_decoders() -> tuple[Decoder, ...]:
    """The decoders inside the package: its two autoencoders, and its diffusion prior as a denoiser."""
    names = ("autoencoder-nearest", "autoencoder-pixelshuffle")
    autoencoders = (Decoder(name, f"autoencoder:{DEFAULT.parent / name}") for name in names)
    return (*autoencoders, Decoder("prior-denoise", f"denoise:{DEFAULT / RESIDUAL_FOLDER}?sigma={SIGMA}"))


def make_aligned(config: AlignedConfig, report: Report = lambda _: None) -> AlignedReport:
    """Writes ``real.tar`` and ``<decoder>.tar`` for each decoder: the same photographs, in the same order, under the same keys.

    Each is cut to 256 x 256 pixels at its own resolution, goes through each decoder alone (x to D(E(x)), rounded to bytes) and
    every class is encoded alike. The sidecar says ``source`` (the decoder's name or ``real``), ``origin``, ``content`` and
    ``licence`` as the photograph's own sidecar does, ``original`` (the photograph's image id, which pairs the classes),
    ``encoding`` and, of a decoded image, ``decoder``: kind, options and the SHA-256 of its files.

    The tars appear under their names when all are whole, the same bytes for the same input on the same machine. Those of an
    earlier run in the folder go, by its ``aligned.json``.

    Raises:
        AlignedError: no photograph is large enough, or two decoders have one name.
        ConnectionError: a shard cannot be read for now.
        InputError: an input matches nothing.
        LabelError: no image has a label.
        ResidualError: a decoder cannot be loaded.
    """
    decoders = config.decoders or default_decoders()
    names = [REAL, *(decoder.name for decoder in decoders)]
    if len(set(names)) < len(names):
        raise AlignedError(f"decoders {', '.join(names[1:])}: a name comes twice; give each its own")
    report("looking for photographs")
    reader = LabelledReader(list(match_shards(config.inputs, config.storage)), config.label_field, config.storage)
    chosen, made = _find_photographs(config, reader)
    device = pick_device(config.device)
    residuals = {decoder.name: load_residual(decoder.spec, device) for decoder in decoders}
    config.output.mkdir(parents=True, exist_ok=True)
    parts = [config.output / f".{name}.tar.part" for name in names]
    with ExitStack() as tidy:
        for part in parts:
            tidy.callback(part.unlink, missing_ok=True)
        with ExitStack() as stack:
            tars = [stack.enter_context(tarfile.open(part, "w")) for part in parts]
            for place, rows in enumerate(_rows(config, reader, chosen, residuals, device), 1):
                report(f"photograph {place} of {len(chosen)}")
                for tar, row in zip(tars, rows, strict=True):
                    add_row(tar, row)
        files = (AlignedFile(f"{name}.tar", name, part.stat().st_size) for name, part in zip(names, parts, strict=True))
        made = made._replace(files=tuple(files))
        _put_in_place(config.output, parts, made)
    return made


def _find_photographs(config: AlignedConfig, reader: LabelledReader) -> tuple[frozenset[str], AlignedReport]:
    """Reads the inputs once: the ids of the images that are taken, and the report without its files."""

    def work(image: LabelledImage) -> tuple[str, str] | None:
        if image.label.source != REAL:
            return None
        central_crop(image.decode(), CROP)
        return image.encoded.image_id, image.label.origin

    looked = list(reader.map(work, threads=config.threads))
    losses = reader.losses
    usable = [one for one in looked if one is not None]
    other = len(looked) - len(usable)
    if not usable:
        raise AlignedError(
            f"{', '.join(config.inputs)}: no image of source {REAL!r} is at least {CROP} pixels wide and high (of other sources "
            f"{other}{f'; {losses}' if str(losses) else ''}); give labelled photographs, or another --label-field"
        )
    origins = dict(reversed(usable))  # of one that is repeated, the first origin
    chosen = _choose(origins, config.limit, config.seed)
    small, unlabelled = (losses.of(reason) for reason in (Abstention.TOO_SMALL, UNLABELLED))
    return chosen, AlignedReport(
        output=str(config.output),
        encoding=config.encoding,
        photographs=len(chosen),
        other=other,
        small=small,
        damaged=losses.images - small - unlabelled,
        repeated=len(usable) - len(origins),
        beyond=len(origins) - len(chosen),
        files=(),
        unlabelled=unlabelled,
        damage=losses.damage,
    )


def _choose(found: Mapping[str, str], limit: int | None, seed: int) -> frozenset[str]:
    """At most ``limit`` image ids, one of each origin in turn, in an order drawn by ``seed``."""
    ranks: defaultdict[str, int] = defaultdict(int)
    order = []
    for drawn, image_id, origin in sorted((digest(seed, image_id), image_id, origin) for image_id, origin in found.items()):
        order.append((ranks[origin], drawn, image_id))
        ranks[origin] += 1
    return frozenset(image_id for _, _, image_id in sorted(order)[:limit])


def _rows(
    config: AlignedConfig,
    reader: LabelledReader,
    chosen: frozenset[str],
    residuals: Mapping[str, Residual],
    device: torch.device,
) -> Iterator[Sequence[Row]]:
    """A row for each class, of each photograph that was chosen."""
    torch.set_num_threads(1)  # a photograph a thread; and no rounding depends on the number of cores
    left = set(chosen)

    def photographs() -> Iterator[LabelledImage]:
        for image in reader:
            if (image_id := image.encoded.image_id) in left:
                left.remove(image_id)
                yield image

    versions = reader.map(lambda image: _versions(config, residuals, device, image), photographs(), config.threads)
    for place, images in enumerate(versions):
        yield [(f"{place:06d}", *image) for image in images]


def _versions(
    config: AlignedConfig, residuals: Mapping[str, Residual], device: torch.device, image: LabelledImage
) -> list[tuple[str, bytes, dict[str, object]]]:
    """Suffix, bytes and sidecar of the photograph, and of what each decoder makes of it."""
    encoding = ENCODINGS[config.encoding]
    crop = central_crop(image.decode(), CROP)
    known = {
        "origin": image.label.origin,
        "content": image.label.content,
        "licence": image.label.licence,
        "original": image.encoded.image_id,
        "encoding": config.encoding,
    }
    versions: list[tuple[str, bytes, dict[str, object]]] = [(encoding.suffix, encoding.encode(crop), {"source": REAL, **known})]
    for name, residual in residuals.items():
        spec = residual.spec
        decoder = {"kind": spec.kind, "options": dict(sorted(spec.options)), "digests": dict(residual.digests)}
        sidecar: dict[str, object] = {"source": name, **known, "decoder": decoder}
        versions.append((encoding.suffix, encoding.encode(pass_through(residual, crop, device)), sidecar))
    return versions


def _put_in_place(output: Path, parts: Sequence[Path], made: AlignedReport) -> None:
    manifest = output / MANIFEST
    if manifest.exists():
        before = from_json(AlignedReport, manifest.read_bytes(), str(manifest))
        for stale in {file.name for file in before.files} - {file.name for file in made.files}:
            (output / Path(stale).name).unlink(missing_ok=True)
        manifest.unlink()
    for part, new in zip(parts, made.files, strict=True):
        part.replace(output / new.name)
    manifest.write_text(to_json(made, indent=2) + "\n", encoding="utf-8")
