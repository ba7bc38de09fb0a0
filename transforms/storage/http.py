"""HTTP(S) as a filesystem: fsspec's, with an error for whatever is not plainly "not there", and for servers that know little.

fsspec's own takes a server that cannot be reached for one that has nothing, and an answer to a range for that range.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any, BinaryIO
from urllib.parse import urljoin, urlsplit

import aiohttp
import yarl
from fsspec.implementations.http import HTTPFileSystem

from causalprint.schemas.urls import bare, public, query_of
from causalprint.transforms.storage.retries import WORTH_ANOTHER, StoreRefusalError

PIECE_BYTES = 1 << 20
CONNECT_SECONDS = 30
SILENCE_SECONDS = 120
NOT_THERE = (404, 410)
REFUSED = (401, 403)
DOWNLOAD = "download it first, and audit the file"


class HttpAnswerError(Exception):
    """The server answered with an error; ``status`` is its code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return self.message


class NoRangesError(StoreRefusalError):
    """The server gives whole files only."""


class HttpFiles(HTTPFileSystem):
    """Files of web servers. What it is given as a path is a URL, with the query and the user info that open it."""

    async def _info(self, url: str, **_: Any) -> dict[str, Any]:
        """Size, version and kind of what is at ``url``: by HEAD, or where the server has none, or no size for it, by one byte.

        Raises:
            FileNotFoundError: it is not there.
            PermissionError: the server refuses.
            StoreRefusalError: the server does not tell its size.
            HttpAnswerError, aiohttp.ClientError: the server failed.
        """
        async with await self._ask("HEAD", url) as answer:
            status = answer.status
            found = _described(url, answer) if status < 400 else None
        if status in NOT_THERE:
            raise FileNotFoundError(public(url))
        if status in WORTH_ANOTHER or (status >= 500 and status != 501):
            _raise_for(answer, url)
        if found is None or found["size"] is None:
            async with await self._ask("GET", url, {"Range": "bytes=0-0"}) as answer:
                if answer.status != 416:
                    _raise_for(answer, url)
                found = _described(url, answer)
        if found["size"] is None:
            raise StoreRefusalError(f"the server tells no size of {public(url)} and supports no range requests; {DOWNLOAD}")
        return found

    async def _cat_file(self, url: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        """Bytes ``start`` to ``end``.

        Raises:
            NoRangesError: the server would give all of it, and more than these are asked for.
        """
        if start is None and end is None:
            async with await self._ask("GET", url) as answer:
                _raise_for(answer, url)
                return bytes(await answer.read())
        if start == end:
            return b""
        limits = await self._process_limits(url, start, end)
        first = int(limits.removeprefix("bytes=").partition("-")[0])
        async with await self._ask("GET", url, {"Range": limits}) as answer:
            if answer.status == 416:
                return b""
            _raise_for(answer, url)
            if answer.status == 206:
                given = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
                if given and int(given[1]) != first:
                    raise HttpAnswerError(206, f"bytes from {first} on were asked for, those from {given[1]} on came")
                return bytes(await answer.read())
            if first or end is None:
                raise NoRangesError(f"the server of {public(url)} does not support range requests; {DOWNLOAD}")
            data = bytearray()
            async for piece in answer.content.iter_chunked(min(PIECE_BYTES, end)):
                data += piece
                if len(data) >= end:
                    break
            return bytes(data[:end])

    async def _keep_whole(self, url: str, target: BinaryIO) -> None:
        """Writes all of ``url`` to ``target``."""
        target.seek(0)
        target.truncate()
        async with await self._ask("GET", url) as answer:
            _raise_for(answer, url)
            async for piece in answer.content.iter_chunked(PIECE_BYTES):
                target.write(piece)

    async def _ls_real(self, url: str, detail: bool = True, **_: Any) -> Any:
        """What the server's page of a folder links to, in and below it; of unknown size.

        Raises:
            StoreRefusalError: there is no such page.
        """
        async with await self._ask("GET", f"{bare(url).rstrip('/')}/{query_of(url)}") as answer:
            if answer.status in REFUSED:
                raise StoreRefusalError(f"the server gives no listing of {public(url)} ({answer.status}); {_NAMED}")
            _raise_for(answer, url)
            if answer.content_type != "text/html":
                raise StoreRefusalError(
                    f"what the server gives for {public(url)} is no listing ({answer.content_type}); {_NAMED}"
                )
            links = _Links()
            links.feed(await answer.text(errors="replace"))
            base = bare(str(answer.url)).rpartition("/")[0] + "/"
        names = (
            bare(public(urljoin(base, link))).removeprefix(public(base))
            for link in links.found
            if not query_of(urljoin(base, link))
        )
        inside = sorted({name for name in names if name and "://" not in name and not name.startswith((".", "/"))})
        entries = [_entry(f"{bare(url).rstrip('/')}/{name}") for name in inside]
        return entries if detail else [entry["name"] for entry in entries]

    def encode_url(self, url: str) -> yarl.URL:
        """As it is, where it is encoded already: whoever signed it signed these very characters."""
        is_encoded = self.encoded or ("%" in url and url.isascii() and " " not in url)
        return yarl.URL(url, encoded=is_encoded)

    async def _ask(self, method: str, url: str, headers: dict[str, str] | None = None) -> aiohttp.ClientResponse:
        options = dict(self.kwargs)
        # Bytes as they are stored: what is compressed on the way has other ranges.
        sent = {**options.pop("headers", {}), "Accept-Encoding": "identity", **(headers or {})}
        options = {
            "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
            "allow_redirects": True,
            **options,
        }
        session = await self.set_session()
        answer: aiohttp.ClientResponse = await session.request(
            method, self.encode_url(url), headers=sent, auto_decompress=False, **options
        )
        return answer


_NAMED = "name the shards, as in a range: {00000..00099}.tar"


class _Links(HTMLParser):
    """The targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def _entry(url: str) -> dict[str, Any]:
    is_folder = url.endswith("/")
    return {"name": url.rstrip("/") if is_folder else url, "size": None, "type": "directory" if is_folder else "file"}


def _described(url: str, answer: aiohttp.ClientResponse) -> dict[str, Any]:
    headers = answer.headers
    if urlsplit(str(answer.url)).path.endswith("/") and answer.content_type == "text/html" and not query_of(url):
        return {"name": url, "size": 0, "type": "directory"}
    size = None
    if total := re.search(r"/(\d+)$", headers.get("Content-Range", "")):
        size = int(total[1])
    elif answer.status == 200 and headers.get("Content-Encoding", "identity") == "identity" and "Content-Length" in headers:
        size = int(headers["Content-Length"])
    versions = {name: headers[name] for name in ("ETag", "Last-Modified") if headers.get(name)}
    return {"name": url, "size": size, "type": "file", **versions}


def _raise_for(answer: aiohttp.ClientResponse, url: str) -> None:
    if answer.status in NOT_THERE:
        raise FileNotFoundError(public(url))
    if answer.status in REFUSED:
        raise PermissionError(f"the server refuses {public(url)} ({answer.status} {answer.reason})")
    if answer.status >= 400:
        raise HttpAnswerError(answer.status, f"the server answers {answer.status} {answer.reason} for {public(url)}")
