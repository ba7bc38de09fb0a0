"""The registered domain of the URL that an image's sidecar says it was fetched from."""

from __future__ import annotations

import ipaddress
import json
from functools import cache, lru_cache
from urllib.parse import unquote, urlsplit

import idna
from publicsuffixlist import PublicSuffixList

URL_KEYS = ("url", "URL", "image_url")
"""Of a sidecar: what img2dataset writes, what LAION's tables and others call it."""
SCHEMES = frozenset(("http", "https", "ftp", ""))
MAX_HOST = 253


def url_of(metadata: str | None) -> str | None:
    """The URL in a sidecar, JSON text; ``None`` where it names none."""
    if metadata is None or not any(key in metadata for key in URL_KEYS):
        return None
    told = json.loads(metadata)
    urls = (told.get(key) for key in URL_KEYS) if isinstance(told, dict) else ()
    return next((url for url in urls if isinstance(url, str) and url), None)


def host_of(url: str) -> str | None:
    """The host of a web address as the network asks for it: lower case, IDNA (UTS 46) in ASCII, without port and user.

    Args:
        url: with its scheme, or beginning with ``//`` or the host.
    """
    text = url.strip()
    try:
        parts = urlsplit(text if "//" in text else f"//{text}")
        host = unquote(parts.hostname or "").rstrip(".")
    except ValueError:  # brackets that hold no address
        return None
    return _named(host) if parts.scheme in SCHEMES and host else None


@lru_cache(maxsize=65_536)
def domain_of(host: str | None) -> str | None:
    """The registered domain of a host (public suffix and one label, private suffixes too: ``me.github.io``).

    An address of IPv4 or IPv6 is itself; ``None`` of what is itself a suffix, or a name within a network.
    """
    if host is None or _is_address(host):
        return host
    return _suffixes().privatesuffix(host)


@lru_cache(maxsize=65_536)
def _named(host: str) -> str | None:
    if _is_address(host):
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:  # underscores, and labels that older rules allowed
        host = host.lower()
        valid = host.isascii() and len(host) <= MAX_HOST and all(host.split(".")) and host.replace("_", "").replace("-", "")
        return host if valid and all(each.isalnum() or each in "._-" for each in host) else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@cache
def _suffixes() -> PublicSuffixList:
    """The list that the package carries; nothing is fetched."""
    return PublicSuffixList()
