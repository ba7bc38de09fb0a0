"""``causalprint evaluate``: bundles on labelled images, with intervals, audits of shortcuts, figures and a section of results."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.pipelines.runners import cores
from causalprint.pipelines.scratch import scratch
from causalprint.schemas.urls import public

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.evaluation.judging import Judged
    from causalprint.models.labelled import LabelledCrops
    from causalprint.pipelines.commands.evaluate import EvaluateConfig
    from causalprint.pipelines.labelled.reader import Report
    from causalprint.schemas.evaluations import Evaluation


class EvaluationError(ValueError):
    """These images or bundles cannot be evaluated; the message says why and what to give."""


def evaluate(config: EvaluateConfig, report: Report = lambda _: None) -> Evaluation:
    """Measures, and writes ``evaluation.json``, ``predictions.parquet``, figures and the section of ``RESULTS.md``.

    Nothing is written before all is measured, and then every file at once.

    Raises:
        EvaluationError: the images or bundles cannot be evaluated, the output is no local folder, or a package is missing.
        BundleError: a bundle cannot be used.
        InputError: an input matches nothing.
        LabelError: no image has a label.
        ConnectionError: a shard cannot be read for now.
    """
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.bundles.manifest import REAL
    from causalprint.models.evaluation.content import content_of
    from causalprint.models.evaluation.judging import judge_bundle
    from causalprint.models.evaluation.perturbations import PERTURBATIONS, TRACKS
    from causalprint.pipelines.evaluation.output import write_evaluation
    from causalprint.pipelines.labelled.crops import chosen_crops, read_labelled_crops

    if find_spec("matplotlib") is None:
        raise EvaluationError("evaluate needs matplotlib: pip install 'causalprint[compare]'")
    if "://" in config.output:
        raise EvaluationError(f"--output {config.output!r} is no local folder; evaluations are written to one")
    if config.robustness and config.perturbations:
        raise EvaluationError(f"--robustness measures every perturbation, {config.perturbations[0]} too; leave one of them out")
    for name in config.perturbations:
        if name not in PERTURBATIONS:
            raise EvaluationError(f"--perturbation {name!r} is none of {', '.join(PERTURBATIONS)}")
    bundles = [load_bundle(path) for path in config.bundles or (None,)]
    threads = config.threads or cores()
    with scratch() as folder, ThreadPoolExecutor(threads) as pool:
        labelled = read_labelled_crops(
            config.inputs,
            config.storage,
            config.label_field,
            _common_crop(bundles),
            report,
            Path(folder) / "crops",
            TRACKS[config.track],
            config.limit,
        )
        _check(labelled, bundles, config)
        told = f" of {len(labelled.images):,} images"
        content = content_of(labelled.crops, labelled.images, 0, pool, lambda done: report(f"what they show: {done:,}{told}"))
        if config.track == "hard":
            images = labelled.images
            kept = (images.source != REAL) | content.hard(images.source == REAL)
            labelled, content = chosen_crops(labelled, kept, Path(folder) / "hard"), content.take(kept)
        judged = [judge_bundle(bundle, labelled, content, config.device, pool, report) for bundle in bundles]
        evaluation = _measure(config, labelled, judged, pool, report)
        report("drawing")
        write_evaluation(Path(config.output), config.key, evaluation, labelled, judged, pool)
    return evaluation


def _common_crop(bundles: Sequence[Bundle]) -> int:
    crops = {bundle.manifest.geometry.crop for bundle in bundles}
    ids = [bundle.bundle_id for bundle in bundles]
    if len(crops) > 1:
        raise EvaluationError(
            f"bundles analyse crops of {sorted(crops)} pixels and would not see the same images; evaluate them apart"
        )
    if len(set(ids)) < len(ids):
        raise EvaluationError(f"a bundle was given twice: {', '.join(sorted(ids))}")
    return crops.pop()


def _check(labelled: LabelledCrops, bundles: Sequence[Bundle], config: EvaluateConfig) -> None:
    from causalprint.models.bundles.manifest import REAL

    found = set(labelled.images.source.tolist())
    given = ", ".join(map(public, config.inputs))
    if not found:
        why = f"({labelled.losses.images} were left out): {labelled.losses}"
        raise EvaluationError(f"{given} has no image that can be decoded and is large enough {why}")
    for bundle in bundles:
        known = found & set(bundle.manifest.sources)
        if not known - {REAL}:
            raise EvaluationError(
                f"no image of {given} is of a generator that {bundle.bundle_id} knows ({_some(bundle.manifest.sources)}); "
                f"the labels are {_some(sorted(found))}: is --label-field {config.label_field!r} the right one?"
            )
    images = labelled.images
    versions = Counter(content for content, _ in set(zip(images.content.tolist(), images.source.tolist(), strict=True)))
    if config.track == "aligned" and max(versions.values()) < 2:
        raise EvaluationError(
            f"no content of {given} is there by two sources: make such images with `causalprint lab make-aligned`"
        )
    if REAL not in found:
        raise EvaluationError(f"{given} has no image labelled {REAL!r}, without which detection cannot be measured; add some")


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _measure(
    config: EvaluateConfig, labelled: LabelledCrops, judged: Sequence[Judged], pool: Executor, report: Report
) -> Evaluation:
    import causalprint
    from causalprint.models.evaluation.judging import audit_images, measure_bundle, perturb
    from causalprint.models.evaluation.perturbations import PERTURBATIONS
    from causalprint.models.evaluation.scoring_tables import Resampling, differences
    from causalprint.schemas.evaluations import EVALUATION_SCHEMA, Evaluation, ImageCount

    resampling = Resampling(0, config.rounds * config.seeds)
    perturbed = tuple(PERTURBATIONS) if config.robustness else config.perturbations
    report("auditing shortcuts")
    shortcuts = audit_images(labelled, judged, resampling, config.threads or cores())
    measured = []
    for one in judged:
        costs = perturb(one, labelled, perturbed, config.seeds, resampling, pool, report) if perturbed else ()
        report(f"{one.judge.bundle.bundle_id}: resampling")
        measured.append(measure_bundle(one, config.track, costs, resampling))
    images = labelled.images
    counts = Counter(zip(images.source.tolist(), images.origin.tolist(), strict=True))
    first, *others = judged
    said = (first.truth, first.verdicts)
    compared = [differences(said, (one.truth, one.verdicts), one.judge.bundle.bundle_id, resampling) for one in others]
    return Evaluation(
        schema=EVALUATION_SCHEMA,
        version=causalprint.__version__,
        command=shlex.join(config.argv()),
        track=config.track,
        crop=labelled.crops.shape[1],
        device=str(first.judge.fingerprinter.device),
        seeds=config.seeds,
        rounds=resampling.rounds,
        images=tuple(ImageCount(source, origin, counts[source, origin]) for source, origin in sorted(counts)),
        left_out=labelled.losses.images,
        losses=labelled.losses,
        shortcuts=shortcuts,
        void=any(shortcut.voids for shortcut in shortcuts),
        bundles=tuple(measured),
        differences=tuple(difference for several in compared for difference in several),
    )
