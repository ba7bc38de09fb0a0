from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.accounts import RejectCount, ShardAccount, VerdictCount
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Portion, digest, limit_damage
from causalprint.schemas.runs import FileDigest, IncompleteShard, Totals
from causalprint.transforms.tables.close_accounts import CloseAccounts
from causalprint.transforms.tables.committed import bundle_ids, run_ids
from causalprint.transforms.tables.manifests import read_manifest
from causalprint.transforms.tables.seals import SealError
from causalprint.transforms.tables.skip_committed import DONE, TO_DO, pass_shard
from causalprint.transforms.tables.write_manifest import (
    WriteManifest,
    add_up,
    totals_of,
    without_secrets,
    write_run,
)
from causalprint.transforms.tables.write_tables import write_counted, write_slice
from tests.outputs import BUNDLE_ID, audit, files_below, output_at, run_into, slices_of
from tests.samples import sample_shard

LOCAL = Storage()


def account_of(number: int, *, damage: str | None = None, retryable: bool = False, limit: int | None = None) -> ShardAccount:
    shard = sample_shard(number)
    return ShardAccount(
        shard_id=shard.shard_id(BUNDLE_ID),
        uri=shard.uri,
        generation="1",
        size=1000,
        format="tar",
        slices=3,
        seen=10,
        attributed=8,
        rejected=2,
        resampled=1,
        skipped=1,
        complete=damage is None,
        damage=damage,
        retryable=retryable,
        limit=limit,
        computed=2,
        verdicts=(VerdictCount("known", "dalle-3", None, 3), VerdictCount("real", None, None, 5)),
        reasons=(RejectCount("decode", "empty", 2),),
    )


def total(accounts: list[ShardAccount]) -> Totals:
    return add_up(map(totals_of, accounts))


def test_totals_add_up_accounts() -> None:
    accounts = [
        account_of(0),
        account_of(1, damage="cut"),
        account_of(2, damage="lost", retryable=True),
        account_of(3, damage=limit_damage(10), limit=10),
        account_of(4, damage="cut", limit=10),
    ]
    found = total(accounts)
    assert replace(found, accounts="", closed=()) == Totals(
        shards=5,
        complete=1,
        limited=1,
        incomplete=3,
        retryable=1,
        shard_bytes=5000,
        slices=15,
        computed=10,
        seen=50,
        attributed=40,
        rejected=10,
        resampled=5,
        skipped=5,
        verdicts=(VerdictCount("known", "dalle-3", None, 15), VerdictCount("real", None, None, 25)),
        reasons=(RejectCount("decode", "empty", 10),),
        named=(
            IncompleteShard("s3://crawl/00001.tar", "cut", False),
            IncompleteShard("s3://crawl/00002.tar", "lost", True),
            IncompleteShard("s3://crawl/00004.tar", "cut", False),
        ),
    )


@given(st.integers(0, 250), st.integers(0, 250), st.randoms(use_true_random=False))
def test_at_most_a_hundred_incomplete_shards_are_named_and_always_the_same(count: int, cut: int, order: random.Random) -> None:
    accounts = [account_of(number, damage="cut") for number in range(count)]
    order.shuffle(accounts)
    totals = total(accounts[:cut]).plus(total(accounts[cut:]))
    assert totals.incomplete == count
    assert [shard.uri for shard in totals.named] == [sample_shard(number).uri for number in range(min(count, 100))]


def test_a_run_leaves_one_manifest_that_says_what_was_done(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    run = replace(run_into(output, "r1"), residual_digests=(FileDigest("prior.safetensors", "a" * 64),))
    done = sample_shard(0)
    audit([done], output, "r0")
    slices = slices_of(sample_shard(1))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        shards = pipeline | "Shards" >> beam.Create([Portion((done,))])
        skipped = shards | beam.FlatMap(pass_shard, output).with_outputs(DONE, main=TO_DO)
        written = pipeline | "Slices" >> beam.Create(slices) | beam.Map(write_counted, write_slice, output)
        _ = (skipped.done, written | CloseAccounts(output)) | beam.Flatten() | WriteManifest(run)
    assert run_ids(str(tmp_path), LOCAL) == ["r0", "r1"]
    assert bundle_ids(str(tmp_path), LOCAL) == [BUNDLE_ID]
    manifest = read_manifest(str(tmp_path), "r1", LOCAL)
    assert manifest is not None
    assert manifest.run == replace(run, config=without_secrets(run.config))
    assert (manifest.totals.shards, manifest.totals.complete, manifest.totals.slices, manifest.totals.computed) == (2, 2, 6, 3)
    assert (manifest.totals.seen, manifest.totals.attributed, manifest.totals.rejected) == (42, 30, 12)
    assert {"causalprint", "python", "torch", "diffusers", "pyarrow", "apache-beam"} <= {v.package for v in manifest.versions}
    finished = datetime.fromisoformat(manifest.finished)
    assert finished.utcoffset() is not None
    assert manifest.platform
    newest = max((path for path in tmp_path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    assert newest == tmp_path / "runs" / "r1.json", "the manifest is written last"


def test_receipts_that_an_engine_loses_and_accounts_that_it_repeats_change_no_account(tmp_path: Path) -> None:
    output = output_at(tmp_path / "out")
    shards = [sample_shard(0), sample_shard(1)]
    audit(shards, output_at(tmp_path / "whole"))
    audit(shards[:1], output)
    receipts = [write_slice(each, output) for each in slices_of(shards[1])]
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        repeated = pipeline | "Shards" >> beam.Create([Portion((shards[0],))] * 2)
        skipped = repeated | beam.FlatMap(pass_shard, output).with_outputs(DONE, main=TO_DO)
        closed = pipeline | "Receipts" >> beam.Create(receipts[1:2]) | CloseAccounts(output)
        _ = (skipped.done, closed) | beam.Flatten() | WriteManifest(run_into(output, "r1"))
    manifest = read_manifest(output.root, "r1", LOCAL)
    assert manifest is not None
    assert (manifest.totals.shards, manifest.totals.complete, manifest.totals.slices, manifest.totals.seen) == (2, 2, 6, 42)
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")


def test_a_run_that_found_no_shard_leaves_a_manifest_too(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create([]) | WriteManifest(run_into(output, "r1"))
    manifest = read_manifest(str(tmp_path), "r1", LOCAL)
    assert manifest is not None
    assert manifest.totals == Totals()


def test_a_run_that_did_not_finish_has_no_manifest(tmp_path: Path) -> None:
    assert read_manifest(str(tmp_path), "r1", LOCAL) is None
    assert run_ids(str(tmp_path), LOCAL) == []


def test_a_manifest_names_storage_options_and_keeps_their_secrets(tmp_path: Path) -> None:
    storage = Storage(json.dumps({"s3": {"key": "AKIA", "secret": "hush"}, "token": "hush"}))
    output = output_at(tmp_path, storage)
    audit([sample_shard()], output, "r1")
    text = (tmp_path / "runs" / "r1.json").read_text()
    assert "hush" not in text
    assert "AKIA" not in text
    assert "secret" in text
    assert "token" in text


def test_a_manifest_of_a_version_that_wrote_fewer_fields_is_whole(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    write_run([], run_into(output))
    path = tmp_path / "runs" / "run.json"
    written = json.loads(path.read_text())
    del written["run"]["scoring"], written["changes"]
    written["digest"] = digest(json.dumps(written | {"digest": ""}, ensure_ascii=False))
    path.write_text(json.dumps(written, indent=1, ensure_ascii=False))
    assert read_manifest(str(tmp_path), "run", Storage()) is not None
    written["finished"] = "2026-02-01T00:00:00+00:00"
    path.write_text(json.dumps(written, indent=1, ensure_ascii=False))
    with pytest.raises(SealError, match="is not what was written"):
        read_manifest(str(tmp_path), "run", Storage())
