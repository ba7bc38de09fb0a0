"""``causalprint train``: labelled shards to a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.models.labelled import LEAST_IMAGES
from causalprint.pipelines.runners import cores
from causalprint.pipelines.training.bundle_files import check_folders, take_in, take_in_lens
from causalprint.pipelines.training.features import FeatureConfig, extraction_of, labelled_examples

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.bundles.manifest import Family, Origin
    from causalprint.models.labelled import LabelledImages
    from causalprint.models.training.examples import Examples, Extraction
    from causalprint.models.training.recipe import Recipe
    from causalprint.pipelines.commands.train import TrainConfig
    from causalprint.pipelines.labelled.reader import Report

UNSTATED = "unstated"


class TrainingError(ValueError):
    """What was given cannot be trained from; the message says what to do."""


def train(config: TrainConfig, report: Report = lambda _: None) -> Bundle:
    """Computes features, fits what the recipe says, evaluates it and writes the bundle with its card.

    Raises:
        TrainingError: too few sources or images, or an output that is there.
        RecipeError: the recipe cannot be used.
        Exception: as of :func:`~causalprint.pipelines.training.features.labelled_examples`.
    """
    import shutil

    import torch

    from causalprint.models.bundles.bundle import MANIFEST
    from causalprint.models.training.recipe import load_recipe

    output = Path(config.output)
    if (output / MANIFEST).exists():
        raise TrainingError(f"{output} already holds a bundle; give another --output or remove it")
    own, checkpoints = (output.with_name(f"{output.name}.{kept}") for kept in ("features", "checkpoints"))
    if not config.resume:
        shutil.rmtree(own, ignore_errors=True)
        shutil.rmtree(checkpoints, ignore_errors=True)
    recipe = load_recipe(config.recipe, config.lenses)
    extraction = extraction_of(recipe, config.residual, config.label_field, config.interventions, config.seed)
    if config.views > 1 and all(one.reading != "image" for one in extraction.features):
        raise TrainingError(f"--views {config.views} needs a lens that reads the image, and recipe {config.recipe} has none")
    features = FeatureConfig(
        extraction=extraction,
        root=config.features or str(own),
        device=config.device,
        threads=config.threads,
        runner=config.runner,
        beam_options=config.beam_options,
        storage=config.storage,
        columns=config.image_column,
    )
    training, validation = labelled_examples(config.inputs, config.validation, features, report)
    examples = training if validation is None else training.join(validation)
    report(f"fitting {len(examples.images)} images")
    torch.set_num_threads(config.threads or cores())
    bundle = _fit(config, recipe, extraction, examples, len(training.images), checkpoints, report)
    shutil.rmtree(own, ignore_errors=True)
    shutil.rmtree(checkpoints, ignore_errors=True)
    return bundle


def sources_of(examples: Examples, learned: int) -> tuple[str, ...]:
    """What is told apart, ``real`` first, then ``graphic``: sources of the first ``learned`` examples; others are of validation.

    Paintings are no source: they are ``real``, and one kind more that what is generated is told from.

    Raises:
        TrainingError: they are too few, or their images are, or validation has others.
    """
    from causalprint.models.bundles.manifest import ART, GRAPHIC, REAL, are_generators

    found = examples.images.source.tolist()
    drawn = (GRAPHIC,) if GRAPHIC in found[:learned] else ()
    sources = (REAL, *drawn, *sorted(set(found[:learned]) - {REAL, GRAPHIC, ART}))
    counts = {source: found[:learned].count(source) for source in sources}
    scarce = {source: count for source, count in counts.items() if count < LEAST_IMAGES}
    if scarce or not any(are_generators(sources)):
        raise TrainingError(
            f"training needs at least {LEAST_IMAGES} images of `real` and of each generator, as large as the crop at least; "
            f"found {counts}, and {examples.left_out} that are smaller, damaged or unlabelled"
        )
    if strangers := set(found[learned:]) - {*sources, ART}:
        raise TrainingError(f"validation has sources that training has not: {', '.join(sorted(strangers))}; leave them out")
    return sources


def _fit(
    config: TrainConfig,
    recipe: Recipe,
    extraction: Extraction,
    examples: Examples,
    learned: int,
    checkpoints: Path,
    report: Report,
) -> Bundle:
    import numpy as np

    from causalprint.models.bundles.bundle import RESIDUAL_FOLDER, save_bundle
    from causalprint.models.bundles.card import card
    from causalprint.models.bundles.gallery import Gallery
    from causalprint.models.bundles.held_out import held_out_tensors
    from causalprint.models.bundles.manifest import SCHEMA, Manifest
    from causalprint.models.evaluation.bundle_figures import audit_shortcuts, evaluate_head
    from causalprint.models.features import pick_device
    from causalprint.models.statistics.origins import split_folds
    from causalprint.models.training.head import HeadConfig, fit_head

    sources = sources_of(examples, learned)
    images = examples.images
    labelled = examples.labelled(sources, tuple(one.size for one in extraction.features))
    labels = labelled.labels
    known = (labels, images.origin, images.content)
    held_out = np.arange(len(labels)) >= learned if learned < len(labels) else None
    head_config = HeadConfig(seed=config.seed, device=str(pick_device(config.device)), checkpoints=checkpoints)
    residual = take_in(extraction.residual, RESIDUAL_FOLDER)
    lenses = [take_in_lens(one.lens) for one in extraction.features]
    check_folders([residual, *lenses])
    features = tuple(replace(one, lens=lens.spec) for one, lens in zip(extraction.features, lenses, strict=True))
    head = fit_head(labelled, features, sources, recipe, head_config, held_out, report)
    folds = split_folds(*known, head_config.folds, config.seed) if held_out is None else [held_out]
    figures = evaluate_head(head, sources, *known, config.seed)
    figures += audit_shortcuts(
        images.encoded_bytes, examples.thumbnail, labels, images.content, folds, config.seed, config.threads or cores()
    )
    output = Path(config.output)
    for part in (residual, *lenses):
        part.copy(output)
    licences = {path: text for part in (residual, *lenses) for path, text in part.licences().items()}
    manifest = Manifest(
        schema=SCHEMA,
        name=config.name,
        licence=config.licence or "; ".join(dict.fromkeys(licences.values())) or UNSTATED,
        sources=sources,
        geometry=replace(extraction.geometry, views=config.views),
        residual=residual.spec,
        features=features,
        network=head.network,
        families=families_of(recipe, sources),
        decision=head.decision,
        data=_data(images, learned),
        figures=tuple(figures),
    )
    seen = images.take(np.arange(learned))
    gallery = Gallery(seen.image_id, seen.source, seen.origin, seen.licence, head.fingerprints[:learned])
    held_out_scores = held_out_tensors(
        images.source.tolist(), images.origin.tolist(), head.held_out, head.generated, manifest.data
    )
    bundle = save_bundle(output, manifest, head.fingerprint, head.attribution, licences, gallery, held_out_scores)
    (output / "card.md").write_text(card(bundle.manifest), encoding="utf-8")
    return bundle


def families_of(recipe: Recipe, sources: Sequence[str]) -> tuple[Family, ...]:
    """The recipe's families, of those ``sources`` that there are; one of a single source tells no more than that source."""
    from causalprint.models.bundles.manifest import Family

    found = (Family(one.name, tuple(name for name in one.members if name in sources)) for one in recipe.families)
    return tuple(family for family in found if len(family.members) > 1)


def _data(images: LabelledImages, learned: int) -> tuple[Origin, ...]:
    from collections import Counter

    from causalprint.models.bundles.manifest import Origin

    rows = list(zip(images.source.tolist(), images.origin.tolist(), images.licence.tolist(), strict=True))
    training, validation = Counter(rows[:learned]), Counter(rows[learned:])
    return tuple(Origin(key[0], key[1], training[key], validation[key], key[2]) for key in sorted(set(rows)))
