"""Every image of a slice ends in exactly one place, and its row depends on its own bytes alone."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import torch
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from causalprint.models.bundles.bundle import Bundle
from causalprint.models.fingerprint import Fingerprinter, Fingerprints
from causalprint.schemas.arrays import Crops
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Reject, Shard
from causalprint.schemas.runs import work_of
from causalprint.schemas.tables import EMBEDDINGS, IMAGES, REJECTS
from causalprint.transforms.compute_fingerprints import ComputeFingerprints, Computing, Stream, fingerprint_slice
from causalprint.transforms.counting import FILE, FOLDER, Pool, counters, read_tally
from causalprint.transforms.map_slices import streamed
from tests.bundles import photograph

SHARD = Shard("file:///data/00000.tar", 1000, "etag-1", "tar")
READ_REJECT = Reject("gone.jpg", 512, "read", "truncated-member", "the shard ends inside it", None, '{"url": "u"}')


def encoded(seed: int, side: int = 256) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photograph(seed, side, side)).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def fingerprinter(bundle: Bundle) -> Fingerprinter:
    return Fingerprinter(bundle, "cpu")


@pytest.fixture(scope="module")
def images() -> tuple[EncodedImage, ...]:
    """Good ones, one that is too small, one cut short, one that is no image, one twice."""
    data = [encoded(0), encoded(1, 300), encoded(2, 100), encoded(3)[:2000], b"no image", encoded(0), encoded(4), encoded(5)]
    return tuple(
        EncodedImage(f"{place}.jpg", 1024 * place, item, f'{{"place": {place}}}' if place % 2 else None)
        for place, item in enumerate(data)
    )


def a_slice(images: tuple[EncodedImage, ...], index: int = 0) -> ImageSlice:
    return ImageSlice(f"{index:032x}", SHARD, index, images, (READ_REJECT,), skipped=2, last=True)


def compute(
    images: tuple[EncodedImage, ...], fingerprinter: Fingerprinter, threads: int = 2, batch_size: int = 32
) -> FingerprintedSlice:
    with Pool(threads) as pool:
        return fingerprint_slice(a_slice(images), Computing(fingerprinter, pool, batch_size).work())


@pytest.fixture(scope="module")
def computed(images: tuple[EncodedImage, ...], fingerprinter: Fingerprinter) -> FingerprintedSlice:
    return compute(images, fingerprinter)


def test_accounts_close_and_order_is_kept(computed: FingerprintedSlice, images: tuple[EncodedImage, ...]) -> None:
    assert computed.seen == len(images) + 1 == len(computed.images) + len(computed.rejects)
    assert computed.images.column("member").to_pylist() == [f"{place}.jpg" for place in (0, 1, 2, 5, 6, 7)]
    assert computed.images.column("image_id").to_pylist() == [images[place].image_id for place in (0, 1, 2, 5, 6, 7)]
    for name in ("image_id", "shard", "member", "offset", "slice_id"):
        assert computed.embeddings.column(name).equals(computed.images.column(name))
    assert computed.source.images == ()
    assert computed.source.skipped == 2


def test_the_rows_have_exactly_the_tables_schemas(computed: FingerprintedSlice) -> None:
    for batch, schema in ((computed.images, IMAGES), (computed.embeddings, EMBEDDINGS), (computed.rejects, REJECTS)):
        assert batch.schema.equals(schema, check_metadata=True)
        batch.validate(full=True)
        assert all(field.nullable or batch.column(field.name).null_count == 0 for field in schema)


def test_every_reject_says_where_why_and_which_bytes(computed: FingerprintedSlice, images: tuple[EncodedImage, ...]) -> None:
    rows = computed.rejects.to_pylist()
    assert [(row["member"], row["stage"], row["reason"]) for row in rows] == [
        ("gone.jpg", "read", "truncated-member"),
        ("3.jpg", "decode", "truncated-image"),
        ("4.jpg", "decode", "unsupported-format"),
    ]
    assert [row["image_id"] for row in rows] == [None, images[3].image_id, images[4].image_id]
    assert [row["metadata"] for row in rows] == ['{"url": "u"}', '{"place": 3}', None]


def test_an_image_that_is_too_small_keeps_its_row_without_a_fingerprint(computed: FingerprintedSlice) -> None:
    row = computed.embeddings.to_pylist()[2]
    assert row["crops"] == 0
    values = ("fingerprint", "residual_energy", "rgb_bias", "dft_peak", "dct_blockiness", "qft_share", "spectrum")
    assert all(row[name] is None for name in values)
    others = computed.embeddings.filter(pa.compute.greater(computed.embeddings.column("crops"), 0))
    assert others.column("fingerprint").null_count == others.column("residual_energy").null_count == 0


def test_the_same_bytes_give_the_same_row(computed: FingerprintedSlice) -> None:
    first, again = computed.embeddings.to_pylist()[0], computed.embeddings.to_pylist()[3]
    assert first.pop("member") != again.pop("member")
    assert first.pop("offset") != again.pop("offset")
    assert first == again


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 7, 32])
def test_rows_do_not_depend_on_batch_or_threads(
    computed: FingerprintedSlice, images: tuple[EncodedImage, ...], fingerprinter: Fingerprinter, threads: int, batch_size: int
) -> None:
    other = compute(images, fingerprinter, threads, batch_size)
    for mine, its in (
        (computed.images, other.images),
        (computed.embeddings, other.embeddings),
        (computed.rejects, other.rejects),
    ):
        assert mine.equals(its, check_metadata=True)


@settings(max_examples=10, deadline=None)
@given(places=st.lists(st.integers(0, 7), max_size=6, unique=True))
def test_rows_do_not_depend_on_the_slice_they_are_cut_into(
    computed: FingerprintedSlice, images: tuple[EncodedImage, ...], fingerprinter: Fingerprinter, places: list[int]
) -> None:
    other = compute(tuple(images[place] for place in places), fingerprinter)
    whole = {row["member"]: row for row in computed.embeddings.to_pylist()}
    assert all(whole[row["member"]] == row for row in other.embeddings.to_pylist())
    assert other.seen == len(places) + 1 == len(other.images) + len(other.rejects)


class Faulty(Fingerprinter):
    """Fails on any batch that holds a certain crop, as a model might; in micro-batches as on a GPU."""

    def __init__(self, bundle: Bundle, bad: npt.NDArray[np.uint8], error: BaseException | None) -> None:
        super().__init__(bundle, "cpu")
        self.bad, self.error = bad, error

    @property
    def micro_batch(self) -> int:
        return 4

    def __call__(self, crops: npt.NDArray[np.uint8], others: Sequence[npt.NDArray[np.uint8]] = (), *apart: Any) -> Fingerprints:
        hit = np.array([np.array_equal(crop, self.bad) for crop in crops])
        if self.error is not None and hit.any():
            raise self.error
        found = super().__call__(crops, others, *apart)
        found.fingerprint[hit] = np.nan
        return found


def crop_of(image: EncodedImage) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(image.data)).convert("RGB"))


def test_one_image_that_the_model_fails_on_costs_one_row(bundle: Bundle, images: tuple[EncodedImage, ...]) -> None:
    faulty = Faulty(bundle, crop_of(images[6]), RuntimeError("kernel\nfailed"))
    found = compute(images, faulty)
    (row,) = [row for row in found.rejects.to_pylist() if row["stage"] == "compute"]
    assert (row["member"], row["reason"], row["image_id"]) == ("6.jpg", "model-error", images[6].image_id)
    assert row["detail"] == "computing the fingerprint raised RuntimeError: kernel"
    assert found.images.column("member").to_pylist() == ["0.jpg", "1.jpg", "2.jpg", "5.jpg", "7.jpg"]


def test_a_fingerprint_that_is_no_number_is_a_reject(bundle: Bundle, images: tuple[EncodedImage, ...]) -> None:
    found = compute(images, Faulty(bundle, crop_of(images[7]), None))
    (row,) = [row for row in found.rejects.to_pylist() if row["stage"] == "compute"]
    assert (row["member"], row["reason"]) == ("7.jpg", "non-finite")
    assert row["detail"] == "128 of 128 numbers are not finite in float16"


class Counted(Fingerprinter):
    """Computes micro-batches of four, as on a GPU, and says of how many images each was."""

    micro_batch = 4

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle, "cpu")
        self.sizes: list[int] = []

    def of_images(self, images: Sequence[Crops], apart: Sequence[Mapping[int, torch.Tensor]] = ()) -> list[Fingerprints]:
        self.sizes.append(len(images))
        return super().of_images(images, apart)


def test_small_slices_fill_micro_batches_together(bundle: Bundle, images: tuple[EncodedImage, ...]) -> None:
    counted = Counted(bundle)
    slices = [a_slice(images[start : start + 2], start) for start in range(0, len(images), 2)]
    with Pool(2) as pool, Pool(1) as device:
        found = list(streamed(Stream(Computing(counted, pool, device=device)), slices))
        whole = fingerprint_slice(a_slice(images), Computing(counted, pool).work())
    assert [item.source for item in found] == [item.without_bytes() for item in slices]
    assert counted.sizes == [4, 1, 4, 1], "five images have a fingerprint, in slices of two and in one of eight"
    rows = [row for item in found for row in item.embeddings.to_pylist()]
    assert [row | {"slice_id": ""} for row in rows] == [row | {"slice_id": ""} for row in whole.embeddings.to_pylist()]


def test_where_computing_several_slices_fails_each_is_computed_by_itself(
    bundle: Bundle, images: tuple[EncodedImage, ...], caplog: pytest.LogCaptureFixture
) -> None:
    class Short(Counted):
        """Has no memory for more than one image."""

        def __call__(self, crops: Crops, others: Sequence[Crops] = (), *apart: Any) -> Fingerprints:
            if len(crops) > 1:
                raise MemoryError
            return super().__call__(crops, others, *apart)

    slices = [a_slice(images[start : start + 2], start) for start in range(0, len(images), 2)]
    with Pool(2) as pool:
        found = list(streamed(Stream(Computing(Short(bundle), pool)), slices))
        expected = list(streamed(Stream(Computing(Counted(bundle), pool)), slices))
    assert [item.embeddings for item in found] == [item.embeddings for item in expected]
    assert sum("is tried again, one image at a time" in text for text in caplog.messages) == len(slices)


def test_a_gpu_is_told_of_beside_the_threads_and_what_it_holds_at_the_end_is_given(
    bundle: Bundle, images: tuple[EncodedImage, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fingerprinter, "micro_batch", 4)
    slices = [a_slice(images, number) for number in range(2)]
    root = beam.Pipeline(runner=FnApiRunner())
    found = root | beam.Create(slices, reshuffle=False) | ComputeFingerprints(str(bundle.directory), device="cpu", threads=1)
    assert_that(found | beam.Map(lambda item: item.source.index), equal_to([0, 1]))
    result = root.run()
    result.wait_until_finish()
    work = work_of(counters(result), 1.0)
    assert work.images == 2 * (len(images) + 1)
    assert work.idle is not None
    assert work.device_idle is not None
    assert 0 < work.device_idle < 1
    assert work.compute_seconds > 0


def test_an_empty_slice_has_empty_tables(fingerprinter: Fingerprinter) -> None:
    with Pool(1) as pool:
        found = fingerprint_slice(ImageSlice("0" * 32, SHARD, 0, (), last=True), Computing(fingerprinter, pool).work())
    assert (found.seen, len(found.images), len(found.embeddings), len(found.rejects)) == (0, 0, 0, 0)
    assert found.embeddings.schema.equals(EMBEDDINGS, check_metadata=True)


def test_progress_adds_up_to_what_was_seen(
    images: tuple[EncodedImage, ...], fingerprinter: Fingerprinter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    found = compute(images, fingerprinter, batch_size=4)
    told, size = read_tally(str(tmp_path))
    assert (told.images, told.rejects) == (found.seen, len(found.rejects))
    assert told.encoded_bytes == sum(len(image.data) for image in images)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[: size // 2])
    assert 0 < read_tally(str(tmp_path))[0].images < found.seen, "images are counted as they are done, not at the end"


def test_through_beam_the_rows_are_the_same_and_the_count_is_kept(
    bundle: Bundle,
    computed: FingerprintedSlice,
    images: tuple[EncodedImage, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    slices = [a_slice(images), a_slice(images, 1)]

    def check(found: list[Any]) -> None:
        by_index = {item.source.index: item for item in found}
        assert sorted(by_index) == [0, 1]
        assert by_index[0].embeddings.equals(computed.embeddings)
        assert by_index[1].embeddings.column("fingerprint").equals(computed.embeddings.column("fingerprint"))

    with beam.Pipeline(runner=FnApiRunner()) as root:
        found = root | beam.Create(slices) | ComputeFingerprints(str(bundle.directory), device="cpu", threads=1)
        assert_that(found, check)
    counts, _ = read_tally(str(tmp_path))
    assert (counts.images, counts.rejects) == (2 * computed.seen, 2 * len(computed.rejects))


def test_a_device_that_is_missing_stops_the_worker_before_any_image(bundle: Bundle, tmp_path: Path) -> None:
    transform = ComputeFingerprints(str(bundle.directory), device=f"cuda:{torch.cuda.device_count()}")

    def read(place: int) -> ImageSlice:
        (tmp_path / "read").touch()
        return a_slice((), place)

    with pytest.raises(ValueError, match="choose cpu or auto"):
        transform.load()
    root = beam.Pipeline(runner=FnApiRunner())
    _ = root | beam.Create([0]) | beam.Map(read) | transform
    with pytest.raises(Exception, match="choose cpu or auto"):
        root.run()
    assert not (tmp_path / "read").exists()
