"""Compacted outputs: few files, and at every moment the same rows and answers, whatever is killed; and how slices come out."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from pathlib import Path

import duckdb
import pytest
from aiobotocore.client import AioBaseClient

from causalprint.pipelines.commands.compact import CompactConfig
from causalprint.pipelines.compact import CompactReport, compact
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.config import Storage
from causalprint.schemas.tables import TABLES
from causalprint.transforms.tables import compact as compacting
from causalprint.transforms.tables import pack_rows
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.packs import read_packs
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import skip_shard
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.unpack import free, free_to_retry
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import rows_of_slice, write_slice
from causalprint.transforms.tables.write_together import write_together
from tests.audits import Answer, command, photographs_tar
from tests.killed import KilledError, killed_after
from tests.outputs import BUNDLE_ID, files_below, output_at, rows, run_into, slices_of
from tests.pipelines.forget.conftest import clock, copy, whole
from tests.pipelines.forget.erased import LOCAL, SHARDS, check_closed, copied, forgotten, ids_in, texts_in
from tests.pipelines.forget.test_kills import undescribed
from tests.samples import sample_shard
from tests.servers import ObjectStore
from tests.transforms.tables.test_signatures import keys

__all__ = ["clock", "copy", "undescribed", "whole"]

COUNTS = " UNION ALL ".join(
    f"SELECT '{view}' AS name, count(*) AS n FROM {view}" for view in (*TABLES, "findings", "current_rejects")
)


def compacted(root: Path | str, storage: Storage = LOCAL, pack_bytes: int = 2**28) -> CompactReport:
    return compact(CompactConfig(str(root), pack_bytes, keep_seconds=0, storage=storage))


def test_rows_receipts_and_accounts_are_the_same_in_few_files(whole: Path, copy: Path) -> None:
    before = verify(str(copy), LOCAL)
    report = compacted(copy)
    assert [(one.before, one.packs) for one in report.bundles] == [(7, 1), (28, 1)]
    for table in TABLES:
        assert rows(copy, table).to_pylist() == rows(whole, table).to_pylist()
        for path in copy.glob(f"{table}/*/*.parquet"):
            assert path.name.startswith(("pack-", "without-rows."))
    after = verify(str(copy), LOCAL, deep=True)
    assert (after.findings, after.slices, after.shards) == ((), before.slices, before.shards)
    check_closed(copy)
    output = output_at(copy)
    assert [skip_shard(shard, output) for shard in SHARDS] == [skip_shard(shard, output_at(whole)) for shard in SHARDS]
    left = files_below(copy)
    assert all(one.packs == 0 for one in compacted(copy).bundles)
    assert files_below(copy) == left, "there is nothing more to do"


def test_a_reader_sees_every_row_once_all_the_while(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_audit(str(copy)) as tables:
        expected = tables.sql(COUNTS).rows()

        def look() -> None:
            assert tables.sql(COUNTS).rows() == expected

        looked = watched(look, monkeypatch)
        compacted(copy, pack_bytes=5000)
        assert len(looked) > 30
        look()
    monkeypatch.undo()
    with duckdb.connect() as connection:
        connection.execute((copy / "views.sql").read_text(encoding="utf-8"))
        assert connection.execute(COUNTS).fetchall() == [tuple(row.values()) for row in expected]


def watched(look: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Calls ``look`` before every write and removal, of which there is one at a time."""
    done: list[str] = []
    lock = threading.Lock()
    put, remove = Output.put, Output.remove

    def counted_put(self: Output, path: str, data: bytes) -> None:
        with lock:
            done.append(path)
            look()
            put(self, path, data)

    def counted_remove(self: Output, path: str) -> None:
        with lock:
            done.append(path)
            look()
            remove(self, path)

    monkeypatch.setattr(Output, "put", counted_put)
    monkeypatch.setattr(Output, "remove", counted_remove)
    return done


def test_killed_before_any_write_the_same_command_finishes_it(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = copied(whole, tmp_path / "done" / "OUT")
    written = killed_after(10**6, monkeypatch)
    compacted(done)
    puts = [number for number, path in enumerate(written) if (done / path).exists()]
    for number in [*puts[::2], puts[-1], *range(puts[-1] + 1, len(written), 12)]:
        root = copied(whole, tmp_path / str(number) / "OUT")
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            compacted(root)
        killed_after(10**6, monkeypatch)
        found = verify(str(root), LOCAL).findings
        assert all("the same causalprint compact or forget finishes what was stopped" in one.detail for one in found), found
        compacted(root)
        assert files_below(root).keys() - {"views.sql"} == files_below(done).keys() - {"views.sql"}
        assert verify(str(root), LOCAL, deep=number % 7 == 0).findings == ()
        shutil.rmtree(root.parent)


def test_new_slices_go_into_packs_that_are_not_full(copy: Path) -> None:
    output = output_at(copy)
    compacted(copy)
    (first,) = read_packs(output).indexes
    later = sample_shard(9)
    account = reduce(Ledger.add, [write_slice(one, output) for one in slices_of(later, 2)], Ledger(later)).close(BUNDLE_ID)
    write_run([write_account(account, output)], run_into(output, "20270101T000000Z-00000000"))
    table = rows(copy, "images").to_pylist()
    assert compacted(copy).bundles[1].packs == 1
    packs = read_packs(output)
    (second,) = packs.indexes
    assert (first != second, packs.indexes[second].pack.number) == (True, 2)
    assert rows(copy, "images").to_pylist() == table
    order = [packs.shard_id(name) for name in packs.indexes[second].names]
    assert order == sorted(order, key=order.index), "shards lie together"
    assert verify(str(copy), LOCAL, deep=True).findings == ()
    assert compacted(copy, pack_bytes=1).bundles[1].packs == 0, "a full pack stays"


def test_small_packs_become_few_and_full_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = begun_together(tmp_path)
    table = rows(tmp_path, "images").to_pylist()
    assert len(read_packs(output).indexes) == 7
    monkeypatch.setattr(compacting, "PACK_NAMES", 16)
    monkeypatch.setattr(pack_rows, "PACK_NAMES", 16)
    assert compacted(tmp_path).bundles[0].packs == 2
    assert sorted(len(index.names) for index in read_packs(output).indexes.values()) == [12, 16]
    assert compacted(tmp_path).bundles[0].packs == 0
    assert rows(tmp_path, "images").to_pylist() == table
    assert verify(str(tmp_path), LOCAL, deep=True).findings == ()


def begun_together(root: Path) -> Output:
    """An output of 14 shards, of which every two are in a pack."""
    agree(str(root), LOCAL, None, None)
    output = output_at(root)
    slices = [slices_of(sample_shard(number), 1)[0] for number in range(14)]
    accounts = [one for start in range(0, 14, 2) for one in write_together(slices[start : start + 2], rows_of_slice, output)]
    write_run(accounts, run_into(output))
    return output


def test_what_is_forgotten_leaves_its_pack(whole: Path, copy: Path, tmp_path: Path) -> None:
    alone = copied(whole, tmp_path / "alone" / "OUT")
    compacted(copy)
    ids = tuple(ids_in(whole)[::9])
    dry = forgotten(copy, image_id=ids, dry_run=True)
    assert replace(forgotten(alone, image_id=ids, dry_run=True), output=str(copy)) == dry
    forgotten(alone, image_id=ids)
    assert forgotten(copy, image_id=ids).bundles == dry.bundles
    for table in TABLES:
        assert rows(copy, table).to_pylist() == rows(alone, table).to_pylist()
    for text in texts_in(copy):
        assert not any(one in text for one in ids)
    check_closed(copy)
    assert all(skip_shard(shard, output_at(copy)) == skip_shard(shard, output_at(alone)) for shard in SHARDS)


def test_a_killed_command_that_forgets_is_finished(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = copied(whole, tmp_path / "first" / "OUT")
    compacted(first)
    (image, *_) = rows(whole, "images")["image_id"].to_pylist()
    done = copied(first, tmp_path / "done" / "OUT")
    written = killed_after(10**6, monkeypatch)
    forgotten(done, image_id=(image,))
    expected = {table: rows(done, table).to_pylist() for table in TABLES}
    for number in range(4, len(written), 14):
        root = copied(first, tmp_path / str(number) / "OUT")
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            forgotten(root, image_id=(image,))
        killed_after(10**6, monkeypatch)
        forgotten(root, image_id=(image,))
        assert {table: rows(root, table).to_pylist() for table in TABLES} == expected
        assert verify(str(root), LOCAL).findings == ()


def test_slices_that_are_computed_again_get_their_own_files_back(whole: Path, copy: Path) -> None:
    output = output_at(copy)
    compacted(copy)
    free(output, Stored(output))
    assert read_packs(output).places
    free_to_retry(output, "decode")  # every slice has a reject of this stage
    assert not read_packs(output).places
    files, before = files_below(copy), files_below(whole)
    assert {path: data for path, data in files.items() if path in before and BUNDLE_ID in path} == {
        path: data for path, data in before.items() if BUNDLE_ID in path
    }
    assert verify(str(copy), LOCAL, deep=True).findings == ()


@pytest.mark.parametrize("harm", ["gone", "cut", "index"])
def test_a_damaged_pack_is_found_and_computed_again(copy: Path, harm: str) -> None:
    output = output_at(copy)
    compacted(copy)
    (pack_id,) = read_packs(output).indexes
    path = copy / ("packs" if harm == "index" else "images") / f"bundle={BUNDLE_ID}" / f"{pack_id}.parquet"
    data = path.read_bytes()
    path.unlink() if harm == "gone" else path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 1 :])
    assert path.relative_to(copy).as_posix() in {one.path for one in verify(str(copy), LOCAL).findings}
    assert [skip_shard(shard, output) for shard in SHARDS] == [None] * 3
    other = copied(copy, copy.parent / "other" / "OUT")
    verify(str(other), LOCAL, repair=True)
    free(output, Stored(output))
    for root in (copy, other):
        assert not list(root.glob(f"*/bundle={BUNDLE_ID}/{pack_id}.parquet"))
        assert not rows(root, "images").num_rows


def test_other_bytes_of_a_pack_are_found(copy: Path) -> None:
    compacted(copy)
    for path in copy.glob("*/*/pack-*.parquet"):
        data = bytearray(path.read_bytes())
        data[10] ^= 1
        path.write_bytes(data)
    found = {one.path for one in verify(str(copy), LOCAL, deep=True).findings}
    assert {path.relative_to(copy).as_posix() for path in copy.glob("packs/*/pack-*.parquet")} <= found


def test_a_filter_tells_which_row_groups_have_an_image(copy: Path) -> None:
    ids = rows(copy, "images")["image_id"].to_pylist()
    compacted(copy)
    (path,) = copy.glob("images/*/pack-*.parquet")
    for image_id, excludes in ((ids[0], False), ("f" * 64, True)):
        probe = f"SELECT bloom_filter_excludes FROM parquet_bloom_probe('{path}', 'image_id', '{image_id}')"
        assert duckdb.execute(probe).fetchall() == [(excludes,)]


def test_on_an_object_store_the_bytes_are_those_of_a_disk(s3_store: ObjectStore, whole: Path, copy: Path) -> None:
    for name, data in files_below(whole).items():
        s3_store.put(f"packed/{name}", data)
    root = f"{s3_store.url}/packed"
    compacted(copy)
    compacted(root, s3_store.storage)
    there = {name.removeprefix("packed/"): s3_store.get(name) for name in s3_store.names() if name.startswith("packed/")}
    on_disk = files_below(copy)
    assert {name: there.get(name) for name in on_disk} == on_disk
    assert there.keys() == on_disk.keys()
    stored = Stored(output_at(root, s3_store.storage))
    assert all(skip_shard(shard, stored.output, stored) == skip_shard(shard, output_at(copy)) for shard in SHARDS)


def test_a_store_is_asked_as_little_however_many_shards_are_in_a_pack(
    s3_store: ObjectStore, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compacted(copy)
    for name, data in files_below(copy).items():
        s3_store.put(f"asked/{name}", data)
    asked: list[str] = []
    call = AioBaseClient._make_api_call

    def counted(self: AioBaseClient, name: str, given: object) -> object:
        asked.append(name)
        return call(self, name, given)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", counted)
    stored = Stored(output_at(f"{s3_store.url}/asked", s3_store.storage))
    assert all(skip_shard(shard, stored.output, stored) for shard in SHARDS)
    assert len(asked) <= 7, "the pack's index, and a list of each folder"


def test_a_signature_of_before_vouches_for_accounts_and_a_new_one_for_packs(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = keys(tmp_path, "key")

    def unsigned(*options: object) -> set[str]:
        found = command(capsys, "verify", copy, "--key", key.public, *options).found["findings"]
        return {one["path"].partition("/")[0] for one in found}

    command(capsys, "verify", copy, "--sign", key.private)
    assert unsigned() == set()
    assert compacted(copy).signed
    assert unsigned() == {"packs"}
    assert command(capsys, "verify", copy, "--sign", key.private).code == 0
    assert unsigned() == set()


def test_commands_give_the_same_answers(tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        photographs_tar(tmp_path / "in" / f"{number}.tar", range(3 * number, 3 * number + 3))
    out = tmp_path / "out"
    audit = ["audit", tmp_path / "in", "-o", out, "--bundle", tiny, "--slice-images", 2]
    attribute = ["attribute", out, "--bundle", tiny, "--prior", "photograph=0.9"]
    assert command(capsys, *audit).code == 0
    assert command(capsys, *attribute).code == 0
    (image_id, *_) = rows(out, "images")["image_id"].to_pylist()

    def answers() -> list[dict[str, object]]:
        found = [
            command(capsys, "query", out, "FROM findings ORDER BY ALL"),
            command(capsys, "trace", out, "--image-id", image_id, "--top", 3, "-o", tmp_path / "finds.parquet"),
            command(capsys, "evidence", out, "--image-id", image_id, "-o", tmp_path / "evidence"),
            command(capsys, "sample", out, "--for-labels", 3, "-o", tmp_path / "sample"),
            command(capsys, "diff", out, out),
            command(capsys, "inspect", out),
        ]
        assert [one.code for one in found] == [0] * len(found)
        return [without_files(one) for one in found]

    before = answers()
    compacted = command(capsys, "compact", out, "--keep-seconds", 0).found["bundles"]
    assert sorted(bundle["after"] for bundle in compacted) == [6, 11]
    for folder in ("evidence", "sample"):
        shutil.rmtree(tmp_path / folder)
    assert answers() == before
    again = command(capsys, *audit), command(capsys, *attribute)
    assert [one.found["computed"] for one in again] == [0, 0]
    other = command(capsys, "attribute", out, "--bundle", tiny, "--prior", "photograph=0.5")
    assert (other.code, other.found["computed"], other.found["seen"]) == (0, 4, 6)
    assert command(capsys, "verify", out, "--deep").found["findings"] == []


def without_files(answer: Answer) -> dict[str, object]:
    """An answer without how many files there are, and how large."""
    found = dict(answer.found)
    for bundle in found.get("bundles", []):
        bundle["tables"] = [{name: one[name] for name in ("table", "rows")} for one in bundle["tables"]]
    return {name: value for name, value in found.items() if name != "embeddings"}
