"""The Python API: the same values as the tables', and nothing heavy before it is used."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import causalprint as cp
from causalprint.__main__ import main
from causalprint.models.bundles.bundle import Bundle
from causalprint.pipelines.commands.fetch import FetchConfig
from causalprint.pipelines.fetch import FetchError, fetch_images
from causalprint.pipelines.open_audit import OpenAuditError
from causalprint.pipelines.open_bundle import ImageError
from tests.audits import command, jpeg, tar
from tests.bundles import photograph, tiny_bundle

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def voting(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle of which three crops of an image vote."""
    return tiny_bundle(tmp_path_factory.mktemp("voting"), name="voting", views=3, crop=64)


@pytest.fixture
def audited(tmp_path: Path, voting: Bundle, capsys: pytest.CaptureFixture[str]) -> Path:
    """The output of an audit of photographs of several sizes, one too small, one cut short."""
    sides = [256, 200, 64, 32, 129]
    members = [(f"{side:03}.jpg", jpeg(seed, side)) for seed, side in enumerate(sides)]
    tar(tmp_path / "in.tar", [*members, ("cut.jpg", jpeg(9)[:400])])
    assert command(capsys, "audit", tmp_path / "in.tar", "-o", tmp_path / "out", "--bundle", voting.directory).code == 0
    return tmp_path / "out"


def test_importing_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, causalprint; assert causalprint.__version__; assert 'audit' in dir(causalprint); "
        "sys.exit(', '.join({'torch', 'apache_beam', 'numpy', 'pyarrow', 'typer', 'duckdb'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_name_that_is_offered_is_there() -> None:
    for name in cp.__all__:
        assert getattr(cp, name).__doc__, name
    with pytest.raises(AttributeError, match="open_bundle"):
        _ = cp.open_bundel


def test_help_says_every_option_of_an_audit_with_its_type() -> None:
    assert inspect.signature(cp.audit).parameters["limit"].annotation == int | None
    assert "limit: Read at most so many images in all." in (cp.audit.__doc__ or "")


def test_verdicts_and_fingerprints_are_those_of_the_tables(audited: Path, voting: Bundle) -> None:
    bundle = cp.open_bundle(voting.directory, device="cpu")
    with cp.open_audit(str(audited)) as tables:
        rows = tables.attributions.rows()
        stored = {row["image_id"]: row["fingerprint"] for row in tables.embeddings.rows()}
    assert len(rows) == 5
    images = [cp.fetch(row) for row in rows]
    for row, image, verdict in zip(rows, images, bundle.attribute(images), strict=True):
        said = verdict._asdict() | {"candidates": [candidate._asdict() for candidate in verdict.candidates]}
        assert said == {name: row[name] for name in said}
        assert bundle.attribute(image) == verdict
        if row["image_id"] in stored:
            vector = bundle.fingerprint(image)
            assert vector.dtype == np.float16
            assert vector.shape == (128,)
            assert vector.astype(np.float32).tolist() == list(stored[row["image_id"]])
    assert len({tuple(fingerprint) for fingerprint in stored.values()}) == 4


def test_another_prior_gives_another_partition_of_the_same_fingerprints(
    audited: Path, voting: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shares = "photograph=0.9,graphic=0.05"
    again = command(capsys, "audit", tmp_path / "in.tar", "-o", audited, "--bundle", voting.directory, "--prior", shares)
    assert again.code == 0
    manifest = json.loads(Path(again.found["manifest"]).read_text())
    assert manifest["run"]["config"]["prior"] == {"photograph": 0.9, "graphic": 0.05, "generated": pytest.approx(0.05)}
    with cp.open_audit(str(audited)) as tables:
        rows = tables.attributions.rows()
        vectors = {tuple(row["fingerprint"]) for row in tables.embeddings.rows() if row["fingerprint"]}
    assert len(vectors) == 4
    both: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        both.setdefault((row["member"], row["offset"]), []).append(row)
    assert all(len({row["bundle"] for row in pair}) == len(pair) == 2 for pair in both.values())
    for one, other in both.values():
        assert one["log_likelihood_ratio"] == other["log_likelihood_ratio"]
    bundle = cp.open_bundle(voting.directory, prior=shares, device="cpu")
    asked = [row for row in rows if row["bundle"] != voting.bundle_id]
    verdicts = [bundle.attribute(cp.fetch(row)) for row in asked]
    assert [each.generated_probability for each in verdicts] == [row["generated_probability"] for row in asked]
    assert main(["audit", str(tmp_path / "in.tar"), "-o", str(audited), "--prior", "photo=0.9"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--prior" in said
    assert "'photo=0.9'" in said


def test_bytes_a_path_and_a_picture_are_the_same_image(tmp_path: Path, voting: Bundle) -> None:
    bundle = cp.open_bundle(voting.directory, residual=voting.residual, device="cpu")
    buffer = io.BytesIO()
    Image.fromarray(photograph(1, 90, 130)).save(buffer, "PNG")
    (tmp_path / "a.png").write_bytes(buffer.getvalue())
    several = bundle.fingerprint([buffer.getvalue(), tmp_path / "a.png", str(tmp_path / "a.png"), Image.open(tmp_path / "a.png")])
    assert several.shape == (4, 128)
    assert (several == several[0]).all()
    assert bundle.attribute(tmp_path / "a.png").reason == "uncalibrated"
    assert bundle.attribute([]) == []


@pytest.mark.parametrize(
    ("image", "says"),
    [
        (b"no image", "an image of 8 bytes cannot be decoded, unsupported-format"),
        (jpeg(0)[:300], "truncated-image"),
        (Image.new("RGB", (20, 300)), "a PIL image of 20 x 300 pixels is smaller than 64 x 64"),
    ],
)
def test_what_has_no_fingerprint_is_one_clear_error(image: Any, says: str, voting: Bundle) -> None:
    with pytest.raises(ImageError, match=says):
        cp.open_bundle(voting.directory, device="cpu").fingerprint(image)


def test_the_tables_open_by_name(audited: Path) -> None:
    with cp.open_audit(str(audited)) as tables:
        assert len(tables.attributions.to_pandas()) == 5
        assert tables.images.to_arrow().num_rows == tables.images.to_polars().height == 5
        assert tables.rejects.rows()[0]["reason"] == "truncated-image"
        assert tables.shards.rows()[0]["seen"] == 6
        assert {"verdict", "width", "metadata", "bundle"} <= set(tables.findings.to_pandas().columns)
        nearest = (
            "SELECT array_cosine_similarity(a.fingerprint, b.fingerprint) AS s FROM embeddings a, embeddings b ORDER BY s DESC"
        )
        assert tables.sql(nearest).rows()[0]["s"] == pytest.approx(1, abs=1e-3)
    with pytest.raises(OpenAuditError, match="is no output of an audit"):
        cp.open_audit(str(audited.parent))


def test_an_audit_in_an_object_store_opens_too(
    object_store: Any, tmp_path: Path, voting: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    tar(tmp_path / "in.tar", [("a.jpg", jpeg(1))])
    out = f"{object_store.url}/out"
    options = object_store.storage.options
    found = command(capsys, "audit", tmp_path / "in.tar", "-o", out, "--bundle", voting.directory, "--storage-options", options)
    assert found.code == 0, found.log
    with cp.open_audit(out, storage_options=options) as tables:
        assert tables.findings.to_pandas()["member"].tolist() == ["a.jpg"]


def test_a_finding_is_fetched_again_and_proved(audited: Path) -> None:
    with cp.open_audit(str(audited)) as tables:
        frame: pd.DataFrame = tables.findings.to_pandas()
    for _, row in frame.iterrows():
        assert hashlib.sha256(cp.fetch(row)).hexdigest() == row["image_id"]
    with pytest.raises(FetchError, match="lacks offset, image_id"):
        cp.fetch({"shard": "x", "member": "y"})
    shard = audited.parent / "in.tar"
    shard.write_bytes(shard.read_bytes().replace(jpeg(1, 200), jpeg(1, 200)[::-1]))
    with pytest.raises(FetchError, match="is another image now"):
        cp.fetch(frame[frame.member == "200.jpg"].iloc[0])
    shard.unlink()
    with pytest.raises(FetchError, match="is not there any more"):
        cp.fetch(frame.iloc[0])


def test_images_of_an_audit_become_files(audited: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = fetch_images(FetchConfig(str(audited), tmp_path / "files", (), where="width >= 200"))
    assert [len(chosen.images), len(chosen.lost)] == [2, 0]
    for image in chosen.images:
        assert hashlib.sha256(Path(image.file).read_bytes()).hexdigest() == image.image_id
        assert Path(image.file).name == f"{image.image_id}.jpg"
    one = fetch_images(FetchConfig(str(audited), tmp_path / "one", (chosen.images[0].image_id[:12],)))
    assert [image.image_id for image in one.images] == [chosen.images[0].image_id]
    rejected = fetch_images(FetchConfig(str(audited), tmp_path / "rejected", (), where="reason = 'truncated-image'"))
    assert Path(rejected.images[0].file).read_bytes() == jpeg(9)[:400]
    for given, says in (((), "say which images"), (("xyz",), "is no image_id"), (("0" * 64,), "no image of")):
        with pytest.raises(FetchError, match=says):
            fetch_images(FetchConfig(str(audited), tmp_path / "none", given))
    done = command(capsys, "fetch", audited, one.images[0].image_id, "-o", tmp_path / "said")
    assert (done.code, [image["image_id"] for image in done.found["images"]]) == (0, [one.images[0].image_id])
    (audited.parent / "in.tar").unlink()
    assert command(capsys, "fetch", audited, "--where", "verdict <> 'x'", "-o", tmp_path / "lost").code == 3
    gone = fetch_images(FetchConfig(str(audited), tmp_path / "gone", (), where="true", limit=2))
    assert [len(gone.images), len(gone.lost)] == [0, 2]
    assert "is not there any more" in gone.lost[0].reason


@pytest.mark.slow
def test_the_example_counts_verdicts_in_a_pipeline_of_its_own(tmp_path: Path) -> None:
    tar(tmp_path / "in.tar", [("a.jpg", jpeg(1)), ("b.jpg", jpeg(2, 64))])
    arguments = [ROOT / "examples" / "own_pipeline.py", tmp_path / "counts", tmp_path / "in.tar"]
    subprocess.run([sys.executable, *arguments], cwd=tmp_path, check=True, capture_output=True)
    (file,) = tmp_path.glob("counts-*")
    assert sum(int(line.rpartition(": ")[2]) for line in file.read_text().splitlines()) == 2
