"""Folders of image files, and image files by themselves."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from dataclasses import replace
from functools import reduce
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats.members import open_shard, read_member
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.storage import ShardSource
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.skip_committed import skip_shard, skip_slice
from causalprint.transforms.tables.stored import Stored
from causalprint.transforms.tables.write_tables import write_slice
from tests.samples import sample_slice
from tests.shards import make_samples, write_folder
from tests.transforms.formats.reading import FAST, read_all

SAMPLES = make_samples(6, kinds=("JPEG", "PNG", "WEBP"))
JPEG = SAMPLES[0].data


def test_images_come_by_name_with_their_sidecars_and_the_rest_is_skipped(tmp_path: Path) -> None:
    files = {
        "b.jpg": JPEG,
        "a.png": SAMPLES[1].data,
        "a.json": b'{"url": "u"}',
        "a.txt": b"a cat",
        "b.jpg.json": b'{"n": 1}',
        "orphan.json": b"{}",
        "notes.md": b"#",
        "scores.npy": b"\x93NUMPY",
        "no-suffix": JPEG,
        "other": b"hello",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.jpg").write_bytes(JPEG)
    account = read_all(tmp_path)
    assert [(image.member, image.offset) for image in account.images] == [("a.png", 0), ("b.jpg", 0), ("no-suffix", 0)]
    told = [image.metadata and json.loads(image.metadata) for image in account.images]
    assert told == [{"url": "u", "txt": "a cat"}, {"n": 1}, None]
    assert sorted(each.member for each in account.skipped) == ["notes.md", "orphan.json", "other", "scores.npy"]
    assert account.damage is None


def test_empty_and_too_large_files_are_rejected(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"")
    (tmp_path / "b.jpg").write_bytes(JPEG * 2)
    account = read_all(tmp_path, replace(FAST, max_encoded_bytes=len(JPEG)))
    assert [(each.member, each.reason) for each in account.rejects] == [("a.jpg", Reason.EMPTY), ("b.jpg", Reason.TOO_LARGE)]


def test_a_folder_that_changes_is_another_generation_and_is_not_mixed(tmp_path: Path) -> None:
    write_folder(SAMPLES, tmp_path / "photos")
    shard = open_shard((tmp_path / "photos").as_uri(), Storage())
    slices = []
    for each in read_slices(shard, "bundle", Slicing(images=2), Storage()):
        slices.append(each)
        (tmp_path / "photos" / "new.jpg").write_bytes(JPEG)
    assert [(each.seen, each.retryable) for each in slices] == [(2, False), (0, True)]
    assert open_shard(shard.uri, Storage()).generation != shard.generation


def test_a_file_that_vanishes_is_retryable_and_never_a_silent_gap(tmp_path: Path) -> None:
    write_folder(SAMPLES, tmp_path / "photos")
    shard = open_shard((tmp_path / "photos").as_uri(), Storage())
    slices = []
    for each in read_slices(shard, "bundle", Slicing(images=2), Storage(), FAST):
        slices.append(each)
        (tmp_path / "photos" / SAMPLES[5].member).unlink(missing_ok=True)
    assert slices[-1].retryable
    assert sum(each.seen for each in slices) == 2


def refuse(monkeypatch: pytest.MonkeyPatch, error: Exception, *names: str) -> None:
    """Makes the disk give none of the files of these names."""
    whole = ShardSource._attempt

    def attempt(self: ShardSource, start: int, end: int, path: str | None = None) -> bytes:
        if path and Path(path).name in names:
            raise error
        return whole(self, start, end, path)

    monkeypatch.setattr(ShardSource, "_attempt", attempt)


REFUSALS = [PermissionError(errno.EACCES, "Permission denied"), OSError(errno.EIO, "Input/output error")]


@pytest.mark.parametrize("error", REFUSALS, ids=str)
@pytest.mark.parametrize("images", [1, 2, 6])
def test_a_file_that_the_store_does_not_give_costs_itself_until_it_does(
    images: int, error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(SAMPLES, tmp_path / "photos")
    shard = open_shard((tmp_path / "photos").as_uri(), Storage())
    whole = list(read_slices(shard, "bundle", Slicing(images), Storage(), FAST))
    with monkeypatch.context() as patched:
        refuse(patched, error, SAMPLES[2].member)
        parts = list(read_slices(shard, "bundle", Slicing(images), Storage(), FAST))
    assert [image.data for part in parts for image in part.images] == [
        sample.data for number, sample in enumerate(SAMPLES) if number != 2
    ]
    assert [part.unfinished for part in parts] == [2 in range(first, first + images) for first in range(0, 6, images)]
    assert not any(part.rejects or part.retryable for part in parts)
    for part, before in zip(parts, whole, strict=True):
        assert part.unfinished or part == before
        assert not part.unfinished or type(error).__name__ in (part.damage or "")


def test_what_is_unfinished_is_written_and_done_again_and_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(SAMPLES, tmp_path / "photos")
    shard = open_shard((tmp_path / "photos").as_uri(), Storage())
    output = Output(str(tmp_path / "out"), "bundle", "0" * 64, Storage())

    def account() -> tuple[ShardAccount, list[int]]:
        ledger, done = Ledger(shard), []
        stored = Stored(output)
        for part in read_slices(shard, "bundle", Slicing(2), Storage(), FAST):
            receipts = list(skip_slice(part, output, stored))
            if not receipts:
                done.append(part.index)
                rows = sample_slice(shard, part.index, bundle_id="bundle", images=len(part.images), rejects=0, last=part.last)
                source = replace(rows.fingerprinted.source, damage=part.damage, unfinished=part.unfinished)
                receipts = [write_slice(replace(rows, fingerprinted=replace(rows.fingerprinted, source=source)), output)]
            ledger = reduce(Ledger.add, receipts, ledger)
        return write_account(ledger.close("bundle"), output), done

    with monkeypatch.context() as patched:
        refuse(patched, REFUSALS[0], SAMPLES[2].member)
        first, done = account()
        assert (first.seen, first.attributed, first.complete, first.retryable, done) == (5, 5, False, True, [0, 1, 2])
        assert f"'{SAMPLES[2].member}' could not be read" in (first.damage or "")
        assert account() == (replace(first, computed=1), [1])
    assert skip_shard(shard, output) is None
    second, done = account()
    assert (second.seen, second.complete, second.retryable, second.damage, done) == (6, True, False, None, [1])
    assert skip_shard(shard, output) == replace(second, computed=0)


@pytest.mark.parametrize(("name", "plain"), [(f"{SAMPLES[2].key}.json", [SAMPLES[2].member, "silent"]), ("silent", [])])
def test_a_sidecar_that_is_not_given_costs_itself_and_makes_later_slices_uncertain(
    name: str, plain: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(SAMPLES[:3], tmp_path / "photos")
    (tmp_path / "photos" / "silent").write_bytes(JPEG)
    shard = open_shard((tmp_path / "photos").as_uri(), Storage())
    refuse(monkeypatch, REFUSALS[0], name)
    parts = list(read_slices(shard, "bundle", Slicing(1), Storage(), FAST))
    images = [image for part in parts for image in part.images]
    assert len(images) == 4 - (name == "silent")
    assert [image.member for image in images if image.metadata is None] == plain
    first = 2 if plain else 3
    assert [part.unfinished for part in parts] == [place >= first for place in range(len(parts))]


def test_a_store_that_gives_no_file_any_more_ends_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = make_samples(20)
    write_folder(samples, tmp_path / "photos")
    shard = open_shard((tmp_path / "photos").as_uri(), Storage())
    refuse(monkeypatch, REFUSALS[0], *(sample.member for sample in samples[5:]))
    parts = list(read_slices(shard, "bundle", Slicing(2), Storage(), FAST))
    assert [(len(part.images), part.retryable, part.unfinished) for part in parts] == [
        (2, False, False),
        (2, False, False),
        (1, False, True),
        *[(0, False, True)] * 2,
        (0, True, False),
    ][: len(parts)]
    assert parts[-1].retryable


def test_an_image_file_by_itself_that_is_not_given_is_retryable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.jpg").write_bytes(JPEG)
    shard = open_shard((tmp_path / "a.jpg").as_uri(), Storage())
    refuse(monkeypatch, REFUSALS[0], "a.jpg")
    (only,) = read_slices(shard, "bundle", Slicing(), Storage(), FAST)
    assert (only.seen, only.retryable, only.unfinished) == (0, True, False)


SIDECARS = st.sets(st.sampled_from(["{stem}.json", "{stem}.txt", "{name}.json", "{name}.txt", "x{stem}.txt", "{stem}"]))


@given(stem=st.text("ab. [-#", min_size=1).filter(lambda stem: stem.strip(". ")), sidecars=SIDECARS, others=st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_an_image_file_by_itself_is_read_as_in_its_folder(stem: str, sidecars: set[str], others: int) -> None:
    name = f"a{stem}.jpg"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / name).write_bytes(JPEG)
        for pattern in sidecars:
            (folder / pattern.format(stem=f"a{stem}", name=name)).write_bytes(b'{"url": "u"}')
        for number in range(others):
            (folder / f"{number}.jpg").write_bytes(SAMPLES[number].data)
        (shard,) = match_shards([str(folder / name)], Storage())
        account = read_all(shard.uri)
        assert account.images == [image for image in read_all(folder).images if image.member == name]
        assert (account.rejects, account.skipped, account.damage) == ([], [], None)
        assert read_member(shard.uri, name, 0).data == JPEG


def test_the_generation_of_an_image_file_is_that_of_it_and_its_sidecars(tmp_path: Path) -> None:
    write_folder(SAMPLES, tmp_path / "photos")
    first, second = (tmp_path / "photos" / SAMPLES[number].member for number in range(2))

    def shard_ids() -> list[str]:
        return [open_shard(path.as_uri(), Storage()).shard_id("bundle") for path in (first, second, tmp_path / "photos")]

    before = shard_ids()
    assert len(set(before)) == 3
    (tmp_path / "photos" / "new.jpg").write_bytes(JPEG)
    assert [old == new for old, new in zip(before, shard_ids(), strict=True)] == [True, True, False]
    second.with_suffix(".txt").write_text("a cat")
    assert [old == new for old, new in zip(before, shard_ids(), strict=True)] == [True, False, False]
    first.write_bytes(JPEG + b"more")
    assert [old == new for old, new in zip(before, shard_ids(), strict=True)] == [False, False, False]


def test_an_image_file_that_changes_or_vanishes_is_retryable(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(JPEG)
    shard = open_shard(path.as_uri(), Storage())
    path.with_suffix(".json").write_text("{}")
    (changed,) = read_slices(shard, "bundle", Slicing(), Storage(), FAST)
    assert (changed.seen, changed.retryable) == (0, True)
    assert "changed" in (changed.damage or "")
    path.unlink()
    (gone,) = read_slices(shard, "bundle", Slicing(), Storage(), FAST)
    assert (gone.seen, gone.retryable) == (0, True)
    assert "FileNotFoundError" in (gone.damage or "")


def test_a_name_that_is_no_utf8_costs_nothing_and_can_be_fetched_again(tmp_path: Path) -> None:
    """In the folder's own name, in an image's and in its sidecar's: each is told as a tar's reader tells it."""
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/photos\xff"))
    folder.mkdir()
    for name, data in {
        b"caf\xe9.jpg": JPEG,
        b"caf\xe9.json": b'{"url": "u"}',
        b"ok.jpg": SAMPLES[3].data,
        b"b\xfe": JPEG,
    }.items():
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(data)
    for asked in (str(tmp_path), str(folder), f"{tmp_path}/p*", f"file://{tmp_path}/photos\\xff"):
        (shard,) = match_shards([asked], Storage())
        assert shard.uri == f"file://{tmp_path}/photos\\xff/"
        (only,) = read_slices(shard, "bundle", Slicing(), Storage(), FAST)
        assert (only.damage, only.rejects) == (None, ())
        assert [(image.member, image.metadata) for image in only.images] == [
            ("b\\xfe", None),
            ("caf\\xe9.jpg", '{"url": "u"}'),
            ("ok.jpg", None),
        ]
        assert [read_member(shard.uri, image.member, 0).data for image in only.images] == [image.data for image in only.images]
        assert shard.shard_id("bundle") == open_shard(shard.uri, Storage()).shard_id("bundle")
    (alone,) = match_shards([f"{folder}/caf\udce9.jpg"], Storage())
    assert read_all(alone.uri).images == [only.images[1]]
