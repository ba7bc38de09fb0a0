"""How much of an audit's images is generated, and by whom, with what is not known about it."""

from __future__ import annotations

from causalprint.schemas.config import NO_OPTIONS, Storage
from causalprint.schemas.prevalence import ALL, PrevalenceReport


def prevalence_of(
    output: str,
    storage: Storage = NO_OPTIONS,
    *,
    by: str = ALL,
    bundle: str | None = None,
    evaluation: str | None = None,
    labels: str | None = None,
) -> PrevalenceReport:
    """Shares of what is generated, of each source and each family, of all images and of each group.

    Args:
        output: root of the audit.
        storage: fsspec options.
        by: ``all``, ``shard``, ``domain``, ``year``, a column of view ``findings`` or a key of the sidecars.
        bundle: folder of the bundle whose verdicts they are; by default what the last run says.
        evaluation: output of ``causalprint evaluate``, whose images tell the bundle's errors in place of its own held-out ones.
        labels: file of labels, as ``causalprint sample`` writes it.
    """
    raise NotImplementedError(output, storage, by, bundle, evaluation, labels)
