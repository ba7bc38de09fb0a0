"""What the output's store does not take: one slice or account is left to another run, a store that takes nothing ends the run."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.elements import AttributedSlice, Shard
from causalprint.transforms.tables import output as module
from causalprint.transforms.tables.close_accounts import write_or_leave
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output, OutputError
from causalprint.transforms.tables.skip_committed import skip_shard, skip_slice
from causalprint.transforms.tables.write_tables import write_counted, write_slice
from tests.outputs import audit, files_below, output_at, slices_of
from tests.samples import sample_shard

SHARD = sample_shard()
PASSING = [
    OutputError("s3://a/b could not be written: ClientError: 503 Slow Down (tried 5 times); run the same command again"),
    OSError(errno.EIO, "Input/output error"),
    MemoryError(),
    ValueError("the account of slice 1 does not close; this is a bug"),
]


class ForbiddenError(Exception):
    """As a store's library raises it."""

    status = 403


def forbidden() -> OutputError:
    error = OutputError("s3://a/b could not be written: ForbiddenError")
    error.__cause__ = ForbiddenError()
    return error


FINAL = [
    OSError(errno.ENOSPC, "No space left on device"),
    PermissionError(errno.EACCES, "Permission denied"),
    OSError(errno.EROFS, "Read-only file system"),
    forbidden(),
]

Refuse = Callable[[Exception, str], None]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    module.unwritten.end()
    yield
    module.unwritten.end()


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Makes the store raise an error for every file whose path has some text in it."""

    def refuse_it(error: Exception, text: str) -> None:
        whole = Output.put

        def failing(self: Output, path: str, data: bytes) -> None:
            if text in path:
                raise error
            whole(self, path, data)

        monkeypatch.setattr(Output, "put", failing)

    return refuse_it


def write_all(output: Output, slices: list[AttributedSlice], shard: Shard = SHARD) -> ShardAccount:
    ledger = Ledger(shard)
    for each in slices:
        for receipt in list(skip_slice(each.source, output)) or [write_counted(each, write_slice, output)]:
            ledger = ledger.add(receipt)
    return write_or_leave(ledger.close(output.bundle_id), output)


@pytest.mark.parametrize("table", ["images", "attributions"])
@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_a_slice_that_is_not_written_is_left_to_the_next_run(
    error: Exception, table: str, tmp_path: Path, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, slices = output_at(tmp_path / "out"), slices_of(SHARD)
    refuse(error, f"{table}/bundle={output.bundle_id}/{slices[1].source.slice_id}")
    account = write_all(output, slices)
    monkeypatch.undo()
    assert (account.slices, account.complete, account.retryable) == (2, False, True)
    assert "slice 1 was not written" in (account.damage or "")
    assert ("please report this" in (account.damage or "")) == isinstance(error, ValueError)
    assert skip_shard(SHARD, output) is None
    assert write_all(output, slices).complete
    audit([SHARD], output_at(tmp_path / "whole"))
    whole = {path: data for path, data in files_below(tmp_path / "whole").items() if not path.startswith("runs/")}
    assert files_below(tmp_path / "out") == whole


def test_an_account_that_is_not_written_is_incomplete_until_the_next_run(
    tmp_path: Path, refuse: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, slices = output_at(tmp_path), slices_of(SHARD)
    refuse(PASSING[0], "shards/")
    account = write_all(output, slices)
    assert (account.slices, account.complete, account.retryable) == (3, False, True)
    assert (account.damage or "").startswith("its account was not written (OutputError: s3://a/b could not be written")
    monkeypatch.undo()
    found = skip_shard(SHARD, output)
    assert found is not None
    assert (found.slices, found.complete, found.damage) == (3, True, None)


@pytest.mark.parametrize("error", FINAL, ids=str)
def test_a_store_whose_answer_stays_the_same_ends_the_run_at_once(error: OSError, tmp_path: Path, refuse: Refuse) -> None:
    refuse(error, "images/")
    with pytest.raises(type(error)) as caught:
        write_counted(slices_of(SHARD)[0], write_slice, output_at(tmp_path))
    assert caught.value is error


def test_the_last_of_too_many_in_a_row_ends_the_run(tmp_path: Path, refuse: Refuse) -> None:
    output, slices = output_at(tmp_path), slices_of(SHARD, 6)
    refuse(PASSING[0], slices[0].source.slice_id)
    for each in (slices[0], slices[0], slices[1], slices[0], slices[0]):
        assert write_counted(each, write_slice, output).retryable == (each is slices[0])
    with pytest.raises(OutputError, match="slice 0 could not be written, nor 2 others before it: OutputError: s3://a"):
        write_counted(slices[0], write_slice, output)
