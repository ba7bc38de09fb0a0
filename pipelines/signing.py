"""Keys of a signer and of whoever checks, read from files; and the signing of an output that was found whole."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.schemas.config import PASSWORD_VARIABLE

if TYPE_CHECKING:
    from causalprint.pipelines.commands.verify import VerifyConfig
    from causalprint.schemas.runs import RunManifest
    from causalprint.transforms.tables.signatures import Trust
    from causalprint.transforms.tables.verify import Verification


def trust_of(config: VerifyConfig) -> Trust:
    """What the command is to check signatures with.

    Raises:
        SignatureError: a file cannot be read, or is no key or certificate; or the libraries are not installed.
    """
    from causalprint.transforms.tables.signatures import Trust, certificates, public_key

    if config.key or config.sign:
        _check_installed()
    keys = tuple(public_key(_read(path), str(path)) for path in config.key)
    root = config.timestamp_root
    return Trust(keys, () if root is None else certificates(_read(root), str(root)))


def sign_runs(config: VerifyConfig, found: Verification) -> Verification:
    """Signs the newest run by each bundle, where nothing was found wrong, and adds the signatures to what was found.

    Raises:
        SignatureError: something is wrong, no run has finished, or the key or the server of time stamps cannot be used.
    """
    from causalprint.transforms.tables.committed import run_ids
    from causalprint.transforms.tables.manifests import read_manifest
    from causalprint.transforms.tables.signatures import SignatureError, private_key, sign

    if config.sign is None:
        return found
    if found.findings:
        first = found.findings[0]
        raise SignatureError(f"{config.output} is not signed: {first.path} is {first.kind}, {first.detail}")
    password = os.environ.get(PASSWORD_VARIABLE)
    signer = private_key(_read(config.sign), password.encode() if password else None, str(config.sign))
    newest: dict[str, RunManifest] = {}
    for run_id in run_ids(config.output, config.storage):
        manifest = read_manifest(config.output, run_id, config.storage)
        if manifest is not None:
            newest[manifest.run.bundle_id] = manifest
    if not newest:
        raise SignatureError(f"{config.output} has no manifest to sign: no run has finished here; run the same audit again")
    made = tuple(sign(config.output, one, signer, config.storage, config.timestamp) for one in newest.values())
    kept = (one for one in found.signatures if (one.run_id, one.keyid) not in {(new.run_id, new.keyid) for new in made})
    return replace(found, signatures=tuple(sorted((*kept, *made))))


def _check_installed() -> None:
    from causalprint.transforms.tables.signatures import SignatureError

    missing = [name for name in ("securesystemslib", "rfc3161_client") if find_spec(name) is None]
    if missing:
        raise SignatureError(f"signatures need {' and '.join(missing)}: pip install 'causalprint[sign]'")


def _read(path: Path) -> bytes:
    from causalprint.transforms.tables.signatures import SignatureError

    try:
        return path.read_bytes()
    except OSError as error:
        raise SignatureError(f"cannot read {path}, {error.strerror}; give a file in PEM") from error
