"""Real object stores on loopback, as fixtures; and a proxy that breaks connections.

``s3_store`` is moto's S3 server, ``gcs_store`` the GCS storage emulator, ``object_store`` each of them in turn.
Worker processes reach them too: all that is needed is in :attr:`ObjectStore.storage`.
"""

from __future__ import annotations

import json
import os
import re
import socket
import struct
import threading
import time
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from causalprint.schemas.config import Storage
from causalprint.transforms.storage.storage import filesystem

HOST = "127.0.0.1"

# Before gcsfs is imported: its default asks a service for each bucket's kind over TLS, which no emulator has.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@dataclass(frozen=True)
class ObjectStore:
    """A bucket on a server of this machine.

    Attributes:
        url: ``s3://bucket`` or ``gs://bucket``.
        storage: the options that reach it.
        port: of the server.
    """

    url: str
    storage: Storage
    port: int

    def put(self, name: str, data: bytes) -> str:
        """Stores an object; returns its URL."""
        fs, path = filesystem(f"{self.url}/{name}", self.storage)
        fs.pipe_file(path, data)
        return f"{self.url}/{name}"

    def get(self, name: str) -> bytes:
        """An object's bytes."""
        fs, path = filesystem(f"{self.url}/{name}", self.storage)
        data: bytes = fs.cat_file(path)
        return data

    def names(self) -> list[str]:
        """Every object's name, sorted."""
        fs, path = filesystem(self.url, self.storage)
        return sorted(name.removeprefix(f"{path}/") for name in fs.find(path))

    def through(self, port: int) -> ObjectStore:
        """The same bucket by another port."""
        protocol, _, _ = self.url.partition(":")
        options = json.loads(self.storage.options)
        options[protocol]["endpoint_url"] = f"http://{HOST}:{port}"
        return replace(self, storage=Storage(json.dumps(options)), port=port)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[int]:
    """The port of an S3 server."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(HOST, 0, verbose=False)
    server.start()
    yield server.get_host_and_port()[1]
    server.stop()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[int]:
    """The port of a GCS server."""
    from gcp_storage_emulator.server import create_server

    port = free_port()
    server = create_server(HOST, port, in_memory=True)
    server.start()
    wait_for(port)
    yield port
    server.stop()


@pytest.fixture
def s3_store(s3_server: int) -> ObjectStore:
    """A new, empty S3 bucket."""
    return s3_bucket(s3_server)


@pytest.fixture
def gcs_store(gcs_server: int) -> ObjectStore:
    """A new, empty GCS bucket."""
    return _bucket("gs", {"token": "anon"}, gcs_server)


@pytest.fixture(params=["s3", "gs"])
def object_store(request: pytest.FixtureRequest) -> ObjectStore:
    """A new, empty bucket: of S3, then of GCS."""
    store: ObjectStore = request.getfixturevalue({"s3": "s3_store", "gs": "gcs_store"}[request.param])
    return store


def s3_bucket(port: int) -> ObjectStore:
    """A new, empty bucket of the S3 server."""
    return _bucket("s3", {"key": "test", "secret": "test"}, port)


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def wait_for(port: int, seconds: float = 10) -> None:
    """Returns when something listens on ``port``."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
        else:
            return


@dataclass
class Breaks:
    """What a breaking proxy does: each answer of more than ``after`` bytes is cut there, so many ``times``; and did."""

    after: int
    times: int
    done: int = 0


@contextmanager
def breaking_proxy(port: int, after: int, times: int) -> Iterator[tuple[int, Breaks]]:
    """A TCP proxy before ``port`` that cuts connections with a reset.

    Args:
        port: of the server.
        after: bytes that the server may send on one connection before it is cut.
        times: connections to cut; afterwards all pass.

    Yields:
        The proxy's port, and the account of what it broke.
    """
    breaks = Breaks(after, times)
    listener = socket.create_server((HOST, 0))
    threading.Thread(target=_accept, args=(listener, port, breaks), daemon=True).start()
    try:
        yield listener.getsockname()[1], breaks
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, port: int, breaks: Breaks) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection((HOST, port))
        threading.Thread(target=_forward, args=(client, server), daemon=True).start()
        threading.Thread(target=_answer, args=(server, client, breaks), daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _answer(server: socket.socket, client: socket.socket, breaks: Breaks) -> None:
    sent = 0
    with server, client:
        try:
            while data := server.recv(65536):
                if breaks.done < breaks.times and sent + len(data) > breaks.after:
                    breaks.done += 1
                    client.sendall(data[: max(0, breaks.after - sent)])
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    break
                sent += len(data)
                client.sendall(data)
        except OSError:
            pass
        for each in (client, server):  # closing alone would wait for the thread that reads from it
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


def _bucket(protocol: str, options: dict[str, Any], port: int) -> ObjectStore:
    storage = Storage(json.dumps({protocol: {**options, "endpoint_url": f"http://{HOST}:{port}"}}))
    name = f"bucket-{time.monotonic_ns():x}"
    fs, path = filesystem(f"{protocol}://{name}", storage)
    fs.mkdir(path)
    return ObjectStore(f"{protocol}://{name}", storage, port)


@dataclass
class Web:
    """A small web server of files, with as many faults as it is told; and what it was asked.

    Attributes:
        files: what it has, by path: ``/a/0.tar``.
        ranges: answers ranges with them, and says so.
        lengths: tells sizes.
        tags: tells ETags.
        head: knows HEAD; without, it answers 405.
        fails: so many requests are answered by ``status`` before others are served.
        status: of those.
        secret: requests need this query; others are answered by 403.
        rate: bytes a second of every body.
        asked: method and path, without its query, of each request.
    """

    files: dict[str, bytes]
    ranges: bool = True
    lengths: bool = True
    tags: bool = True
    head: bool = True
    fails: int = 0
    status: int = 503
    secret: str = ""
    rate: int | None = None
    asked: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://{HOST}:{self.port}"


@contextmanager
def web(served: Web) -> Iterator[Web]:
    """Serves, until the end."""
    handler = type("Handler", (_WebHandler,), {"web": served})
    server = ThreadingHTTPServer((HOST, 0), handler)
    served.port = server.server_port
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


class _WebHandler(BaseHTTPRequestHandler):
    web: Web
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path, _, query = self.path.partition("?")
        self.web.asked.append(f"{self.command} {path}")
        if self.command == "HEAD" and not self.web.head:
            self._answer(405, b"")
        elif self.web.fails > 0:
            self.web.fails -= 1
            self._answer(self.web.status, b"later")
        elif self.web.secret and query != self.web.secret:
            self._answer(403, b"signature")
        elif path in self.web.files:
            self._give(self.web.files[path])
        elif path.endswith("/") and (names := self._names(path)):
            page = "".join(f'<a href="{name}">{name}</a>' for name in ["../", "?C=N;O=D", *names])
            self._answer(200, page.encode(), {"Content-Type": "text/html; charset=utf-8"})
        elif self._names(f"{path}/"):
            self._answer(301, b"", {"Location": f"{path}/"})
        else:
            self._answer(404, b"no")

    do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - the names that the base calls

    def log_message(self, *_: object) -> None:
        pass

    def _names(self, folder: str) -> list[str]:
        inside = [path.removeprefix(folder) for path in self.web.files if path.startswith(folder)]
        return sorted({name.partition("/")[0] + "/" * ("/" in name) for name in inside})

    def _give(self, data: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        if self.web.tags:
            headers["ETag"] = f'"{hash(data) & 0xFFFFFFFF:x}"'
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if asked and self.web.ranges:
            start, end = int(asked[1]), min(int(asked[2] or len(data)) + 1, len(data))
            if start >= len(data):
                self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
                return
            self._answer(206, data[start:end], headers | {"Content-Range": f"bytes {start}-{end - 1}/{len(data)}"})
        else:
            self._answer(200, data, headers)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] = types.MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.web.lengths:
            self.send_header("Content-Length", str(len(body)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if self.command == "HEAD":
            return
        step = self.web.rate or max(1, len(body))
        with suppress(OSError):
            for start in range(0, len(body), step):
                self.wfile.write(body[start : start + step])
                if self.web.rate:
                    time.sleep(1)
