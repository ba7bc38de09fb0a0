"""What ``causalprint diff`` finds between audits, and between nights of one."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from causalprint.__main__ import main
from causalprint.transforms.tables.write_tables import encode
from tests.audits import command
from tests.outputs import NIGHTS, output_at, two_nights
from tests.samples import sample_shard

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("diff") / "OUT"
    two_nights(root)
    return root


def test_an_audit_differs_in_nothing_from_itself(out: Path, capsys: Capture) -> None:
    code, found, _ = command(capsys, "diff", out, out)
    assert (code, found["new"], found["gone"], found["changed"], found["divided"]) == (0, 0, 0, 0, [])
    assert main(["diff", str(out), str(out)]) == 0
    assert "0 images are new, 0 gone, 0 changed" in capsys.readouterr().out


def test_two_nights_differ_in_what_changed(out: Path, tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "d.parquet"
    _, found, _ = command(capsys, "diff", out, "--runs", NIGHTS[0], "--runs", NIGHTS[1], "-o", file)
    assert (found["new"], found["gone"], found["changed"]) == (42, 42, 0), "of two shards each, with their rejects"
    rows = pq.read_table(file).to_pylist()
    assert sum(count["images"] for count in found["divided"]) == len(rows) == 84
    assert {(row["difference"], row["before_shard"], row["after_shard"]) for row in rows} == {
        ("gone", "s3://crawl/00000.tar", None),
        ("gone", "s3://crawl/00001.tar", None),
        ("new", None, "s3://crawl/00001.tar"),
        ("new", None, "s3://crawl/00003.tar"),
    }
    assert sum(row["after_verdict"] == "rejected" for row in rows) == 12
    assert main(["diff", str(out), "--runs", NIGHTS[0][:9], "--runs", NIGHTS[1]]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "42 images are new, 42 gone, 0 changed" in text
    _, same, _ = command(capsys, "diff", out, "--runs", NIGHTS[1], "--runs", NIGHTS[1])
    assert same["divided"] == []


def test_a_verdict_that_changed_is_found_wherever_the_image_lies(tmp_path: Path, capsys: Capture) -> None:
    output = output_at(tmp_path / "a")
    for root in ("a", "b"):
        two_nights(tmp_path / root)
    shard = sample_shard(2)
    path = tmp_path / "b" / output.path("attributions", shard.slice_id(output.bundle_id, 0))
    rows = pq.read_table(path, partitioning=None)
    said = rows["verdict"].to_pylist()
    place = said.index("known")
    said[place] = "unknown"
    moved = rows.set_column(rows.schema.get_field_index("verdict"), rows.schema.field("verdict"), [said])
    names = rows["member"].to_pylist()
    path.write_bytes(encode(moved))
    _, found, _ = command(capsys, "diff", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "d.csv")
    (one,) = found["divided"]
    assert (one["difference"], one["images"], one["before"].split(":")[0], one["after"].split(":")[0]) == (
        "changed", 1, "known", "unknown",
    )  # fmt: skip
    ((member, before, after),) = duckdb.execute(
        f"SELECT before_member, before_verdict, after_verdict FROM '{tmp_path}/d.csv'"
    ).fetchall()
    assert (member, before, after) == (names[place], "known", "unknown")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["OUT"], "give two outputs, or one and two of its runs"),
        (["OUT", "--runs", "x"], "give two outputs, or one and two of its runs"),
        (["OUT", "--runs", "x", "--runs", "2026"], "'x' begins no run of"),
        (["OUT", "--runs", "2026", "--runs", "2026"], "'2026' begin 2 runs of"),
        (["OUT", "OUT", "-o", "x.txt"], "call it FILE.csv|json|parquet"),
        (["OUT", "nowhere"], "nowhere is no output of an audit"),
    ],
)
def test_what_cannot_be_compared_is_one_line(arguments: list[str], says: str, out: Path, capsys: Capture) -> None:
    code, found, _ = command(capsys, "diff", *(str(out) if one == "OUT" else one for one in arguments))
    assert code == 1
    assert says in found["error"]
