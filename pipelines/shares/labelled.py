"""The labelled images of an audit, with what the bundle says of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.pipelines.shares.labels import LabelsError
from causalprint.pipelines.shares.scores import batches

if TYPE_CHECKING:
    from causalprint.pipelines.open_audit import AuditTables
    from causalprint.pipelines.shares.bundle import AuditBundle
    from causalprint.pipelines.shares.groups import Groups
    from causalprint.pipelines.shares.labels import Labels
    from causalprint.schemas.arrays import Doubles, Scores


class LabelledRows(NamedTuple):
    """Labelled images of the audit: group, shard, probabilities (n, K), label, weight and stratum, each (n,)."""

    place: np.ndarray
    shard: np.ndarray
    probabilities: Scores
    label: np.ndarray
    weight: Doubles
    stratum: np.ndarray


def labelled_rows(tables: AuditTables, groups: Groups, asked: AuditBundle, truth: Labels) -> LabelledRows:
    """The images of ``truth`` in the audit, each once.

    Raises:
        LabelsError: the bundle is not here, or some of them have no score in the audit.
    """
    if asked.manifest is None:
        raise LabelsError(f"labels need the scores of bundle {asked.bundle_id}; give --bundle, the folder that it is in")
    names = asked.manifest.sources
    digests = ", ".join(f"'{one}'" for one in truth.by_image)
    query = f"""
        SELECT image_id, shard, member, {groups.place} AS place, log_likelihood_ratio, candidates FROM {groups.rows}
        WHERE image_id IN ({digests}) ORDER BY image_id, shard, member
    """  # noqa: S608 - digests are hexadecimal
    parts: list[tuple[int, str, Scores, str, float, str]] = []
    met = set[str]()
    for batch, probabilities, scored in batches(tables, query, names, asked.prior):
        rows = batch.select(["image_id", "shard", "member", "place"]).filter(scored).to_pylist()
        for row, chances in zip(rows, probabilities, strict=True):
            label = truth.by_image[row["image_id"]]
            if row["image_id"] in met or (label.shard and (label.shard, label.member) != (row["shard"], row["member"])):
                continue
            met.add(row["image_id"])
            parts.append((row["place"], row["shard"], chances, label.label, label.weight, label.stratum))
    strangers = set(truth.by_image) - met
    if strangers:
        raise LabelsError(
            f"{len(strangers)} labelled images have no score in this audit, {min(strangers)} among them; label images of it"
        )
    return LabelledRows(*(np.array(column) for column in zip(*parts, strict=True)))
