"""Small shards that are committed together: the same rows, receipts and accounts as alone, whatever is killed, in fewer files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.windowed_value import WindowedValue

from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import AttributedSlice, Shard
from causalprint.schemas.tables import TABLES
from causalprint.transforms.deal_shards import Planned, deal
from causalprint.transforms.tables import write_together
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.committed import closed, committed
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.packs import read_packs
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import pass_shard, pass_slice
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.unpack import unpack
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import rows_of_slice, write_slice
from causalprint.transforms.tables.write_together import CLOSED, WriteSlices
from tests.killed import KilledError, killed_after
from tests.outputs import BUNDLE_ID, files_below, output_at, rows, run_into, shards
from tests.samples import sample_slice

SHARDS = list(shards(35))
TWO_SLICES, BROKEN = SHARDS[7], SHARDS[12]
SLICES = [shard.slice_id(BUNDLE_ID, index) for shard in SHARDS for index in range(2 if shard == TWO_SLICES else 1)]
LOCAL = Storage()


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """No power is cut in these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@cache
def slices_of(shard: Shard, *, broken: bool) -> list[AttributedSlice]:
    if shard == BROKEN and broken:
        return [sample_slice(shard, images=0, rejects=0, damage="the connection broke", retryable=True)]
    count = 2 if shard == TWO_SLICES else 1
    return [sample_slice(shard, index, images=2, last=index == count - 1) for index in range(count)]


def audit(output: Output, run_id: str = "run", *, together: bool = True, broken: bool = False) -> list[str]:
    """What a worker does with all shards, one after another; returns the ids of the slices that it computed."""
    agree(output.root, output.storage, None, None)
    stored = Stored(output)
    computed: list[str] = []
    accounts: list[ShardAccount] = []
    ledgers: dict[Shard, Ledger] = {}
    writer = WriteSlices(write_slice, rows_of_slice, output)
    writer.start_bundle()

    def take(given: Iterator[object]) -> None:
        for one in given:
            value = one.value if isinstance(one, TaggedOutput) else one
            found = value.value if isinstance(value, WindowedValue) else value
            if isinstance(found, SliceReceipt):
                ledgers[found.shard] = ledgers.get(found.shard, Ledger(found.shard)).add(found)
            else:
                assert isinstance(found, ShardAccount)
                accounts.append(found)

    for portion in deal(Planned(tuple(SHARDS)), output, stored, together=together):
        for left in pass_shard(portion, output, stored):
            if isinstance(left, TaggedOutput):
                take(iter([left]))
                continue
            for attributed in (one for shard in left.shards for one in slices_of(shard, broken=broken)):
                source = replace(attributed.source, together=left.together)
                for passed in pass_slice(source, output, stored):
                    if isinstance(passed, TaggedOutput):
                        take(iter([passed]))
                    else:
                        computed.append(passed.slice_id)
                        fingerprinted = replace(attributed.fingerprinted, source=passed)
                        take(writer.process(replace(attributed, fingerprinted=fingerprinted)))
    take(writer.finish_bundle())
    accounts += [write_account(ledger.close(output.bundle_id), output) for ledger in ledgers.values()]
    write_run(accounts, run_into(output, run_id))
    return computed


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output in which every slice has its own files."""
    root = tmp_path_factory.mktemp("alone") / "OUT"
    audit(output_at(root), together=False)
    return root


def test_rows_receipts_and_accounts_are_those_of_slices_that_are_committed_alone(alone: Path, tmp_path: Path) -> None:
    output = output_at(tmp_path / "OUT")
    assert len(audit(output)) == 36
    packs = read_packs(output)
    assert len(packs.indexes) == 16
    assert {packs.shard_id(name) for name in packs.places} == {
        shard.shard_id(output.bundle_id) for shard in SHARDS if shard not in (TWO_SLICES, SHARDS[6], SHARDS[34])
    }, "a shard of two slices, the one beside it, and the last have files of their own"
    for table in TABLES:
        assert rows(tmp_path / "OUT", table).to_pylist() == rows(alone, table).to_pylist()
    assert [closed(output, shard) for shard in SHARDS] == [closed(output_at(alone), shard) for shard in SHARDS]
    assert audit(output, "run-2") == []
    assert verify(output.root, LOCAL, deep=True).findings == ()
    with open_audit(output.root) as tables:
        assert len(tables.findings.rows()) == 36 * 2
    unpack(output, list(packs.places))
    assert files_below(tmp_path / "OUT") == files_below(alone)


def test_killed_before_any_write_the_same_audit_comes_to_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole" / "OUT"
    written = killed_after(10**6, monkeypatch)
    audit(output_at(whole))
    first = next(number for number, path in enumerate(written) if path.startswith("packs/"))
    for number in (first - 3, first, first + 1, len(written) - 4):
        output = output_at(tmp_path / str(number) / "OUT")
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            audit(output)
        killed_after(10**6, monkeypatch)
        left = [one for one in SLICES if committed(output, one) is None]
        assert {one.kind for one in verify(output.root, LOCAL).findings} <= {"orphan", "missing"}
        assert sorted(audit(output)) == sorted(left)
        assert files_below(Path(output.root)) == files_below(whole)


def test_what_another_run_may_read_is_committed_alone_and_found_again(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit(output, broken=True)
    assert BROKEN.shard_id(output.bundle_id) not in read_packs(output).places
    assert audit(output, "run-2") == [BROKEN.slice_id(output.bundle_id, 0)]
    assert verify(output.root, LOCAL, deep=True).findings == ()


def test_what_has_files_of_its_own_gets_these_anew(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit(output, together=False)
    for path in tmp_path.glob("attributions/*/*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    verify(output.root, LOCAL, repair=True)
    assert len(audit(output, "run-2")) == 36
    assert verify(output.root, LOCAL, deep=True).findings == ()
    assert not read_packs(output).indexes


def test_what_cannot_be_written_together_is_written_alone(
    alone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> Iterator[str]:
        raise OSError("the disk is full")

    monkeypatch.setattr(write_together, "write_packs", fails)
    audit(output_at(tmp_path))
    assert files_below(tmp_path) == files_below(alone)
    assert "written by itself" in caplog.text


def test_beam_gets_accounts_and_receipts_also_of_the_last_slices(tmp_path: Path) -> None:
    slices = [sample_slice(shard, images=1) for shard in SHARDS[:5]]
    named = [
        replace(one.fingerprinted, source=replace(one.source, together="a" if n < 3 else "b")) for n, one in enumerate(slices)
    ]
    several = [replace(one, fingerprinted=fingerprinted) for one, fingerprinted in zip(slices, named, strict=True)]
    output = output_at(tmp_path)
    writer = WriteSlices(write_slice, rows_of_slice, output)
    with beam.Pipeline() as pipeline:
        # One element, so that no runner cuts between them.
        one_by_one = pipeline | beam.Create([several]) | beam.FlatMap(lambda each: each)
        written = one_by_one | beam.ParDo(writer).with_outputs(CLOSED, main="receipts")
        together = (written.closed, written.receipts) | beam.Flatten() | beam.Map(lambda one: type(one).__name__)
        _ = together | beam.combiners.Count.PerElement() | beam.Map(lambda found: (tmp_path / found[0]).write_text(str(found[1])))
    assert (tmp_path / "ShardAccount").read_text() == "5"
    assert not (tmp_path / "SliceReceipt").exists()
    assert len(read_packs(output).indexes) == 2
