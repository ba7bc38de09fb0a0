"""What every format keeps: each image byte for byte, in order, with its name and what is known of it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import Storage
from causalprint.schemas.elements import ShardDamageError
from causalprint.transforms.formats import FORMATS, format_of, sniff_format
from causalprint.transforms.formats.members import open_shard, read_member
from causalprint.transforms.storage.storage import ShardSource, StoredFile
from tests.shards import MAKERS, Sample, make_samples, write_shard
from tests.transforms.formats.reading import FAST, read_all, read_bytes

KINDS = [*MAKERS, "folder"]
ENCODED = {"jpg": b"\xff\xd8\xff\xe0", "png": b"\x89PNG\r\n\x1a\n", "gif": b"GIF89a", "webp": b"RIFF\0\0\0\0WEBPVP8 "}

text = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)
values = st.one_of(text, st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False, width=32))


@st.composite
def sample_lists(draw: st.DrawFn) -> list[Sample]:
    """Samples of arbitrary bytes under an image's first ones: reading must not care what they are."""
    count = draw(st.integers(1, 12))
    fields = draw(st.dictionaries(st.sampled_from(["caption", "score", "url", "licence"]), st.just(0), max_size=3))
    samples = []
    for number in range(count):
        suffix = draw(st.sampled_from(sorted(ENCODED)))
        data = ENCODED[suffix] + draw(st.binary(max_size=3000))
        kinds = {"caption": text, "score": st.floats(allow_nan=False, allow_infinity=False, width=32), "url": text}
        metadata = {name: draw(kinds.get(name, st.integers(-(2**62), 2**62))) for name in fields}
        samples.append(Sample(f"{number:04d}", suffix, data, metadata or None))
    return samples


def test_a_registered_format_has_a_maker_here() -> None:
    assert {kind.partition(".")[0] for kind in KINDS} == set(FORMATS)


@pytest.mark.parametrize("kind", KINDS)
@given(samples=sample_lists())
@settings(max_examples=15, deadline=None)
def test_what_was_written_is_read_back(kind: str, samples: list[Sample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        account = read_all(write_shard(kind, samples, Path(folder, f"shard.{kind}")))
    assert account.damage is None
    assert (account.rejects, account.skipped) == ([], [])
    assert [image.data for image in account.images] == [sample.data for sample in samples]
    assert [image.member for image in account.images] == [sample.member for sample in samples]
    told = [json.loads(image.metadata or "{}") for image in account.images]
    for each in told:
        each.pop("image/filename", None)  # of TFRecord, where the name is a feature like any other
    assert told == [sample.metadata or {} for sample in samples]


@pytest.mark.parametrize("kind", KINDS)
def test_a_finding_can_be_fetched_again_by_its_key(kind: str, tmp_path: Path) -> None:
    path = write_shard(kind, make_samples(40, kinds=("JPEG", "PNG")), tmp_path / f"shard.{kind}")
    images = read_all(path).images
    assert len(images) == 40
    for image in (images[0], images[17], images[39]):
        again = read_member(path.as_uri(), image.member, image.offset)
        assert again.image_id == image.image_id
        assert (again.member, again.offset) == (image.member, image.offset)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_that_is_not_there_is_an_error(kind: str, tmp_path: Path) -> None:
    path = write_shard(kind, make_samples(3), tmp_path / f"shard.{kind}")
    with pytest.raises(KeyError, match=r"no image 'elsewhere.jpg' at offset 512"):
        read_member(path.as_uri(), "elsewhere.jpg", 512)


@pytest.mark.parametrize("kind", sorted(MAKERS))
def test_a_format_is_told_by_suffix_and_by_content(kind: str) -> None:
    name = kind.partition(".")[0]
    assert format_of(f"s3://bucket/folder/00000.{kind.upper()}") == name
    if kind == name:
        assert sniff_format(MAKERS[kind](make_samples(2))[:512]) == name
    assert format_of("s3://bucket/a.tar/readme.md") is None
    assert sniff_format(b"hello") is None


@pytest.mark.parametrize("kind", sorted(MAKERS))
@given(data=st.binary(max_size=2000))
@settings(max_examples=25, deadline=None)
def test_arbitrary_bytes_give_an_account_and_no_crash(kind: str, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"shard.{kind}")
        path.write_bytes(data)
        assert read_all(path).damage is not None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("calls", [0, 1])
def test_what_the_store_does_not_give_is_retryable_and_no_damage(
    kind: str, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_shard(kind, make_samples(40, width=200, height=200), tmp_path / f"shard.{kind}")
    shard = open_shard(path.as_uri(), Storage())
    source = ShardSource(shard, Storage(), replace(FAST, block_bytes=4096))
    fetch, left = source.fetch, [calls]

    def failing(start: int, end: int, file: StoredFile | None = None) -> bytes:
        left[0] -= 1
        if left[0] < 0:
            raise ShardDamageError("the store is gone", retryable=True)
        return fetch(start, end, file)

    monkeypatch.setattr(source, "fetch", failing)
    with pytest.raises(ShardDamageError, match="the store is gone") as caught:
        list(FORMATS[shard.format].read(source, FAST))
    assert caught.value.retryable


OTHERS = {
    "HTML": b"<!DOCTYPE html><html><title>Sign in</title></html>",
    "a git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n",
    "S3 error AccessDenied": b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "PDF": b"%PDF-1.7\n",
    "JSON": b'{"error": "no such key"}',
    "JPEG": make_samples(1)[0].data,
}


@pytest.mark.parametrize("name", sorted(OTHERS))
@pytest.mark.parametrize("more", [b"", b" " * 600])
@pytest.mark.parametrize("suffix", ["tar", "parquet", "arrow", "tfrecord", "zip"])
def test_what_is_no_shard_of_its_suffix_is_called_by_its_name(suffix: str, more: bytes, name: str) -> None:
    account = read_bytes(OTHERS[name] + more, suffix=suffix)
    assert account.images == []
    assert name in (account.damage or "")
