"""``causalprint lab make-aligned``: the same photographs as they are and through each decoder.

The direct test of a causal fingerprint: content is the same in every class, so whatever tells the classes apart is the decoder's
artefact.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from causalprint.models.encodings import ENCODINGS
from causalprint.pipelines.shards.sample_tar import Row, add_row
from causalprint.research.aligned.photographs import (
    AlignedConfig,
    AlignedError,
    Decoder,
    Survey,
    central_crop,
    find_photographs,
    read_chunks,
)
from causalprint.schemas.elements import EncodedImage, Shard
from causalprint.schemas.records import from_json, to_json
from causalprint.transforms.labels import label_of

if TYPE_CHECKING:
    import torch

    from causalprint.models.residuals.base import Residual

MANIFEST = "aligned.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SIGMA = 0.1
"""Of the default bundle's denoiser as a decoder: at the residual's own level it changes too little to be called one."""

Report = Callable[[str], None]


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


def default_decoders() -> tuple[Decoder, ...]:
    """The decoders inside the package: its two autoencoders, and its diffusion prior as a denoiser."""
    from causalprint.models.bundles.bundle import DEFAULT, RESIDUAL_FOLDER

    names = ("autoencoder-nearest", "autoencoder-pixelshuffle")
    autoencoders = (Decoder(name, f"autoencoder:{DEFAULT.parent / name}") for name in names)
    return (*autoencoders, Decoder("prior-denoise", f"denoise:{DEFAULT / RESIDUAL_FOLDER}?sigma={SIGMA}"))


def parse_decoder(text: str) -> Decoder:
    """``NAME=SPEC`` as a value.

    Raises:
        AlignedError: another form, or a name that cannot be a file's and a source's.
        ResidualError: the spec is none.
    """
    from causalprint.models.bundles.manifest import REAL
    from causalprint.models.residuals import parse_residual

    name, equals, spec = text.partition("=")
    if not equals or not NAME.fullmatch(name) or name == REAL:
        raise AlignedError(
            f"decoder {text!r} is not of the form NAME=SPEC with a name of letters, digits, dots and dashes, not {REAL!r}; "
            "for example mine=autoencoder:/path/to/model"
        )
    return Decoder(name, str(parse_residual(spec)))


def make_aligned(config: AlignedConfig, report: Report = lambda _: None) -> AlignedReport:
    """Writes ``real.tar`` and ``<decoder>.tar`` for each decoder: the same photographs, in the same order, under the same keys.

    Each is cut to 256 x 256 pixels at its own resolution, goes through each decoder alone (x to D(E(x)), rounded to bytes) and
    every class is encoded alike. The sidecar says ``source`` (the decoder's name or ``real``), ``origin``, ``content`` and
    ``licence`` as the photograph's own sidecar does, ``original`` (the photograph's image id, which pairs the classes),
    ``encoding`` and, of a decoded image, ``decoder``: kind, options and the SHA-256 of its files.

    The tars appear under their names when all are whole, the same bytes for the same input on the same machine. Those of an
    earlier run in the folder go, by its ``aligned.json``.

    Raises:
        AlignedError: no photograph is large enough, a shard is damaged, or two decoders have one name.
        InputError: an input matches nothing.
        LabelError: nothing says what made an image.
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
    survey = find_photographs(config)
    device = pick_device(config.device)
    residuals = {decoder.name: load_residual(decoder.spec, device) for decoder in decoders}
    config.output.mkdir(parents=True, exist_ok=True)
    parts = [config.output / f".{name}.tar.part" for name in names]
    with ExitStack() as tidy:
        for part in parts:
            tidy.callback(part.unlink, missing_ok=True)
        with ExitStack() as stack:
            tars = [stack.enter_context(tarfile.open(part, "w")) for part in parts]
            for place, rows in enumerate(_rows(config, survey, residuals, device), 1):
                report(f"photograph {place} of {len(survey.chosen)}")
                for tar, row in zip(tars, rows, strict=True):
                    add_row(tar, row)
        files = tuple(AlignedFile(f"{name}.tar", name, part.stat().st_size) for name, part in zip(names, parts, strict=True))
        made = AlignedReport(str(config.output), config.encoding, len(survey.chosen), *survey[1:], files)
        _put_in_place(config.output, parts, made)
    return made


def _rows(
    config: AlignedConfig, survey: Survey, residuals: Mapping[str, Residual], device: torch.device
) -> Iterator[Sequence[Row]]:
    """A row for each class, of each photograph that was chosen."""
    import torch

    torch.set_num_threads(1)  # a photograph a thread; and no rounding depends on the number of cores
    left = set(survey.chosen)
    work = partial(_decoded, config, residuals, device)
    with ThreadPoolExecutor(config.threads or os.cpu_count() or 1) as pool:
        place = 0
        for shard, images, _ in read_chunks(config):
            taken = [image for image_id, image in {image.image_id: image for image in images}.items() if image_id in left]
            left -= {image.image_id for image in taken}
            yield from pool.map(work, [shard] * len(taken), taken, range(place, place + len(taken)))
            place += len(taken)


def _decoded(
    config: AlignedConfig, residuals: Mapping[str, Residual], device: torch.device, shard: Shard, image: EncodedImage, place: int
) -> list[Row]:
    from causalprint.models.bundles.manifest import REAL
    from causalprint.models.sampling import pass_through

    encoding = ENCODINGS[config.encoding]
    label = label_of(image, shard, config.label_field)
    crop = central_crop(image)[0]
    known = {
        "origin": label.origin,
        "content": label.content,
        "licence": label.licence,
        "original": image.image_id,
        "encoding": config.encoding,
    }
    rows: list[Row] = [(f"{place:06d}", encoding.suffix, encoding.encode(crop), {"source": REAL, **known})]
    for name, residual in residuals.items():
        decoder = {
            "kind": residual.spec.kind,
            "options": dict(sorted(residual.spec.options)),
            "digests": dict(residual.digests),
        }
        sidecar = {"source": name, **known, "decoder": decoder}
        rows.append((f"{place:06d}", encoding.suffix, encoding.encode(pass_through(residual, crop, device)), sidecar))
    return rows


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
