"""Decoding in processes of their own: the same pixels and rejects, and what becomes of a process costs no other image."""

from __future__ import annotations

import io
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from PIL import Image

from causalprint.schemas.arrays import Crops
from causalprint.schemas.claims import ClaimKind, ManifestState
from causalprint.transforms.faults import MachineFaultError
from causalprint.transforms.images import decoder_processes
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError
from causalprint.transforms.images.decoder_processes import DecoderProcesses, Places, decode_crops
from tests.audits import command, photographs_tar
from tests.claimed import encoded, exif, signed, vendor
from tests.outputs import files_below
from tests.transforms.images.test_decode import VARIANTS

Capture = pytest.CaptureFixture[str]
SIDE = 30
NAME = decoder_processes.__name__


def ends(height: int, width: int) -> list[tuple[int, int]]:
    """The first and the last square of an image that has them."""
    return [(0, 0), (height - SIDE, width - SIDE)] if min(height, width) >= SIDE else []


def outcome(how: Callable[[bytes, int, Places], tuple[DecodedImage, Crops]], data: bytes) -> tuple[object, ...]:
    try:
        decoded, crops = how(data, SIDE, ends)
    except ImageRejectError as error:
        return error.stage, error.reason, error.detail
    assert decoded.pixels.size == 0
    return crops.tobytes(), crops.shape, *decoded[1:]


def decoders(of: int) -> list[int]:
    """The processes that decode for a process."""
    children = [path.read_text().split() for path in Path(f"/proc/{of}/task").glob("*/children")]
    return [int(pid) for several in children for pid in several if NAME.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]


def large_png(side: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (9, 99, 199)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore")
def test_images_and_rejects_are_those_of_decoding_here() -> None:
    cut = [data[: len(data) // 2] for data in VARIANTS.values()]
    claiming = signed(encoded("JPEG", exif=exif("Canon", "EOS R5")), "JPEG", vendor("Imagine Works"))
    data = [
        *VARIANTS.values(),
        claiming,
        claiming.replace(b"Imagine", b"Imagene"),
        *cut,
        b"",
        b"no image",
        b"\xff\xd8\xff" + bytes(99),
    ]
    expected = [outcome(decode_crops, one) for one in data]
    assert len({len(one) for one in expected}) == 2, "images and rejects"
    with DecoderProcesses() as apart:
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda one: outcome(apart.decode, one), data)) == expected
        assert 1 <= len(decoders(os.getpid())) <= 3
    assert not decoders(os.getpid())


def test_more_memory_than_there_may_be_blames_no_image() -> None:
    small = large_png(100)
    with DecoderProcesses(memory=330 * 1024**2) as apart:
        with pytest.raises(MachineFaultError, match=r"MemoryError|memory was short"):
            apart.decode(large_png(7500), SIDE, ends)
        assert outcome(apart.decode, small) == outcome(decode_crops, small)


def test_a_process_that_takes_too_long_blames_no_image() -> None:
    with DecoderProcesses(seconds=0) as apart, pytest.raises(MachineFaultError, match="its decoder was not done after 0 seconds"):
        apart.decode(large_png(100), SIDE, ends)
    assert not decoders(os.getpid())


@pytest.mark.parametrize("signum", [signal.SIGSEGV, signal.SIGKILL])
def test_a_process_that_dies_blames_no_image_and_another_one_takes_its_place(signum: signal.Signals) -> None:
    data = large_png(100)
    with DecoderProcesses() as apart:
        apart.decode(data, SIDE, ends)
        (pid,) = decoders(os.getpid())
        os.kill(pid, signum)
        with pytest.raises(MachineFaultError, match=f"its decoder was killed by {signum.name}"):
            apart.decode(data, SIDE, ends)
        assert outcome(apart.decode, data) == outcome(decode_crops, data)


@pytest.mark.parametrize(
    ("deed", "seconds"), [("os.kill(os.getpid(), 11)", 60), ("time.sleep(99)", 0.5), ("[0] * (1 << 40)", 60)]
)
def test_a_manifest_that_kills_hangs_or_swells_costs_the_manifest_alone(
    deed: str, seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = signed(encoded("JPEG", exif=exif("Canon", "EOS R5")), "JPEG", vendor("Imagine Works"))
    expected = outcome(decode_crops, data)
    (tmp_path / "sitecustomize.py").write_text(f"""
import os, time
from causalprint.transforms.images import manifests
def read(*_):
    {deed}
manifests.read_manifest = read
""")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    with DecoderProcesses(manifest_seconds=seconds) as apart:
        decoded, crops = apart.decode(data, SIDE, ends)
        assert decoded.claims.c2pa is ManifestState.UNREAD
        assert [claim.kind for claim in decoded.claims.claims] == [ClaimKind.CAMERA, ClaimKind.UNREAD]
        assert (crops.tobytes(), *decoded[1:-1]) == (expected[0], *expected[2:-1]), "all else is as it is"
        assert outcome(apart.decode, large_png(100)) == outcome(decode_crops, large_png(100))


def test_processes_go_with_who_started_them(tmp_path: Path) -> None:
    code = f"import pathlib, sys, time; from {NAME} import DecoderProcesses; all = DecoderProcesses(); "
    code += "all.decode(pathlib.Path(sys.argv[1]).read_bytes(), 9, lambda h, w: []); print(1, flush=True); time.sleep(99)"
    image = tmp_path / "0.png"
    image.write_bytes(large_png(100))
    with subprocess.Popen([sys.executable, "-c", code, image], stdout=-1) as who:
        assert who.stdout is not None
        assert who.stdout.readline() == b"1\n"
        (pid,) = decoders(who.pid)
        who.kill()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{pid}/cmdline").exists()


@pytest.mark.parametrize("asked", [(), (b"30",)])
def test_a_process_ends_without_a_word_whenever_nobody_is_there_to_ask(asked: tuple[bytes, ...]) -> None:
    mine, its = socket.socketpair()
    command = [sys.executable, "-m", NAME, str(its.fileno()), str(1 << 32)]
    with mine, its, subprocess.Popen(command, pass_fds=[its.fileno()], stderr=subprocess.PIPE) as process:
        its.close()
        connection = Connection(mine.detach())
        for message in asked:
            connection.send_bytes(message)
        connection.close()
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait()) == (b"", 0)


def test_a_crash_of_a_decoder_costs_its_slice_and_the_next_run_completes_it(
    tmp_path: Path, tiny: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs_tar(tmp_path / "in" / "0.tar", range(6), side=300)
    photographs_tar(tmp_path / "in" / "1.tar", range(6, 8), side=299)
    arguments = ["audit", tmp_path / "in", "-o", tmp_path / "out", "--bundle", tiny, "--slice-images", 2]
    patch = tmp_path / "patch"
    patch.mkdir()
    crash = """
import os, signal
from PIL import ImageFile
real = ImageFile.ImageFile.load
def load(self):
    if self.size == (299, 299):
        os.kill(os.getpid(), signal.SIGSEGV)
    return real(self)
ImageFile.ImageFile.load = load
"""
    (patch / "sitecustomize.py").write_text(crash)
    with monkeypatch.context() as patched:
        patched.setenv("PYTHONPATH", os.pathsep.join([str(patch), *filter(None, [os.environ.get("PYTHONPATH")])]))
        code, found, _ = command(capsys, *arguments)
    assert (code, found["attributed"], found["rejected"], found["complete"], found["retryable"]) == (3, 6, 0, 1, 1)
    (shard,) = found["incomplete_shards"]
    assert "decoding 00006.jpg: its decoder was killed by SIGSEGV" in shard["damage"]
    again = command(capsys, *arguments)
    assert (again.code, again.found["attributed"], again.found["computed"]) == (0, 8, 1)
    whole = command(capsys, *arguments[:3], tmp_path / "whole", *arguments[4:])
    assert whole.code == 0
    assert files_below(tmp_path / "out") == files_below(tmp_path / "whole")
