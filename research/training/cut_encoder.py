"""``causalprint lab cut-encoder``: of a vision transformer in ONNX what its middle blocks need, so that a bundle can carry it."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import torch

from causalprint.models.lenses import load_lens
from causalprint.models.lenses.base import CLIP_MEAN, CLIP_STD, normalise
from causalprint.models.lenses.onnx_encoder import ENCODER, cut
from causalprint.models.residuals.weights import take_digests
from causalprint.pipelines.labelled.reader import LabelledReader, central_crop
from causalprint.research.training.config import CutConfig
from causalprint.research.training.smooth import smooth
from causalprint.research.training.stream_crops import SIDE_BY_SIDE
from causalprint.schemas.arrays import Floats
from causalprint.schemas.config import NO_OPTIONS
from causalprint.schemas.model_spec import LensError, LensSpec
from causalprint.transforms.match_shards import match_shards

SHOWN = 160
"""Images whose channels are looked at."""
SIDE = 224
"""Of the crops, where an encoder takes any."""


class CutEncoder(NamedTuple):
    """What ``cut-encoder --json`` prints.

    Attributes:
        output: the folder.
        lens: its spec, for a recipe.
        features: numbers that the lens gives of an image.
        size: bytes of the file.
        sha256: of the file.
        licences: files that were found beside the encoder and lie beside it still.
    """

    output: str
    lens: str
    features: int
    size: int
    sha256: str
    licences: tuple[str, ...]


def cut_encoder(config: CutConfig) -> CutEncoder:
    """Writes the folder, whole or not at all.

    Raises:
        FileExistsError: the output is there.
        InputError: no image is found.
        LensError: the file holds no vision transformer, or it has fewer blocks, or images are given and nothing is in 8 bits.
        OSError: it cannot be read.
    """
    output = Path(config.output)
    if output.exists():
        raise FileExistsError(f"{output} is there; give another --output or remove it")
    spec = LensSpec("onnx", str(config.encoder))
    encoder, licences = _read(config.encoder)
    import onnx

    try:
        model = onnx.load_from_string(encoder)
    except Exception as error:  # protobuf's own
        raise spec.error(f"it holds no ONNX model: {error}") from error
    shortened, _ = cut(spec, model, config.blocks)
    if config.images:
        shortened = smooth(spec, shortened, _shown(shortened, config.images))
    part = output.with_name(f"{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    (part / ENCODER).write_bytes(shortened.SerializeToString())
    for name, text in licences.items():
        (part / name).write_bytes(text)
    features = load_lens(f"onnx:{part / ENCODER}?pool=moments").size
    part.rename(output)
    file = output / ENCODER
    return CutEncoder(
        output=str(output),
        lens=f"onnx:{file}?pool=moments",
        features=features,
        size=file.stat().st_size,
        sha256=take_digests(output, [file])[ENCODER],
        licences=tuple(sorted(licences)),
    )


def _shown(model: Any, inputs: Sequence[str]) -> Iterator[Floats]:
    """Crops of images in ``inputs``, by turns, as a lens shows them to ``model`` whose spec says nothing of colours."""
    reader = LabelledReader(list(match_shards(inputs, NO_OPTIONS)), None, side_by_side=SIDE_BY_SIDE)
    side = model.graph.input[0].type.tensor_type.shape.dim[-1].dim_value or SIDE
    for crop in islice(reader.map(lambda image: central_crop(image.decode(), side)), SHOWN):
        pixels = torch.from_numpy(crop).permute(2, 0, 1)[None] / 255
        yield normalise(pixels, CLIP_MEAN, CLIP_STD).numpy()


def _read(path: Path) -> tuple[bytes, dict[str, bytes]]:
    """The encoder's bytes, and the licences in the same archive by their names."""
    if not zipfile.is_zipfile(path):
        return path.read_bytes(), {}
    with zipfile.ZipFile(path) as archive:
        names = [PurePosixPath(name) for name in archive.namelist()]
        encoders = [name for name in names if name.suffix == ".onnx"]
        if len(encoders) != 1:
            raise LensError(f"{path} holds {len(encoders)} ONNX files; give the one that is meant")
        licences = {name.name: archive.read(str(name)) for name in names if name.name.upper().startswith(("LICENSE", "LICENCE"))}
        return archive.read(str(encoders[0])), licences
