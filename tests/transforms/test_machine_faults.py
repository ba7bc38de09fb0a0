"""A reject is a function of the bytes: what the machine fails at is never booked on an image."""

from __future__ import annotations

import errno
import io
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageFile

from causalprint.models.bundles.bundle import Bundle
from causalprint.models.bundles.manifest import BundleError
from causalprint.models.fingerprint import Fingerprinter, Fingerprints
from causalprint.schemas.arrays import Crops
from causalprint.schemas.elements import EncodedImage, FingerprintedSlice, ImageSlice, Shard
from causalprint.schemas.reasons import Reason
from causalprint.transforms import faults
from causalprint.transforms.compute_fingerprints import Computing, Stream
from causalprint.transforms.counting import Pool
from causalprint.transforms.faults import BrokenMachineError, MachineFaultError
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError, decode
from causalprint.transforms.images.decoder_processes import DecoderProcesses, Places
from causalprint.transforms.map_slices import streamed
from tests.audits import command, photographs_tar
from tests.bundles import photograph
from tests.outputs import files_below

Capture = pytest.CaptureFixture[str]
SHARD = Shard("file:///data/00000.tar", 1000, "etag-1", "tar")
MEMORY = [
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried 12 bytes"),
    RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Failed to allocate memory for requested buffer of size 9"),
    RuntimeError("std::bad_alloc"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
]
DEVICE = [
    RuntimeError("CUDA error: device-side assert triggered"),
    RuntimeError("CUDA error: an illegal memory access was encountered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    OSError(errno.EIO, "Input/output error"),
]


def name_of(error: object) -> str:
    return str(error)[:30] or type(error).__name__


def encoded(seed: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(photograph(seed)).save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def images() -> tuple[EncodedImage, ...]:
    return tuple(EncodedImage(f"{seed}.jpg", 1024 * seed, encoded(seed)) for seed in range(4))


@pytest.fixture(scope="module")
def expected(bundle: Bundle, images: tuple[EncodedImage, ...]) -> FingerprintedSlice:
    """What comes of the images where nothing fails."""
    return compute(images, Fingerprinter(bundle, "cpu"))


def compute(images: tuple[EncodedImage, ...], fingerprinter: Fingerprinter) -> FingerprintedSlice:
    fingerprinter.keep_canary()
    with Pool(2) as pool:
        images_of_it = ImageSlice("0" * 32, SHARD, 3, images, last=False, skipped=2)
        (found,) = streamed(Stream(Computing(fingerprinter, pool)), [images_of_it])
    return found


class Failing(Fingerprinter):
    """Raises what ``fails`` gives for the number of a call and its crops; the canary's are calls too."""

    def __init__(self, bundle: Bundle, fails: Callable[[int, npt.NDArray[np.uint8]], BaseException | None]) -> None:
        super().__init__(bundle, "cpu")
        self._fails, self._calls = fails, 0

    def __call__(self, crops: npt.NDArray[np.uint8], others: Sequence[npt.NDArray[np.uint8]] = (), *apart: Any) -> Fingerprints:
        self._calls += 1
        error = self._fails(self._calls, crops)
        if error is not None:
            raise error
        return super().__call__(crops, others, *apart)


def is_canary(crops: npt.NDArray[np.uint8]) -> bool:
    return len(crops) == 1 and bool((crops[0, 0, 0] < 64).all() and crops[0, -1, -1].min() >= 127)


@pytest.fixture
def break_decoder(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException, int], None]:
    """Makes Pillow's decoders raise an error, so many times."""

    def break_it(error: BaseException, times: int) -> None:
        left = [times]
        load = ImageFile.ImageFile.load

        def failing(self: ImageFile.ImageFile) -> object:
            left[0] -= 1
            if left[0] >= 0:
                raise error
            return load(self)

        monkeypatch.setattr(ImageFile.ImageFile, "load", failing)

    return break_it


ANYTHING = [*MEMORY[:1], *MEMORY[-1:], *DEVICE[-1:], OSError("broken data stream when reading image file"), SyntaxError("bad")]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("error", ANYTHING, ids=name_of)
def test_a_decoder_that_fails_once_has_decoded_nothing_wrong(
    break_decoder: Callable[[BaseException, int], None], kind: str, error: BaseException
) -> None:
    data = encoded(1, kind)
    expected = decode(data)
    break_decoder(error, 1)
    found = decode(data)
    assert found[1:] == expected[1:]
    assert np.array_equal(found.pixels, expected.pixels)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("error", [*MEMORY[:1], *MEMORY[-1:], *DEVICE[-1:]], ids=name_of)
def test_a_decoder_without_memory_or_disk_blames_no_image(
    break_decoder: Callable[[BaseException, int], None], kind: str, error: BaseException
) -> None:
    break_decoder(error, 1000)
    with pytest.raises(MachineFaultError, match=type(error).__name__):
        decode(encoded(1, kind))


def test_an_error_that_pillow_made_of_a_failed_allocation_blames_no_image(
    break_decoder: Callable[[BaseException, int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_decoder(OSError("broken data stream when reading image file"), 1000)
    with pytest.raises(ImageRejectError) as rejected:
        decode(encoded(1))
    assert rejected.value.reason == Reason.CORRUPT_IMAGE
    asked: list[int] = []

    def has_room(size: int) -> bool:
        asked.append(size)
        return False

    monkeypatch.setattr(faults, "has_room", has_room)
    with pytest.raises(MachineFaultError, match="while memory was short"):
        decode(encoded(1))
    assert asked[0] >= 256 * 256 * 16


@pytest.mark.parametrize("error", [*MEMORY, *DEVICE], ids=name_of)
def test_a_fault_that_passes_leaves_no_trace(
    bundle: Bundle, images: tuple[EncodedImage, ...], expected: FingerprintedSlice, error: BaseException
) -> None:
    found = compute(images, Failing(bundle, lambda call, _: error if call == 3 else None))
    assert found.images.equals(expected.images)
    assert found.embeddings.equals(expected.embeddings)
    assert (len(found.rejects), found.source) == (0, expected.source)


@pytest.mark.parametrize("error", [*MEMORY, *DEVICE], ids=name_of)
def test_a_fault_that_stays_leaves_the_slice_to_another_run(
    bundle: Bundle, images: tuple[EncodedImage, ...], error: BaseException
) -> None:
    found = compute(images, Failing(bundle, lambda _, crops: None if is_canary(crops) else error))
    assert (found.seen, len(found.images), len(found.rejects)) == (0, 0, 0)
    source = found.source
    assert (source.retryable, source.last, source.index, source.skipped) == (True, False, 3, 0)
    assert source.damage is not None
    assert source.damage.startswith("slice 3 was not computed, for the machine failed (")


def test_an_error_that_nobody_foresaw_costs_its_slice_and_not_the_run(
    bundle: Bundle, images: tuple[EncodedImage, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise LookupError("a fault of ours")

    monkeypatch.setattr("causalprint.transforms.fingerprint_rows._embedding_row", failing)
    found = compute(images, Fingerprinter(bundle, "cpu"))
    assert (found.seen, len(found.images), found.source.retryable) == (0, 0, True)
    assert found.source.damage == "slice 3 was not computed: LookupError: a fault of ours; please report this"


@pytest.mark.parametrize("error", [*DEVICE, ValueError("no")], ids=name_of)
def test_a_device_that_is_broken_for_good_ends_the_run(
    bundle: Bundle, images: tuple[EncodedImage, ...], error: BaseException
) -> None:
    with pytest.raises(BrokenMachineError, match=r"this machine is broken: .* now raises .*; no image is blamed"):
        compute(images, Failing(bundle, lambda call, _: error if call > 2 else None))


def test_a_machine_that_computes_something_else_ends_the_run_before_an_image_is_rejected(
    bundle: Bundle, images: tuple[EncodedImage, ...]
) -> None:
    class Drifting(Failing):
        def __call__(
            self, crops: npt.NDArray[np.uint8], others: Sequence[npt.NDArray[np.uint8]] = (), *apart: Any
        ) -> Fingerprints:
            found = super().__call__(crops, others, *apart)
            if self._calls > 3:
                found.fingerprint[:] = np.nan
            return found

    with pytest.raises(BrokenMachineError, match="has another fingerprint"):
        compute(images, Drifting(bundle, lambda *_: None))


def test_an_image_that_the_model_cannot_compute_is_a_reject_once_the_canary_sang(
    bundle: Bundle, images: tuple[EncodedImage, ...]
) -> None:
    with Image.open(io.BytesIO(images[2].data)) as image:
        bad = np.asarray(image.convert("RGB"))
    found = compute(images, Failing(bundle, lambda _, crops: ValueError("no") if (crops[0] == bad).all() else None))
    assert [(row["member"], row["reason"]) for row in found.rejects.to_pylist()] == [("2.jpg", "model-error")]


def test_a_model_that_gives_no_number_for_an_ordinary_crop_is_refused(bundle: Bundle) -> None:
    class Nothing(Fingerprinter):
        def __call__(
            self, crops: npt.NDArray[np.uint8], others: Sequence[npt.NDArray[np.uint8]] = (), *apart: Any
        ) -> Fingerprints:
            found = super().__call__(crops, others, *apart)
            found.fingerprint[:] = np.nan
            return found

    with pytest.raises(BundleError, match="an ordinary crop has no finite fingerprint"):
        Nothing(bundle, "cpu").keep_canary()


def test_an_audit_goes_on_without_the_slice_and_the_next_one_completes_it(
    tmp_path: Path, tiny: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        photographs_tar(tmp_path / "in" / f"{number:05}.tar", range(4 * number, 4 * number + 4))
    arguments = ["audit", tmp_path / "in", "-o", tmp_path / "out", "--bundle", tiny, "--slice-images", 2]
    with monkeypatch.context() as patched:
        real = DecoderProcesses.decode
        bad = set(_images_of(tmp_path / "in" / "00001.tar")[:1])

        def failing(self: DecoderProcesses, data: bytes, side: int, places: Places) -> tuple[DecodedImage, Crops]:
            if data in bad:
                raise MachineFaultError("MemoryError")
            return real(self, data, side, places)

        patched.setattr(DecoderProcesses, "decode", failing)
        code, found, _ = command(capsys, *arguments)
    assert (code, found["rejected"], found["attributed"], found["complete"], found["retryable"]) == (3, 0, 10, 2, 1)
    (shard,) = found["incomplete_shards"]
    assert "decoding 00004.jpg: MemoryError" in shard["damage"]
    assert "slice 0 is missing" in shard["damage"]
    again = command(capsys, *arguments)
    assert (again.code, again.found["attributed"], again.found["computed"]) == (0, 12, 1)
    whole = command(capsys, *arguments[:3], tmp_path / "whole", *arguments[4:])
    assert whole.code == 0
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")


def _images_of(path: Path) -> list[bytes]:
    with tarfile.open(path) as archive:
        members = [member for member in archive.getmembers() if member.name.endswith(".jpg")]
        return [stream.read() for member in members if (stream := archive.extractfile(member)) is not None]


def test_rejects_of_the_model_exit_with_3_and_can_be_computed_again(
    tmp_path: Path, tiny: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs_tar(tmp_path / "in" / "00000.tar", range(4))
    photographs_tar(tmp_path / "in" / "00001.tar", range(4, 8))
    arguments = ["audit", tmp_path / "in", "-o", tmp_path / "out", "--bundle", tiny, "--slice-images", 2]
    bad = np.asarray(Image.open(io.BytesIO(_images_of(tmp_path / "in" / "00000.tar")[3])).convert("RGB"))
    with monkeypatch.context() as patched:
        real = Fingerprinter.__call__

        def failing(
            self: Fingerprinter, crops: npt.NDArray[np.uint8], others: Sequence[npt.NDArray[np.uint8]] = (), *apart: Any
        ) -> Fingerprints:
            if any((crop == bad).all() for crop in crops):
                raise ValueError("no such kernel")
            return real(self, crops, others, *apart)

        patched.setattr(Fingerprinter, "__call__", failing)
        first = command(capsys, *arguments)
        again = command(capsys, *arguments)
    for code, found, _ in (first, again):
        assert (code, found["exit_code"], found["complete"]) == (3, 3, 2)
        assert found["rejects"] == [{"stage": "compute", "reason": "model-error", "images": 1}]
    assert again.found["computed"] == 0
    kept = command(capsys, *arguments, "--retry-rejects", "decode")
    assert (kept.code, kept.found["computed"]) == (3, 0)
    retried = command(capsys, *arguments, "--retry-rejects", "compute")
    assert (retried.code, retried.found["computed"], retried.found["rejected"]) == (0, 1, 0)
    assert command(capsys, *arguments).code == 0
