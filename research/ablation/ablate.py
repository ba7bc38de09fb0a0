"""``causalprint lab ablate``: a recipe without each of its parts, trained and tested alike, in one table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from causalprint.models.evaluation.duplicates import difference_hashes, join_near_duplicates
from causalprint.models.evaluation.splits import rotate_origins
from causalprint.models.features import pick_device
from causalprint.models.labelled import LabelledImages
from causalprint.models.training.examples import THUMBNAIL, Examples
from causalprint.models.training.recipe import load_recipe
from causalprint.pipelines.labelled.reader import Report
from causalprint.pipelines.results.sections import publish_section
from causalprint.pipelines.runners import cores
from causalprint.pipelines.training.features import FeatureConfig, extraction_of, labelled_examples
from causalprint.pipelines.training.train import sources_of
from causalprint.research.ablation.config import AblateConfig
from causalprint.research.ablation.parts import FULL, Outcome, Variant, shared_reduction, try_out, variants
from causalprint.research.ablation.report import SECTION, Ablation, AblationRow, AblationSeed, section
from causalprint.research.comparison.cache import array_digest
from causalprint.research.comparison.records import Measured, SplitRow
from causalprint.research.comparison.scoring import Figures, Ground, ground_of, headline, judge
from causalprint.schemas.estimates import finite
from causalprint.schemas.records import to_json

RESULT = "ablation.json"
FEATURES = "features"
SHOWN = ("accuracy", "accuracy_all", "real_auc", "over_recipe", "over_best")
"""The figures that are written; the others of a comparison need temperatures or open sets, which no row has."""


class AblateError(ValueError):
    """An ablation that cannot be made as asked; the message says what to do."""


def ablate(config: AblateConfig, report: Report = lambda _: None) -> Ablation:
    """Trains and tests every row with every seed, and writes the table.

    Raises:
        AblateError: no such row.
        TrainingError, SplitError: the images are too few, or cannot be split.
        RecipeError: the recipe cannot be used.
        ResultsError: the output cannot be written.
        Exception: as of :func:`~causalprint.pipelines.training.features.labelled_examples`.
    """
    recipe = load_recipe(config.recipe)
    rows = _chosen(variants(recipe), config.only)
    extraction = extraction_of(recipe, None, config.label_field, None, config.seed)
    root = config.features or str(config.output / FEATURES)
    features = FeatureConfig(extraction, root, config.device, config.threads, storage=config.storage)
    examples = labelled_examples(config.inputs, (), features, report).training
    sources = sources_of(examples, len(examples.images))
    examples = examples._replace(images=_with_twins_joined(examples))
    images = examples.images
    ground = ground_of(images, sources)
    labelled = examples.labelled(sources, tuple(one.size for one in extraction.features))
    seeds = range(config.seed, config.seed + config.seeds)
    splits = {seed: rotate_origins(images.source, images.origin, images.content, seed) for seed in seeds}
    torch.set_num_threads(config.threads or cores())
    device = pick_device(config.device)
    outcomes: dict[str, list[Outcome]] = {row.name: [] for row in rows}
    for number, (seed, split) in enumerate(splits.items(), 1):
        reduction = shared_reduction(recipe, labelled, split, seed)
        for place, row in enumerate(rows, 1):
            report(f"seed {number} of {len(splits)}, row {place} of {len(rows)}: {row.title}")
            outcome = try_out(row.recipe, recipe, labelled, len(sources), split, seed, device, reduction)
            outcomes[row.name].append(outcome)
    report("resampling")
    runs = {name: [one.run for one in several] for name, several in outcomes.items()}
    best = max((row.name for row in rows if row.lens), key=lambda name: headline(runs[name], ground), default=None)
    figures = judge(runs, ground, best, FULL, config.rounds)
    ablation = Ablation(
        command=config.argv(),
        recipe=recipe.name,
        images=array_digest(images.image_id),
        sources=sources,
        headline=tuple(sources[label] for label in ground.several),
        splits=tuple(
            SplitRow(seed, int(split.train.sum()), int(split.validation.sum()), int(split.test.sum()), unknown=0)
            for seed, split in splits.items()
        ),
        best_lens=best,
        rows=tuple(_row(row, outcomes[row.name], figures[row.name], ground, config.seed) for row in rows),
    )
    publish_section(config.output, SECTION, section(ablation), {RESULT: (to_json(ablation, indent=1) + "\n").encode()})
    return ablation


def _chosen(rows: Sequence[Variant], only: Sequence[str]) -> list[Variant]:
    names = [row.name for row in rows]
    if unknown := sorted(set(only) - set(names)):
        raise AblateError(f"this recipe has no row {', '.join(unknown)}; choose of {', '.join(names)}")
    return [row for row in rows if not only or row.name in (FULL, *only)]


def _with_twins_joined(examples: Examples) -> LabelledImages:
    """As in a comparison near-duplicates, here found on the thumbnails that stand beside the features, are of one content."""
    hashes = difference_hashes(examples.thumbnail.reshape(-1, THUMBNAIL, THUMBNAIL, 3))
    return replace(examples.images, content=join_near_duplicates(examples.images.content, hashes))


def _row(row: Variant, outcomes: Sequence[Outcome], figures: Figures, ground: Ground, first: int) -> AblationRow:
    accuracies = [headline([one.run], ground) for one in outcomes]
    moved, shared = ([getattr(one, name) for one in outcomes] for name in ("invariance", "independence"))
    return AblationRow(
        name=row.name,
        title=row.title,
        lens=row.lens,
        figures=tuple(Measured.of(name, getattr(figures, name)) for name in figures._fields if name in SHOWN),
        seeds=tuple(
            AblationSeed(
                seed=first + place,
                accuracy=finite(accuracy),
                validated=finite(one.run.validated),
                invariance=finite(one.invariance),
                independence=finite(one.independence),
                detection=_detection([one]),
            )
            for place, (accuracy, one) in enumerate(zip(accuracies, outcomes, strict=True))
        ),
        accuracy=finite(statistics.fmean(accuracies)),
        deviation=finite(statistics.stdev(accuracies)) if len(accuracies) > 1 else None,
        invariance=finite(statistics.fmean(moved)),
        independence=finite(statistics.fmean(shared)),
        detection=_detection(outcomes),
    )


def _detection(outcomes: Sequence[Outcome]) -> tuple[tuple[float | None, float | None], ...]:
    """Means over the seeds, of each version."""
    versions = zip(*(one.detection for one in outcomes), strict=True)
    return tuple((finite(auc), finite(found)) for auc, found in (np.mean(several, axis=0).tolist() for several in versions))
