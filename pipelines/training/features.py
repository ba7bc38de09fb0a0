"""Labelled shards to the features that a bundle is learned from, by Beam, on any runner.

``ProcessShards`` with ``ComputeFeatures``, whose slices become files of table ``features``; then the files are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.progress import UNSEEN, Status, follow, watched
from causalprint.pipelines.runners import RUNNERS, pipeline_options, run_pipeline, worker_threads, workers
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.losses import Losses, ReasonCount
from causalprint.transforms.counting import Tally

if TYPE_CHECKING:
    from causalprint.models.training.examples import Examples, Extraction
    from causalprint.models.training.recipe import Recipe
    from causalprint.pipelines.labelled.reader import Report

SLICING = Slicing(images=256, bytes=64 * 1024 * 1024)
"""Smaller slices than an audit's: each image is computed several times, and a kill costs no more than the slices under way."""


class FeatureError(ValueError):
    """Features that a training needs cannot be computed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class FeatureConfig:
    """One computation of features.

    Attributes:
        extraction: what is computed.
        root: URL of the folder to write to; what lies there already is not computed again.
        device: ``auto``, ``cpu`` or ``cuda``; of the residual and the lenses.
        threads: in which a worker decodes and computes; ``None`` shares the cores among the workers.
        slicing: where shards are cut.
        runner: a key of ``causalprint.pipelines.runners.RUNNERS``.
        beam_options: passed to Beam as they are.
        storage: fsspec options, of the inputs and of the folder.
        columns: that hold the images of Parquet and TFRecord files; all that do where none is given.
    """

    extraction: Extraction
    root: str
    device: str = "auto"
    threads: int | None = None
    slicing: Slicing = SLICING
    runner: str = "direct"
    beam_options: tuple[str, ...] = ()
    storage: Storage = field(default_factory=Storage)
    columns: tuple[str, ...] = ()


class LabelledExamples(NamedTuple):
    """Examples of the inputs, and of the validation's inputs where there are any."""

    training: Examples
    validation: Examples | None


def extraction_of(recipe: Recipe, residual: str | None, label_field: str, interventions: int | None, seed: int) -> Extraction:
    """What ``recipe`` learns from: ``residual``, else its own, else the package's; at most so many ``interventions``.

    Raises:
        LensError: a lens of the recipe cannot be loaded.
    """
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.features import feature
    from causalprint.models.training.examples import Extraction

    return Extraction(
        residual=residual or recipe.residual or load_bundle().residual,
        features=tuple(feature(use.lens, use.reading) for use in recipe.lenses),
        label_field=label_field,
        interventions=recipe.interventions[:interventions],
        seed=seed,
    )


def labelled_examples(
    inputs: Sequence[str], validation: Sequence[str], config: FeatureConfig, report: Report = lambda _: None
) -> LabelledExamples:
    """Computes what is missing and reads all: rows by shard and by place in it, the same whatever computed them.

    Raises:
        InputError: an input matches nothing.
        FeatureError: a shard is in both inputs, or could not be read to its end this time, or the runner ended without all
            features.
        RunnerError: the runner or its options cannot be used.
        ResidualError: the residual cannot be loaded.
        LabelError: no image has a label.
        Exception: what a worker raised; under most runners as a RuntimeError with the worker's traceback as its text.
    """
    import torch

    from causalprint.models.residuals import load_residual
    from causalprint.pipelines.labelled.reader import LabelledReader
    from causalprint.transforms.compute_features import ComputeFeatures, feature_key
    from causalprint.transforms.deal_shards import Planned
    from causalprint.transforms.feature_files import feature_output, read_examples, write_features
    from causalprint.transforms.match_shards import match_shards
    from causalprint.transforms.process_shards import ProcessShards
    from causalprint.transforms.tables.committed import stored_account
    from causalprint.transforms.tables.stored import Stored

    RUNNERS[config.runner].create(pipeline_options(config.runner, config.beam_options))
    learned, held_out = (list(match_shards(several, config.storage, columns=config.columns)) for several in (inputs, validation))
    if both := {shard.uri for shard in learned} & {shard.uri for shard in held_out}:
        raise FeatureError(f"{min(both)} is among the inputs and in --val; what is learned from cannot validate")
    key = feature_key(config.extraction, load_residual(config.extraction.residual, torch.device("cpu")), config.slicing)
    output = feature_output(config.root, key, config.storage)
    shards = [*learned, *held_out]
    report(f"computing the features of {len(shards)} shards")

    def show(status: Status) -> None:
        if status.done != Tally():
            report(f"features: {status}")

    threads = worker_threads(config.threads, config.runner, config.beam_options)
    dealt = workers(config.runner, config.beam_options)
    compute = ComputeFeatures(config.extraction, config.device, threads)
    process = ProcessShards(Planned(tuple(shards)), output, config.slicing, compute, write_features, workers=dealt)
    with watched(shards, None if RUNNERS[config.runner].local else UNSEEN) as follower:
        ended = follow(lambda: run_pipeline(config.runner, config.beam_options, lambda root: root | process), follower, show)
    damage = []
    images, lost = 0, Losses()
    stored = Stored(output)
    for shard in shards:
        account = stored_account(output, shard, stored)
        if account is None:
            raise FeatureError(
                f"the runner {config.runner} ended in state {ended.state} without features of {shard.uri}; see its log"
            )
        if account.retryable:
            raise FeatureError(f"{shard.uri}: {account.damage}; run the same command again with --resume")
        images += account.attributed
        lost += Losses(tuple(ReasonCount(one.reason, one.images) for one in account.reasons))
        damage += [f"{shard.uri}: {account.damage}"] * (not account.complete)
    if damage:
        report(f"{len(damage)} of {len(shards)} shards are damaged and give what can be read of them, such as {damage[0]}")
    if not images:  # perhaps since none has a label, which the reader tells
        next(iter(LabelledReader(shards, config.extraction.label_field, config.storage)), None)
    if lost.images:
        report(str(lost))
    report(f"reading the features of {len(shards)} shards")
    return LabelledExamples(read_examples(output, learned), read_examples(output, held_out) if held_out else None)
