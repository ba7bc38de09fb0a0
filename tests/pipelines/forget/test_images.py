"""Forgotten images: nothing of them is left, all else is as it was, and the accounts close."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.pipelines.commands.forget import told
from causalprint.pipelines.forget import ForgetReport
from causalprint.transforms.tables import output as writing
from causalprint.transforms.tables.skip_committed import skip_shard
from causalprint.transforms.tables.verify import verify
from tests.audits import command
from tests.outputs import (
    BUNDLE_ID,
    TABLES_OF_IMAGES,
    accounts_in,
    files_below,
    output_at,
    receipts_in,
    rows,
)
from tests.pipelines.forget.erased import (
    LOCAL,
    OTHER,
    SHARDS,
    begun,
    check_closed,
    computed,
    copied,
    forgotten,
    ids_in,
    texts_in,
    without,
)


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
    assert answer.found["elsewhere"] == [SHARDS[2].uri]
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


def test_shards_that_hold_the_same_images_are_named(copy: Path) -> None:
    first, _, copies = (shard.uri for shard in SHARDS)
    lines = list(told(forgotten(copy, shard=(first,), dry_run=True)))
    assert any(line.startswith(f"images of these shards lie in 1 more as well, {copies}: they are left there") for line in lines)
    assert forgotten(copy, shard=(first, copies)).elsewhere == ()
    assert not set(rows(copy, "images")["shard"].to_pylist()) & {first, copies}


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


def test_on_a_store_without_folders(whole: Path, tmp_path: Path) -> None:
    begun("memory://forget/OUT")
    root = copied(whole, tmp_path / "OUT")
    ids = tuple(ids_in(whole)[::3])
    for place in (root, "memory://forget/OUT"):
        forgotten(place, image_id=ids)
    assert verify("memory://forget/OUT", LOCAL, deep=True).findings == ()
    on_disk = files_below(root)
    assert all(writing.get("memory://forget/OUT", path, LOCAL) == data for path, data in on_disk.items())


@pytest.mark.parametrize("name", ["ids.txt", "ids.csv"])
def test_a_list_is_forgotten_as_its_digests_are(
    name: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other, listed = copied(copy, tmp_path / "other"), tmp_path / name
    ids = [*ids_in(copy)[::3], *(f"{number:064x}" for number in range(1000))]
    listed.write_text("\n".join([*["image_id"] * name.endswith("csv"), *map(str.upper, ids)]))
    answer = command(capsys, "forget", copy, "--image-id", f"@{listed}", "--image-id", ids_in(copy)[1])
    assert (answer.code, len(answer.found["unknown"])) == (0, 1000)
    forgotten(other, image_id=(*ids, ids_in(other)[1]))
    assert files_below(copy) == files_below(other)
    listed.write_text("\n".join([*["image_id"] * name.endswith("csv"), ids[1], "no digest"]))
    wrong = command(capsys, "forget", copy, "--image-id", f"@{listed}")
    assert (wrong.code, wrong.found["error"].startswith("1 values of ")) == (1, True)
    assert files_below(copy) == files_below(other)
