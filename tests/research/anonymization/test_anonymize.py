"""``causalprint lab anonymize``, from image files to what it wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from causalprint.__main__ import main
from causalprint.models.bundles.bundle import Bundle
from causalprint.models.verdicts import Judge
from causalprint.research.anonymization.anonymizer import see
from causalprint.research.anonymization.records import ATTEMPTS, Anonymization, Attempt, Seen
from causalprint.schemas.records import from_json
from tests.audits import command
from tests.bundles import SOURCES, photograph, tiny_bundle

CROP = 96
Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle"), crop=CROP)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another bundle, of the same sources."""
    return tiny_bundle(tmp_path_factory.mktemp("stranger"), seed=1, name="stranger", crop=CROP)


@pytest.fixture(scope="module")
def judge(bundle: Bundle) -> Judge:
    return Judge(bundle, "cpu")


def picture(seed: int) -> np.ndarray:
    """A photograph as large as the bundles' crop."""
    return photograph(seed, CROP, CROP)


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def known(judge: Judge, count: int) -> list[tuple[int, str]]:
    """Seeds of photographs that the bundle attributes to a source, and that source."""
    seen = ((seed, see(judge, picture(seed))) for seed in range(1000, 1024))
    return [(seed, each.named) for seed, each in seen if each.named is not None][:count]


def test_images_become_images_of_another_source(
    bundle: Bundle, stranger: Bundle, judge: Judge, tmp_path: Path, capsys: Capture
) -> None:
    first = save(tmp_path / "in" / "one.png", photograph(3, 104, 120))
    second = save(tmp_path / "elsewhere" / "one.png", picture(4))
    small = save(tmp_path / "in" / "small.png", photograph(5, 60, 60))
    target = next(source for source in SOURCES if source not in {see(judge, picture(seed)).source for seed in (3, 4)})
    code, found, _ = command(
        capsys,
        *("lab", "anonymize", first, second, small, "--bundle", bundle.directory, "--target", target, "-o", tmp_path / "out"),
        *("--held-out", stranger.directory, "--device", "cpu", "--steps", 10),
    )
    assert code == 0
    report = from_json(Anonymization, (tmp_path / "out" / "report.json").read_text())
    assert json.loads((tmp_path / "out" / "report.json").read_text()) == found
    assert report.bundle_id == bundle.bundle_id
    assert report.held_out == (stranger.bundle_id,)
    assert [each.image for each in report.left_out] == [small.as_uri()]
    assert "60 x 60 pixels" in report.left_out[0].reason
    assert len(report.attempts) == 2
    for row, original in zip(report.attempts, (first, second), strict=True):
        assert (row.image, row.method, row.target, row.label) == (original.as_uri(), "pgd", target, None)
        assert row.file is not None
        changed = np.asarray(Image.open(tmp_path / "out" / row.file))
        before = np.asarray(Image.open(original))
        assert changed.shape == before.shape
        assert 0 < row.largest == np.abs(changed.astype(int) - before).max() <= 4
        assert row.after == see(judge, changed)
        assert row.before == see(judge, before)
        assert row.success == (row.after.named == target)
        assert row.held_out[0].after == see(Judge(stranger, "cpu"), changed)
    assert sum(row.success for row in report.attempts) == 2
    assert len({row.file for row in report.attempts}) == 2
    table = pq.read_table(tmp_path / "out" / "anonymize.parquet")
    assert table.schema.equals(ATTEMPTS)
    assert table.column("file").to_pylist() == [row.file for row in report.attempts]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(
        ["anonymize.parquet", "report.json", *(row.file or "" for row in report.attempts)]
    )


def test_a_person_reads_a_line_an_image(bundle: Bundle, tmp_path: Path, capsys: Capture) -> None:
    save(tmp_path / "in" / "one.png", picture(3))
    save(tmp_path / "in" / "two.jpg", picture(4))
    (tmp_path / "in" / "notes.txt").write_text("not an image")
    arguments = ["lab", "anonymize", f"{tmp_path}/in/*", "--method", "noise", "--epsilon", "0.01", "-o", str(tmp_path / "out")]
    assert main([*arguments, "--bundle", str(bundle.directory)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("one.png: ")
    assert "at most 2/255" in lines[0]
    assert lines[1].startswith("two.png: ")
    assert "of 2 as aimed" in lines[-1]


def test_the_swap_learns_from_examples(bundle: Bundle, judge: Judge, tmp_path: Path, capsys: Capture) -> None:
    before = see(judge, picture(3)).source
    target = next(source for source in SOURCES if source != before)
    save(tmp_path / "in" / "one.png", picture(3))
    for number, source in enumerate((before, before, target, target)):
        save(tmp_path / "examples" / str(source) / f"{number}.png", picture(20 + number))
    arguments = ["lab", "anonymize", tmp_path / "in", "--bundle", bundle.directory, "--target", target, "--method", "swap"]
    code, found, _ = command(capsys, *arguments, "--examples", tmp_path / "examples", "-o", tmp_path / "out")
    assert code == 0
    assert 0 < found["attempts"][0]["largest"] <= 4
    again = command(capsys, *arguments, "--examples", tmp_path / "examples" / target, "-o", tmp_path / "again")
    assert (again.code, repr(before) in again.found["error"]) == (1, True)
    assert not (tmp_path / "again").exists()


def test_a_study_counts_what_was_right(bundle: Bundle, stranger: Bundle, judge: Judge, tmp_path: Path, capsys: Capture) -> None:
    ((seed, source),) = known(judge, 1)
    save(tmp_path / "in" / source / f"{seed}.png", picture(seed))
    wrong = next(source for source in SOURCES if source != see(judge, picture(6)).named)
    save(tmp_path / "in" / wrong / "6.png", picture(6))
    arguments = [
        "lab",
        "anonymize",
        tmp_path / "in",
        "--bundle",
        bundle.directory,
        "--study",
        "--steps",
        2,
        "-o",
        tmp_path / "out",
    ]
    code, found, _ = command(capsys, *arguments, "--held-out", stranger.directory)
    assert code == 0
    assert (found["seen"], found["images"], found["left_out"]) == (2, 1, 0)
    rows = {(row["method"], row["targeted"], round(row["epsilon"] * 255)): row for row in found["rows"]}
    assert set(rows) == {
        (method, aim, e) for method in ("pgd", "shuffled", "noise") for aim in (True, False) for e in (2, 4, 8)
    } | {
        ("none", True, 0),
        ("none", False, 0),
    }
    assert all(row["images"] == 1 for row in rows.values())
    assert rows["none", False, 0]["success"]["value"] == rows["none", True, 0]["success"]["value"] == 0
    assert rows["pgd", False, 8]["success"]["value"] == 1 > rows["noise", True, 8]["success"]["value"]
    assert rows["pgd", True, 4]["ssim"] == pytest.approx(rows["shuffled", True, 4]["ssim"], abs=0.05)
    attempts = pq.read_table(tmp_path / "out" / "anonymize.parquet").to_pylist()
    assert len(attempts) == len(rows)
    assert all(row["before"]["source"] == row["label"] for row in attempts)
    text = (tmp_path / "out" / "RESULTS.md").read_text()
    assert "<!-- begin anonymize -->" in text
    assert f"causalprint lab anonymize {tmp_path / 'in'} --study" in text
    assert f"| {stranger.bundle_id} | descent |" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--target", "nobody"], "target 'nobody' is none of the sources of"),
        (["--target", "alpha", "--method", "swap"], "method swap needs"),
        (["--held-out", "BUNDLE"], "is the bundle that is attacked"),
        (["--bundle", "/nowhere"], "no bundle.json in /nowhere"),
    ],
)
def test_what_cannot_be_done_is_one_line(options: list[str], says: str, bundle: Bundle, tmp_path: Path, capsys: Capture) -> None:
    image = save(tmp_path / "one.png", picture(3))
    given = [str(bundle.directory) if option == "BUNDLE" else option for option in options]
    given = given if "--bundle" in given else [*given, "--bundle", str(bundle.directory)]
    code, found, log = command(capsys, "lab", "anonymize", image, "-o", tmp_path / "out", *given)
    assert code == 1
    assert says in found["error"]
    assert "Traceback" not in log
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_there_or_too_small_are_said_so(bundle: Bundle, tmp_path: Path, capsys: Capture) -> None:
    options = ["-o", tmp_path / "out", "--bundle", bundle.directory]
    code, found, _ = command(capsys, "lab", "anonymize", tmp_path / "nowhere.png", *options)
    assert (code, "nowhere.png" in found["error"]) == (1, True)
    code, found, _ = command(capsys, "lab", "anonymize", save(tmp_path / "small.png", photograph(1, 90, 90)), *options)
    assert code == 1
    assert "none of 1 images could be changed" in found["error"]
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("epsilon", ["4/0", "much", "0", "1/256", "1.5", "-4/255"])
def test_a_radius_that_is_none_is_an_error_of_usage(epsilon: str, capsys: Capture) -> None:
    assert main(["lab", "anonymize", "x.png", "-o", "out", f"--epsilon={epsilon}"]) == 2
    assert "4/255" in capsys.readouterr().err


def test_an_attempt_survives_json() -> None:
    seen = Seen("known", "alpha", 0.9, 0.5)
    row = Attempt("a#b", "0", None, "0", None, "pgd", 0.1, None, seen, seen, seen, False, False, 1.0, None, 0, 0.0)
    from causalprint.schemas.records import to_json

    assert from_json(Attempt, to_json(row)) == row
