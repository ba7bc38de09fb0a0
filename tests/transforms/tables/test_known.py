"""What is known of shards by the list of the run before, without asking for their accounts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from apache_beam.pvalue import TaggedOutput

from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import Drawn, Portion, Shard
from causalprint.transforms.deal_shards import Planned, deal
from causalprint.transforms.tables.known import known_accounts
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.run_shards import inputs_of
from causalprint.transforms.tables.skip_committed import skip_shard
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_manifest import account_digest, write_run
from tests.outputs import accounts_in, audit, output_at, run_into, shards, two_nights

INPUTS = inputs_of(run_into(Output("memory://nothing", "", "", Storage())))


def known(output: Output, given: list[Shard], inputs: str | None = INPUTS, retry: str | None = None) -> list[ShardAccount]:
    return list(known_accounts(given, inputs, output, Stored(output, retry)))


def test_a_list_tells_of_a_shard_what_its_account_does(tmp_path: Path) -> None:
    output = two_nights(tmp_path)
    _vanishes, changes, stays, comes = shards(4)
    now = [replace(changes, generation="2"), stays, comes]
    told = known(output, [*now, changes, replace(comes, generation="3")])
    assert [account.uri for account in told] == sorted(shard.uri for shard in now)
    by_files = [account for shard in now if (account := skip_shard(shard, output)) is not None]
    assert [account_digest(account) for account in told] == [account_digest(account) for account in by_files]
    assert set(told) <= {replace(account, computed=0) for account in accounts_in(output)}


def test_what_a_list_does_not_tell_for_sure_is_left_to_the_files(tmp_path: Path) -> None:
    output = two_nights(tmp_path)
    given = list(shards(4))[2]
    assert len(known(output, [given])) == 1
    assert known(output, [given], inputs="other") == known(output, [given], inputs=None) == []
    assert known(output, [given], retry="decode") == [], "images of it were rejected there"
    assert known(replace(output, bundle_id="other-000000000000"), [given]) == []
    assert known(output, [replace(given, limit=3)]) == known(output, [replace(given, limit=3, drawn=Drawn(9, 0))]) == []
    (tmp_path / output.path("images", given.slice_id(output.bundle_id, 1))).unlink()
    assert known(output, [given]) == [], "rows of it are gone"


@pytest.mark.parametrize("lost", ["shards", "attributions"])
def test_an_account_or_a_mark_that_is_gone_is_written_again(tmp_path: Path, lost: str) -> None:
    output = two_nights(tmp_path)
    given = list(shards(4))[2]
    name = given.shard_id(output.bundle_id) if lost == "shards" else given.slice_id(output.bundle_id, 0)
    (tmp_path / output.path(lost, name)).unlink()
    assert known(output, [given]) == []


def test_after_a_run_that_read_no_shard_what_it_wrote_counts(tmp_path: Path) -> None:
    output = two_nights(tmp_path)
    given = list(shards(4))[2]
    write_run([], replace(run_into(output, "20260103T000000Z-00000000"), forgets=True))
    assert known(output, [given]) == []


def test_what_is_known_is_not_dealt_out(tmp_path: Path) -> None:
    output = output_at(tmp_path)
    audit(list(shards(3)), output)
    given = tuple(shards(5))
    dealt = list(deal(Planned(given), output, Stored(output), inputs=INPUTS))
    assert sorted(one.value.uri for one in dealt if isinstance(one, TaggedOutput)) == [shard.uri for shard in given[:3]]
    assert {shard for one in dealt if isinstance(one, Portion) for shard in one.shards} == set(given[3:])
