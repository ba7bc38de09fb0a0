"""Which embeddings an output holds, and the bundle that computed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.schemas.config import Storage
    from causalprint.schemas.runs import Run
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

    names = [name.removeprefix("bundle=") for name in folder_names(root, "embeddings", storage) if name.startswith("bundle=")]
    if not names:
        raise EmbeddedError(f"{root} holds no embeddings; give the folder or URL that an audit's --output was")
    computed = {run.bundle_id: run for run in _runs(root, storage) if run.bundle_id in names}
    bundle = None if asked is None else load_bundle(asked)
    if bundle is None:
        if len(names) > 1:
            raise EmbeddedError(f"{root} holds embeddings of several bundles, {', '.join(names)}; say which by --bundle")
        found = _bundle_of(computed[names[0]]) if names[0] in computed else None
        return Embedded(Output(root, names[0], "", storage), found)
    for name in names:
        theirs = _bundle_of(computed[name]) if name in computed else None
        if name == bundle.bundle_id or (theirs and theirs.fingerprint_digest == bundle.fingerprint_digest):
            return Embedded(Output(root, name, "", storage), bundle)
    raise EmbeddedError(
        f"{root} holds embeddings of {', '.join(names)}, and {bundle.bundle_id} computes other fingerprints; fingerprints of "
        "different networks cannot be compared: give the audit's own bundle, or one that was enrolled from it"
    )


def _runs(root: str, storage: Storage) -> list[Run]:
    """Those that finished."""
    from causalprint.transforms.tables.committed import run_ids
    from causalprint.transforms.tables.write_manifest import read_manifest

    found = []
    for run_id in run_ids(root, storage):
        try:
            manifest = read_manifest(root, run_id, storage)
        except ValueError:  # of another version
            continue
        if manifest is not None:
            found.append(manifest.run)
    return found


def _bundle_of(run: Run) -> Bundle | None:
    """The bundle of a run, where it is still the same."""
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.bundles.manifest import BundleError

    try:
        bundle = load_bundle(run.config.bundle, run.config.residual, run.config.prior)
    except BundleError:
        return None
    return bundle if bundle.bundle_id == run.bundle_id else None
