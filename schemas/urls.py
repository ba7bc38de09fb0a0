"""URLs as they may be shown and stored: without user info, signatures and tokens. One place decides what is a secret."""

from __future__ import annotations

import re
from urllib.parse import unquote

_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"<>`]*[^\s'\"<>`.,;:!)\]}]")
_PARAMETER = re.compile(r"(?P<before>[?&])(?P<name>[\w.%-]+)=[^&\s'\"<>#]+")
_PARTS = re.compile(
    r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<rest>.*)", re.DOTALL
)
_CONTAINERS = frozenset({"abfs", "abfss", "wasb", "wasbs", "az", "adl"})
"""Schemes in which what stands before the ``@`` is a container and no user."""
_LOCAL = frozenset({"file", "local"})
_QUERIED = frozenset({"http", "https"})

_NAMES = (
    "sig se signature sign expires expire exp policy key-pair-id awsaccesskeyid googleaccessid ossaccesskeyid hmac jwt sas auth "
    "authorization key apikey api_key api-key pwd pass sessionid session_id"
)
_PREFIXES = "x-amz- x-goog- x-oss- x-cos- x-ms- q-sign q-ak q-key q-header q-url hdnea hdnts"
_PARTS_OF_NAMES = "token secret password passwd credential signature accesskey access_key access-key"
_SAS = "sv ss srt sp se st spr sr sip si sig sdd ses saoid suoid scid skoid sktid skt ske sks skv"
"""Parameters of a shared access signature of Azure: each of them may change with the signature."""
_NAMES_TAKEN_OUT = frozenset(_NAMES.split())
_PREFIXES_TAKEN_OUT = tuple(_PREFIXES.split())
_PARTS_TAKEN_OUT = tuple(_PARTS_OF_NAMES.split())
_SAS_NAMES = frozenset(_SAS.split())
_LEAST_HIDDEN = 8

_hidden: set[str] = set()


def public(url: str) -> str:
    """``url`` as it is shown, stored and hashed: what opens it for a while (user info, signatures, tokens, keys) is taken out.

    Another signature gives the same public URL; a local path, and a URL without secrets, is itself.
    """
    found = _PARTS.fullmatch(url)
    if found is None or found["scheme"].lower() in _LOCAL:
        return url
    scheme, host, path, query, rest = found.group("scheme", "host", "path", "query", "rest")
    if "@" in host and scheme.lower() not in _CONTAINERS:
        host = host.rpartition("@")[2]
    if query is None:
        return f"{scheme}://{host}{path}{rest}"
    parameters = [each for each in query[1:].split("&") if each]
    names = {_name(each) for each in parameters}
    signed = _SAS_NAMES if "sig" in names else frozenset()
    kept = [each for each in parameters if _name(each) not in signed and not _is_secret(each)]
    changed = len(kept) != len(parameters)
    query = ("?" + "&".join(kept) if kept else "") if changed else query
    return f"{scheme}://{host}{path}{query}{'' if changed else rest}"


def scrubbed(text: str) -> str:
    """``text`` with every URL in it made :func:`public`, and without values that :func:`hide` was told of.

    For messages of libraries, which name what they asked for and may name what they were given.
    """
    text = _URL.sub(lambda found: public(found[0]), text) if "://" in text else text
    text = _PARAMETER.sub(lambda found: found[0] if not _is_secret(found[0][1:]) else f"{found['before']}{found['name']}=…", text)
    for value in _hidden:
        text = text.replace(value, "…")
    return text


def hide(value: object) -> None:
    """Has :func:`scrubbed` leave out, in this process, every text in ``value`` that is long enough to be a secret.

    Args:
        value: storage options: a text, or lists and dicts of them. URLs, such as that of an endpoint, are no secrets.
    """
    if isinstance(value, dict):
        for each in value.values():
            hide(each)
    elif isinstance(value, list):
        for each in value:
            hide(each)
    elif isinstance(value, str) and len(value) >= _LEAST_HIDDEN and "://" not in value:
        _hidden.add(value)


def bare(path: str) -> str:
    """The path of a file without the query of its URL, which is no part of its name; anything but HTTP as it is."""
    return re.split(r"[?#]", path, maxsplit=1)[0] if is_web(path) else path


def query_of(path: str) -> str:
    """The query of an HTTP URL with its question mark; empty where there is none."""
    return path[len(bare(path)) :]


def is_web(path: str) -> bool:
    """Whether it is a URL of a web server."""
    return path.partition("://")[0].lower() in _QUERIED


def _name(parameter: str) -> str:
    return unquote(parameter.partition("=")[0]).lower()


def _is_secret(parameter: str) -> bool:
    name, value = _name(parameter), unquote(parameter.partition("=")[2])
    if name == "key" and re.search(r"[/.]", value):  # that of an object, as some servers are asked for it
        return False
    if name in _NAMES_TAKEN_OUT or name.startswith(_PREFIXES_TAKEN_OUT):
        return True
    return any(part in name for part in _PARTS_TAKEN_OUT)
