"""Forgotten images: nothing of them is left, all else is as it was, the accounts close, and a kill costs nothing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import reduce
from itertools import count
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.pvalue import TaggedOutput
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.pipelines import forget_runs
from causalprint.pipelines.commands.forget import ForgetConfig
from causalprint.pipelines.forget import ForgetReport, forget
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas import runs
from causalprint.schemas.accounts import Scored, SliceReceipt, receipt_of, spread
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import AttributedSlice, Shard, Slice
from causalprint.transforms.score_embeddings import KEPT, AuditedShard, ScoredSlice, close_scored, pass_audited, write_scored
from causalprint.transforms.tables import output as writing
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.forget import ForgetError
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import skip_shard
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import verdict_counts, write_slice
from tests.audits import command
from tests.outputs import (
    BUNDLE_ID,
    NIGHTS,
    TABLES_OF_IMAGES,
    accounts_in,
    audit,
    files_below,
    output_at,
    receipts_in,
    rows,
    run_into,
    slices_of,
)
from tests.samples import sample_shard
from tests.transforms.tables.test_signatures import keys

LOCAL = Storage()
OTHER = "other-000000000000"
SHARDS = tuple(sample_shard(number) for number in range(3))


class KilledError(BaseException):
    """As if the process were gone."""


def begun(root: str, storage: Storage = LOCAL) -> Output:
    """Two slices each of three shards, of which the last repeats images of the first; and other verdicts on two of them."""
    agree(root, storage, None, None)
    output = output_at(root, storage)
    other = replace(output, bundle_id=OTHER, scored=BUNDLE_ID)
    accounts, others = [], []
    for shard in SHARDS:
        slices = [marked(each, SHARDS[0] if shard == SHARDS[2] else shard) for each in slices_of(shard, 2)]
        receipts = [write_slice(each, output) for each in slices]
        accounts.append(write_account(reduce(Ledger.add, receipts, Ledger(shard)).close(BUNDLE_ID), output))
        if shard != SHARDS[1]:
            scored = [write_scored(other_verdicts(*pair, other), other) for pair in zip(slices, receipts, strict=True)]
            others.append(write_account(close_scored(reduce(Ledger.add, scored, Ledger(shard)), other), other))
    write_run(accounts, run_into(output, NIGHTS[0]))
    write_run(others, replace(run_into(other, NIGHTS[1]), config=AttributeConfig(root, storage=storage), bundle_id=OTHER))
    return output


def marked(attributed: AttributedSlice, shard: Shard) -> AttributedSlice:
    """The slice with digests, names and sidecars of which nothing else in the output holds a part, but copies of the images."""
    fingerprinted, word = attributed.fingerprinted, shard.uri[-9:-4]

    def with_words(batch: pa.RecordBatch) -> pa.RecordBatch:
        table = pa.table(batch)
        for name in ("image_id", "member", "metadata"):
            if name in table.column_names:
                kind = "%064x" if name == "image_id" else '{"url": "https://example.org/%x"}' if name == "metadata" else "%x.jpg"
                values = [kind % int(f"a{word}{member[:9]}", 16) for member in batch["member"].to_pylist()]
                table = table.set_column(table.column_names.index(name), batch.schema.field(name), pa.array(values))
        return table.combine_chunks().to_batches()[0]

    tables = {name: with_words(getattr(fingerprinted, name)) for name in ("images", "embeddings", "rejects")}
    return AttributedSlice(replace(fingerprinted, **tables), with_words(attributed.attributions))


def other_verdicts(attributed: AttributedSlice, receipt: SliceReceipt, other: Output) -> ScoredSlice:
    verdicts = attributed.attributions
    source = Slice(**spread(receipt, Slice))
    own = receipt_of(source, verdicts.num_rows, verdict_counts(verdicts), receipt.reasons, receipt.resampled)
    return ScoredSlice(source, replace(own, files=receipt.files, scored=Scored(BUNDLE_ID, other.bundle_id)), verdicts)


@pytest.fixture(autouse=True, scope="module")
def clock() -> Iterator[None]:
    """Seconds pass from run to run, so that none waits for the next."""
    seconds = count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forget_runs, "new_run", lambda: (f"{20260201 + next(seconds)}T000000Z-00000000", "2026-02-01T00:00:00"))
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole") / "OUT"
    begun(str(root))
    return root


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return copied(whole, tmp_path / "OUT")


def copied(whole: Path, root: Path) -> Path:
    return Path(shutil.copytree(whole, root))


def forgotten(root: Path | str, storage: Storage = LOCAL, **asked: tuple[str, ...] | str | bool) -> ForgetReport:
    return forget(ForgetConfig(str(root), storage=storage, **asked))  # type: ignore[arg-type]


def ids_in(root: Path) -> list[str]:
    """All digests, each once."""
    return sorted({*rows(root, "images")["image_id"].to_pylist(), *rows(root, "rejects")["image_id"].to_pylist()})


def without(table: pa.Table, ids: set[str]) -> list[dict[str, object]]:
    return [row for row in table.to_pylist() if row["image_id"] not in ids]


def texts_in(root: Path) -> Iterator[str]:
    """All that any file says, as bytes and as rows."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            yield path.read_bytes().decode("latin-1")
            if path.suffix == ".parquet":
                yield str(pq.read_table(path, partitioning=None).to_pylist())


def check_closed(root: Path) -> None:
    """Every account closes, in the tables and in what the audit is now, and nothing is wrong."""
    assert verify(str(root), LOCAL, deep=True).findings == ()
    with open_audit(str(root)) as tables:
        ((missing, verdicts, rejects, twice),) = tables._connection.execute(
            """SELECT sum(seen) - sum(attributed) - sum(rejected) - sum(forgotten),
                      sum(attributed) - (SELECT count(*) FROM current_attributions),
                      sum(rejected) - (SELECT count(*) FROM current_rejects), count(*) - count(DISTINCT uri)
               FROM current_shards"""
        ).fetchall()
    assert (missing, verdicts, rejects, twice) == (0, 0, 0, 0)


def computed(output: Output) -> list[str]:
    """The shards that an audit would read again."""
    return [shard.uri for shard in SHARDS if skip_shard(shard, output) is None]


@settings(max_examples=5)
@given(data=st.data())
def test_nothing_of_them_is_left_and_all_else_is_as_it_was(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    root = copied(whole, tmp_path_factory.mktemp("some") / "OUT")
    ids = set(data.draw(st.lists(st.sampled_from(ids_in(whole)), min_size=1, unique=True)))
    report = forgotten(root, image_id=tuple(ids))
    assert report.unknown == ()
    for table in TABLES_OF_IMAGES:
        assert rows(root, table).to_pylist() == without(rows(whole, table), ids)
    for text in texts_in(root):
        assert not any(one in text or f"{int(one, 16):x}" in text for one in ids)
    check_closed(root)
    lost = sum(account.forgotten for account in accounts_in(output_at(root)))
    assert lost == sum(one.images for one in report.bundles if one.bundle_id == BUNDLE_ID) >= len(ids)
    assert computed(output_at(root)) == []
    again = files_below(root)
    assert forgotten(root, image_id=tuple(ids)) == ForgetReport(str(root), dry_run=False, bundles=(), unknown=tuple(sorted(ids)))
    assert files_below(root) == again


def test_in_two_steps_the_bytes_are_those_of_one(copy: Path, tmp_path: Path) -> None:
    other = copied(copy, tmp_path / "other")
    first, second, *_ = ids = tuple(ids_in(copy)[::4])
    forgotten(copy, image_id=(first,))
    forgotten(copy, image_id=ids[1:])
    forgotten(other, image_id=ids)
    assert second in ids[1:]
    assert files_below(copy) == files_below(other)


def test_killed_between_any_two_writes_the_same_command_finishes_it(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image, *_), (reject, *_) = (rows(whole, table)["image_id"].to_pylist() for table in ("images", "rejects"))
    ids = (image, reject)
    done = copied(whole, tmp_path / "done" / "OUT")
    (done / "report.html").touch()
    written = killed_after(10**6, monkeypatch)
    report = forgotten(done, image_id=ids)
    expected, many = files_below(done), len(written)
    assert {path for path, data in files_below(whole).items() if expected[path] != data} == set(written) & expected.keys()
    assert report.removed == ("report.html",)
    assert many > 15
    for number in range(many):
        root = copied(whole, tmp_path / str(number) / "OUT")
        (root / "report.html").touch()
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            forgotten(root, image_id=ids)
        killed_after(10**6, monkeypatch)
        found = verify(str(root), LOCAL, deep=True).findings
        assert all("if a causalprint forget was stopped, the same command finishes it" in one.detail for one in found), found
        forgotten(root, image_id=ids)
        assert files_below(root) == expected
        if number % 6 == 5:
            check_closed(root)


def killed_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Has the process die at its next write or removal after so many of them; returns their paths, as they come."""
    monkeypatch.undo()
    done: list[str] = []
    put, remove = writing._put_local, Output.remove

    def one_more(path: str) -> None:
        if len(done) >= writes:
            raise KilledError
        done.append(path.rpartition("/OUT/")[2])

    def counted_put(path: Path, data: bytes, part: Path, *, exclusive: bool) -> None:
        one_more(path.as_posix())
        put(path, data, part, exclusive=exclusive)

    def counted_remove(self: Output, path: str) -> None:
        one_more(path)
        remove(self, path)

    monkeypatch.setattr(forget_runs, "describe", lambda *_: None)  # no table of it
    monkeypatch.setattr(writing, "_put_local", counted_put)
    monkeypatch.setattr(Output, "remove", counted_remove)
    return done


def test_another_command_does_not_go_on_from_one_that_was_stopped(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = rows(copy, "images")["image_id"].to_pylist()
    killed_after(1, monkeypatch)
    with pytest.raises(KilledError):
        forgotten(copy, image_id=(first,))
    monkeypatch.undo()
    with pytest.raises(ForgetError, match="if another causalprint forget was stopped, run that again first"):
        forgotten(copy, image_id=(second,))
    forgotten(copy, image_id=(first,))
    forgotten(copy, image_id=(second,))
    check_closed(copy)


def test_a_shard_keeps_its_account(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = SHARDS[0].uri
    before = rows(copy, "images")
    assert command(capsys, "forget", copy, "--shard", uri, "--dry-run").found["bundles"] == [
        {"bundle_id": BUNDLE_ID, "shards": 1, "slices": 2, "images": 14},
        {"bundle_id": OTHER, "shards": 1, "slices": 2, "images": 10},
    ]
    assert rows(copy, "images") == before
    answer = command(capsys, "forget", copy, "--shard", uri)
    assert (answer.code, answer.found["dry_run"], answer.found["unknown"], answer.found["again"]) == (0, False, [], 0)
    (account,) = (account for account in accounts_in(output_at(copy)) if account.uri == uri)
    assert (account.seen, account.attributed, account.rejected, account.forgotten, account.complete) == (14, 0, 0, 14, True)
    for table in TABLES_OF_IMAGES:
        left = rows(copy, table)["shard"].to_pylist()
        assert (uri in left, SHARDS[1].uri in left) == (False, True)
    check_closed(copy)
    assert computed(output_at(copy)) == []
    assert skip_shard(replace(SHARDS[0], generation="2"), output_at(copy)) is None, "another version is read"
    assert command(capsys, "forget", copy, "--shard", uri).found["bundles"] == []
    wrong = command(capsys, "forget", copy, "--shard", "s3://crawl/9.tar")
    assert (wrong.code, "no shard of the output is called s3://crawl/9.tar" in wrong.found["error"]) == (1, True)


def test_a_bundle_goes_with_all_it_wrote_unless_others_scored_its_fingerprints(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(ForgetError, match=f"--bundle {OTHER} first"):
        forgotten(copy, bundle=BUNDLE_ID)
    forgotten(copy, bundle=OTHER)
    assert not [path for path in copy.rglob("*") if OTHER in path.name]
    check_closed(copy)
    with open_audit(str(copy)) as tables:
        assert {row["bundle"] for row in tables.findings.rows()} == {BUNDLE_ID}
        assert len(tables.findings.rows()) == 30
    forgotten(copy, bundle=BUNDLE_ID)
    assert not list(copy.rglob("*.parquet"))
    with pytest.raises(ForgetError, match="holds nothing by a bundle"):
        forgotten(copy, bundle=BUNDLE_ID)


def test_a_bundle_goes_whenever_the_command_is_killed(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = killed_after(10**6, monkeypatch)
    forgotten(copied(whole, tmp_path / "done" / "OUT"), bundle=OTHER)
    expected = files_below(tmp_path / "done" / "OUT")
    for number in range(len(written)):
        root = copied(whole, tmp_path / str(number) / "OUT")
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            forgotten(root, bundle=OTHER)
        killed_after(10**6, monkeypatch)
        assert all(OTHER in one.path or one.path.startswith("runs/") for one in verify(str(root), LOCAL, deep=True).findings)
        forgotten(root, bundle=OTHER)
        assert files_below(root) == expected
        assert not list(root.glob(f"*/*{OTHER}*"))
        check_closed(root)


def test_later_runs_compute_nothing_of_it_again(copy: Path) -> None:
    output = output_at(copy)
    forgotten(copy, image_id=tuple(ids_in(copy)[::2]))
    scoring = replace(output, bundle_id=OTHER, scored=BUNDLE_ID)
    for shard in (SHARDS[0], SHARDS[2]):
        (kept,) = pass_audited(AuditedShard(shard.shard_id(BUNDLE_ID), shard.size), scoring)
        assert isinstance(kept, TaggedOutput)
        assert kept.tag == KEPT
    for receipt in receipts_in(output):
        assert receipt.reasons
        assert not Stored(output, retry="decode").is_to_retry(receipt), "tried again, its images would come back"
    assert audit(list(SHARDS), output, "20270101T000000Z-00000000") == []
    assert query(copy, "SELECT DISTINCT state FROM current_shards") == [{"state": "kept"}]
    check_closed(copy)


def test_slices_that_were_not_committed_go_and_may_come_back(copy: Path) -> None:
    output = output_at(copy)
    first = next(receipt for receipt in receipts_in(output) if receipt.shard == SHARDS[1])
    for path in (output.path("shards", SHARDS[1].shard_id(BUNDLE_ID)), output.path(output.mark, first.slice_id)):
        output.remove(path)
    part = copy / f"images/bundle={BUNDLE_ID}/.killed.parquet.part"
    part.touch()
    assert forgotten(copy, shard=(SHARDS[1].uri,)).again == 1
    assert not part.exists()
    assert not list(copy.rglob(f"{first.slice_id}*"))
    assert SHARDS[1].uri not in rows(copy, "images")["shard"].to_pylist()


@pytest.mark.parametrize("named", [1, 1000])
def test_what_was_signed_is_signed_again(
    named: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LISTED", named)
    begun(str(tmp_path / "OUT"))
    copy, own = tmp_path / "OUT", keys(tmp_path, "own")
    command(capsys, "verify", copy, "--sign", own.private)
    assert forgotten(copy, image_id=tuple(ids_in(copy)[:1])).signed
    unsigned = command(capsys, "verify", copy, "--key", own.public)
    assert {one["kind"] for one in unsigned.found["findings"]} == {"unsigned"}
    command(capsys, "verify", copy, "--sign", own.private)
    assert command(capsys, "verify", copy, "--key", own.public).code == 0


def query(root: Path, sql: str) -> list[dict[str, object]]:
    with open_audit(str(root)) as tables:
        return tables.sql(sql).rows()


def test_on_a_store_without_folders(whole: Path, tmp_path: Path) -> None:
    begun("memory://forget/OUT")
    root = copied(whole, tmp_path / "OUT")
    ids = tuple(ids_in(whole)[::3])
    for place in (root, "memory://forget/OUT"):
        forgotten(place, image_id=ids)
    assert verify("memory://forget/OUT", LOCAL, deep=True).findings == ()
    on_disk = files_below(root)
    assert all(writing.get("memory://forget/OUT", path, LOCAL) == data for path, data in on_disk.items())
