"""Which embeddings an output holds, and the bundle that computed them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from causalprint.schemas.config import AuditConfig

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.schemas.config import Storage
    from causalprint.transforms.tables.output import Output


class EmbeddedError(ValueError):
    """The output holds no embeddings that can be used as asked; the message says which it holds, and what to do."""


class Embedded(NamedTuple):
    """Embeddings of one bundle.

    Attributes:
        output: where they are.
        bundle: that was asked for, else the one that computed them; ``None`` where that is not there any more.
    """

    output: Output
    bundle: Bundle | None


def embedded(root: str, asked: str | None, storage: Storage) -> Embedded:
    """The embeddings in the output at ``root`` whose fingerprint is that of bundle ``asked``; of the only one, where it is None.

    Raises:
        EmbeddedError: there are none, or several.
        BundleError: ``asked`` is no bundle.
    """
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.transforms.tables.output import Output, folder_names
    from causalprint.transforms.tables.partition import fingerprint_digest

    names = [name.removeprefix("bundle=") for name in folder_names(root, "embeddings", storage) if name.startswith("bundle=")]
    if not names:
        raise EmbeddedError(f"{root} holds no embeddings; give the folder or URL that an audit's --output was")
    outputs = {name: Output(root, name, "", storage) for name in names}
    audits = _audits(root, storage)
    bundle = None if asked is None else load_bundle(asked)
    if bundle is None:
        if len(names) > 1:
            raise EmbeddedError(f"{root} holds embeddings of several bundles, {', '.join(names)}; say which by --bundle")
        return Embedded(outputs[names[0]], _bundle_of(names[0], audits))
    for name, output in outputs.items():
        if name == bundle.bundle_id or fingerprint_digest(output) == bundle.fingerprint_digest:
            return Embedded(output, bundle)
        theirs = _bundle_of(name, audits)  # files of earlier versions do not tell
        if theirs is not None and theirs.fingerprint_digest == bundle.fingerprint_digest:
            return Embedded(output, bundle)
    raise EmbeddedError(
        f"{root} holds embeddings of {', '.join(names)}, and {bundle.bundle_id} computes other fingerprints; fingerprints of "
        "different networks cannot be compared: give the audit's own bundle, or one that was enrolled from it"
    )


def _audits(root: str, storage: Storage) -> dict[str, AuditConfig]:
    """What was asked of the last finished audit by each bundle."""
    from causalprint.transforms.tables.committed import run_ids
    from causalprint.transforms.tables.manifests import read_manifest

    found = {}
    for run_id in run_ids(root, storage):
        try:
            manifest = read_manifest(root, run_id, storage)
        except ValueError:  # of another version
            continue
        if manifest is not None and isinstance(manifest.run.config, AuditConfig):
            found[manifest.run.bundle_id] = manifest.run.config
    return found


def _bundle_of(bundle_id: str, audits: Mapping[str, AuditConfig]) -> Bundle | None:
    """The bundle of that id, where an audit found it and it is still the same."""
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.bundles.manifest import BundleError

    config = audits.get(bundle_id)
    try:
        bundle = None if config is None else load_bundle(config.bundle, config.residual, config.prior)
    except BundleError:
        return None
    return bundle if bundle is not None and bundle.bundle_id == bundle_id else None
