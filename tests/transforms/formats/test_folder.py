"""Folders of image files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats.members import open_shard
from causalprint.transforms.formats.slices import read_slices
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
