"""The main job: shards of images in, tables of verdicts out.

``ProcessShards`` with ``ComputeFingerprints | AttributeSources``, whose slices become the tables; then ``WriteManifest``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from causalprint.pipelines.dataflow import RUNNER, TEMPLATE, resource_hints
from causalprint.pipelines.execution import AuditError, run_to_manifest
from causalprint.pipelines.runners import RUNNERS, RunnerError, begin_pipeline, pipeline_options, worker_threads, workers
from causalprint.schemas.cascade import GPU
from causalprint.schemas.config import AuditConfig, Slicing
from causalprint.schemas.elements import Shard
from causalprint.schemas.runs import FileDigest, Run, RunManifest, new_run
from causalprint.schemas.urls import public

if TYPE_CHECKING:
    from apache_beam import Pipeline, PTransform
    from apache_beam.pvalue import PCollection

    from causalprint.schemas.elements import AttributedSlice, ImageSlice
    from causalprint.transforms.deal_shards import Planned
    from causalprint.transforms.images.manifests import Anchors
    from causalprint.transforms.match_shards import Matched
    from causalprint.transforms.tables.output import Output


@dataclass(frozen=True, slots=True)
class Plan:
    """An audit that was found possible: what is to be read, by what, to where.

    Attributes:
        run: the run's name, what was asked and what it runs with.
        config: what was asked.
        output: where it writes.
        slicing: where slices are cut: as asked, or as the output was begun.
        shards: the input, in the order of the matching.
        anchors: certificates by which C2PA manifests are valid, PEM.
    """

    run: Run
    config: AuditConfig
    output: Output
    slicing: Slicing
    shards: tuple[Shard, ...]
    anchors: str = ""


def plan(config: AuditConfig, matched: Matched | None = None) -> Plan:
    """Checks everything that can be checked before the work, the device and the weights first, and finds the shards.

    Writes nothing but the output's settings, where it has none and ``dry_run`` is not asked for.

    Args:
        config: what is asked.
        matched: what its inputs come to, where that is known.

    Raises:
        RunnerError: the runner or its options cannot be used.
        ValueError: the bundle, residual, device, input or the output's settings do not allow the audit.
        OSError: something cannot be read or written.
    """
    RUNNERS[config.runner].create(pipeline_options(config.runner, config.beam_options))

    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.features import pick_device

    bundle = load_bundle(config.bundle, config.residual, config.prior)
    further = [load_bundle(one, None, config.prior).bundle_id for one in config.cascade]  # which are needed hours later
    digests = tuple(FileDigest(*digest) for digest in bundle.residual_digests.items())
    # Elsewhere only what was asked is known.
    device = str(pick_device(config.device)) if RUNNERS[config.runner].local else config.device
    if config.budget is not None and config.budget.of == GPU and device == "cpu":
        raise RunnerError(f"--budget {config.budget} is of GPUs, and this machine computes without one: give core-hours")

    from causalprint.pipelines.cascaded import check_tiers
    from causalprint.transforms.match_shards import match_inputs
    from causalprint.transforms.tables.moved import as_uris, with_versions
    from causalprint.transforms.tables.output import Output
    from causalprint.transforms.tables.settings import agree

    check_tiers(config.output, further, config.storage)
    if matched is None:
        matched = match_inputs(config.inputs, config.storage, config.limit, config.sampling, columns=config.image_column)
    trust = _trusted(config)
    settings = agree(
        config.output,
        config.storage,
        config.slicing,
        config.limit,
        config.sampling,
        trust and trust.digest,
        write=not config.dry_run,
    )
    config = replace(config, same_as=as_uris(config.same_as, config.storage))  # workers may have another current folder
    run_id, started = new_run()
    run = Run(
        run_id=run_id,
        started=started,
        config=config,
        bundle_id=bundle.bundle_id,
        bundle_digest=bundle.digest,
        residual=bundle.residual,
        residual_digests=digests,
        device=device,
        left_out=matched.left_out,
        c2pa_trust=settings.c2pa_trust,
    )
    output = Output(
        config.output,
        bundle.bundle_id,
        bundle.digest,
        config.storage,
        slicing=settings.slicing,
        fingerprint_digest=bundle.fingerprint_digest,
        replaces=config.retry_rejects is not None,
    )
    shards = with_versions(matched.shards, config.same_as, output) if config.same_as else matched.shards
    return Plan(run, config, output, settings.slicing, shards, trust.pem if trust else "")


def _trusted(config: AuditConfig) -> Anchors | None:
    """The certificates that vouch for who signs; ``None`` where none are given."""
    from causalprint.transforms.images.manifests import parse_anchors
    from causalprint.transforms.storage.storage import filesystem

    if config.c2pa_trust is None:
        return None
    fs, path = filesystem(config.c2pa_trust, config.storage, patient=True)
    return parse_anchors(fs.cat_file(path), public(config.c2pa_trust))


def build(root: Pipeline, planned: Plan, shards: Planned) -> PCollection[RunManifest]:
    """Adds the audit of ``shards`` to the pipeline ``root``; its one result is the manifest, once that is written."""
    from causalprint.transforms.process_shards import ProcessShards
    from causalprint.transforms.tables.run_shards import inputs_of
    from causalprint.transforms.tables.unpack import begin
    from causalprint.transforms.tables.write_manifest import WriteManifest
    from causalprint.transforms.tables.write_tables import rows_of_slice, write_slice

    config = planned.config
    process = ProcessShards(
        shards,
        planned.output,
        planned.slicing,
        compute(planned),
        write_slice,
        None if planned.output.replaces else rows_of_slice,  # what is computed again goes where it is
        config.retry_rejects,
        workers(config.runner, config.beam_options),
        inputs_of(planned.run),
        begin=begin,
        told_as=None if RUNNERS[config.runner].local else planned.run.run_id,
    )
    return root | process.with_resource_hints(**resource_hints(config)) | WriteManifest(planned.run)


def compute(planned: Plan) -> PTransform[PCollection[ImageSlice], PCollection[AttributedSlice]]:
    """What the plan does with each slice."""
    from causalprint.transforms.attribute_sources import AttributeSources
    from causalprint.transforms.compute_fingerprints import ComputeFingerprints

    config = planned.config
    threads = worker_threads(config.threads, config.runner, config.beam_options)
    fingerprints = ComputeFingerprints(config.bundle, config.residual, config.device, config.batch_size, threads, planned.anchors)
    return fingerprints | AttributeSources(config.bundle, config.residual, config.prior)


def execute(planned: Plan) -> RunManifest:
    """Runs the plan to its end.

    Raises:
        AuditError: the runner ended without writing the manifest, or lost shards on the way.
        Exception: what a worker raised; under most runners as a RuntimeError with the worker's traceback as its text.
    """
    from causalprint.transforms.deal_shards import Planned
    from causalprint.transforms.tables.unpack import free_to_retry

    if planned.config.retry_rejects is not None:
        free_to_retry(planned.output, planned.config.retry_rejects)
    shards = Planned.of(planned.shards, planned.output, planned.run.run_id)
    try:
        manifest = run_to_manifest(planned.run, lambda root: build(root, planned, shards))
    finally:
        shards.remove(planned.output)
    if manifest.totals.shards != len(planned.shards):
        raise AuditError(
            f"the runner {planned.config.runner} was given {len(planned.shards):,} shards and accounted for "
            f"{manifest.totals.shards:,}; run the same command again, which finds what is written"
        )
    return manifest


def write_template(planned: Plan) -> None:
    """Has Dataflow's runner write the plan's pipeline as a template, where its options say, and runs nothing.

    A list of many shards stays in the output, for the job that is begun from the template reads it.

    Raises:
        RunnerError: the runner is another, or cannot be used.
    """
    config = planned.config
    if config.runner != RUNNER:
        raise RunnerError(f"{TEMPLATE} is an option of --runner {RUNNER}, not of {config.runner}")
    from causalprint.transforms.deal_shards import Planned

    shards = Planned.of(planned.shards, planned.output, planned.run.run_id)
    begin_pipeline(config.runner, config.beam_options, lambda root: build(root, planned, shards))
