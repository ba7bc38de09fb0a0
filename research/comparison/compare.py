"""``causalprint lab compare``: every method, trained and tested alike, in one table."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from causalprint.research.comparison.config import NO_CLIP, CompareConfig
from causalprint.research.comparison.data import CompareError, Data, Report, read_data
from causalprint.research.comparison.records import ComparedMethod, Comparison, Measured, SeedRow, SourceRecall, SplitRow

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from causalprint.research.comparison.runs import Answers, Bench, Entry
    from causalprint.research.comparison.scoring import Figures
    from causalprint.research.methods.base import Kit, Method, Training

RECIPE = "causal"
"""Our own recipe among the methods: what every other one is compared with."""

SHUFFLED = "audit-shuffled"
"""The audit that learns from shuffled labels, so that its right answers are luck."""

AUTOENCODERS = ("autoencoder-nearest", "autoencoder-pixelshuffle")
RESULT = "comparison.json"
PREDICTIONS = "predictions-compare.parquet"
TIMINGS = "timings.json"


def compare(config: CompareConfig, report: Report = lambda _: None) -> Comparison:
    """Trains and tests every method and every audit with every seed, and writes the table.

    Raises:
        CompareError: no such method, too few images, or a method that failed; what others answered is kept.
        UnavailableError, FiguresError: a package of the extra ``compare`` is missing.
        ConnectionError, InputError, LabelError, SplitError: the images cannot be read or split.
        ResultsError: the output cannot be written.
    """
    from causalprint.pipelines.results.figures import check_figures
    from causalprint.pipelines.results.sections import publish_section
    from causalprint.research.comparison.report import COSTS, costs, draw, key_of, predictions, section
    from causalprint.research.comparison.runs import Bench, Entry, answer
    from causalprint.research.comparison.scoring import pool
    from causalprint.schemas.records import to_json

    check_figures()
    methods = _chosen(config.methods)
    kit = _kit(config)
    cache = config.cache or config.output / "cache"
    data = read_data(config, config.seeds, cache, config.resume, report)
    jpeg = _after_jpeg(data, cache, config.resume, report) if config.robustness else None
    bench = Bench(data, kit, cache, config.resume, jpeg, report)
    entries = [Entry(method) for method in methods]
    answers = {entry.method.name: answer(entry, bench) for entry in entries}
    audits = _audits(next((entry for entry in entries if answers[entry.method.name].runs), None), bench)
    answers |= {entry.method.name: answer(entry, bench) for entry in audits}
    entries += audits
    report("resampling")
    comparison = _table(config, entries, answers, data)
    pools = {name: pool(one.runs) for name, one in answers.items() if one.runs}
    report("writing the table")
    files = {
        RESULT: (to_json(comparison, indent=1) + "\n").encode(),
        PREDICTIONS: predictions(pools, data),
        TIMINGS: (
            to_json(tuple(_Timing(name, one.feature_seconds, one.fit_seconds) for name, one in answers.items()), indent=1) + "\n"
        ).encode(),
        **draw(comparison, pools, data),
    }
    key = key_of(comparison)
    publish_section(config.output, key, section(comparison), files)
    publish_section(config.output, f"{key}-{COSTS}", costs(answers, comparison.command), {})
    return comparison


@dataclass(frozen=True, slots=True)
class _Timing:
    """What one method cost, as it is written: seconds of features an image and of a training."""

    method: str
    feature_seconds: float | None
    fit_seconds: float


def _chosen(names: Sequence[str]) -> tuple[Method, ...]:
    from causalprint.research.methods import BASELINES

    if unknown := sorted(set(names) - set(BASELINES)):
        raise CompareError(f"there is no method {', '.join(unknown)}; choose of {', '.join(BASELINES)}")
    return tuple(method for name, method in BASELINES.items() if not names or name in names)


def _kit(config: CompareConfig) -> Kit:
    from causalprint.models.bundles.bundle import DEFAULT
    from causalprint.models.features import pick_device
    from causalprint.research.methods.base import Kit
    from causalprint.research.methods.loaded import installed_clip

    kit = Kit(
        device=pick_device(config.device),
        autoencoders=config.autoencoders or tuple(f"autoencoder:{DEFAULT.parent / name}" for name in AUTOENCODERS),
        clip=installed_clip() if config.clip is None else None if config.clip == NO_CLIP else config.clip,
        threads=config.threads or os.cpu_count() or 1,
    )
    kit = replace(kit, residual=config.residual) if config.residual else kit
    return replace(kit, epochs=config.epochs) if config.epochs else kit


def _after_jpeg(data: Data, cache: Path, resume: bool, report: Report) -> npt.NDArray[np.uint8]:
    """The crops after a JPEG of quality 75, as a map of a file."""
    import numpy as np

    from causalprint.models.evaluation.perturbations import PERTURBATIONS
    from causalprint.research.comparison.cache import cached_features
    from causalprint.research.comparison.runs import JPEG

    perturb = PERTURBATIONS[JPEG].apply

    def compute(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        return np.stack([perturb(crop, 0) for crop in crops])

    file = cache / f"{JPEG}-{data.digest[:16]}.npy"
    found = cached_features(file, data.crops, compute, 1, resume, lambda done: report(f"{JPEG} of {done:,} images"))
    pixels: npt.NDArray[np.uint8] = found.features
    return pixels


def _audits(first: Entry | None, bench: Bench) -> list[Entry]:
    """The audits; that of shuffled labels is on the features of the ``first`` method, by the rule that it learns."""
    from causalprint.models.evaluation.shortcuts import file_features, fit_forest, shuffled_labels, thumbnails
    from causalprint.research.comparison.runs import Entry, features_of
    from causalprint.research.methods.base import Method

    def learn(training: Training, kit: Kit) -> Any:
        learned = ~training.validation
        return fit_forest(training.features[learned], training.labels[learned], training.classes, training.seed, kit.threads)

    def audit(name: str, title: str, given: npt.NDArray[Any]) -> Entry:
        note = "extremely randomised trees on what is no fingerprint"
        return Entry(Method(name, title, note, "", "", lambda crops, _: thumbnails(crops), learn), True, given)

    images, crops = bench.data.images, bench.data.crops
    found = [
        audit(
            "audit-file", "audit: file's size and dimensions", file_features(images.encoded_bytes, images.encoding, images.size)
        ),
        audit("audit-thumbnail", "audit: mean colour and 16² thumbnail", thumbnails(crops)),
    ]
    if first is not None:
        method = first.method

        def fit(training: Training, kit: Kit) -> Any:
            learned, labels = ~training.validation, training.labels.copy()
            labels[learned] = shuffled_labels(labels[learned], training.seed)
            return method.fit(training._replace(labels=labels), kit)

        given = features_of(first, replace(bench, resume=True), crops, "").features
        title = f"audit: {method.title}, labels shuffled"
        found.append(Entry(replace(method, name=SHUFFLED, title=title, fit=fit), True, given))
    return found


def _table(config: CompareConfig, entries: Sequence[Entry], answers: Mapping[str, Answers], data: Data) -> Comparison:
    import numpy as np

    from causalprint.models.statistics.metrics import is_above_chance
    from causalprint.research.comparison.scoring import headline, judge, pool, recalls

    there = {name: one.runs for name, one in answers.items() if one.runs}
    methods = [entry.method.name for entry in entries if not entry.audit and entry.method.name in there]
    best = max(methods, key=lambda name: headline(there[name], data.ground), default=None)
    recipe = RECIPE if RECIPE in methods else None
    audits = [entry.method.name for entry in entries if entry.audit and entry.method.name != SHUFFLED]
    figures = judge(there, data.ground, best, recipe, config.rounds, audits, swaps=config.track == "aligned")

    def voids(name: str) -> bool:
        of_seeds = [float(np.nanmean(recalls(pool([run]), data.ground))) for run in there[name]]
        return is_above_chance(figures[name].accuracy_all, len(data.sources), of_seeds)

    void = [entry.method.title.removeprefix("audit: ") for entry in entries if entry.audit and voids(entry.method.name)]
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
        void=tuple(void),
        losses=data.losses,
        rows=tuple(_row(entry, answers[entry.method.name], data, figures.get(entry.method.name)) for entry in entries),
    )


def _row(entry: Entry, found: Answers, data: Data, figures: Figures | None) -> ComparedMethod:
    from causalprint.research.comparison.scoring import headline, pool, recalls
    from causalprint.schemas.estimates import finite

    method = entry.method
    row = ComparedMethod(
        method.name, method.title, entry.audit, method.reference, method.published, method.differs, found.unavailable
    )
    if figures is None:
        return row
    of_seeds = [headline([run], data.ground) for run in found.runs]
    return replace(
        row,
        figures=tuple(Measured.of(*one) for one in figures._asdict().items()),
        recalls=tuple(
            SourceRecall(source, finite(value))
            for source, value in zip(data.sources, recalls(pool(found.runs), data.ground), strict=True)
        ),
        seeds=tuple(
            SeedRow(seed, finite(value), finite(run.validated), round(run.temperature, 6))
            for seed, (value, run) in enumerate(zip(of_seeds, found.runs, strict=True))
        ),
        deviation=finite(statistics.stdev(of_seeds)) if len(of_seeds) > 1 else None,
    )
