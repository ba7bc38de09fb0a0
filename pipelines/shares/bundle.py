"""The bundle whose verdicts an audit holds, and what tells how often it errs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.pipelines.told import told_by
from causalprint.schemas.config import Storage
from causalprint.schemas.prior import Prior

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.bundles.manifest import Manifest
    from causalprint.models.prevalence import Calibration
    from causalprint.schemas.arrays import Scores, Text


class AuditBundleError(ValueError):
    """The bundle, or what is to tell its errors, does not fit the audit; the message says why, and what to give."""


@dataclass(frozen=True, slots=True)
class AuditBundle:
    """A bundle as an audit used it.

    Attributes:
        bundle_id: of its partition.
        prior: of the audit.
        manifest: the bundle's; ``None`` where the bundle is not here.
        calibration: what it says of images of known sources; ``None`` where there are none.
    """

    bundle_id: str
    prior: Prior
    manifest: Manifest | None
    calibration: Calibration | None


def audit_bundle(output: str, storage: Storage, bundle: str | None, evaluation: str | None) -> AuditBundle:
    """The bundle of the last run of the audit at ``output``; or the one that is given, if it has verdicts there.

    Raises:
        AuditBundleError: no run has finished, or the bundle's errors are to be told by an evaluation and it is not here.
        VerdictsError: the audit has no verdicts by the bundle that was given.
    """
    told = told_by(output, bundle, storage)
    if told.run is None:
        raise AuditBundleError(f"no run has finished in {output}; the same audit again completes it")
    if told.bundle is None and evaluation is not None:
        raise AuditBundleError(f"bundle {told.bundle_id} is not where the audit had it; give --bundle, the folder that it is in")
    if told.bundle is None:
        return AuditBundle(told.bundle_id, told.prior, None, None)
    calibration = _held_out(told.bundle) if evaluation is None else _evaluated(told.bundle, evaluation, storage)
    return AuditBundle(told.bundle_id, told.prior, told.bundle.manifest, calibration)


def _held_out(bundle: Bundle) -> Calibration | None:
    from causalprint.models.bundles.bundle import HELD_OUT_FILE
    from causalprint.models.bundles.held_out import read_held_out
    from causalprint.models.prevalence import Calibration, as_stored

    held_out = read_held_out(bundle)
    if held_out is None or not len(held_out.generated):
        return None
    sources = bundle.manifest.sources
    chances = as_stored(held_out.probabilities, held_out.generated, sources)
    digest = next(file.sha256 for file in bundle.manifest.files if file.path == HELD_OUT_FILE)
    about = f"{len(chances):,} images that the bundle's training held out"
    return Calibration.of(sources, chances, held_out.source, held_out.origin, digest, about)


class EvaluatedImages(NamedTuple):
    """Images of an evaluation that have a score: what an audit would store of them (N, K), source, origin; the file's SHA-256."""

    probabilities: Scores
    source: Text
    origin: Text
    digest: str


def evaluated_images(bundle: Bundle, evaluation: str, storage: Storage) -> EvaluatedImages:
    """What ``bundle`` says of the images of ``evaluation``, output of ``causalprint evaluate``: of its fingerprints, again.

    Raises:
        AuditBundleError: there is no evaluation of this bundle.
    """
    import pyarrow as pa

    from causalprint.models.attribution import Attributor
    from causalprint.models.prevalence import as_stored
    from causalprint.pipelines.evaluation.output import PREDICTIONS
    from causalprint.transforms.tables.output import get
    from causalprint.transforms.tables.parquet_bytes import read_parquet

    data = get(evaluation, PREDICTIONS, storage)
    if data is None:
        raise AuditBundleError(f"{evaluation} holds no {PREDICTIONS}; give the --output of causalprint evaluate")
    own = f"{bundle.manifest.name}-{bundle.own_digest[:12]}"
    columns = ["image_id", "source", "origin", "bundle", "fingerprint"]
    table = read_parquet(data, columns)
    table = table.filter(pa.compute.equal(table["bundle"], own))
    if not len(table):
        raise AuditBundleError(
            f"{evaluation} evaluated other bundles than {own}; evaluate it: causalprint evaluate … --bundle DIR"
        )
    fingerprints = np.stack(table["fingerprint"].to_numpy(zero_copy_only=False)).astype(np.float32)
    kept = fingerprints.any(axis=1)  # a flat image has no score in an audit either
    attributor = Attributor(bundle)
    chances = attributor.chances(fingerprints[kept])
    stored = as_stored(chances.sources.astype(np.float64), chances.generated.astype(np.float64), bundle.manifest.sources)
    source, origin = (np.array(table[name].to_pylist(), np.str_)[kept] for name in ("source", "origin"))
    return EvaluatedImages(stored, source, origin, hashlib.sha256(data).hexdigest())


def _evaluated(bundle: Bundle, evaluation: str, storage: Storage) -> Calibration:
    from causalprint.models.prevalence import Calibration

    found = evaluated_images(bundle, evaluation, storage)
    about = f"{len(found.source):,} images of the evaluation {evaluation}"
    return Calibration.of(bundle.manifest.sources, *found, about)
