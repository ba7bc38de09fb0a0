"""Labelled shards to the features that a bundle is learned from, by Beam, on any runner.

``MatchShards | SkipWrittenShards | ReadImageShards | SkipWrittenSlices | ComputeFeatures | WriteFeatures``
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from causalprint.pipelines.progress import Follower, Status, follow
from causalprint.pipelines.runners import RUNNERS, pipeline_options, worker_threads
from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.losses import Losses, ReasonCount
from causalprint.transforms.tally import Tally

if TYPE_CHECKING:
    from causalprint.models.training.examples import Examples, Extraction
    from causalprint.models.training.recipe import Recipe
    from causalprint.schemas.elements import Shard
    from causalprint.transforms.features.files import FeatureFiles

Report = Callable[[str], None]
"""Told in a few words what is being done."""

SLICING = Slicing(images=256, bytes=64 * 1024 * 1024)
"""Smaller slices than an audit's: each image is computed in several views, and a kill costs no more than the slices under way."""


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
    """

    extraction: Extraction
    root: str
    device: str = "auto"
    threads: int | None = None
    slicing: Slicing = SLICING
    runner: str = "direct"
    beam_options: tuple[str, ...] = ()
    storage: Storage = field(default_factory=Storage)


class LabelledExamples(NamedTuple):
    """Examples of the inputs, and of the validation's inputs where there are any."""

    training: Examples
    validation: Examples | None


def extraction_of(recipe: Recipe, residual: str | None, label_field: str, views: int | None, seed: int) -> Extraction:
    """What ``recipe`` learns from: ``residual`` where it is given, else its own, else the package's; at most ``views``.

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
        interventions=recipe.interventions[: None if views is None else views - 1],
        seed=seed,
    )


def labelled_examples(
    inputs: Sequence[str], validation: Sequence[str], config: FeatureConfig, report: Report = lambda _: None
) -> LabelledExamples:
    """Computes what is missing and reads all: rows by shard and by place in it, the same whatever computed them.

    Raises:
        InputError: an input matches nothing.
        FeatureError: a shard is in both inputs, or the runner ended without all features.
        RunnerError: the runner or its options cannot be used.
        ResidualError: the residual cannot be loaded.
        LabelError: no image has a label.
        Exception: what a worker raised (a connection broke); under most runners as a RuntimeError with the worker's traceback as
            its text.
    """
    from causalprint.pipelines.labelled.reader import LabelledReader
    from causalprint.transforms.features.files import read_examples, written_shard
    from causalprint.transforms.match_shards import match_shards

    options = pipeline_options(config.runner, config.beam_options)
    RUNNERS[config.runner].create(options)
    learned, held_out = (list(match_shards(several, config.storage)) for several in (inputs, validation))
    if both := {shard.uri for shard in learned} & {shard.uri for shard in held_out}:
        raise FeatureError(f"{min(both)} is among the inputs and in --val; what is learned from cannot validate")
    files = _files(config)
    shards = [*learned, *held_out]
    report(f"computing the features of {len(shards)} shards")
    with tempfile.TemporaryDirectory(prefix="causalprint-", ignore_cleanup_errors=True) as folder:
        progress = folder if RUNNERS[config.runner].local else None
        follower = Follower(folder, len(shards), sum(shard.size for shard in shards))
        state = follow(lambda: _execute(shards, files, config, progress), follower, _Telling(report))
    damage = []
    images, lost = 0, Losses()
    for shard in shards:
        records = written_shard(files, shard)
        if records is None:
            raise FeatureError(f"the runner {config.runner} ended in state {state} without features of {shard.uri}; see its log")
        images += sum(record.images for record in records)
        lost += Losses(tuple(ReasonCount(one.reason, one.images) for record in records for one in record.left_out))
        damage += [f"{shard.uri}: {records[-1].damage}"] * (records[-1].damage is not None)
    if damage:
        report(f"{len(damage)} of {len(shards)} shards are damaged and give what can be read of them, such as {damage[0]}")
    if not images:  # perhaps since none has a label, which the reader tells
        next(iter(LabelledReader(shards, config.extraction.label_field, config.storage)), None)
    if lost.images:
        report(str(lost))
    report(f"reading the features of {len(shards)} shards")
    return LabelledExamples(read_examples(files, learned), read_examples(files, held_out) if held_out else None)


def _files(config: FeatureConfig) -> FeatureFiles:
    import torch

    from causalprint.models.residuals import load_residual
    from causalprint.transforms.features.compute_features import feature_key
    from causalprint.transforms.features.files import FeatureFiles

    residual = load_residual(config.extraction.residual, torch.device("cpu"))
    return FeatureFiles(config.root, feature_key(config.extraction, residual, config.slicing), config.storage)


def _execute(shards: Sequence[Shard], files: FeatureFiles, config: FeatureConfig, progress: str | None) -> str:
    """Runs the pipeline to its end; returns the runner's word for how it ended."""
    import apache_beam as beam

    from causalprint.transforms.features.compute_features import ComputeFeatures
    from causalprint.transforms.features.skip_written import SkipWrittenShards, SkipWrittenSlices
    from causalprint.transforms.features.write_features import WriteFeatures
    from causalprint.transforms.read_image_shards import ReadImageShards

    options = pipeline_options(config.runner, config.beam_options)
    threads = worker_threads(config.threads, config.runner, options)
    root = beam.Pipeline(runner=RUNNERS[config.runner].create(options), options=options)
    # Shards are dealt out here, once; from here on nothing is shuffled, so a slice stays in its worker.
    matched = root | "MatchShards" >> beam.Create(list(shards), reshuffle=False) | "Deal" >> beam.Reshuffle()
    missing = matched | SkipWrittenShards(files, progress)
    slices = missing | ReadImageShards(files.key, config.slicing, config.storage) | SkipWrittenSlices(files, progress)
    _ = slices | ComputeFeatures(config.extraction, config.device, threads, progress) | WriteFeatures(files, progress)
    return str(root.run().wait_until_finish())


class _Telling:
    """Tells the status of the features in words."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def show(self, status: Status) -> None:
        if status.done != Tally():
            self._report(f"features: {status}")
