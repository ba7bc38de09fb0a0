"""Signed manifests: who vouches for what a run came to, and since when.

A signature is over an in-toto statement (v1), whose subject is the run's manifest with its SHA-256, in a DSSE envelope. The
manifest names the accounts of its shards by their digests, an account those of its slices, and a slice's receipt those of its
files: so one signature vouches for every row. Where slices are in packs, the indexes of these are subjects too. A time stamp
(RFC 3161) is over the signature.
"""

from __future__ import annotations

import hashlib
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from causalprint.schemas.config import Storage
from causalprint.schemas.runs import RunManifest
from causalprint.transforms.tables.manifests import manifest_path
from causalprint.transforms.tables.output import Output, get, listed, put
from causalprint.transforms.tables.packs import index_path, pack_ids

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from securesystemslib.signer import CryptoSigner, Key

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:causalprint:audit:v1"
ANSWER_SECONDS = 30
"""Within which a server of time stamps answers."""
_OURS = re.compile(r"(?P<run_id>[^.]+)\.(?P<keyid>[0-9a-f]{64})\.(?P<kind>intoto\.jsonl|tsr)")


class SignatureError(ValueError):
    """A key, a signature or a time stamp that cannot be had or not be believed; the message says which, and why."""


class Signature(NamedTuple):
    """A signature of a run's manifest.

    Attributes:
        run_id: of the run.
        keyid: of the key that signed, as securesystemslib has it: a SHA-256 over the public key.
        checked: whether a key that was given made it, over the manifest that is there.
        time: that a time stamp states, ISO 8601 in UTC; ``None`` without one.
        time_checked: whether a root that was given vouches for the time.
        packs: what else was signed: indexes of packs by path, and the SHA-256 of each.
    """

    run_id: str
    keyid: str
    checked: bool = False
    time: str | None = None
    time_checked: bool = False
    packs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Trust:
    """What signatures are checked with.

    Attributes:
        keys: public keys, any of which may have signed.
        roots: certificates that vouch for servers of time stamps.
    """

    keys: tuple[Key, ...] = ()
    roots: tuple[Certificate, ...] = ()


def is_signature(name: str) -> bool:
    """Whether a file of folder ``runs`` is a signature or a time stamp of one."""
    return bool(_OURS.fullmatch(name))


def private_key(pem: bytes, password: bytes | None, where: str) -> CryptoSigner:
    """What signs: an Ed25519, ECDSA or RSA key in PEM.

    Args:
        pem: PKCS 8, as OpenSSL writes it.
        password: that opens it, where it has one.
        where: what to call it in errors.

    Raises:
        SignatureError: it is none, or the password does not open it.
        ImportError: the extra ``sign`` is not installed.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from securesystemslib.signer import CryptoSigner

    try:
        return CryptoSigner(load_pem_private_key(pem, password))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{where} is no private key that can be read: {error}") from error


def public_key(pem: bytes, where: str) -> Key:
    """What checks: an Ed25519, ECDSA or RSA key in PEM.

    Raises:
        SignatureError: it is none.
        ImportError: the extra ``sign`` is not installed.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(load_pem_public_key(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SignatureError(f"{where} is no public key that can be read: {error}") from error


def certificates(pem: bytes, where: str) -> tuple[Certificate, ...]:
    """The certificates in ``pem``.

    Raises:
        SignatureError: there is none.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return tuple(load_pem_x509_certificates(pem))
    except ValueError as error:
        raise SignatureError(f"{where} holds no certificate that can be read: {error}") from error


def sign(root: str, manifest: RunManifest, signer: CryptoSigner, storage: Storage, timestamp: str | None = None) -> Signature:
    """Signs the manifest of a run into the output at ``root``: writes ``runs/<run_id>.<keyid>.intoto.jsonl``.

    Args:
        root: of the output.
        manifest: as it was read there, and found to be what the tables hold.
        signer: the key.
        storage: fsspec options.
        timestamp: URL of a server of time stamps (RFC 3161); its answer is written beside the signature, as ``.tsr``.

    Raises:
        SignatureError: the server gives none.
        OSError: nothing can be written.
    """
    from securesystemslib.dsse import Envelope

    envelope = Envelope(_statement(root, manifest, storage), PAYLOAD_TYPE, {})
    signature = envelope.sign(signer)
    run_id, stamp = manifest.run.run_id, None
    if timestamp is not None:
        stamp = _stamp(bytes.fromhex(signature.signature), timestamp)
        put(root, _path(run_id, signature.keyid, "tsr"), stamp, storage)
    data = json.dumps(envelope.to_dict(), separators=(",", ":")).encode() + b"\n"
    put(root, _path(run_id, signature.keyid, "intoto.jsonl"), data, storage)
    return Signature(run_id, signature.keyid, checked=True, time=None if stamp is None else _time(stamp))


def signatures(root: str, storage: Storage) -> Mapping[str, Sequence[str]]:
    """The ids of the keys that signed each run into the output at ``root``, by run."""
    found: dict[str, list[str]] = {}
    for name in sorted(listed(root, "runs", storage)):
        match = _OURS.fullmatch(name)
        if match and match["kind"] != "tsr":
            found.setdefault(match["run_id"], []).append(match["keyid"])
    return found


def check(root: str, run_id: str, keyid: str, trust: Trust, storage: Storage) -> Signature:
    """Checks one signature of a run: that a key of ``trust`` made it, and over the manifest that is there.

    Without keys nothing is checked but that it is a signature of this manifest. Whether the tables are those of the manifest is
    not asked here: see :func:`causalprint.transforms.tables.verify.verify`.

    Raises:
        SignatureError: it was made by none of the keys, or of another manifest, or is broken; or its time stamp is.
    """
    path = _path(run_id, keyid, "intoto.jsonl")
    envelope = _envelope(get(root, path, storage) or b"", f"{root}/{path}")
    packs = _check_statement(envelope.payload, root, run_id, storage, f"{root}/{path}")
    if trust.keys:
        _check_keys(envelope, keyid, trust, f"{root}/{path}")
    checked = Signature(run_id, keyid, checked=bool(trust.keys), packs=packs)
    stamp = get(root, _path(run_id, keyid, "tsr"), storage)
    if stamp is None:
        return checked
    where = f"{root}/{_path(run_id, keyid, 'tsr')}"
    if trust.roots:
        _check_stamp(stamp, bytes.fromhex(envelope.signatures[keyid].signature), trust, where)
    return checked._replace(time=_time(stamp, where), time_checked=bool(trust.roots))


def _path(run_id: str, keyid: str, kind: str) -> str:
    return f"runs/{run_id}.{keyid}.{kind}"


def _statement(root: str, manifest: RunManifest, storage: Storage) -> bytes:
    """What is signed: the files of the run by their digests, and for whoever reads it what the run came to."""
    run, totals = manifest.run, manifest.totals
    files = (_manifest(root, run.run_id, storage), *_packs(root, run.bundle_id, storage))
    subjects = [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in files]
    predicate = {
        "run_id": run.run_id,
        "finished": manifest.finished,
        "schema_version": manifest.schema_version,
        "bundle_id": run.bundle_id,
        "bundle_digest": run.bundle_digest,
        "residual": run.residual,
        "accounts": totals.accounts,
        **{name: getattr(totals, name) for name in ("shards", "incomplete", "seen", "attributed", "rejected", "forgotten")},
    }
    statement = {"_type": STATEMENT_TYPE, "subject": subjects, "predicateType": PREDICATE_TYPE, "predicate": predicate}
    return json.dumps(statement, ensure_ascii=False, separators=(",", ":")).encode()


def _manifest(root: str, run_id: str, storage: Storage) -> tuple[str, str]:
    """The path of a manifest and its SHA-256."""
    path = manifest_path(run_id)
    data = get(root, path, storage)
    if data is None:
        raise SignatureError(f"{root}/{path} is gone, and with it what the signature is of")
    return path, hashlib.sha256(data).hexdigest()


def _packs(root: str, bundle_id: str, storage: Storage) -> Iterator[tuple[str, str]]:
    """Paths and SHA-256s of the indexes of a bundle's packs, which hold receipts in place of the marks that accounts tell of."""
    for pack_id in sorted(pack_ids(output := Output(root, bundle_id, "", storage))):
        path = index_path(output, pack_id)
        yield path, hashlib.sha256(output.get(path) or b"").hexdigest()


def _envelope(data: bytes, where: str) -> Any:
    from securesystemslib.dsse import Envelope

    try:
        envelope = Envelope.from_dict(json.loads(data))
    except Exception as error:  # whatever a forged file makes a parser raise
        raise SignatureError(f"{where} is no signature: {type(error).__name__}: {error}") from error
    if envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureError(f"{where} signs a {envelope.payload_type!r} and not a {PAYLOAD_TYPE}")
    return envelope


def _check_statement(payload: bytes, root: str, run_id: str, storage: Storage, where: str) -> tuple[tuple[str, str], ...]:
    """What it signs beside the manifest."""
    try:
        statement = json.loads(payload)
        kinds = (statement["_type"], statement["predicateType"])
        said = {str(subject["name"]): str(subject["digest"]["sha256"]) for subject in statement["subject"]}
    except (ValueError, KeyError, TypeError) as error:
        raise SignatureError(f"{where} signs no statement: {type(error).__name__}: {error}") from error
    if kinds != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise SignatureError(f"{where} signs a statement of another kind: {', '.join(map(str, kinds))}")
    name, sha256 = _manifest(root, run_id, storage)
    if said.pop(name, None) != sha256:
        raise SignatureError(f"{where} is of another {name}: there its SHA-256 is {sha256}")
    return tuple(sorted(said.items()))


def _check_keys(envelope: Any, keyid: str, trust: Trust, where: str) -> None:
    from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError

    keys = [key for key in trust.keys if key.keyid == keyid]
    if not keys:
        raise SignatureError(f"{where} was made by key {keyid}, which is none of those given")
    try:
        envelope.verify(keys, 1)
    except (VerificationError, UnverifiedSignatureError, ValueError) as error:
        raise SignatureError(f"{where} was not made by the key that it names: {error}") from error


def _stamp(signature: bytes, url: str) -> bytes:
    """The answer of the server at ``url``, which states when it saw ``signature``."""
    from rfc3161_client import PKIStatus, TimestampRequestBuilder, decode_timestamp_response

    if not url.startswith(("http://", "https://")):
        raise SignatureError(f"{url!r} is no server of time stamps; give its http:// or https:// URL")
    asked = TimestampRequestBuilder().data(signature).build()
    headers = {"Content-Type": "application/timestamp-query"}
    request = urllib.request.Request(url, asked.as_bytes(), headers)  # noqa: S310 - http or https
    try:
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:  # noqa: S310
            stamp = bytes(answer.read())
        found = decode_timestamp_response(stamp)
    except (OSError, ValueError) as error:
        raise SignatureError(f"{url} gives no time stamp: {error}") from error
    if PKIStatus(found.status) != PKIStatus.GRANTED:
        raise SignatureError(f"{url} refuses a time stamp: {', '.join(found.status_string)}")
    return stamp


def _time(stamp: bytes, where: str = "the time stamp") -> str:
    from rfc3161_client import decode_timestamp_response

    try:
        return str(decode_timestamp_response(stamp).tst_info.gen_time.isoformat())
    except ValueError as error:
        raise SignatureError(f"{where} cannot be read: {error}") from error


def _check_stamp(stamp: bytes, signature: bytes, trust: Trust, where: str) -> None:
    from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response

    verifier = VerifierBuilder(roots=list(trust.roots)).build()
    try:
        verifier.verify_message(decode_timestamp_response(stamp), signature)
    except (VerificationError, ValueError) as error:
        raise SignatureError(f"{where} is not to be believed: {error}") from error
