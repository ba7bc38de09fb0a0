"""A generator is enrolled from a few images; what an audit holds that is like it is traced, fetched and proved."""

from __future__ import annotations

import hashlib
import io
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from causalprint.models.bundles.bundle import load_bundle
from causalprint.pipelines.open_audit import open_audit
from causalprint.pipelines.open_bundle import open_bundle
from causalprint.schemas.finds import FINDS
from causalprint.schemas.records import to_json
from tests.audits import command, jpeg, sidecar, tar
from tests.bundles import photograph


def woven(seed: int) -> bytes:
    """By a generator that leaves a weave in what it makes."""
    pixels = photograph(seed).astype(np.float64) / 2 + 64
    pixels[::2, 1::2] += 25
    pixels[1::2, ::2] -= 25
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def alike(kind: int, number: int) -> bytes:
    """One of the images of a kind, which differ a little."""
    pixels = photograph(kind) + np.random.default_rng(number).normal(0, 2, (256, 256, 3))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``few``: images to enrol from; ``crawl.tar``: others of the generator among photographs, one of them twice."""
    root = tmp_path_factory.mktemp("enrol")
    (root / "few").mkdir()
    for seed in range(12):
        (root / "few" / f"{seed}.png").write_bytes(woven(seed))
    crawled = [(f"{seed}", "png", woven(seed)) for seed in range(20, 24)] + [
        (f"{seed}", "jpg", jpeg(seed)) for seed in range(30, 38)
    ]
    crawled.append(("again", "png", woven(20)))
    tar(
        root / "crawl.tar",
        [one for key, kind, data in crawled for one in ((f"{key}.{kind}", data), (f"{key}.json", sidecar(len(key))))],
    )
    return root


@pytest.fixture(scope="module")
def audit(places: Path, tiny: Path) -> Path:
    from causalprint.__main__ import main

    assert main(["audit", str(places / "crawl.tar"), "--output", str(places / "audit"), "--bundle", str(tiny), "--json"]) == 0
    return places / "audit"


def digests(seeds: range) -> set[str]:
    return {hashlib.sha256(woven(seed)).hexdigest() for seed in seeds}


def test_a_generator_is_named_once_it_is_enrolled_and_only_then(
    places: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = command(capsys, "enroll", tiny, places / "few", "--name", "woven-1", "--output", tmp_path / "b2")
    assert answer.code == 0
    assert answer.found["images"] == 12
    assert answer.found["found"] >= 11
    assert answer.found["accused"] <= 0.01
    assert load_bundle(tmp_path / "b2").bundle_id == answer.found["bundle_id"]
    opened, others = open_bundle(tmp_path / "b2", device="cpu"), open_bundle(tiny, device="cpu")
    made, photographs = [woven(seed) for seed in range(20, 30)], [jpeg(seed) for seed in range(30, 38)]
    named = [one.source == "woven-1" for one in opened.attribute(made)]
    assert sum(named) >= 7
    assert opened.attribute(photographs) == others.attribute(photographs)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--name", "alpha"], "known to tiny"),
        (["--name", "real"], "is no name of a generator"),
        (["--name", "A B"], "is no name of a generator"),
        (["--name", "own", "--family", "graphic"], "is no name of a generator"),
    ],
)
def test_a_name_that_cannot_be_given_is_refused(
    given: list[str], message: str, places: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = command(capsys, "enroll", tiny, places / "few", *given, "--output", tmp_path / "b2")
    assert answer.code == 1
    assert message in answer.found["error"]
    assert not (tmp_path / "b2").exists()


def test_too_few_images_are_refused(places: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = [places / "few" / f"{seed}.png" for seed in (0, 1, 1, 2)]
    answer = command(capsys, "enroll", tiny, *few, "--name", "own", "--output", tmp_path / "b2")
    assert answer.code == 1
    assert "takes 5 to 1,000 images" in answer.found["error"]


def test_what_was_audited_before_is_named_by_an_enrolled_bundle_without_its_images(
    places: Path, audit: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Path(shutil.copytree(audit, tmp_path / "audit"))
    command(capsys, "enroll", tiny, places / "few", "--name", "woven-1", "--output", tmp_path / "b2")
    answer = command(capsys, "attribute", output, "--bundle", tmp_path / "b2")
    assert answer.code == 0
    with open_audit(str(output)) as tables:
        rows = tables.sql("SELECT DISTINCT image_id, probability, family FROM attributions WHERE source = 'woven-1'").rows()
    assert rows
    assert {row["image_id"] for row in rows} <= digests(range(20, 24))
    made = [woven(seed) for seed in range(20, 24)]
    (data,) = (data for data in made if hashlib.sha256(data).hexdigest() == rows[0]["image_id"])
    one = open_bundle(tmp_path / "b2", device="cpu").attribute(data)
    assert (one.source, one.family, one.probability) == ("woven-1", rows[0]["family"], rows[0]["probability"])


def test_what_is_like_an_image_is_found_with_its_row_and_fetched_again(
    places: Path, audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["trace", audit, "--like", places / "few" / "0.png", "--top", 5, "--output", tmp_path / "found.parquet"]
    answer = command(capsys, *asked, "--extract", tmp_path / "found")
    assert answer.code == 0
    table = pq.read_table(tmp_path / "found.parquet")
    assert table.schema.equals(FINDS)
    rows = table.to_pylist()
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5]
    assert {row["image_id"] for row in rows} == digests(range(20, 24))
    assert sorted(row["member"] for row in rows) == ["20.png", "21.png", "22.png", "23.png", "again.png"]
    assert all(row["verdict"] and row["url"].startswith("https://example.org/") for row in rows)
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert {row["false_match_rate"] for row in rows} == {None}
    assert "not known" in answer.found["basis"]
    assert {hashlib.sha256(file.read_bytes()).hexdigest() for file in (tmp_path / "found").iterdir()} == digests(range(20, 24))
    assert len(answer.found["fetched"]) == 4


def test_an_image_of_the_audit_is_most_like_itself_and_a_source_is_where_its_images_are(
    places: Path, audit: Path, tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own,) = digests(range(21, 22))
    found = "memory://traced/found.parquet"
    answer = command(capsys, "trace", audit, "--image-id", own[:12], "--at-least", 0.999, "--output", found)
    assert [(one["image_id"], one["rank"]) for one in answer.found["finds"]] == [(own, 1)]
    command(capsys, "enroll", tiny, places / "few", "--name", "woven-1", "--output", tmp_path / "b2")
    asked = ["trace", audit, "--source", "woven-1", "--bundle", tmp_path / "b2", "--top", 4, "--output", found]
    answer = command(capsys, *asked)
    assert {one["image_id"] for one in answer.found["finds"]} <= digests(range(20, 24))
    assert answer.found["rows"] == 4


def test_what_cannot_be_traced_is_told(audit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "found.parquet"
    for given, message in (
        (["--image-id", "zz"], "no images of"),
        (["--source", "nobody"], "names no image of source nobody"),
        (["--image-id", "00", "--bundle", "demo"], "computes other fingerprints"),
        ([], "say what to look for"),
    ):
        answer = command(capsys, "trace", audit, *given, "--output", output)
        assert answer.code in (1, 2)
        assert message in answer.found["error"]
    assert not output.exists()
    assert pa.types.is_float64(FINDS.field("similarity").type)


def test_unknown_images_become_candidates_that_keep_their_names_and_are_ready_to_enroll(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strange = Path(shutil.copytree(tiny, tmp_path / "strange"))
    loaded = load_bundle(tiny).manifest
    decision = replace(loaded.decision, cleared_limit=-1.0, generated_limit=0.0, novelty_limit=1e6)  # to it, all is unknown
    (strange / "bundle.json").write_text(to_json(replace(loaded, decision=decision)))
    made = [(f"{kind}-{number}.jpg", alike(kind, number)) for kind in (1, 2) for number in range(9)]
    shard = tar(tmp_path / "new.tar", made)
    command(capsys, "audit", shard, "--output", tmp_path / "audit", "--bundle", strange)
    asked = ["discover", tmp_path / "audit", "--output", tmp_path / "found", "--least", 3]
    first = command(capsys, *asked, "--no-source", "--extract", 2)
    assert first.code == 0
    assert first.found["unknown"] == first.found["looked_at"] == 18 >= first.found["in_candidates"] > 9
    members = pq.read_table(tmp_path / "found" / "members.parquet").to_pylist()
    assert len(members) == first.found["in_candidates"]
    candidates = pq.read_table(tmp_path / "found" / "candidates.parquet").to_pylist()
    assert [row["image_id"] for row in members if row["rank"] == 1] == [row["medoid"] for row in candidates]
    assert len(candidates) == 2
    assert {len({row["member"][0] for row in members if row["candidate"] == one["candidate"]}) for one in candidates} == {1}
    for one in candidates:
        extracted = list((tmp_path / "found" / "images" / one["candidate"]).iterdir())
        assert len(extracted) == 2
        assert {file.stem for file in extracted} <= {row["image_id"] for row in members if row["candidate"] == one["candidate"]}
    again = command(capsys, *asked, "--no-source")
    assert again.found["candidates"] == first.found["candidates"]
    with open_audit(str(tmp_path / "audit")) as tables:
        spectra = {row["member"]: row["spectrum"] for row in tables.embeddings.rows()}
    page = (tmp_path / "found" / "candidates.html").read_text(encoding="utf-8")
    for one in candidates:
        own = [spectra[row["member"]] for row in members if row["candidate"] == one["candidate"]]
        np.testing.assert_allclose(one["spectrum"], np.mean(own, axis=0), atol=0.006)
        assert one["candidate"] in page
    assert page.count("<polyline") == len(candidates), "there is no photograph to compare with"
    assert command(capsys, *asked, "--most", 2).found["looked_at"] == 2
