"""From a URL's protocol to its filesystem: fsspec's, with the options meant for it, or one sentence that says what is missing."""

from __future__ import annotations

import json
import re
from typing import Any

import fsspec

from causalprint.schemas.config import Storage
from causalprint.schemas.urls import hide, public, scrubbed
from causalprint.transforms.storage.retries import alone

LOCAL = ("file", "local")
SAME = (
    ("s3", "s3a"),
    ("gs", "gcs"),
    ("az", "abfs", "abfss"),
    ("http", "https"),
    LOCAL,
    ("ssh", "sftp"),
)
"""Protocols of one store: options for one of them are for all."""
PACKAGES = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "http": "aiohttp",
    "az": "adlfs",
    "adl": "adlfs",
    "oss": "ossfs",
    "hf": "huggingface_hub",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "ftp": "fsspec",
    "webhdfs": "requests",
    "github": "requests",
    "webdav": "webdav4",
    "gdrive": "gdrive-fsspec",
    "dropbox": "dropboxdrivefs",
    "box": "boxfs",
    "oci": "ocifs",
    "swift": "swiftspec",
    "root": "fsspec-xrootd",
}
KEYED = frozenset({"s3", "gs", "oss"})
"""Protocols whose URLs have no place for a user: what stands before an ``@`` would be taken for a bucket's name."""
LIBHDFS = (
    "hdfs:// needs libhdfs and a Java virtual machine: install Hadoop's client, set JAVA_HOME and HADOOP_HOME, and CLASSPATH to "
    "what `hadoop classpath --glob` prints; or give webhdfs://HOST:PORT/PATH, which needs neither"
)
_LISTINGS = {"use_listings_cache": True, "listings_expiry_time": 60, "skip_instance_cache": True}
CHAINED = re.compile(r"^[\w+.-]+::|::[\w+.-]+://")
PIPE_URL = re.compile(r"[a-z][a-z0-9+]*://[^\s'\"|;]+")


def opened(uri: str, storage: Storage, *, patient: bool = False, listings: bool = False) -> Any:
    """The fsspec filesystem that speaks the protocol of ``uri``; see :func:`~causalprint.transforms.storage.storage.filesystem`.

    Raises:
        ImportError: the package that speaks it is not installed.
        ValueError: nothing speaks it, or not with these options.
    """
    shown = scrubbed(uri)
    if uri.startswith("pipe:"):
        inner = PIPE_URL.search(uri)
        give = f"give the URL itself: {public(inner[0])}" if inner else "give the URL or the path of what it prints"
        raise ValueError(f"input {shown!r}: commands (pipe:) are not run; {give}")
    name = protocol_of(uri)
    if name not in LOCAL and CHAINED.search(uri):
        archive = uri.rsplit("::", 1)[-1]
        raise ValueError(
            f"input {shown!r}: chained URLs (::) are not read; give the archive itself, {public(archive)}, or unpack it"
        )
    protocol = _first(name)
    if protocol in KEYED and "@" in (user := re.split(r"[/?#]", uri.partition("://")[2], maxsplit=1)[0]):
        hide(re.split("[:@]", user))
        raise ValueError(f"{public(uri)!r}: credentials stand in --storage-options @FILE, never in a URL of {protocol}://")
    hide(parsed := json.loads(storage.options))
    given = options_for(parsed, name)
    listed: dict[str, Any] = _LISTINGS if listings else {"use_listings_cache": False}
    options = ({} if protocol == "file" else listed) | given
    if protocol == "s3" and not patient:  # one layer of retries, ours, unless somebody asks for botocore's
        options["config_kwargs"] = {"retries": {"total_max_attempts": 1}} | given.get("config_kwargs", {})
    try:
        fs = _http(options) if protocol == "http" else fsspec.filesystem(name, **options)
    except ImportError as error:
        package = PACKAGES.get(protocol)
        needs = f"the package {package}: pip install {package}" if package else f"a package: {scrubbed(str(error))}"
        raise ImportError(f"reading {shown!r}{f': {LIBHDFS}' if protocol == 'hdfs' else f' needs {needs}'}") from error
    except (OSError, ValueError) as error:
        if protocol == "hdfs":
            raise ImportError(f"reading {shown!r}: {LIBHDFS}") from error
        if protocol in map(_first, fsspec.available_protocols()):
            message = f"cannot open {protocol}:// of {shown!r}: {scrubbed(str(error))}; check --storage-options"
        else:
            message = (
                f"no filesystem for {protocol}:// of {shown!r}; use file://, s3:// or gs://, https://, hf://, az:// or oss://"
            )
        raise ValueError(message) from error
    except TypeError as error:
        names = ", ".join(sorted(given)) or "none"
        raise ValueError(f"{protocol}:// takes other --storage-options than {names}: {scrubbed(str(error))}") from error
    return fs if patient else alone(fs)


def protocol_of(uri: str) -> str:
    """The protocol of a URL; ``file`` of a local path, which may hold any number of colons."""
    before, found, _ = uri.partition("://")
    return before if found and "/" not in before else "file"


def options_for(parsed: dict[str, Any], protocol: str) -> dict[str, Any]:
    """Of storage options, flat or by protocol, those for ``protocol``: the flat ones are for all but local files."""
    known = set(fsspec.available_protocols())
    keyed = {name: value for name, value in parsed.items() if name in known and isinstance(value, dict)}
    same = _same(protocol)
    flat = {} if "file" in same else {name: value for name, value in parsed.items() if name not in keyed}
    for name in same:
        flat |= keyed.get(name, {})
    return flat


def _http(options: dict[str, Any]) -> Any:
    from causalprint.transforms.storage.http import HttpFiles  # noqa: PLC0415 - aiohttp is needed by few

    return HttpFiles(**options)


def _same(protocol: str) -> tuple[str, ...]:
    return next((names for names in SAME if protocol in names), (protocol,))


def _first(protocol: str) -> str:
    return _same(protocol)[0]
