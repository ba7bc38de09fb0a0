"""Stored fingerprints scored slice by slice: on object stores, after a kill, and where an audit is not whole."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

from causalprint.models.bundles.bundle import Bundle
from causalprint.pipelines.attribute import execute, plan
from causalprint.pipelines.describe import CARD, CROISSANT
from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import AttributedSlice, Shard
from causalprint.schemas.runs import Totals
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_tables import write_slice
from tests.forks import Forks
from tests.outputs import accounts_in, files_below, receipts_in
from tests.samples import sample_shard, sample_slice
from tests.servers import ObjectStore

LOCAL = Storage()


def begun(root: str, bundle: Bundle, storage: Storage = LOCAL) -> Output:
    """The output of an audit by the bundle that has written nothing yet."""
    slicing = agree(root, storage, Slicing(), None).slicing
    told = bundle.fingerprint_digest
    return Output(root, bundle.bundle_id, bundle.digest, storage, slicing=slicing, fingerprint_digest=told)


def stored(output: Output, shard: Shard, slices: Sequence[AttributedSlice]) -> ShardAccount:
    """Writes made-up slices of a shard, and its account."""
    receipts = [write_slice(each, output) for each in slices]
    return write_account(reduce(Ledger.add, receipts, Ledger(shard)).close(output.bundle_id), output)


def made_up(output: Output, shard: Shard, count: int, images: int = 9) -> list[AttributedSlice]:
    by = output.bundle_id
    return [sample_slice(shard, n, bundle_id=by, images=images, rejects=2, last=n == count - 1) for n in range(count)]


def scored(output: Output, bundle: Bundle) -> tuple[Totals, Output]:
    """What a scoring of all that the output holds came to, and where it wrote."""
    planned = plan(AttributeConfig(output.root, str(bundle.directory), storage=output.storage))
    return execute(planned).totals, planned.output


def mine(receipts: list[SliceReceipt], output: Output) -> bool:
    return all(each.scored == (output.scored, output.bundle_id) for each in receipts)


def test_on_an_object_store_the_bytes_are_those_of_a_disk(s3_store: ObjectStore, tmp_path: Path, bundle: Bundle) -> None:
    shard = sample_shard()
    found = []
    for root, storage in ((str(tmp_path), LOCAL), (f"{s3_store.url}/OUT", s3_store.storage)):
        audits = begun(root, bundle, storage)
        theirs = stored(audits, shard, made_up(audits, shard, 2))
        totals, output = scored(audits, bundle)
        assert (totals.computed, totals.complete, totals.seen, totals.rejected) == (2, 1, 22, 4)
        assert scored(audits, bundle)[0].computed == 0
        assert mine(receipts_in(output), output)
        (account,) = accounts_in(output)
        assert (account.slice_ids, account.reasons) == (theirs.slice_ids, theirs.reasons)
        assert verify(root, storage, deep=True).findings == ()
        found.append(output)
    kept = [name.removeprefix("OUT/") for name in s3_store.names() if not {"runs", "packs"} & {*name.split("/")}]
    names = {*kept} - {CROISSANT, CARD, "views.sql"}
    on_disk = files_below(tmp_path)
    assert names == on_disk.keys()
    assert all(s3_store.get(f"OUT/{name}") == on_disk[name] for name in names)


def test_accounts_are_as_complete_as_the_audits_and_grow_with_them(tmp_path: Path, bundle: Bundle) -> None:
    audits = begun(str(tmp_path), bundle)
    cut, lost, whole, column = sample_shard(0), sample_shard(1), sample_shard(2), replace(sample_shard(3), columns=("a",))
    other = replace(column, columns=("b",))
    slices = made_up(audits, cut, 3)

    def broken(shard: Shard, index: int) -> AttributedSlice:
        return sample_slice(shard, index, bundle_id=audits.bundle_id, retryable=True, damage="the connection broke")

    told = stored(audits, cut, [*slices[:2], broken(cut, 2)])
    assert (told.complete, told.damage) == (False, "the connection broke")
    stored(audits, lost, [broken(lost, 0)])
    for shard in (whole, column, other):
        stored(audits, shard, made_up(audits, shard, 2))
    totals, output = scored(audits, bundle)
    assert (totals.shards, totals.complete, totals.incomplete, totals.retryable, totals.slices) == (5, 3, 2, 2, 8)
    ours = {each.shard_id: each for each in accounts_in(output)}
    assert ours.keys() == {shard.shard_id(output.bundle_id) for shard in (cut, lost, whole, column, other)}
    for theirs in accounts_in(audits):
        (same,) = (each for each in ours.values() if each.slice_ids == theirs.slice_ids)
        names = ("uri", "complete", "damage", "retryable", "seen", "rejected", "resampled", "skipped_kinds", "reasons")
        assert [getattr(same, name) for name in names] == [getattr(theirs, name) for name in names]
    assert verify(str(tmp_path), LOCAL, deep=True).findings == ()
    assert scored(audits, bundle)[0].computed == 0
    stored(audits, cut, slices)  # the audit goes on
    again, _ = scored(audits, bundle)
    assert (again.computed, again.complete, again.slices) == (1, 4, 9)
    assert verify(str(tmp_path), LOCAL, deep=True).findings == ()


def test_a_slice_that_the_audit_wrote_anew_is_scored_anew(tmp_path: Path, bundle: Bundle) -> None:
    audits = begun(str(tmp_path), bundle)
    shard = sample_shard()
    slices = made_up(audits, shard, 2)
    stored(audits, shard, slices)
    before = scored(audits, bundle)[1]
    more = sample_slice(shard, 1, bundle_id=audits.bundle_id, images=11, rejects=0)
    stored(replace(audits, replaces=True), shard, [slices[0], more])
    assert {one.path for one in verify(str(tmp_path), LOCAL).findings} == {before.path(before.mark, more.source.slice_id)}
    totals, output = scored(audits, bundle)
    assert (output.bundle_id, totals.computed, totals.attributed) == (before.bundle_id, 1, 20)
    assert verify(str(tmp_path), LOCAL).findings == ()


def test_a_slice_without_its_mark_is_left_to_the_audit(tmp_path: Path, bundle: Bundle) -> None:
    audits = begun(str(tmp_path), bundle)
    shard = sample_shard()
    account = stored(audits, shard, made_up(audits, shard, 2))
    (tmp_path / audits.path(audits.mark, account.slice_ids[0])).unlink()
    totals, _ = scored(audits, bundle)
    assert (totals.computed, totals.incomplete, totals.retryable) == (1, 1, 1)
    assert "run the audit again" in totals.named[0].damage


def test_after_a_kill_the_same_command_goes_on(tmp_path: Path, bundle: Bundle, forks: Forks) -> None:
    audits = begun(str(tmp_path / "whole"), bundle)
    for number in range(4):
        shard = sample_shard(number)
        stored(audits, shard, made_up(audits, shard, 6, images=300))
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "whole", killed)
    _, output = scored(audits, bundle)
    whole = files_below(tmp_path / "whole")
    arguments = ("attribute", killed, "--bundle", bundle.directory, "--json")
    running = forks.start(*arguments)
    marks = killed / output.folder(output.mark)
    deadline = time.monotonic() + 60
    while running.runs and not list(marks.glob("*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.002)
    running.kill()
    running.wait()
    kept = {path: path.stat().st_mtime_ns for path in marks.glob("*.parquet")}
    assert 0 < len(kept) < 24, "it was killed between two slices"
    assert not list((killed / "runs").glob("*.json"))
    assert forks.run(*arguments).code == 0
    assert files_below(killed) == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept, "what was committed is not written again"
