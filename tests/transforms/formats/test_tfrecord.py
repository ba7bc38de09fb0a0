"""TFRecord files: found images, and what damage costs."""

from __future__ import annotations

import json
import tempfile
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from apache_beam.io.tfrecordio import WriteToTFRecord, _TFRecordUtil
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats.example import MAX_FIELDS, ExampleError, parse_example
from causalprint.transforms.formats.members import read_member
from causalprint.transforms.formats.tfrecord import masked_crc
from tests.examples import example_class
from tests.shards import example_bytes, make_samples, record_bytes, sample_example, tfrecord_bytes
from tests.transforms.formats.reading import FAST, read_all, read_bytes

SAMPLES = make_samples(12)
JPEG = SAMPLES[0].data
PNG = make_samples(1, kinds=("PNG",))[0].data
RECORDS = [record_bytes(sample_example(sample)) for sample in SAMPLES]
TFRECORD = b"".join(RECORDS)
STARTS = [sum(map(len, RECORDS[:number])) for number in range(12)]
read_tfrecord = partial(read_bytes, suffix="tfrecord")


def test_the_wire_format_is_tensorflows() -> None:
    """Written by hand after tensorflow/core/example/example.proto and feature.proto."""
    label = b"\x0a\x05label" + b"\x12\x05" + b"\x1a\x03" + b"\x0a\x01\x07"  # Feature.int64_list = 3, value packed
    score = b"\x0a\x05score" + b"\x12\x08" + b"\x12\x06" + b"\x0a\x04\x00\x00\x00\x3f"  # Feature.float_list = 2
    image = b"\x0a\x05image" + b"\x12\x07" + b"\x0a\x05" + b"\x0a\x03abc"  # Feature.bytes_list = 1
    entries = b"".join(b"\x0a" + bytes([len(entry)]) + entry for entry in (label, score, image))
    assert parse_example(b"\x0a" + bytes([len(entries)]) + entries) == {"image": [b"abc"], "label": [7], "score": [0.5]}


texts = st.lists(st.binary(max_size=20), min_size=1, max_size=4)
floats = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=4)
integers = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4)
feature_values = st.one_of(texts, floats, integers)


@given(st.dictionaries(st.text(max_size=8), feature_values, max_size=5))
def test_what_protobuf_writes_is_parsed(features: dict[str, list[bytes] | list[float] | list[int]]) -> None:
    assert parse_example(example_bytes(features)) == features


@given(
    context=st.dictionaries(st.sampled_from("ab"), feature_values),
    lists=st.dictionaries(st.sampled_from("cd"), st.one_of(*(st.lists(kind, max_size=3) for kind in (texts, floats, integers)))),
)
def test_a_sequence_has_the_values_of_all_its_steps(context: dict[str, list[bytes]], lists: dict[str, list[list[bytes]]]) -> None:
    example = example_class("SequenceExample")()
    kinds = {bytes: "bytes_list", float: "float_list", int: "int64_list"}
    for name, values in context.items():
        getattr(example.context.feature[name], kinds[type(values[0])]).value.extend(values)
    for name, steps in lists.items():
        listed = example.feature_lists.feature_list[name].feature
        for values in steps:
            getattr(listed.add(), kinds[type(values[0])]).value.extend(values)
    expected = context | {name: [value for step in steps for value in step] for name, steps in lists.items()}
    assert parse_example(example.SerializeToString()) == expected


@given(st.binary(max_size=60))
@settings(max_examples=300)
def test_arbitrary_bytes_are_an_example_or_an_error(data: bytes) -> None:
    try:
        features = parse_example(data)
    except ExampleError:
        return
    assert all(isinstance(name, str) for name in features)


@given(
    features=st.dictionaries(
        st.sampled_from(["image_left", "image_right", "views", "a/b", "image", "key"]),
        st.lists(st.sampled_from([JPEG, PNG]), min_size=1, max_size=3),
        min_size=1,
    ),
    label=st.sampled_from([None, "key", "id"]),
    number=st.integers(0, 3),
    chosen=st.booleans(),
)
@settings(max_examples=80, deadline=None)
def test_every_image_of_every_feature_is_read_once_and_fetched_again(
    features: dict[str, list[bytes]], label: str | None, number: int, chosen: bool
) -> None:
    extra = {label: [b"name"]} if label and label not in features else {}
    record = record_bytes(example_bytes(features | extra))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "shard.tfrecord")
        path.write_bytes(b"".join(RECORDS[:number]) + record)
        names = sorted(features)[: 1 if chosen else None]
        account = read_all(path, columns=tuple(names) if chosen else ())
        images = [image for image in account.images if image.offset == STARTS[number]]
        assert [image.data for image in images] == [data for name in names for data in features[name]]
        assert len({image.member for image in images}) == len(images)
        for image in images:
            assert read_member(path.as_uri(), image.member, image.offset).data == image.data


def test_addresses_name_the_feature_where_there_are_several() -> None:
    account = read_tfrecord(record_bytes(example_bytes({"left": [JPEG], "right": [PNG, JPEG], "key": [b"k"]})))
    assert [image.member for image in account.images] == ["k/left", "k/right/0", "k/right/1"]


@pytest.mark.parametrize(
    "shape",
    [
        {"height": [4], "width": [5], "depth": [3]},
        {"image/height": [4], "image/width": [5], "image/channels": [3]},
        {"image/shape": [4, 5, 3]},
        {"rows": [12], "cols": [5]},
    ],
)
def test_raw_pixels_are_refused_with_what_to_do(shape: dict[str, list[int]]) -> None:
    for size in (60, 240):
        account = read_tfrecord(record_bytes(example_bytes({"image_raw": [bytes(size)], "name": [b"cat"], **shape})))
        (reject,) = account.rejects
        assert (reject.reason, account.damage) == (Reason.UNSUPPORTED_FORMAT, None)
        assert (
            f"'image_raw' holds {size} bytes of raw pixels, not an encoded image; write it with tf.io.encode_png" in reject.detail
        )
    (tensor,) = read_tfrecord(record_bytes(example_bytes({"x": [b"\x08\x04\x12\x08 pixels"]}))).rejects
    assert "'x' holds a serialised tensor" in tensor.detail


def test_a_record_of_millions_of_parts_costs_little() -> None:
    ints = example_bytes({"image": [JPEG], "n": [1] * 3_000_000})
    unpacked = b"\x08\x01" * 3_000_000
    bare = b"\x0a" + varint(len(unpacked)) + unpacked
    account = read_tfrecord(b"".join(map(record_bytes, (ints, bare, example_bytes({"image": [PNG]})))))
    assert [image.data for image in account.images] == [JPEG, PNG]
    assert [(each.member, each.reason) for each in account.rejects] == [("1", Reason.TOO_LARGE)]
    assert f"more than {MAX_FIELDS} parts" in account.rejects[0].detail


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


@pytest.mark.parametrize("level", [0, 1, 6, 9])
def test_zlib_files_are_read(level: int) -> None:
    packed = zlib.compress(TFRECORD, level)
    account = read_tfrecord(packed)
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES]
    assert account.damage is None
    cut = read_tfrecord(packed[:-4])
    assert len(cut.images) == 12
    assert "the zlib stream ends early" in (cut.damage or "")


@given(st.binary(max_size=200))
def test_the_checksum_is_beams(data: bytes) -> None:
    assert masked_crc(data) == _TFRecordUtil._masked_crc32c(data)


@pytest.mark.parametrize(
    ("features", "chosen"),
    [
        ({"image/encoded": JPEG, "image/format": b"jpeg", "other": b"x"}, JPEG),
        ({"image": b"not an image", "photo": JPEG}, JPEG),
        ({"mask": b"x", "payload": PNG}, PNG),
        ({"image": b"raw pixels", "label": b"cat"}, b"raw pixels"),
    ],
)
def test_the_feature_of_images_is_found(features: dict[str, bytes], chosen: bytes) -> None:
    account = read_tfrecord(record_bytes(example_bytes({name: [value] for name, value in features.items()})))
    assert [image.data for image in account.images] == [chosen]


def test_the_feature_can_be_named() -> None:
    record = record_bytes(example_bytes({"image": [JPEG], "depth": [PNG]}))
    assert [image.data for image in read_tfrecord(record, "depth").images] == [PNG]
    missing = read_tfrecord(record, "missing")
    assert [each.reason for each in missing.rejects] == [Reason.NO_BYTES]
    assert "no record has a feature 'missing'; there are depth, image" in (missing.damage or "")


def test_other_features_become_metadata_and_a_name_the_member() -> None:
    features: dict[str, list[bytes] | list[float] | list[int]] = {
        "image/encoded": [JPEG],
        "image/filename": [b"n0.jpg"],
        "label": [3],
        "box": [0.5, 1.5],
        "nan": [float("nan")],
    }
    (image,) = read_tfrecord(record_bytes(example_bytes(features))).images
    assert (image.member, image.offset) == ("n0.jpg", 0)
    assert json.loads(image.metadata or "") == {"image/filename": "n0.jpg", "label": 3, "box": [0.5, 1.5], "nan": None}


def test_several_images_of_one_record_are_all_given() -> None:
    account = read_tfrecord(record_bytes(example_bytes({"image": [JPEG, PNG], "key": [b"k"]})))
    assert [(image.member, image.data) for image in account.images] == [("k", JPEG), ("k#1", PNG)]


def test_records_without_an_image_are_rejected() -> None:
    records = [example_bytes({"text": [b"hello"]}), example_bytes({"image": [b""]}), b"\xff\xff no example", b""]
    account = read_tfrecord(b"".join(map(record_bytes, records)))
    reasons = [Reason.NO_BYTES, Reason.EMPTY, Reason.CORRUPT_RECORD, Reason.NO_BYTES]
    assert [each.reason for each in account.rejects] == reasons
    assert account.damage is None


def test_a_record_too_large_is_stepped_over(tmp_path: Path) -> None:
    path = tmp_path / "a.tfrecord"
    path.write_bytes(record_bytes(bytes(9000)) + RECORDS[0])
    account = read_all(path, replace(FAST, max_encoded_bytes=8000, max_sidecar_bytes=900))
    assert [each.reason for each in account.rejects] == [Reason.TOO_LARGE]
    assert [image.data for image in account.images] == [JPEG]


def test_data_that_fail_their_checksum_cost_one_record() -> None:
    at = STARTS[5] + 40
    account = read_tfrecord(TFRECORD[:at] + bytes([TFRECORD[at] ^ 1]) + TFRECORD[at + 1 :])
    assert [(each.member, each.offset, each.reason) for each in account.rejects] == [("5", STARTS[5], Reason.CORRUPT_RECORD)]
    assert len(account.images) == 11
    assert f"the data of the record at byte {STARTS[5]} fail their checksum" in (account.damage or "")


def test_a_length_that_fails_its_checksum_ends_the_shard() -> None:
    at = STARTS[5]
    account = read_tfrecord(TFRECORD[:at] + bytes([TFRECORD[at] ^ 1]) + TFRECORD[at + 1 :])
    assert len(account.images) == 5
    assert [each.reason for each in account.rejects] == [Reason.CORRUPT_HEADER]
    assert f"byte {at} fails its checksum, so nothing from there on could be read" in (account.damage or "")


@given(cut=st.integers(1, len(TFRECORD) - 1))
@settings(max_examples=60, deadline=None)
def test_wherever_it_is_cut_whole_records_are_given_and_the_cut_one_is_told(cut: int) -> None:
    account = read_tfrecord(TFRECORD[:cut])
    whole = sum(start + len(record) <= cut for start, record in zip(STARTS, RECORDS, strict=True))
    assert [image.data for image in account.images] == [sample.data for sample in SAMPLES[:whole]]
    at_end = cut in STARTS
    assert (account.damage is None) == at_end
    assert [each.reason for each in account.rejects] == ([] if at_end else [Reason.TRUNCATED_MEMBER])


@given(at=st.integers(0, len(TFRECORD) - 1), flip=st.integers(1, 255))
@settings(max_examples=100, deadline=None)
def test_any_flipped_byte_is_found(at: int, flip: int) -> None:
    account = read_tfrecord(TFRECORD[:at] + bytes([TFRECORD[at] ^ flip]) + TFRECORD[at + 1 :])
    assert account.damage is not None
    hit = max(number for number, start in enumerate(STARTS) if start <= at)
    assert [image.data for image in account.images][:hit] == [sample.data for sample in SAMPLES[:hit]]
    assert all(image.data in {sample.data for sample in SAMPLES} for image in account.images)


def test_an_empty_file_and_a_cut_stream_are_damage(tmp_path: Path) -> None:
    assert "empty" in (read_tfrecord(b"").damage or "")
    path = tmp_path / "a.tfrecord.gz"
    path.write_bytes(tfrecord_bytes(SAMPLES, "gz")[:-4])
    account = read_all(path)
    assert len(account.images) == 12
    assert "the gzip stream ends early" in (account.damage or "")


def test_what_beam_writes_is_read(tmp_path: Path) -> None:
    import apache_beam as beam
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        examples = pipeline | beam.Create([sample_example(sample) for sample in SAMPLES])
        examples | WriteToTFRecord(str(tmp_path / "shard"), file_name_suffix=".tfrecord", num_shards=1)
    account = read_all(next(tmp_path.glob("*.tfrecord")))
    assert {image.data for image in account.images} == {sample.data for sample in SAMPLES}
    assert account.damage is None
