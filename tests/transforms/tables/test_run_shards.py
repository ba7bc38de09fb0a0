"""What became of the shards of a dataset from run to run."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from causalprint.pipelines.audit_views import audit_now, create_views
from causalprint.schemas.accounts import Counts, ShardAccount, spread
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import Shard
from causalprint.schemas.runs import Change, Changes
from causalprint.transforms.tables import run_shards
from causalprint.transforms.tables.committed import list_path, listed_runs
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.run_lists import RunLists
from causalprint.transforms.tables.run_shards import write_list
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import BUNDLE_ID, output_at, run_into
from tests.samples import sample_shard, sample_slice

LOCAL = Storage()
FIRST = [sample_shard(number) for number in range(3)]
SECOND = [FIRST[0], replace(FIRST[1], generation="2"), sample_shard(3)]


def accounts(root: Path, shards: list[Shard]) -> list[ShardAccount]:
    output = output_at(root)
    return [Ledger(shard).add(write_slice(sample_slice(shard), output)).close(output.bundle_id) for shard in shards]


def listed(root: Path, run_id: str, shards: list[Shard], inputs: tuple[str, ...] = ("s3://crawl/*.tar",)) -> Changes:
    run = run_into(output_at(root), run_id)
    return write_list(accounts(root, shards), replace(run, config=AuditConfig(inputs, str(root))))


def states(root: Path, run_id: str) -> dict[str, str]:
    table = pq.read_table(root / list_path(run_id))
    assert table["uri"].to_pylist() == sorted(table["uri"].to_pylist())
    return {row["uri"][-9:-4]: row["state"] for row in table.select(["uri", "state"]).to_pylist()}


def test_a_night_is_compared_with_the_night_before(tmp_path: Path) -> None:
    first, second, third = (listed(tmp_path, f"r{night}", shards) for night, shards in enumerate([FIRST, SECOND, SECOND]))
    back = listed(tmp_path, "r3", FIRST)
    assert states(tmp_path, "r0") == {"00000": "new", "00001": "new", "00002": "new"}
    assert states(tmp_path, "r1") == {"00000": "kept", "00001": "changed", "00002": "vanished", "00003": "new"}
    assert states(tmp_path, "r2") == {"00000": "kept", "00001": "kept", "00002": "gone", "00003": "kept"}
    assert states(tmp_path, "r3") == {"00000": "kept", "00001": "changed", "00002": "new", "00003": "vanished"}
    assert [each.previous for each in (first, second, third, back)] == [None, "r0", "r1", "r2"]
    assert [change.shards for change in (second.new, second.kept, second.changed, second.vanished)] == [1, 1, 1, 1]
    assert [change.shards for change in (third.new, third.kept, third.changed, third.vanished)] == [0, 3, 0, 0]
    (one,) = accounts(tmp_path, SECOND[2:])
    assert second.new == Change(1, one.seen, one.verdicts, one.reasons)
    assert third.vanished.verdicts == ()


def test_what_vanished_keeps_its_slices_for_one_run(tmp_path: Path) -> None:
    for night, shards in enumerate([FIRST, SECOND, SECOND]):
        listed(tmp_path, f"r{night}", shards)
    rows = [pq.read_table(tmp_path / list_path(f"r{night}")).to_pylist() for night in range(3)]
    was, vanished, gone = (next(row for row in night if row["uri"] == FIRST[2].uri) for night in rows)
    assert vanished == was | {"run_id": "r1", "state": "vanished"}
    assert gone == was | {"run_id": "r2", "state": "gone", "slice_ids": []}


def test_more_of_a_shard_that_could_be_read_is_a_change_and_another_bundle_is_none(tmp_path: Path) -> None:
    few = [replace(account, seen=3, complete=False, damage="cut") for account in accounts(tmp_path, FIRST[:1])]
    run = run_into(output_at(tmp_path), "r0")
    write_list(few, run)
    assert listed(tmp_path, "r1", FIRST[:1]).changed.shards == 1
    (other,) = [replace(account, shard_id="0" * 32) for account in accounts(tmp_path, FIRST[:1])]
    assert write_list([other], replace(run, run_id="r2", bundle_id="other")).kept.shards == 1


def test_runs_are_compared_by_what_they_were_asked_to_read(tmp_path: Path) -> None:
    listed(tmp_path, "r0", FIRST, ("a", "b"))
    assert listed(tmp_path, "r1", FIRST[:1], ("c",)).previous is None
    assert listed(tmp_path, "r2", FIRST, ("b", "a")).previous == "r0"
    assert listed(tmp_path, "r10", FIRST, ("c",)).previous == "r1", "ids sort as they are: r10 before r2"
    data = (tmp_path / list_path("r0")).read_bytes()
    (tmp_path / list_path("r2")).write_bytes(data[:-30])
    assert listed(tmp_path, "r3", FIRST, ("a", "b")).previous == "r0", "a damaged list is passed over"
    assert list(listed_runs(str(tmp_path), LOCAL)) == ["r0", "r1", "r10", "r2", "r3"]


def test_the_order_of_accounts_changes_no_byte(tmp_path: Path) -> None:
    one, other = (listed(tmp_path / name, "r", shards) for name, shards in (("a", FIRST), ("b", FIRST[::-1])))
    assert one == other
    assert (tmp_path / "a" / list_path("r")).read_bytes() == (tmp_path / "b" / list_path("r")).read_bytes()


@pytest.mark.parametrize(("batch", "step"), [(1, 1), (4, 3), (8, 16)])
def test_sorting_on_disk_changes_no_byte(batch: int, step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nights(root: Path) -> list[Changes]:
        return [listed(root, "r0", several[::2]), listed(root, "r1", several[:17])]

    several = [sample_shard(number) for number in random.Random(1).sample(range(20), 20)]
    expected = nights(tmp_path / "memory")
    monkeypatch.setattr(run_shards, "BATCH", batch)
    monkeypatch.setattr(run_shards, "STEP", step)
    assert nights(tmp_path / "disk") == expected, "digests of the files among them"


def test_counts_of_many_shards_add_up(tmp_path: Path) -> None:
    shards = [sample_shard(number) for number in range(30)]
    several = accounts(tmp_path, shards)
    found = write_list(several, run_into(output_at(tmp_path), "r")).new
    whole = Counts()
    for account in several:
        whole = whole.plus(Counts(**spread(account, Counts)))
    assert (found.shards, found.images, found.verdicts, found.rejects) == (30, whole.seen, whole.verdicts, whole.reasons)


def test_a_run_that_reads_no_shard_gives_verdicts_and_does_not_say_what_there_is(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    for night, shards in enumerate([FIRST, SECOND]):
        listed(tmp_path, f"r{night}", shards)
    everything = [
        replace(account, shard_id=f"{number:032}") for number, account in enumerate(accounts(tmp_path, FIRST + SECOND[1:]))
    ]
    run = replace(run_into(output, "r2"), bundle_id="other", config=AttributeConfig(str(tmp_path)))
    changes = write_list(everything, run)
    assert (changes.previous, changes.kept.shards) == (None, 5), "two versions of one shard among them"

    def current(until: str | None = None) -> dict[str, tuple[str, str]]:
        with duckdb.connect() as connection:
            create_views(connection, str(tmp_path), LOCAL, until)
            rows = connection.execute("SELECT uri, bundle, generation FROM current_shards").fetchall()
        assert len({row[0] for row in rows}) == len(rows)
        return {uri[-9:-4]: (bundle, generation) for uri, bundle, generation in rows}

    assert current() == {"00000": ("other", "1"), "00001": ("other", "2"), "00003": ("other", "1")}
    assert current("r1") == {"00000": (BUNDLE_ID, "1"), "00001": (BUNDLE_ID, "2"), "00003": (BUNDLE_ID, "1")}
    assert current("r0") == {f"{number:05}": (BUNDLE_ID, "1") for number in range(3)}
    listed(tmp_path, "r3", SECOND[:2])
    assert current() == {"00000": (BUNDLE_ID, "1"), "00001": (BUNDLE_ID, "2")}, "the newest audit's verdicts"


@pytest.mark.parametrize(("lost", "told"), [(None, "r4 r5 r6 r7"), (1, "r4 r5 r6 r7"), (4, "r1 r2 r5 r6 r7")])
def test_what_an_audit_is_now_is_told_by_few_lists_as_by_all(tmp_path: Path, lost: int | None, told: str) -> None:
    everything = accounts(tmp_path, FIRST + SECOND)

    def night(number: int, shards: int, inputs: str | None) -> None:
        run = run_into(output_at(tmp_path), f"r{number}")
        config = AuditConfig((inputs,), str(tmp_path)) if inputs else AttributeConfig(str(tmp_path))
        write_list(everything[:shards], replace(run, config=config))

    for number, (shards, inputs) in enumerate(
        [(1, "a"), (3, "b"), (3, None), (2, "a"), (4, "b"), (2, None), (1, "a"), (2, None)]
    ):
        night(number, shards, inputs)
        with duckdb.connect() as connection:
            create_views(connection, str(tmp_path), LOCAL)
            ((count, seen),) = connection.execute("SELECT count(*), sum(seen) FROM current_shards").fetchall()
        now = audit_now(str(tmp_path), LOCAL)
        assert (now.shards, now.images) == (count, seen)
        if number - 1 == lost:
            (tmp_path / list_path(f"r{lost}")).unlink()
    telling = RunLists(str(tmp_path), LOCAL).telling
    assert " ".join(telling) == told, "of two inputs the newest, and who gave verdicts since the older one"
    night(30, 1, "c")  # which began before others that ended
    assert "r30" in RunLists(str(tmp_path), LOCAL).telling
