"""``causalprint lab make-aligned``: the same photographs as they are and through each decoder.

The direct test of a causal fingerprint: content is the same in every class, so whatever tells the classes apart is the decoder's
artefact.
"""

from __future__ import annotations

import tarfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.models.encodings import ENCODINGS
from causalprint.pipelines.labelled.reader import LabelledImage, LabelledReader, Report, central_crop
from causalprint.pipelines.shards.sample_tar import Row, add_row
from causalprint.research.aligned.config import AlignedConfig, AlignedError, Decoder
from causalprint.research.aligned.photographs import (
    CROP,
    find_photographs,
    photograph_reader,
)
from causalprint.schemas.reasons import Abstention
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.labels import UNLABELLED

if TYPE_CHECKING:
    import torch

    from causalprint.models.residuals.base import Residual

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
    from causalprint.models.bundles.bundle import DEFAULT, RESIDUAL_FOLDER

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
    from causalprint.models.bundles.manifest import REAL
    from causalprint.models.features import pick_device
    from causalprint.models.residuals import load_residual

    decoders = config.decoders or default_decoders()
    names = [REAL, *(decoder.name for decoder in decoders)]
    if len(set(names)) < len(names):
        raise AlignedError(f"decoders {', '.join(names[1:])}: a name comes twice; give each its own")
    report("looking for photographs")
    reader = photograph_reader(config)
    survey = find_photographs(config, reader)
    device = pick_device(config.device)
    residuals = {decoder.name: load_residual(decoder.spec, device) for decoder in decoders}
    config.output.mkdir(parents=True, exist_ok=True)
    parts = [config.output / f".{name}.tar.part" for name in names]
    with ExitStack() as tidy:
        for part in parts:
            tidy.callback(part.unlink, missing_ok=True)
        with ExitStack() as stack:
            tars = [stack.enter_context(tarfile.open(part, "w")) for part in parts]
            for place, rows in enumerate(_rows(config, reader, survey.chosen, residuals, device), 1):
                report(f"photograph {place} of {len(survey.chosen)}")
                for tar, row in zip(tars, rows, strict=True):
                    add_row(tar, row)
        files = tuple(AlignedFile(f"{name}.tar", name, part.stat().st_size) for name, part in zip(names, parts, strict=True))
        small, unlabelled = (survey.losses.of(reason) for reason in (Abstention.TOO_SMALL, UNLABELLED))
        made = AlignedReport(
            output=str(config.output),
            encoding=config.encoding,
            photographs=len(survey.chosen),
            other=survey.other,
            small=small,
            damaged=survey.losses.images - small - unlabelled,
            repeated=survey.repeated,
            beyond=survey.beyond,
            files=files,
            unlabelled=unlabelled,
            damage=survey.losses.damage,
        )
        _put_in_place(config.output, parts, made)
    return made


def _rows(
    config: AlignedConfig,
    reader: LabelledReader,
    chosen: Collection[str],
    residuals: Mapping[str, Residual],
    device: torch.device,
) -> Iterator[Sequence[Row]]:
    """A row for each class, of each photograph that was chosen."""
    import torch

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
    from causalprint.models.bundles.manifest import REAL
    from causalprint.models.sampling import pass_through

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
        decoder = {
            "kind": residual.spec.kind,
            "options": dict(sorted(residual.spec.options)),
            "digests": dict(residual.digests),
        }
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
