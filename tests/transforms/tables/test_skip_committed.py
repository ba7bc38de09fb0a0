from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.elements import ImageSlice, Portion
from causalprint.transforms.counting import FOLDER, Tally, read_tally
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import DONE, TO_DO, pass_shard, pass_slice, skip_shard, skip_slice
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import BUNDLE_ID, accounts_in, audit, files_below, output_at, receipts_in, shards, slices_of
from tests.samples import sample_shard, sample_slice

SHARD = sample_shard()


def source_of(index: int, *, last: bool = False, retryable: bool = False, damage: str | None = None) -> ImageSlice:
    return sample_slice(SHARD, index, images=0, rejects=0, last=last, damage=damage, retryable=retryable).fingerprinted.source


def found(receipt: SliceReceipt) -> SliceReceipt:
    return replace(receipt, computed=False)


def test_nothing_is_skipped_in_an_empty_output(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    assert skip_shard(SHARD, output) is None
    assert list(skip_slice(source_of(0), output)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_finished_audit_is_not_done_again(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    assert len(audit(list(shards(3)), output)) == 9
    before = files_below(tmp_path)
    assert audit(list(shards(3)), output, "again") == []
    assert files_below(tmp_path) == before


def test_a_new_shard_is_all_that_a_later_run_computes(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit(list(shards(2)), output)
    new = sample_shard(2)
    assert audit(list(shards(3)), output, "next night") == [new.slice_id(BUNDLE_ID, index) for index in range(3)]


def test_a_shard_that_changed_is_read_again_beside_its_old_version(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit([SHARD], output)
    before = files_below(tmp_path)
    changed = replace(SHARD, generation="2")
    assert len(audit([changed], output, "next")) == 3
    after = files_below(tmp_path)
    assert before.items() < after.items()
    assert {account.generation for account in accounts_in(output)} == {"1", "2"}


def test_another_bundle_writes_beside_the_old_one(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit([SHARD], output)
    other = replace(output, bundle_id="other-111111111111")
    assert skip_shard(SHARD, other) is None
    assert list(skip_slice(replace(source_of(0), slice_id=SHARD.slice_id(other.bundle_id, 0)), other)) == []


def test_a_shard_with_all_slices_and_no_account_is_closed_without_reading_it(tmp_path: Path) -> None:
    audit([SHARD], output_at(tmp_path / "whole"))
    output = output_at(tmp_path / "stopped")
    for attributed in slices_of(SHARD):
        write_slice(attributed, output)
    account = skip_shard(SHARD, output)
    assert account is not None
    assert (account.complete, account.slices, account.computed, account.seen) == (True, 3, 0, 21)
    assert files_below(tmp_path / "stopped") == files_below(tmp_path / "whole")


@pytest.mark.parametrize("there", [(0,), (0, 1), (1, 2), (2,)])
def test_a_shard_with_some_slices_is_read_and_those_are_not_computed(tmp_path: Path, there: tuple[int, ...]) -> None:
    output = output_at(tmp_path)
    for index in there:
        write_slice(slices_of(SHARD)[index], output)
    assert skip_shard(SHARD, output) is None
    assert audit([SHARD], output) == [SHARD.slice_id(BUNDLE_ID, index) for index in range(3) if index not in there]
    audit([SHARD], output_at(tmp_path / "whole"))
    assert {k: v for k, v in files_below(tmp_path).items() if not k.startswith("whole")} == files_below(tmp_path / "whole")


def test_images_without_attributions_are_computed_and_written_again(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit([SHARD], output)
    before = files_below(tmp_path)
    (tmp_path / output.path("attributions", SHARD.slice_id(BUNDLE_ID, 1))).unlink()
    (tmp_path / output.path("shards", SHARD.shard_id(BUNDLE_ID))).unlink()
    assert audit([SHARD], output, "again") == [SHARD.slice_id(BUNDLE_ID, 1)]
    assert files_below(tmp_path) == before


def test_a_shard_with_another_limit_is_read_again(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit([SHARD], output)
    limited = replace(SHARD, limit=7)
    assert skip_shard(limited, output) is None
    assert list(skip_slice(replace(source_of(0), shard=limited), output)) == []


def test_damaged_bytes_are_not_read_again_and_broken_connections_are(tmp_path: Path) -> None:
    for retryable in (False, True):
        output = output_at(tmp_path / str(retryable))
        write_slice(slices_of(SHARD)[0], output)
        end = sample_slice(SHARD, 1, images=0, rejects=0, damage="hole", retryable=retryable)
        if retryable:
            assert [receipt.retryable for receipt in skip_slice(end.fingerprinted.source, output)] == [True]
        else:
            write_slice(end, output)
        account = skip_shard(SHARD, output)
        assert (account is None) == retryable
        if account is not None:
            assert (account.complete, account.damage, account.retryable) == (False, "hole", False)


def test_where_a_connection_broke_before_slices_that_an_earlier_run_committed_they_count(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    written = [write_slice(attributed, output) for attributed in slices_of(SHARD, 6)[:4]]
    receipts = list(skip_slice(source_of(1, last=True, retryable=True, damage="lost"), output))
    assert receipts[:-1] == [found(receipt) for receipt in written[1:]]
    end = receipts[-1]
    assert (end.index, end.slice_id, end.last, end.damage, end.retryable) == (4, SHARD.slice_id(BUNDLE_ID, 4), True, "lost", True)


def test_where_a_connection_broke_and_earlier_runs_had_it_all_nothing_is_missing(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    written = [write_slice(attributed, output) for attributed in slices_of(SHARD, 4)]
    receipts = list(skip_slice(source_of(2, last=True, retryable=True, damage="lost"), output))
    assert receipts == [found(receipt) for receipt in written[2:]]


class KilledError(BaseException):
    """Stands for kill -9 where the moment is chosen: no code of the library catches it."""


@contextmanager
def killed_at(step: int) -> Iterator[list[int]]:
    """Stops at the ``step``-th call that makes something durable, with half of a file's bytes there where it is the file's."""
    fsync, rename = os.fsync, Path.replace
    steps = [0]

    def count() -> None:
        steps[0] += 1
        if steps[0] == step:
            raise KilledError

    def dying_fsync(descriptor: int) -> None:
        try:
            count()
        except KilledError:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise
        fsync(descriptor)

    def dying_rename(self: Path, target: Any) -> Path:
        count()
        return rename(self, target)

    with patch.object(os, "fsync", dying_fsync), patch.object(Path, "replace", dying_rename):
        yield steps


def test_a_run_killed_at_any_step_is_finished_by_the_next_which_computes_no_committed_slice(tmp_path: Path) -> None:
    whole = output_at(tmp_path / "whole")
    with killed_at(-1) as steps:
        everything = audit([SHARD], whole, count=2)
    assert steps[0] == 3 * (2 * 4 + 1 + 4), "three steps a file: its bytes, its name, its folder"
    expected = files_below(tmp_path / "whole")
    for step in range(1, steps[0] + 1):
        output = output_at(tmp_path / str(step))
        with killed_at(step), pytest.raises(KilledError):
            audit([SHARD], output, count=2)
        committed = {receipt.slice_id for receipt in receipts_in(output)}
        again = audit([SHARD], output, "again", count=2)
        assert sorted(again) == sorted(set(everything) - committed), f"killed at step {step}"
        assert files_below(tmp_path / str(step)) == expected, f"killed at step {step}"
        assert not list((tmp_path / str(step)).rglob("*.part")), f"killed at step {step}"
        found = verify(str(tmp_path / str(step)), output.storage, deep=True).findings
        assert {finding.path for finding in found} <= {OUTPUT_MARK}, "these runs agree on no settings"


@pytest.mark.slow
def test_a_run_killed_by_the_kernel_again_and_again_is_finished_at_last(tmp_path: Path) -> None:
    count = 25
    audit(list(shards(2)), output_at(tmp_path / "whole"), count=count)
    root = tmp_path / "killed"
    script = (
        f"import sys; from tests.outputs import *; audit_and_kill(sys.argv[1], shard_count=2, count={count}, seed=0, kills=5)"
    )
    environment = {"PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", script, str(root)], env=environment, check=True)
    output = output_at(root)
    committed = {receipt.slice_id for receipt in receipts_in(output)}
    assert 5 <= len(committed) < 2 * count
    again = audit(list(shards(2)), output, "again", count=count)
    assert len(again) == 2 * count - len(committed)
    assert not set(again) & committed
    assert files_below(root) == files_below(tmp_path / "whole")


def test_the_transforms_pass_on_what_is_to_do_and_stand_in_for_what_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = output_at(tmp_path / "out")
    done, todo = sample_shard(0), sample_shard(1)
    audit([done], output)
    kept = write_slice(slices_of(todo)[0], output)
    portions = [Portion((done,)), Portion((todo,)), *(Portion((done,), part, 2) for part in range(2))]
    sources = [attributed.fingerprinted.source for attributed in slices_of(todo)]
    progress = tmp_path / "progress"
    progress.mkdir()
    monkeypatch.setenv(FOLDER, str(progress))
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        of_shards = pipeline | "Shards" >> beam.Create(portions) | _split(pass_shard, output)
        of_slices = pipeline | "Slices" >> beam.Create(sources) | _split(pass_slice, output)
        assert_that(of_shards.to_do, equal_to(portions[1:]), "shards")
        assert_that(of_shards.done | beam.Map(_brief), equal_to([(done.uri, 3, 0, 21)]), "accounts")
        assert_that(of_slices.to_do, equal_to(sources[1:]), "slices")
        assert_that(of_slices.done, equal_to([found(kept)]), "receipts")
    assert read_tally(str(progress))[0] == Tally(kept=21 + 7, shards=1, shard_bytes=done.size, kept_bytes=done.size)


def _split(passed: Callable[[Any, Output], Iterator[Any]], output: Output) -> Any:
    return passed.__name__ >> beam.FlatMap(passed, output).with_outputs(DONE, main=TO_DO)


def _brief(account: ShardAccount) -> tuple[str, int, int, int]:
    return account.uri, account.slices, account.computed, account.seen
