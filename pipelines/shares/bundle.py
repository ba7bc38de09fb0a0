"""The bundle whose verdicts an audit holds, and what tells how often it errs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.prior import EVEN, Prior

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.bundles.manifest import Manifest
    from causalprint.models.prevalence import Calibration
    from causalprint.schemas.arrays import Scores, Text
    from causalprint.schemas.runs import Run


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
        AuditBundleError: see there.
        BundleError: the bundle that was given cannot be used.
    """
    from causalprint.models.bundles.manifest import BundleError
    from causalprint.transforms.tables.committed import bundle_ids, run_ids
    from causalprint.transforms.tables.write_manifest import read_manifest

    there = bundle_ids(output, storage)
    manifests = (read_manifest(output, run_id, storage) for run_id in reversed(run_ids(output, storage)))
    runs = [manifest.run for manifest in manifests if manifest is not None and manifest.run.bundle_id in there]
    if not runs:
        raise AuditBundleError(f"no run has finished in {output}; the same audit again completes it")
    if bundle is None:
        try:
            found = _bundle_of(runs[0], runs, None)
        except BundleError:
            found = None
        if found is None and evaluation is not None:
            raise AuditBundleError(
                f"bundle {runs[0].bundle_id} is not where the audit had it; give --bundle, the folder that it is in"
            )
        run = runs[0]
    else:
        pairs = ((one, _bundle_of(one, runs, bundle)) for one in runs)
        run, found = next((pair for pair in pairs if pair[1] is not None), (runs[0], None))
        if found is None:
            raise AuditBundleError(f"{bundle} has no verdict in {output}; there are verdicts by {', '.join(there)}")
    prior = _prior(run)
    if found is None:
        return AuditBundle(run.bundle_id, prior, None, None)
    calibration = _held_out(found) if evaluation is None else _evaluated(found, evaluation, storage)
    return AuditBundle(run.bundle_id, prior, found.manifest, calibration)


def _prior(run: Run) -> Prior:
    return run.scoring.prior if isinstance(run.config, AttributeConfig) and run.scoring else getattr(run.config, "prior", EVEN)


def _bundle_of(run: Run, runs: Sequence[Run], path: str | None) -> Bundle | None:
    """The bundle at ``path``, by default where the run had it, if it is the one that gave the run's verdicts."""
    from causalprint.models.bundles.bundle import load_bundle

    if run.scoring is None or not isinstance(run.config, AttributeConfig):
        assert isinstance(run.config, AuditConfig)
        found = load_bundle(path or run.config.bundle, prior=run.config.prior)
        return found if found.bundle_id == run.bundle_id else None
    embeddings = run.scoring.embeddings
    audits = (one.config for one in runs if one.bundle_id == embeddings and isinstance(one.config, AuditConfig))
    place = path or run.config.bundle or next((one.bundle for one in audits), None)
    found = load_bundle(place, None, run.scoring.prior, run.config.minimum_probability)
    return found if digest(found.digest, "scores the embeddings of", embeddings) == run.bundle_digest else None


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
    import pyarrow.parquet as pq

    from causalprint.models.attribution import Attributor
    from causalprint.models.prevalence import as_stored
    from causalprint.pipelines.evaluation.output import PREDICTIONS
    from causalprint.transforms.tables.output import get

    data = get(evaluation, PREDICTIONS, storage)
    if data is None:
        raise AuditBundleError(f"{evaluation} holds no {PREDICTIONS}; give the --output of causalprint evaluate")
    own = f"{bundle.manifest.name}-{bundle.own_digest[:12]}"
    columns = ["image_id", "source", "origin", "bundle", "fingerprint"]
    table = pq.read_table(pa.BufferReader(data), columns=columns)
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
