"""The demo's input: shards of real photographs, of what ordinary software draws, and of images by our own generative models.

Every class is encoded alike (JPEG, quality 95, 4:4:4, no metadata) and every crop is native: no class can be told by its
codec or its size. The sidecar of each image holds the truth, which the audit carries along and never looks at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from causalprint.models.encodings import encode_jpeg95
from causalprint.pipelines.shards.drawings import drawings
from causalprint.pipelines.shards.photographs import photographs
from causalprint.pipelines.shards.sample_tar import Row, write_tar

CROP = 256
AUTOENCODERS = ("autoencoder-nearest", "autoencoder-pixelshuffle")
PRIOR = "causalprint-prior"
SAMPLES = 70
DRAWINGS = 60
SAMPLING_STEPS = 8
SHARDS = 4


@dataclass(frozen=True, slots=True)
class DemoImage:
    """An image whose maker is known.

    Attributes:
        name: unique within the demo.
        pixels: uint8 (256, 256, 3).
        source: ``real``, ``graphic`` or the generator's name.
        url: where it came from, as a crawl would have recorded it.
        content: what images that show the same scene share.
    """

    name: str
    pixels: NDArray[np.uint8]
    source: str
    url: str
    content: str


def native_crops() -> Iterator[DemoImage]:
    """Every whole 256-pixel tile of every photograph in the installed packages, at native resolution."""
    for photograph in photographs():
        height, width = photograph.pixels.shape[:2]
        for top in range(0, height - CROP + 1, CROP):
            for left in range(0, width - CROP + 1, CROP):
                yield DemoImage(
                    name=f"{photograph.name}-{top}-{left}",
                    pixels=photograph.pixels[top : top + CROP, left : left + CROP],
                    source="real",
                    url=f"package://{photograph.package}/{photograph.name}#xywh={left},{top},{CROP},{CROP}",
                    content=photograph.name,
                )


def drawn() -> Iterator[DemoImage]:
    """Charts, diagrams and pages of text."""
    for index, pixels in enumerate(drawings(DRAWINGS, CROP)):
        name = f"drawing-{index:03d}"
        yield DemoImage(name, pixels, "graphic", f"package://matplotlib/{index}", name)


def generated(crops: Sequence[DemoImage]) -> Iterator[DemoImage]:
    """The same crops through each autoencoder of the package, then samples of its prior."""
    from causalprint.models.bundles.bundle import PACKAGED, RESIDUAL_FOLDER
    from causalprint.models.sampling import reconstruct, sample

    for name in AUTOENCODERS:
        decoded = reconstruct(PACKAGED / name, np.stack([crop.pixels for crop in crops]))
        for crop, pixels in zip(crops, decoded, strict=True):
            yield DemoImage(f"{crop.name}-{name}", pixels, name, f"{crop.url}&through={name}", crop.content)
    for index, pixels in enumerate(sample(PACKAGED / "demo" / RESIDUAL_FOLDER, SAMPLES, CROP, SAMPLING_STEPS, seed=0)):
        name = f"sample-{index:03d}"
        yield DemoImage(name, pixels, PRIOR, f"model://{PRIOR}/seed=0/{index}", name)


def build_shards(folder: Path) -> None:
    """Write three WebDataset tars and one Parquet file below ``folder``.

    What a crawl would hold too is among them: an image cut short, a drawing that is no raster image, a thumbnail, an
    empty file. Each shard appears whole under its name or not at all, and one that is there is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{index:05d}.{'parquet' if index == SHARDS - 1 else 'tar'}" for index in range(SHARDS)]
    if all(path.exists() for path in paths):
        return
    crops = list(native_crops())
    images = [*crops, *drawn(), *generated(crops)]
    order = np.random.default_rng(0).permutation(len(images))
    shuffled = [images[index] for index in order]
    rows: list[Row] = [
        (f"{place:06d}", "jpg", encode_jpeg95(image.pixels), _sidecar(image)) for place, image in enumerate(shuffled)
    ]
    rows += _hazards(images[0])
    for number, path in enumerate(paths):
        part = path.with_name(path.name + ".part")
        (_write_parquet if path.suffix == ".parquet" else write_tar)(part, rows[number::SHARDS])
        part.replace(path)


def _sidecar(image: DemoImage) -> dict[str, str]:
    return {"url": image.url, "source": image.source, "content": image.content}


def _hazards(image: DemoImage) -> list[Row]:
    """What an audit must survive and account for."""
    whole, sidecar = encode_jpeg95(image.pixels), _sidecar(image)
    drawing = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    return [
        ("hazard-cut", "jpg", whole[: len(whole) // 2], sidecar | {"url": "hazard://cut-short"}),
        ("hazard-drawing", "jpg", drawing, sidecar | {"url": "hazard://drawing"}),
        ("hazard-empty", "jpg", b"", sidecar | {"url": "hazard://empty"}),
        ("hazard-small", "jpg", encode_jpeg95(image.pixels[:64, :64]), sidecar | {"url": "hazard://thumbnail"}),
    ]


def _write_parquet(path: Path, rows: Sequence[Row]) -> None:
    table = pa.table(
        {
            "image": pa.array(
                [{"bytes": data, "path": f"{key}.{extension}"} for key, extension, data, _ in rows],
                pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
            ),
            **{name: [sidecar[name] for *_, sidecar in rows] for name in ("url", "source", "content")},
        }
    )
    pq.write_table(table, path)
