"""Verdicts on fingerprints that an audit has stored: with another bundle that shares them, another prior, another limit.

``ScoreEmbeddings``, whose accounts are the run's; then ``WriteManifest``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.execution import run_to_manifest
from causalprint.pipelines.runners import RUNNERS, pipeline_options
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.prior import Prior, parse_prior
from causalprint.schemas.runs import FileDigest, Run, RunManifest, Scoring, new_run

if TYPE_CHECKING:
    from apache_beam import Pipeline
    from apache_beam.pvalue import PCollection

    from causalprint.models.bundles.bundle import Bundle
    from causalprint.transforms.score_embeddings import AuditedShard
    from causalprint.transforms.tables.output import Output


class ScoringError(ValueError):
    """Stored fingerprints cannot be scored as asked; the message says why, and what to do."""


class Stored(NamedTuple):
    """What one bundle has stored: its id, the digest of its fingerprint (empty where nothing tells it), and its last audit."""

    bundle_id: str
    fingerprint_digest: str
    audit: AuditConfig | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A scoring that was found possible.

    Attributes:
        run: the run's name, what was asked and what it runs with.
        scoring: how.
        output: where it writes.
        bundle: directory of the bundle; ``None`` for the one inside the package.
        minimum_probability: that was asked for, or found for an error that was.
        shards: whose accounts the audit has closed.
    """

    run: Run
    scoring: Scoring
    output: Output
    bundle: str | None
    minimum_probability: float | None
    shards: tuple[AuditedShard, ...]


def plan(config: AttributeConfig) -> Plan:
    """Checks everything that can be checked before the work, estimates the prior where that is asked for, and finds the shards.

    Raises:
        RunnerError: the runner or its options cannot be used.
        ValueError: there is no audit, or the bundle does not share the fingerprint of the one that computed its embeddings, or
            does not show that it errs as seldom as is asked.
        OSError: something cannot be read.
    """
    RUNNERS[config.runner].create(pipeline_options(config.runner, config.beam_options))

    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.target_error import least_probability
    from causalprint.transforms.score_embeddings import AuditedShard
    from causalprint.transforms.tables.output import Output
    from causalprint.transforms.tables.partition import read_columns

    given = None if config.bundle is None else load_bundle(config.bundle)
    stored = _choose(config, _stored(config, given), given)
    path = config.bundle if given is not None else stored.audit.bundle if stored.audit else None
    source = Output(config.output, stored.bundle_id, "", config.storage)
    prior, rows = (config.shares, 0) if config.shares else estimate_prior(source)
    least, wrong_names = config.minimum_probability, None
    if config.target_error is not None:
        wrong_names = least_probability(load_bundle(path), config.target_error)
        least = wrong_names.limit
    bundle = load_bundle(path, None, prior, least)
    output = Output(
        config.output,
        *bundle.scoring(stored.bundle_id),
        config.storage,
        scored=stored.bundle_id,
        fingerprint_digest=bundle.fingerprint_digest,
    )
    columns = read_columns(source, "shards", "shard_id", "size")
    shards = (AuditedShard(*row.values()) for batch in columns for row in batch.to_pylist())
    scoring = Scoring(stored.bundle_id, bundle.fingerprint_digest, prior, rows, bundle.least_probability, wrong_names)
    run_id, started = new_run()
    run = Run(
        run_id=run_id,
        started=started,
        config=config,
        bundle_id=output.bundle_id,
        bundle_digest=output.bundle_digest,
        residual=bundle.residual,
        residual_digests=tuple(FileDigest(*each) for each in bundle.residual_digests.items()),
        scoring=scoring,
    )
    return Plan(run, scoring, output, path, least, tuple(sorted(shards)))


def execute(planned: Plan) -> RunManifest:
    """Runs the plan to its end; raises as :func:`~causalprint.pipelines.execution.run_to_manifest` does."""
    return run_to_manifest(planned.run, lambda root: build(root, planned))


def build(root: Pipeline, planned: Plan) -> PCollection[RunManifest]:
    """Adds the scoring to the pipeline ``root``; its one result is the manifest, once that is written."""
    from causalprint.transforms.score_embeddings import ScoreEmbeddings
    from causalprint.transforms.tables.write_manifest import WriteManifest

    score = ScoreEmbeddings(planned.shards, planned.output, planned.bundle, planned.scoring.prior, planned.minimum_probability)
    return root | score | WriteManifest(planned.run)


def estimate_prior(output: Output) -> tuple[Prior, int]:
    """The prior at which the audit's likelihood ratios are likeliest, and of how many rows; graphics and photographs as usual.

    Which of the two an image is, rows do not tell wherever it is not among the candidates. The share has four digits, so that
    the prior can be given in words.

    Raises:
        ScoringError: no row has a ratio.
    """
    import numpy as np

    from causalprint.models.statistics.prior_shift import ratio_counts, share_generated
    from causalprint.transforms.tables.partition import read_columns

    counts = ratio_counts(np.zeros(0))
    for batch in read_columns(output, "attributions", "log_likelihood_ratio"):
        counts += ratio_counts(batch.column(0).drop_null().to_numpy())
    if not counts.any():
        raise ScoringError(
            f"no image of {output.root} has a log likelihood ratio by {output.bundle_id}, so that no prior can be estimated: "
            "give it, such as --prior photograph=0.9"
        )
    return parse_prior(f"generated={share_generated(counts):.4g}"), int(counts.sum())


def _stored(config: AttributeConfig, given: Bundle | None) -> list[Stored]:
    """What bundles have stored, the one of the last finished audit first."""
    from causalprint.transforms.tables.committed import bundle_ids, run_ids
    from causalprint.transforms.tables.manifests import read_manifest
    from causalprint.transforms.tables.output import Output, folder_names
    from causalprint.transforms.tables.settings import read_settings

    root, storage = config.output, config.storage
    if read_settings(root, storage) is None:
        raise ScoringError(f"{root} is no output of an audit; give the folder or URL that --output was")
    ids = [one for one in bundle_ids(root, storage) if folder_names(root, f"embeddings/bundle={one}", storage)]
    audits: dict[str, AuditConfig] = {}
    for run_id in reversed(run_ids(root, storage)):
        if len(audits) == len(ids):
            break
        manifest = read_manifest(root, run_id, storage)
        if manifest is not None and isinstance(manifest.run.config, AuditConfig) and manifest.run.bundle_id in ids:
            audits.setdefault(manifest.run.bundle_id, manifest.run.config)
    in_order = [*audits, *(one for one in ids if one not in audits)]
    if config.embeddings is not None and config.embeddings not in ids:
        raise ScoringError(f"{root} holds no embeddings of {config.embeddings!r}, but of {', '.join(ids) or 'none'}")
    chosen = in_order if config.embeddings is None else [config.embeddings]
    if not chosen:
        raise ScoringError(f"{root} holds no embeddings; the audit that began it has committed no slice")
    outputs = [Output(root, one, "", storage) for one in chosen]
    return [Stored(one.bundle_id, _digest(one, audits.get(one.bundle_id), given), audits.get(one.bundle_id)) for one in outputs]


def _digest(output: Output, audit: AuditConfig | None, given: Bundle | None) -> str:
    """Of what the embeddings depend on: as their files tell, else by the bundle, where it still lies where the audit found it."""
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.bundles.manifest import BundleError
    from causalprint.transforms.tables.partition import fingerprint_digest

    told = fingerprint_digest(output)
    if told:
        return told
    if given is not None and given.bundle_id == output.bundle_id:
        return given.fingerprint_digest
    if audit is None:
        return ""
    try:
        bundle = load_bundle(audit.bundle, audit.residual, audit.prior)
    except BundleError:
        return ""
    return bundle.fingerprint_digest if bundle.bundle_id == output.bundle_id else ""


def _choose(config: AttributeConfig, stored: list[Stored], given: Bundle | None) -> Stored:
    """The first whose fingerprint the bundle shares.

    Raises:
        ScoringError: it shares none's, or none can be told.
    """
    from causalprint.models.bundles.bundle import load_bundle

    first = stored[0]
    if given is None:
        if first.audit is None:
            raise ScoringError(f"no finished run tells with which bundle {first.bundle_id} was audited: give it with --bundle")
        given = load_bundle(first.audit.bundle)
        stored = [first]
    for each in stored:
        if each.fingerprint_digest == given.fingerprint_digest:
            return each
    if not first.fingerprint_digest:
        raise ScoringError(
            f"nothing tells what the embeddings of {first.bundle_id} in {config.output} depend on: an earlier version wrote "
            "them, and their bundle is not where their audit found it; put it back there, or audit again"
        )
    raise ScoringError(
        f"the bundle {given.bundle_id} computes other fingerprints than {first.bundle_id}, which computed the embeddings in "
        f"{config.output}: audit with it, or give a bundle made from {first.bundle_id}"
    )
