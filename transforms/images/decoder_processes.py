"""Decoding in processes of their own, so that a decoder that crashes, hangs or takes all memory takes none of a run's work along.

A net that decides of no image: what is wrong with its bytes :func:`~causalprint.transforms.images.decode.decode` says, by counts.
What the net catches is a fault of the machine, and the image is tried again. Only the reader of C2PA manifests, which comes after
that and to which no count is known, may end its process: that costs the image its manifest, and nothing else.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Self
from weakref import finalize

import numpy as np

from causalprint.schemas.arrays import Crops, Pixels
from causalprint.schemas.claims import Carrier, Claim, ClaimKind, Claims, ManifestState
from causalprint.transforms.faults import MachineFaultError, told
from causalprint.transforms.images.claims import ReadManifest, read_claims, with_manifest
from causalprint.transforms.images.decode import DecodedImage, ImageRejectError, decode
from causalprint.transforms.images.manifests import Manifest, read_manifest

MEMORY_BYTES = 4 * 1024**3
"""Address space of a process that decodes: the largest image that is decoded takes about a third."""
SECONDS = 120.0
"""The longest that one image may take; one that the counts allow takes a few."""
MANIFEST_SECONDS = 20.0
"""The longest that one manifest may take; those of services take some milliseconds."""
MANIFEST_TRIES = 2
"""Where its process is killed, the machine may be to blame, and once more it is read in another."""

Places = Callable[[int, int], Sequence[tuple[int, int]]]
"""From height and width of an image to top and left of each square that is wanted of it."""
NO_PIXELS: Pixels = np.zeros((0, 0, 3), np.uint8)
UNREAD = Manifest(ManifestState.UNREAD)
_MANIFEST = b"null"
"""Asks for a manifest, where the side of a square asks for an image."""


def decode_crops(data: bytes, side: int, places: Places, manifests: ReadManifest = read_manifest) -> tuple[DecodedImage, Crops]:
    """An image without its pixels, with its hash and its claims, and its crops uint8 (V, side, side, 3), none of a damaged one.

    Raises:
        ImageRejectError, MachineFaultError: see :func:`~causalprint.transforms.images.decode.decode`.
    """

    def crop(height: int, width: int, part: Callable[[int, int, int, int], Pixels]) -> Pixels:
        squares = [part(left, top, left + side, top + side) for top, left in places(height, width)]
        return np.stack(squares) if squares else np.zeros((0, side, side, 3), np.uint8)

    decoded = decode(data, crop=crop, hashed=True)
    return decoded._replace(pixels=NO_PIXELS, claims=read_claims(data, manifests)), decoded.pixels[
        : 0 if decoded.damage else None
    ]


class DecoderProcesses:
    """As many processes as threads ask at once; each decodes one image after another. Thread safe.

    A context manager: at its end the processes are gone, as they are with whoever holds it.
    """

    def __init__(
        self,
        memory: int = MEMORY_BYTES,
        seconds: float = SECONDS,
        manifest_seconds: float = MANIFEST_SECONDS,
        anchors: str = "",
    ) -> None:
        """Starts none yet.

        Args:
            memory: bytes of address space that each may have.
            seconds: after which one is given up.
            manifest_seconds: after which a manifest is.
            anchors: as of :func:`~causalprint.transforms.images.manifests.read_manifest`.
        """
        self._anchors = anchors
        self._memory = memory
        self._seconds = seconds
        self._manifest_seconds = manifest_seconds
        self._idle: LifoQueue[_Process] = LifoQueue()
        self._end = finalize(self, _end_all, self._idle)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def decode(self, data: bytes, side: int, places: Places) -> tuple[DecodedImage, Crops]:
        """What :func:`decode_crops` gives and raises; of the pixels only the crops leave the process.

        Raises:
            MachineFaultError: also where the process died or took too long.
        """
        process = self._process()
        try:
            decoded, crops = process.decode(data, side, places)
        except ImageRejectError:
            self._idle.put(process)
            raise
        except BaseException:
            process.end()
            raise
        self._idle.put(process)
        if decoded.claims.c2pa is ManifestState.UNREAD:
            known = Claims(tuple(claim for claim in decoded.claims.claims if claim.carrier is not Carrier.C2PA))
            decoded = decoded._replace(claims=with_manifest(known, self._manifest(data)))
        return decoded, crops

    def _manifest(self, data: bytes) -> Manifest | None:
        """The manifest of an image; ``unread`` where its reader takes too long or ends its process."""
        deadline = time.monotonic() + self._manifest_seconds
        for _ in range(MANIFEST_TRIES):
            process = self._process()
            try:
                manifest = process.manifest(data, deadline)
            except MachineFaultError:
                process.end()
                continue
            except BaseException:
                process.end()
                raise
            self._idle.put(process)
            return manifest
        return UNREAD

    def _process(self) -> _Process:
        try:
            return self._idle.get_nowait()
        except Empty:
            return _Process(self._memory, self._seconds, self._anchors)


class _Process:
    """One process and the connection to it."""

    def __init__(self, memory: int, seconds: float, anchors: str) -> None:
        mine, its = socket.socketpair()
        with its:
            command = [sys.executable, "-m", __name__, str(its.fileno()), str(memory)]
            self._process = subprocess.Popen(  # noqa: S603 - this module
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[its.fileno()],
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self._connection = Connection(mine.detach())
        self._seconds = seconds
        with suppress(OSError):  # of one that is gone already, the first image tells
            self._connection.send_bytes(anchors.encode())

    def decode(self, data: bytes, side: int, places: Places) -> tuple[DecodedImage, Crops]:
        """Has it decode one image; after any other error than a reject it is of no use any more."""
        try:
            self._connection.send_bytes(json.dumps(side).encode())
            self._connection.send_bytes(data)
            deadline = time.monotonic() + self._seconds
            answer = self._answer(deadline)
            while "size" in answer:
                self._connection.send_bytes(json.dumps(places(*answer["size"])).encode())
                answer = self._answer(deadline)
            if "decoded" in answer:
                crops = np.empty((answer["crops"], side, side, 3), np.uint8)
                if len(crops):
                    self._connection.recv_bytes_into(crops.data.cast("B"))
                return _decoded(answer["decoded"]), crops
        except (EOFError, OSError) as error:
            raise MachineFaultError(self._how()) from error
        if "rejected" in answer:
            raise ImageRejectError(*answer["rejected"])
        if "fault" in answer:
            raise MachineFaultError(answer["fault"])
        raise RuntimeError(answer["error"])

    def manifest(self, data: bytes, deadline: float) -> Manifest | None:
        """Has it read a manifest until ``deadline``, of the monotonic clock; after an error it is of no use any more."""
        try:
            self._connection.send_bytes(_MANIFEST)
            self._connection.send_bytes(data)
            answer = self._answer(deadline)
        except (EOFError, OSError) as error:
            raise MachineFaultError(self._how()) from error
        if "manifest" not in answer:
            raise MachineFaultError(answer.get("fault") or answer["error"])
        found = answer["manifest"]
        return None if found is None else Manifest(ManifestState(found[0]), *found[1:])

    def _answer(self, deadline: float) -> dict[str, Any]:
        if not self._connection.poll(max(0.0, deadline - time.monotonic())):
            raise MachineFaultError(f"its decoder was not done after {self._seconds:g} seconds")
        answer: dict[str, Any] = json.loads(self._connection.recv_bytes())
        return answer

    def end(self) -> None:
        """Kills it."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _how(self) -> str:
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(1)
            return f"its decoder was killed by {signal.Signals(-code).name}" if code < 0 else f"its decoder ended with {code}"
        return "its decoder does not answer"


def _end_all(processes: LifoQueue[_Process]) -> None:
    with suppress(Empty):
        while True:
            processes.get_nowait().end()


def _serve(connection: Connection) -> None:
    """Answers each image until nobody is there to ask."""
    anchors = connection.recv_bytes().decode()

    def places(height: int, width: int) -> list[tuple[int, int]]:
        connection.send_bytes(json.dumps({"size": [height, width]}).encode())
        return [(top, left) for top, left in json.loads(connection.recv_bytes())]

    while True:
        side = json.loads(connection.recv_bytes())
        data = connection.recv_bytes()
        answer, crops = (_manifest_answer(data, anchors), None) if side is None else _answer(data, side, places)
        connection.send_bytes(json.dumps(answer).encode())
        if crops is not None and len(crops):
            connection.send_bytes(np.ascontiguousarray(crops).data.cast("B"))


def _answer(data: bytes, side: int, places: Places) -> tuple[dict[str, Any], Crops | None]:
    try:
        decoded, crops = decode_crops(data, side, places, lambda _: UNREAD)
    except ImageRejectError as error:
        return {"rejected": [error.stage, error.reason, error.detail]}, None
    except MachineFaultError as error:
        return {"fault": str(error)}, None
    except Exception as error:  # noqa: BLE001 - told by who asked
        return {"error": told(error)}, None
    facts = decoded._asdict()
    del facts["pixels"]
    return {"decoded": facts, "crops": len(crops)}, crops


def _manifest_answer(data: bytes, anchors: str) -> dict[str, Any]:
    try:
        return {"manifest": read_manifest(data, anchors)}
    except Exception as error:  # noqa: BLE001 - told by who asked
        return {"fault": told(error)}


def _decoded(facts: dict[str, Any]) -> DecodedImage:
    """What a process told of an image, as it was."""
    found, c2pa = facts.pop("claims")
    claims = tuple(Claim(ClaimKind(kind), Carrier(carrier), source) for kind, carrier, source in found)
    return DecodedImage(pixels=NO_PIXELS, claims=Claims(claims, c2pa and ManifestState(c2pa)), **facts)


def _main(descriptor: int, memory: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the connection says when this is over
    warnings.simplefilter("ignore")  # of decoders, on what a row says
    with suppress(ValueError, OSError):  # where there are no such limits
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):  # where memory is short, this goes before the run does
        Path("/proc/self/oom_score_adj").write_text("500")
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # whoever asked is gone
        _serve(Connection(descriptor))


if __name__ == "__main__":
    _main(int(sys.argv[1]), int(sys.argv[2]))
