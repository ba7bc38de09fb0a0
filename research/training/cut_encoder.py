"""``causalprint lab cut-encoder``: of a vision transformer in ONNX what its middle blocks need, so that a bundle can carry it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from causalprint.models.lenses import load_lens
from causalprint.models.lenses.onnx_encoder import ENCODER, cut
from causalprint.models.residuals.weights import take_digests
from causalprint.research.training.config import CutConfig
from causalprint.schemas.model_spec import LensError, LensSpec


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
        LensError: the file holds no vision transformer, or it has fewer blocks.
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
