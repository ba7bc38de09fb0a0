"""What a member makes its parser raise costs that member or its metadata, whatever the format; a fault of the machine, nobody."""

from __future__ import annotations

import errno
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.fingerprint import Fingerprinter
from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import ImageSlice, Shard
from causalprint.schemas.reasons import Reason
from causalprint.transforms.attribute_sources import attribute_slice
from causalprint.transforms.compute_fingerprints import Computing, Stream
from causalprint.transforms.counting import Pool
from causalprint.transforms.formats.members import open_shard
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.map_slices import streamed
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.output import Output
from causalprint.transforms.tables.write_tables import write_slice
from tests.shards import MAKERS, make_samples, tar_of, write_folder, write_shard
from tests.transforms.formats.reading import FAST, read_all, read_bytes

KINDS = [*MAKERS, "folder"]
SAMPLES = make_samples(3, kinds=("JPEG", "PNG"), width=256, height=256)
FIRST, MIDDLE, LAST = SAMPLES
MARKS = (b"\x89PNG", b"000001", b"example.org/0/1")
"""Of the middle one: in its bytes, its names, its metadata."""

FORMATS = "causalprint.transforms.formats"
GROUPED = ("samples.sidecar_metadata", "samples.match_sidecars", "samples.sample_key", "samples.stem", "items._read_json")
TABLE = (
    *("table_rows.metadata_json", "table_rows.checked_image", "table_rows.values_of", "table_rows.as_python"),
    *("image_columns.values_of", "image_columns.holds", "image_columns.is_url", "columns.image_format", "items.json_safe"),
)
PARSERS: dict[str, tuple[str, ...]] = {
    "tar": (
        *("tar_members.parse_header", "tar_headers.decode_name", "tar_headers.text_of", "tar_members.guess_name"),
        *("tar_members.is_image_name", "tar_members.is_sidecar_name", "tar_members.looks_like_image"),
        *("items.is_sidecar_name", *GROUPED),
    ),
    "zip": (
        *("zip_archive.zipfile.ZipFile.open", "zip_archive.zipfile.ZipInfo._decodeExtra", "zip_archive.checked_image"),
        *("zip_archive.is_image_name", "zip_archive.is_sidecar_name", *GROUPED),
    ),
    "folder": (
        *("folder.checked_image", "folder.is_image_name", "folder.is_sidecar_name", "folder.sidecar_metadata"),
        *("folder.match_sidecars", "items._read_json"),
    ),
    "parquet": TABLE,
    "arrow": TABLE,
    "tfrecord": (
        *("tfrecord.parse_example", "tfrecord.masked_crc", "tfrecord.looks_like_image", "tfrecord.json_safe"),
        *("tfrecord.metadata_json", "tfrecord.checked_image", "example._values", "example._text"),
    ),
}
CASES = [(kind, parser) for kind in KINDS for parser in PARSERS[kind.partition(".")[0]]]
BROKEN: dict[str, str] = {
    "tar": "tar_members.is_image_name",
    "zip": "zip_archive.checked_image",
    "folder": "folder.checked_image",
    "parquet": "table_rows.checked_image",
    "arrow": "table_rows.checked_image",
    "tfrecord": "tfrecord.parse_example",
}
"""A parser of each format without which there is no image."""

UNFORESEEN: list[Exception] = [
    RuntimeError("a fault of ours"),
    RecursionError("maximum recursion depth exceeded"),
    ValueError("Exceeds the limit (4300 digits) for integer string conversion"),
    struct.error("unpack requires a buffer of 8 bytes"),
    UnicodeDecodeError("utf-8", b"\xff\xfe", 0, 1, "invalid start byte"),
    AssertionError(),
    KeyError("\ud800"),
    OSError("Invalid data stream"),
]
MACHINE: list[Exception] = [MemoryError(), OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "No space left")]


def is_of_the_middle(value: Any) -> bool:
    """Whether ``value`` has to do with the middle image."""
    if isinstance(value, bytes | memoryview):
        return any(mark in bytes(value) for mark in MARKS)
    if isinstance(value, str):
        return any(mark.decode("latin-1") in value for mark in MARKS)
    if isinstance(value, zipfile.ZipInfo):
        return is_of_the_middle(value.filename)
    if isinstance(value, pa.Array | pa.Scalar):
        return is_of_the_middle(value.tolist() if isinstance(value, pa.Array) else value.as_py())
    if isinstance(value, Mapping):
        return any(map(is_of_the_middle, value.values()))
    return isinstance(value, list | tuple) and any(map(is_of_the_middle, value))


def break_it(patch: pytest.MonkeyPatch, parser: str, error: Exception) -> None:
    """Makes a parser raise ``error`` at whatever has to do with the middle image."""
    module, _, rest = parser.partition(".")
    target = f"{FORMATS}.{module}.{rest}"
    owner = reduce(getattr, rest.split(".")[:-1], __import__(f"{FORMATS}.{module}", fromlist=[module]))
    whole: Callable[..., Any] = getattr(owner, rest.rpartition(".")[2])

    def failing(*args: Any, **kwargs: Any) -> Any:
        if is_of_the_middle(args):
            raise error
        return whole(*args, **kwargs)

    patch.setattr(target, failing)


def read(shard: Shard) -> list[ImageSlice]:
    return list(read_slices(shard, "bundle", Slicing(), Storage(), FAST))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Shard]:
    folder = tmp_path_factory.mktemp("shards")
    return {kind: open_shard(write_shard(kind, SAMPLES, folder / f"shard.{kind}").as_uri(), Storage()) for kind in KINDS}


@pytest.mark.parametrize(("kind", "parser"), CASES)
def test_what_nobody_foresaw_of_a_member_costs_that_member_at_most(kind: str, parser: str, shards: dict[str, Shard]) -> None:
    for error in UNFORESEEN:
        with pytest.MonkeyPatch.context() as patch:
            break_it(patch, parser, error)
            (only,) = read(shards[kind])
        assert (only.seen, only.retryable) == (3, False), error
        images = {image.data: image for image in only.images}
        assert images.keys() >= {FIRST.data, LAST.data}
        assert images.keys() <= {sample.data for sample in SAMPLES}
        said = [reject.detail for reject in only.rejects] + [only.damage] * (only.damage is not None)
        assert said or images[MIDDLE.data].metadata
        assert len(images) + len(only.rejects) == 3
        for reject in only.rejects:
            assert reject.member in (MIDDLE.member, "1", "" if "text_of" in parser else None)
            reject.detail.encode()
            assert only.damage is not None


@pytest.mark.parametrize(("kind", "parser"), CASES)
def test_a_machine_that_fails_at_a_member_blames_nobody(kind: str, parser: str, shards: dict[str, Shard]) -> None:
    for error in MACHINE:
        with pytest.MonkeyPatch.context() as patch:
            break_it(patch, parser, error)
            (only,) = read(shards[kind])
        if only.seen == 3 and not only.rejects and only.damage is None:
            continue  # it was not asked
        assert (only.seen, only.rejects, only.retryable) == (0, (), True), error
        assert f"the machine did ({type(error).__name__}" in (only.damage or "")
        assert "no image is to blame" in (only.damage or "")


LONG = "long/" * 30
EXTENDED = [
    (tarfile.PAX_FORMAT, "tar_pax._with"),
    (tarfile.PAX_FORMAT, "tar_pax.decode_name"),
    (tarfile.GNU_FORMAT, "tar_members.decode_name"),
]


@pytest.mark.parametrize(("kind", "parser"), EXTENDED)
def test_an_extended_header_costs_what_it_says_and_not_its_member(
    kind: int, parser: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch, parser, RuntimeError("a fault of ours"))
    account = read_bytes(tar_of([(f"{LONG}{sample.member}", sample.data) for sample in SAMPLES], kind), suffix="tar")
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert [image.member == f"{LONG}{sample.member}" for image, sample in zip(account.images, SAMPLES, strict=True)] == [
        True,
        False,
        True,
    ]
    assert "could not be read (RuntimeError: a fault of ours; please report this)" in (account.damage or "")


def test_a_row_of_the_table_beside_costs_the_metadata_of_its_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of([(sample.member, sample.data) for sample in SAMPLES]))
    pq.write_table(pa.table({"key": [sample.key for sample in SAMPLES], "n": [1, 2, 3]}), tmp_path / "a.parquet")
    break_it(monkeypatch, "beside.metadata_json", RuntimeError("a fault of ours"))
    account = read_all(tmp_path / "a.tar")
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert [image.metadata is None for image in account.images] == [False, True, False]
    assert account.damage == "metadata of '000001' could not be read (RuntimeError: a fault of ours; please report this)"


@pytest.mark.parametrize(("name", "parser"), [("metadata.jsonl", "image_lists.parsed_json"), ("metadata.csv", None)])
def test_a_line_of_a_list_costs_the_metadata_of_its_image(
    name: str, parser: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder([sample._replace(metadata=None) for sample in SAMPLES], tmp_path / "folder")
    rows = [(sample.member, str(number)) for number, sample in enumerate(SAMPLES)]
    if parser:
        text = "".join(f'{{"file_name": "{member}", "n": {number}}}\n' for member, number in rows)
        break_it(monkeypatch, parser, RuntimeError("a fault of ours"))
    else:  # more in one field than Python's reader takes
        rows[1] = (MIDDLE.member, "9" * 200_000)
        text = "file_name,n\n" + "".join(f"{member},{number}\n" for member, number in rows)
    (folder / name).write_text(text)
    account = read_all(folder)
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert [image.metadata is None for image in account.images] == [False, True, False]
    assert f"of {name}' could not be read" in (account.damage or "")


def test_a_decompressor_without_memory_damages_no_shard(shards: dict[str, Shard], monkeypatch: pytest.MonkeyPatch) -> None:
    class Frame:
        eof, unused_data = False, b""

        def decompress(self, _: bytes) -> bytes:
            raise zstandard.ZstdError("zstd decompress error: Allocation error : not enough memory")

    monkeypatch.setattr("causalprint.transforms.storage.streams._zstd_frame", lambda *_: Frame())
    (only,) = read(shards["tar.zst"])
    assert (only.seen, only.retryable) == (0, True)
    assert "no image is to blame" in (only.damage or "")


def audit(slices: Iterable[ImageSlice], shard: Shard, bundle: Path, output: Output) -> ShardAccount:
    loaded = load_bundle(str(bundle))
    fingerprinter, attributor = Fingerprinter(loaded, "cpu"), Attributor(loaded)
    fingerprinter.keep_canary()
    ledger = Ledger(shard)
    with Pool(1) as pool:
        for each in streamed(Stream(Computing(fingerprinter, pool)), slices):
            ledger = ledger.add(write_slice(attribute_slice(each, attributor), output))
    return ledger.close(output.bundle_id)


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_members_are_attributed_and_the_account_closes(
    kind: str, shards: dict[str, Shard], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch, BROKEN[kind.partition(".")[0]], RuntimeError("a fault of ours"))
    account = audit(read(shards[kind]), shards[kind], tiny, Output(str(tmp_path), "bundle", "0" * 64, Storage()))
    assert (account.seen, account.attributed, account.rejected) == (3, 2, 1)
    assert [(each.stage, each.reason) for each in account.reasons] == [("read", Reason.READER_ERROR)]
    assert (account.complete, account.retryable) == (False, False)
    assert "RuntimeError: a fault of ours; please report this" in (account.damage or "")


@pytest.mark.parametrize("parser", ["image_format", "read_png", "ends_early"])
def test_what_nobody_foresaw_of_pixels_is_a_reject(
    parser: str, shards: dict[str, Shard], tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = read(shards["tar"])
    break_decoder = f"causalprint.transforms.images.decode.{parser}"
    module = __import__("causalprint.transforms.images.decode", fromlist=["decode"])
    whole = getattr(module, parser)

    def failing(data: bytes, *args: Any) -> Any:
        if is_of_the_middle(data):
            raise LookupError("a fault of ours")
        return whole(data, *args)

    monkeypatch.setattr(break_decoder, failing)
    if parser == "read_png":
        monkeypatch.setitem(module._READERS, "PNG", failing)
    if parser == "ends_early":  # asked of what cannot be decoded
        monkeypatch.setitem(module._READERS, "PNG", lambda _: 1 / 0)
    account = audit(slices, shards["tar"], tiny, Output(str(tmp_path), "bundle", "0" * 64, Storage()))
    assert (account.seen, account.attributed, account.rejected, account.complete) == (3, 2, 1, True)
    assert [(each.stage, each.reason) for each in account.reasons] == [("decode", Reason.CORRUPT_IMAGE)]
