"""``causalprint lab compare``: every method, trained and tested alike, in one table."""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from causalprint.models.evaluation.perturbations import PERTURBATIONS
from causalprint.models.evaluation.shortcuts import file_features, fit_forest, shuffled_labels, thumbnails
from causalprint.models.features import pick_device
from causalprint.models.statistics.metrics import is_above_chance
from causalprint.pipelines.labelled.reader import Report
from causalprint.pipelines.results.figures import check_figures
from causalprint.pipelines.results.sections import publish_section
from causalprint.research.comparison.cache import Features, cached_features
from causalprint.research.comparison.config import NO_CLIP, CompareConfig
from causalprint.research.comparison.data import CompareError, Data, read_data
from causalprint.research.comparison.records import ComparedMethod, Comparison, Measured, SeedRow, SourceRecall, SplitRow
from causalprint.research.comparison.report import draw, key_of, predictions, section
from causalprint.research.comparison.runs import JPEG, Answers, Bench, Entry, answer, features_of
from causalprint.research.comparison.scoring import Figures, headline, judge, pool, recalls
from causalprint.research.methods import BASELINES
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.loaded import installed_clip
from causalprint.schemas.arrays import Crops
from causalprint.schemas.estimates import finite
from causalprint.schemas.records import to_json
from causalprint.schemas.rendering import render

RECIPE = "causal"
"""Our own recipe among the methods: what every other one is compared with."""

SHUFFLED = "audit-shuffled"
"""The audit that learns from shuffled labels, so that its right answers are luck."""

RESULT = "comparison.json"
PREDICTIONS = "predictions-compare.parquet"
TIMINGS = "timings.json"


def compare(config: CompareConfig, report: Report = lambda _: None) -> Comparison:
    """Trains and tests every method and every audit with every seed, and writes the table.

    Raises:
        CompareError: no such method, too few images, or a method that failed; what others answered is kept.
        FiguresError: matplotlib, of the extra ``compare``, is missing.
        ConnectionError, InputError, LabelError, SplitError: the images cannot be read or split.
        ResultsError: the output cannot be written.
    """
    check_figures()
    if unknown := sorted(set(config.methods) - set(BASELINES)):
        raise CompareError(f"there is no method {', '.join(unknown)}; choose of {', '.join(BASELINES)}")
    kit = _kit(config)
    cache = config.cache or config.output / "cache"
    data = read_data(config, cache, report)
    jpeg = _after_jpeg(data, cache, config.resume, report) if config.robustness else None
    bench = Bench(data, kit, cache, config.resume, jpeg, report)
    entries = [Entry(method) for name, method in BASELINES.items() if name in config.methods or not config.methods]
    answers = {entry.method.name: answer(entry, bench) for entry in entries}
    audits = _audits(next((entry for entry in entries if answers[entry.method.name].runs), None), bench)
    answers |= {entry.method.name: answer(entry, bench) for entry in audits}
    report("resampling")
    comparison = _table(config, [*entries, *audits], answers, data)
    pools = {name: pool(one.runs) for name, one in answers.items() if one.runs}
    report("writing the table")
    timings = [
        {"method": name, "feature_seconds": one.feature_seconds, "fit_seconds": one.fit_seconds} for name, one in answers.items()
    ]
    files = {
        RESULT: (to_json(comparison, indent=1) + "\n").encode(),
        PREDICTIONS: predictions(pools, data),
        TIMINGS: (json.dumps(timings, indent=1) + "\n").encode(),
        **draw(comparison, pools, data),
    }
    key = key_of(comparison)
    publish_section(config.output, key, section(comparison), files)
    costs = render("research/comparison/costs.md.j2", answers=answers, command=comparison.command)
    publish_section(config.output, f"{key}-costs", costs, {})
    return comparison


def _kit(config: CompareConfig) -> Kit:
    given: dict[str, Any] = {
        "residual": config.residual,
        "autoencoders": config.autoencoders,
        "clip": installed_clip() if config.clip is None else config.clip if config.clip != NO_CLIP else None,
        "epochs": config.epochs,
        "threads": config.threads or os.cpu_count() or 1,
    }
    return replace(Kit(pick_device(config.device)), **{name: value for name, value in given.items() if value})


def _after_jpeg(data: Data, cache: Path, resume: bool, report: Report) -> Crops:
    """The crops after a JPEG of quality 75, as a map of a file."""

    def compress(crops: Crops) -> Crops:
        return np.stack([PERTURBATIONS[JPEG].apply(crop, 0) for crop in crops])

    file = cache / f"{JPEG}-{data.digest[:16]}.npy"
    return cached_features(file, data.crops, compress, 1, resume, lambda done: report(f"{JPEG} of {done:,} images")).features


def _audits(first: Entry | None, bench: Bench) -> list[Entry]:
    """The audits; that of shuffled labels is on the features of the ``first`` method, by the rule that it learns."""

    def learn(training: Training, kit: Kit) -> Predict:
        learned = ~training.validation
        return fit_forest(training.features[learned], training.labels[learned], training.classes, training.seed, kit.threads)

    def audit(name: str, title: str, given: Features) -> Entry:
        note = "extremely randomised trees on what is no fingerprint"
        return Entry(Method(name, title, note, "", "", lambda crops, _: thumbnails(crops), learn), True, given)

    images, crops = bench.data.images, bench.data.crops
    listing = file_features(images.encoded_bytes, images.encoding, images.size)
    found = [
        audit("audit-file", "audit: file's size and dimensions", listing),
        audit("audit-thumbnail", "audit: mean colour and 16² thumbnail", thumbnails(crops)),
    ]
    if first is not None:
        method = first.method

        def fit(training: Training, kit: Kit) -> Predict:
            learned, labels = ~training.validation, training.labels.copy()
            labels[learned] = shuffled_labels(labels[learned], training.seed)
            return method.fit(training._replace(labels=labels), kit)

        shuffled = replace(method, name=SHUFFLED, title=f"audit: {method.title}, labels shuffled", fit=fit)
        found.append(Entry(shuffled, True, features_of(first, replace(bench, resume=True), crops).features, method))
    return found


def _table(config: CompareConfig, entries: Sequence[Entry], answers: Mapping[str, Answers], data: Data) -> Comparison:
    there = {name: one.runs for name, one in answers.items() if one.runs}
    methods = [entry.method.name for entry in entries if not entry.audit and entry.method.name in there]
    best = max(methods, key=lambda name: headline(there[name], data.ground), default=None)
    recipe = RECIPE if RECIPE in methods else None
    audits = [entry.method.name for entry in entries if entry.audit and entry.method.name != SHUFFLED]
    figures = judge(there, data.ground, best, recipe, config.rounds, audits, swaps=config.track == "aligned")

    def voids(name: str) -> bool:
        of_seeds = [float(np.nanmean(recalls(pool([run]), data.ground))) for run in there[name]]
        return is_above_chance(figures[name].accuracy_all, len(data.sources), of_seeds)

    known = data.ground.truth >= 0
    return Comparison(
        command=config.argv(),
        images=data.digest,
        sources=data.sources,
        headline=tuple(data.sources[label] for label in data.ground.several),
        leave_out=config.leave_out,
        track=config.track,
        rotates=not config.test,
        splits=tuple(
            SplitRow(seed, *(int(mask.sum()) for mask in (*split[:2], split.test & known, split.test & ~known)))
            for seed, split in enumerate(data.splits)
        ),
        recipe=recipe,
        best=best,
        void=tuple(entry.method.title.removeprefix("audit: ") for entry in entries if entry.audit and voids(entry.method.name)),
        losses=data.losses,
        rows=tuple(_row(entry, answers[entry.method.name], data, figures.get(entry.method.name)) for entry in entries),
    )


def _row(entry: Entry, found: Answers, data: Data, figures: Figures | None) -> ComparedMethod:
    method = entry.method
    row = ComparedMethod(
        method.name, method.title, entry.audit, method.reference, method.published, method.differs, found.unavailable
    )
    if figures is None:
        return row
    of_seeds = [headline([run], data.ground) for run in found.runs]
    of_sources = recalls(pool(found.runs), data.ground)
    return replace(
        row,
        figures=tuple(Measured.of(*one) for one in figures._asdict().items()),
        recalls=tuple(SourceRecall(source, finite(value)) for source, value in zip(data.sources, of_sources, strict=True)),
        seeds=tuple(
            SeedRow(seed, finite(value), finite(run.validated), round(run.temperature, 6))
            for seed, (value, run) in enumerate(zip(of_seeds, found.runs, strict=True))
        ),
        deviation=finite(statistics.stdev(of_seeds)) if len(of_seeds) > 1 else None,
    )
