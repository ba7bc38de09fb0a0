"""One method of a comparison: its features once, then for every seed a training, a temperature and answers on the test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from causalprint.models.evaluation.splits import weigh_as_tested
from causalprint.models.statistics.calibration import fit_temperature
from causalprint.models.statistics.metrics import macro_recall
from causalprint.pipelines.labelled.reader import Report
from causalprint.research.comparison import cache
from causalprint.research.comparison.cache import Cached, Features
from causalprint.research.comparison.data import CompareError, Data
from causalprint.research.comparison.scoring import MethodRun
from causalprint.research.methods.base import UNAVAILABLE, Kit, Method, Training
from causalprint.research.methods.images import pixels
from causalprint.schemas.arrays import Crops, Labels, Scores
from causalprint.schemas.elements import digest

PREDICT_CHUNK = 256
JPEG = "jpeg-75"


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        method: what is trained.
        audit: whether it is an audit of a shortcut.
        given: its features, (N, …), where these are no function of the crops.
        learner: the method whose code it runs, where that is another.
    """

    method: Method
    audit: bool = False
    given: Features | None = None
    learner: Method | None = None


class Answers(NamedTuple):
    """What a method did.

    Attributes:
        runs: one a seed; none of a method that is not available.
        feature_seconds: an image, on one thread; ``None`` where there is nothing to compute.
        fit_seconds: a training, on average.
        unavailable: why it could not run here.
    """

    runs: tuple[MethodRun, ...]
    feature_seconds: float | None = None
    fit_seconds: float = 0.0
    unavailable: str | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """What every method is run with.

    Attributes:
        data: the images and their splits.
        kit: what methods may use.
        cache: folder for features and answers.
        resume: whether to trust what is there.
        jpeg: the same images after a JPEG of quality 75, (N, C, C, 3); ``None`` leaves that out.
        report: told what is done.
    """

    data: Data
    kit: Kit
    cache: Path
    resume: bool
    jpeg: Crops | None
    report: Report


def answer(entry: Entry, bench: Bench) -> Answers:
    """Runs one method with every seed.

    Raises:
        CompareError: it failed, or gave no finite score for every source; names it.
    """
    try:
        return _answer(entry, bench)
    except UNAVAILABLE as error:
        return Answers((), unavailable=str(error))
    except CompareError:
        raise
    except Exception as error:
        raise CompareError(
            f"method {entry.method.name} failed, {type(error).__name__}: {error}; what others answered is kept: the same command "
            "with --resume goes on, and --methods leaves it out"
        ) from error


def features_of(entry: Entry, bench: Bench, crops: Crops, what: str = "") -> Cached:
    """The features of all ``crops``, which ``what`` tells from others of the same images."""
    method, kit = entry.method, bench.kit
    given = crops if method.features is pixels else entry.given
    if given is not None:
        return Cached(given, 0.0)

    def tell(done: int) -> None:
        bench.report(f"{method.name}: features of {done:,} of {len(crops):,} images{f' after {what}' if what else ''}")

    key = digest(_key(entry, bench), bench.data.digest, what)[:16]
    file = bench.cache / "features" / f"{method.name}-{key}.npy"
    threads = kit.threads if kit.device.type == "cpu" else 1
    torch.set_num_threads(1)
    return cache.cached_features(file, crops, lambda chunk: method.features(chunk, kit), threads, bench.resume, tell)


def _answer(entry: Entry, bench: Bench) -> Answers:
    data = bench.data
    files = [_run_file(entry, bench, seed) for seed in range(len(data.splits))]
    stored = {file: cache.load_arrays(file) for file in files if bench.resume and file.exists()}
    if len(stored) < len(files):
        plain = features_of(entry, bench, data.crops)
        crops = _after_jpeg(entry, bench)
        jpeg = None if crops is None else features_of(entry, bench, crops, JPEG).features
        for seed, file in enumerate(files):
            if file not in stored:
                bench.report(f"{entry.method.name}: training {seed + 1} of {len(files)}")
                began = time.perf_counter()
                said = _said(entry, bench, seed, plain.features, jpeg)
                costs = {"fit_seconds": time.perf_counter() - began, "feature_seconds": plain.seconds / len(data.images)}
                stored[file] = {**said._asdict(), **costs}
                cache.save_arrays(file, stored[file])
    found = [stored[file] for file in files]
    runs = tuple(_run(data, seed, _Said(*(each[name] for name in _Said._fields))) for seed, each in enumerate(found))
    feature_seconds = float(found[0]["feature_seconds"]) or None
    return Answers(runs, feature_seconds, float(np.mean([each["fit_seconds"] for each in found])))


class _Said(NamedTuple):
    """What one training said: scores of validation and test images, novelty of the test, scores of the test after a JPEG."""

    validation: Scores
    test: Scores
    novelty: Scores
    perturbed: Scores


def _said(entry: Entry, bench: Bench, seed: int, features: Features, jpeg: Features | None) -> _Said:
    data, split = bench.data, bench.data.splits[seed]
    learned, tuned, tested = map(np.flatnonzero, (split.train | split.validation, split.validation, split.test))
    if not len(tuned):
        raise CompareError("no image is left to tune on: give more images, or some with --val")
    training = Training(
        features=np.asarray(features[learned]),
        labels=data.ground.truth[learned],
        classes=len(data.sources),
        origins=data.images.origin[learned],
        contents=data.ground.contents[learned],
        validation=split.validation[learned],
        seed=seed,
    )
    torch.set_num_threads(bench.kit.threads)
    predict = entry.method.fit(training, bench.kit)

    def scores(values: Features, rows: Labels) -> Scores:
        found = _in_chunks(predict, values, rows)
        if found.shape != (len(rows), len(data.sources)) or not np.isfinite(found).all():
            raise CompareError(
                f"method {entry.method.name} gave scores of shape {found.shape}, {int((~np.isfinite(found)).sum())} of them not "
                f"finite, for {len(rows)} images of {len(data.sources)} sources; leave it out with --methods, and report it"
            )
        return found

    novelty = getattr(predict, "novelty", None)  # (M,), how unlike all that was learned from an image is
    return _Said(
        validation=scores(features, tuned),
        test=scores(features, tested),
        novelty=np.full(len(tested), np.nan) if novelty is None else _in_chunks(novelty, features, tested),
        perturbed=np.zeros((0, len(data.sources))) if jpeg is None else scores(jpeg, tested),
    )


def _run(data: Data, seed: int, said: _Said) -> MethodRun:
    split, images = data.splits[seed], data.images
    truth = data.ground.truth[split.validation]
    temperature = fit_temperature(said.validation, truth, weigh_as_tested(split, images.source, images.origin))
    validated = macro_recall(truth, said.validation.argmax(axis=1))
    return MethodRun(np.flatnonzero(split.test), said.test, temperature, said.novelty, said.perturbed, validated)


def _in_chunks(compute: Callable[[Features], Any], features: Features, rows: Labels) -> Scores:
    """What ``compute`` says of the features in ``rows``, a few at a time, as float64."""
    chunks = (rows[start : start + PREDICT_CHUNK] for start in range(0, len(rows), PREDICT_CHUNK))
    return np.concatenate([compute(np.asarray(features[chunk])) for chunk in chunks]).astype(np.float64)


def _key(entry: Entry, bench: Bench) -> str:
    return digest(entry.method.name, cache.method_digest(entry.learner or entry.method), cache.kit_digest(bench.kit))


def _run_file(entry: Entry, bench: Bench, seed: int) -> Path:
    data = bench.data
    given = "" if entry.given is None else cache.array_digest(np.asarray(entry.given))
    split = cache.array_digest(*data.splits[seed], data.ground.truth, data.ground.contents, data.images.origin)
    jpeg = _after_jpeg(entry, bench) is not None
    parts = (_key(entry, bench), data.digest, given, split, seed, bench.kit.epochs, jpeg, *_Said._fields)
    return bench.cache / "runs" / f"{entry.method.name}-{seed}-{digest(*parts)[:16]}.npz"


def _after_jpeg(entry: Entry, bench: Bench) -> Crops | None:
    return None if entry.audit else bench.jpeg
