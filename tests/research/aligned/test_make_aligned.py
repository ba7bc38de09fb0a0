"""``make-aligned``: every class shows the same photographs, and nothing but the decoder differs."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from causalprint.research.aligned.config import AlignedConfig, AlignedError, Decoder, parse_decoder
from causalprint.research.aligned.make_aligned import make_aligned
from causalprint.schemas.model_spec import ResidualError
from tests.audits import command
from tests.bundles import photograph, tiny_prior
from tests.models.tiny_models import save_autoencoder
from tests.pipelines.training.test_train import write_tar

DECODERS = ("first", "second")


class Sample(NamedTuple):
    key: str
    suffix: str
    data: bytes
    sidecar: dict[str, Any]

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        return np.asarray(Image.open(io.BytesIO(self.data)))


def read(path: Path) -> list[Sample]:
    samples = []
    with tarfile.open(path) as tar:
        contents = {member.name: stream.read() for member in tar if (stream := tar.extractfile(member)) is not None}
    for name, data in contents.items():
        key, _, suffix = name.partition(".")
        if suffix != "json":
            samples.append(Sample(key, suffix, data, json.loads(contents[f"{key}.json"])))
    return samples


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Six photographs of two origins, one of them repeated, a small one and a generated image."""
    rows: list[tuple[npt.NDArray[np.uint8], dict[str, str] | None]] = [
        (photograph(seed, 300, 280), {"source": "real", "origin": f"at-{seed % 2}", "content": f"scene-{seed}", "licence": "CC0"})
        for seed in (0, 1, 2, 4, 6, 8, 0)
    ]
    rows.append((photograph(90, 255, 400), {"source": "real", "origin": "at-0"}))
    rows.append((photograph(91), {"source": "dalle-3", "origin": "at-0"}))
    return write_tar(tmp_path_factory.mktemp("shard") / "photographs.tar", rows)


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Decoder, ...]:
    root = tmp_path_factory.mktemp("decoders")
    vae, prior = save_autoencoder(root / "vae", "AutoencoderTiny"), tiny_prior(root / "prior")
    specs = (f"autoencoder:{vae}", f"denoise:{prior}?sigma=0.2")
    return tuple(Decoder(*pair) for pair in zip(DECODERS, specs, strict=True))


def test_classes_share_their_photographs_and_differ_by_the_decoder_alone(
    shard: str, decoders: tuple[Decoder, ...], tmp_path: Path
) -> None:
    made = make_aligned(AlignedConfig((shard,), tmp_path / "out", decoders, threads=2))
    assert (made.photographs, made.other, made.small, made.damaged, made.repeated, made.beyond) == (6, 1, 1, 0, 1, 0)
    classes = {name: read(tmp_path / "out" / f"{name}.tar") for name in ("real", *DECODERS)}
    real = classes["real"]
    assert np.array_equal(real[0].pixels, photograph(0, 300, 280)[16:272, 8:264])  # native, in phase with 8x8 blocks
    assert [sample.sidecar["content"] for sample in real] == [f"scene-{seed}" for seed in (0, 1, 2, 4, 6, 8)]
    for name, samples in classes.items():
        assert {(sample.suffix, sample.pixels.shape) for sample in samples} == {("png", (256, 256, 3))}
        for mine, its in zip(samples, real, strict=True):
            assert mine.sidecar["source"] == name
            assert mine.key == its.key
            shared = ("origin", "content", "licence", "original", "encoding")
            assert [mine.sidecar[key] for key in shared] == [its.sidecar[key] for key in shared]
            assert np.array_equal(mine.pixels, its.pixels) == (name == "real")
    assert "decoder" not in real[0].sidecar
    found = {name: classes[name][0].sidecar["decoder"] for name in DECODERS}
    assert found["first"]["kind"] == "autoencoder"
    assert found["first"]["digests"].keys() == {"config.json", "diffusion_pytorch_model.safetensors"}
    assert found["second"]["options"] == {"sigma": "0.2"}
    assert str(tmp_path) not in json.dumps(found)


def test_the_bytes_are_the_same_again_and_what_an_earlier_run_left_is_gone(
    shard: str, decoders: tuple[Decoder, ...], tmp_path: Path
) -> None:
    make_aligned(AlignedConfig((shard,), tmp_path, decoders, limit=2, threads=1))
    first = digests(tmp_path)
    (tmp_path / "mine.tar").write_bytes(b"of the user")
    make_aligned(AlignedConfig((shard,), tmp_path, decoders[:1], encoding="jpeg95", threads=2))
    assert set(digests(tmp_path)) == {"real.tar", "first.tar", "aligned.json", "mine.tar"}
    assert {sample.suffix for sample in read(tmp_path / "first.tar")} == {"jpg"}
    (tmp_path / "mine.tar").unlink()
    make_aligned(AlignedConfig((shard,), tmp_path, decoders, limit=2, threads=2))
    assert digests(tmp_path) == first


def test_a_limit_is_spread_over_origins_and_drawn_by_the_seed(shard: str, decoders: tuple[Decoder, ...], tmp_path: Path) -> None:
    chosen = {}
    for seed in range(3):
        made = make_aligned(AlignedConfig((shard,), tmp_path, decoders[1:], limit=3, seed=seed))
        assert (made.photographs, made.beyond) == (3, 3)
        real = read(tmp_path / "real.tar")
        assert [sample.sidecar["origin"] for sample in real].count("at-1") == 1  # it has no more
        chosen[seed] = {sample.sidecar["original"] for sample in real}
    assert len({frozenset(ids) for ids in chosen.values()}) > 1


def test_a_failure_leaves_the_earlier_tars_and_no_parts(
    shard: str, decoders: tuple[Decoder, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_aligned(AlignedConfig((shard,), tmp_path, decoders, limit=1))
    first = digests(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("causalprint.research.aligned.make_aligned.pass_through", fail)
    with pytest.raises(OSError, match="no space"):
        make_aligned(AlignedConfig((shard,), tmp_path, decoders, limit=2))
    assert digests(tmp_path) == first


def test_a_damaged_shard_gives_what_can_be_read_and_what_has_no_label_stays_out(
    shard: str, decoders: tuple[Decoder, ...], tmp_path: Path
) -> None:
    whole = Path(shard).read_bytes()
    cut = tmp_path / "in" / "0.tar"
    cut.parent.mkdir()
    cut.write_bytes(whole[: len(whole) // 2])
    write_tar(tmp_path / "in" / "1.tar", [(photograph(5), {"origin": "at-0"})])
    made = make_aligned(AlignedConfig((str(cut.parent),), tmp_path / "out", decoders[:1]))
    assert 0 < made.photographs < 6
    assert made.unlabelled == 1
    assert made.damage[0].startswith(f"{cut.as_uri()}: ")
    assert len(read(tmp_path / "out" / "real.tar")) == len(read(tmp_path / "out" / "first.tar")) == made.photographs


def test_what_cannot_be_aligned_is_told(shard: str, decoders: tuple[Decoder, ...], tmp_path: Path) -> None:
    fakes = write_tar(tmp_path / "fakes.tar", [(photograph(1), {"source": "dalle-3"})])
    with pytest.raises(AlignedError, match="no image of source 'real' is at least 256 pixels"):
        make_aligned(AlignedConfig((fakes,), tmp_path / "out", decoders))
    with pytest.raises(AlignedError, match="a name comes twice"):
        make_aligned(AlignedConfig((shard,), tmp_path / "out", (decoders[0], decoders[0])))
    for text in ("autoencoder:/vae", "real=autoencoder:/vae", "../x=autoencoder:/vae"):
        with pytest.raises(AlignedError, match="NAME=SPEC"):
            parse_decoder(text)
    with pytest.raises(ResidualError, match="no kind"):
        parse_decoder("mine=nothing:/vae")
    assert not (tmp_path / "out").exists()


def test_the_command_makes_the_default_set_from_the_package(
    shard: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, found, _ = command(capsys, "lab", "make-aligned", shard, "-o", tmp_path / "out", "--limit", 1, "--encoding", "jpeg95")
    assert (code, found["photographs"]) == (0, 1)
    names = ["real", "autoencoder-nearest", "autoencoder-pixelshuffle", "prior-denoise"]
    assert [file["source"] for file in found["files"]] == names
    real, *decoded = (read(tmp_path / "out" / file["name"])[0].pixels.astype(float) for file in found["files"])
    for pixels in decoded:
        assert 0 < np.square(pixels - real).mean() < 1000
