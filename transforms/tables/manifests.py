"""The manifests of runs, as they lie in an output; they are written by :mod:`~causalprint.transforms.tables.write_manifest`."""

from __future__ import annotations

from causalprint.schemas.config import Storage
from causalprint.schemas.runs import RunManifest
from causalprint.transforms.tables.output import get
from causalprint.transforms.tables.seals import from_sealed


def manifest_path(run_id: str) -> str:
    """Where the manifest of a run lies below the output's root."""
    return f"runs/{run_id}.json"


def read_manifest(root: str, run_id: str, storage: Storage) -> RunManifest | None:
    """The manifest of a run into the output at ``root``; ``None`` where the run has not finished.

    Raises:
        ValueError: the file is none of this version's.
    """
    path = manifest_path(run_id)
    data = get(root, path, storage)
    return None if data is None else from_sealed(RunManifest, data, f"{root}/{path}")
