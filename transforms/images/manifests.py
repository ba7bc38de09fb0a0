"""A C2PA manifest (C2PA specification 2.2), by the reader of its authors: native code, and so asked in a process apart.

The reader is kept from the network: no manifest that lies elsewhere is fetched, no revocation asked for, no host allowed.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import ssl
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from causalprint.schemas.claims import ManifestState
from causalprint.transforms.images.kinds import image_format

if TYPE_CHECKING:
    from c2pa import Context

MAX_DECOMPRESSED_MIB = 16
"""Of a manifest store that is packed."""
MAX_MANIFESTS = 1_000
"""Manifests, or actions of one, that are looked at."""
_SIGNER = ("signingCredential.", "claimSignature.outsideValidity", "timeStamp.", "timeOfSigning.", "cawg.")
"""What is wrong with who signed, or when: a question of trust, which no file answers, and in part of today's date."""
_ELSEWHERE = "Remote:"
"""How the reader says that a file names a manifest elsewhere, and holds none."""
_SIGNED, _TRUSTED = "claimSignature.validated", "signingCredential.trusted"
_BEGIN = b"-----BEGIN CERTIFICATE-----"
_CERTIFICATE = re.compile(_BEGIN + rb"[^-]+-----END CERTIFICATE-----")
_PURPOSES = (
    "1.3.6.1.5.5.7.3.4",  # e-mail, as C2PA 1 asks
    "1.3.6.1.5.5.7.3.36",  # signing documents
    "1.3.6.1.5.5.7.3.8",  # time stamps
    "1.3.6.1.5.5.7.3.9",  # revocation
    "1.3.6.1.4.1.62558.2.1",  # signing claims of C2PA 2
    "1.3.6.1.4.1.311.76.59.1.9",  # Microsoft's own for media
)
"""Extended key usages of certificates that sign manifests."""


class AnchorsError(ValueError):
    """A list of certificates is none; the message says what is wrong with it."""


class Manifest(NamedTuple):
    """What is kept of the active manifest of a file.

    Attributes:
        state: whether anything contradicts it.
        source: the program that it says made the image, else that wrote the claim, else who signed.
        source_type: the digital source type of the action that made the image, a URI.
    """

    state: ManifestState
    source: str | None = None
    source_type: str | None = None


class Anchors(NamedTuple):
    """Certificates that vouch for who signs.

    Attributes:
        pem: all of them, and nothing else.
        digest: SHA-256 over them, lower-case hex: of lists that hold the same in the same order it is the same.
    """

    pem: str
    digest: str


def parse_anchors(data: bytes, where: str) -> Anchors:
    """The certificates of a PEM file, as C2PA's trust lists are published; text between them is passed over.

    The reader does not tell of a list that it cannot read: it calls every manifest invalid.

    Raises:
        AnchorsError: it holds none, or one that is no certificate.
    """
    blocks = [block.decode("ascii", "replace") for block in _CERTIFICATE.findall(data)]
    if not blocks or len(blocks) != data.count(_BEGIN):
        what = "ends within a certificate" if data.count(_BEGIN) else "holds no certificate"
        raise AnchorsError(f"{where} {what}: a trust list is PEM, certificates that begin with {_BEGIN.decode()}")
    for number, block in enumerate(blocks, 1):
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=block)
        except (ssl.SSLError, ValueError) as error:
            raise AnchorsError(
                f"{where}: certificate {number} of {len(blocks)} is none, or damaged; fetch the list again"
            ) from error
    pem = "".join(f"{block}\n" for block in blocks).replace("\r", "")
    return Anchors(pem, hashlib.sha256(pem.encode()).hexdigest())


def read_manifest(data: bytes, anchors: str = "") -> Manifest | None:
    """The active manifest of an encoded image, or ``None`` where it has none.

    Args:
        data: the encoded bytes.
        anchors: as of :attr:`Anchors.pem`; without them no manifest is more than ``unverified``.
    """
    import c2pa  # noqa: PLC0415 - most images have none, and it takes a tenth of a second

    name = (image_format(data[:256]) or "").lower()
    try:
        with io.BytesIO(data) as stream, c2pa.Reader(f"image/{name}", stream, context=_context(anchors)) as reader:
            return _manifest(json.loads(reader.json()))
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):
        return None
    except (c2pa.C2paError, ValueError, KeyError, TypeError, AttributeError) as error:  # broken, or of no shape that is sound
        return None if str(error).startswith(_ELSEWHERE) else Manifest(ManifestState.INVALID)


@cache
def _context(anchors: str) -> Context:
    import c2pa  # noqa: PLC0415 - see above

    trust = {"trust_config": "\n".join(_PURPOSES)} | ({"trust_anchors": anchors} if anchors else {})
    return c2pa.Context.from_dict(
        {
            "version": 1,
            "trust": trust,
            "core": {
                "decode_identity_assertions": False,
                "allowed_network_hosts": [],
                "allow_redirects": False,
                "max_decompressed_manifest_size_in_mb": MAX_DECOMPRESSED_MIB,
            },
            "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False},
        }
    )


def _manifest(store: dict[str, Any]) -> Manifest:
    manifest = store["manifests"][store["active_manifest"]]
    codes = store.get("validation_results", {}).get("activeManifest", {})
    failures, found = ({each["code"] for each in codes.get(kind, ())} for kind in ("failure", "success"))
    signer = manifest.get("signature_info", {})
    source, source_type = _made_by(manifest)
    source = source or signer.get("common_name") or signer.get("issuer")
    if _SIGNED not in found or any(not code.startswith(_SIGNER) for code in failures):
        return Manifest(ManifestState.INVALID, source)
    trusted = not failures and _TRUSTED in found
    return Manifest(ManifestState.VALID if trusted else ManifestState.UNVERIFIED, source, source_type)


def _made_by(manifest: dict[str, Any]) -> tuple[str | None, str | None]:
    """The program that made the image, and the digital source type of what it did: of the action that created it, else of any."""
    actions = [
        action
        for assertion in manifest.get("assertions", ())[:MAX_MANIFESTS]
        if assertion["label"].startswith("c2pa.actions")
        for action in assertion["data"].get("actions", ())[:MAX_MANIFESTS]
    ]
    typed = [action for action in actions if isinstance(action.get("digitalSourceType"), str)]
    chosen: dict[str, Any] = next((action for action in [*typed, *actions]), {})
    agent = chosen.get("softwareAgent")
    agent = agent.get("name") if isinstance(agent, dict) else agent
    wrote = next((info.get("name") for info in manifest.get("claim_generator_info") or ()), None) or manifest.get(
        "claim_generator"
    )
    names = [name for name in (agent, wrote) if isinstance(name, str) and name]
    return (names[0] if names else None), chosen.get("digitalSourceType")
