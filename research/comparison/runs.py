"""One method of a comparison: its features once, then for every seed a training, a temperature and answers on the test."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.research.comparison.cache import (
    Cached,
    array_digest,
    cached_features,
    kit_digest,
    load_arrays,
    method_digest,
    save_arrays,
)
from causalprint.research.comparison.data import CompareError, Data
from causalprint.schemas.arrays import Crops
from causalprint.schemas.elements import digest

if TYPE_CHECKING:
    from causalprint.models.evaluation.splits import Split
    from causalprint.research.comparison.scoring import MethodRun
    from causalprint.research.methods.base import Kit, Method, Predict

PREDICT_CHUNK = 256
JPEG = "jpeg-75"

Features = npt.NDArray[Any]


class Entry(NamedTuple):
    """A row of the table.

    Attributes:
        method: what is trained.
        audit: whether it is an audit of a shortcut.
        given: its features, (N, …), where these are no function of the crops.
    """

    method: Method
    audit: bool = False
    given: Features | None = None


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
    report: Callable[[str], None]


def answer(entry: Entry, bench: Bench) -> Answers:
    """Runs one method with every seed.

    Raises:
        CompareError: it failed, or gave no finite score for every source; names it.
    """
    from causalprint.research.methods.base import UnavailableError

    name = entry.method.name
    try:
        return _answer(entry, bench)
    except UnavailableError as error:
        return Answers((), unavailable=str(error))
    except CompareError:
        raise
    except Exception as error:
        raise CompareError(
            f"method {name} failed, {type(error).__name__}: {error}; what others answered is kept: the same command with "
            "--resume goes on, and --methods leaves it out"
        ) from error


def features_of(entry: Entry, bench: Bench, crops: Crops, what: str) -> Cached:
    """The features of all ``crops``, which ``what`` tells from others of the same images."""
    if entry.given is not None:
        return Cached(entry.given, 0.0)
    method, kit = entry.method, bench.kit
    key = digest(_key(entry, bench), bench.data.digest, what)[:16]

    def tell(done: int) -> None:
        bench.report(f"{method.name}: features of {done:,} of {len(crops):,} images{f' after {what}' if what else ''}")

    def compute(chunk: Crops) -> Features:
        return method.features(chunk, kit)

    threads = kit.threads if kit.device.type == "cpu" else 1
    file = bench.cache / "features" / f"{method.name}-{key}.npy"
    with _torch_threads(1):
        return cached_features(file, crops, compute, threads, bench.resume, tell)


def _answer(entry: Entry, bench: Bench) -> Answers:
    files = [_run_file(entry, bench, seed) for seed in range(len(bench.data.splits))]
    stored = [load_arrays(file) if bench.resume and file.exists() else None for file in files]
    if any(each is None for each in stored):
        plain = features_of(entry, bench, bench.data.crops, "")
        jpeg = (
            features_of(entry, bench, bench.jpeg, JPEG).features if _has_jpeg(entry, bench) and bench.jpeg is not None else None
        )
        for seed, file in enumerate(files):
            if stored[seed] is None:
                bench.report(f"{entry.method.name}: training {seed + 1} of {len(files)}")
                began = time.perf_counter()
                said = _said(entry, bench, seed, plain.features, jpeg)
                costs = {"fit_seconds": time.perf_counter() - began, "feature_seconds": plain.seconds / len(bench.data.part)}
                save_arrays(file, {**said._asdict(), **costs})
                stored[seed] = load_arrays(file)
    found = [each for each in stored if each is not None]
    runs = tuple(
        _run(bench.data, split, _Said(*(each[name] for name in _Said._fields)))
        for split, each in zip(bench.data.splits, found, strict=True)
    )
    feature_seconds = float(found[0]["feature_seconds"]) or None
    return Answers(runs, feature_seconds, float(np.mean([each["fit_seconds"] for each in found])))


class _Said(NamedTuple):
    """What one training said: scores of validation and test images, novelty of the test, scores of the test after a JPEG."""

    validation: npt.NDArray[np.float64]
    test: npt.NDArray[np.float64]
    novelty: npt.NDArray[np.float64]
    perturbed: npt.NDArray[np.float64]


def _said(entry: Entry, bench: Bench, seed: int, features: Features, jpeg: Features | None) -> _Said:
    data, split = bench.data, bench.data.splits[seed]
    tuned, tested = np.flatnonzero(split.validation), np.flatnonzero(split.test)
    with _torch_threads(bench.kit.threads):
        predict = _fit(entry, bench, seed, split, features)
        validation, scores = (_scores(entry, data, predict, features, rows) for rows in (tuned, tested))
        perturbed = np.zeros((0, len(data.sources))) if jpeg is None else _scores(entry, data, predict, jpeg, tested)
        return _Said(validation, scores, _novelty(predict, features, tested), perturbed)


def _run(data: Data, split: Split, said: _Said) -> MethodRun:
    from causalprint.models.evaluation.splits import weigh_as_tested
    from causalprint.models.statistics.calibration import fit_temperature
    from causalprint.models.statistics.metrics import macro_recall
    from causalprint.research.comparison.scoring import MethodRun

    truth = data.ground.truth[split.validation]
    temperature = fit_temperature(said.validation, truth, weigh_as_tested(split, data.images.source, data.images.origin))
    validated = macro_recall(truth, said.validation.argmax(axis=1))
    return MethodRun(np.flatnonzero(split.test), said.test, temperature, said.novelty, said.perturbed, validated)


def _fit(entry: Entry, bench: Bench, seed: int, split: Split, features: Features) -> Predict:
    from causalprint.research.methods.base import Training

    data = bench.data
    rows = np.flatnonzero(split.train | split.validation)
    if not split.validation.any():
        raise CompareError("no image is left to tune on: give more images, or some with --val")
    training = Training(
        np.asarray(features[rows]),
        data.ground.truth[rows],
        len(data.sources),
        data.ground.real,
        data.images.origin[rows],
        data.ground.contents[rows],
        split.validation[rows],
        seed,
    )
    return entry.method.fit(training, bench.kit)


def _scores(
    entry: Entry, data: Data, predict: Predict, features: Features, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    parts = [predict(np.asarray(features[chunk])) for chunk in _chunks(rows)]
    scores = np.concatenate(parts).astype(np.float64)
    if scores.shape != (len(rows), len(data.sources)) or not np.isfinite(scores).all():
        raise CompareError(
            f"method {entry.method.name} gave scores of shape {scores.shape}, {int((~np.isfinite(scores)).sum())} of them not "
            f"finite, for {len(rows)} images of {len(data.sources)} sources; leave it out with --methods, and report it"
        )
    return scores


def _novelty(predict: Predict, features: Features, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """How unlike all that was learned from an image is, (M,), by methods whose rule has a ``novelty(features)``; else NaN."""
    measure = getattr(predict, "novelty", None)
    if measure is None:
        return np.full(len(rows), np.nan)
    return np.concatenate([np.asarray(measure(np.asarray(features[chunk])), np.float64) for chunk in _chunks(rows)])


def _chunks(rows: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return [rows[start : start + PREDICT_CHUNK] for start in range(0, len(rows), PREDICT_CHUNK)]


def _key(entry: Entry, bench: Bench) -> str:
    return digest(entry.method.name, method_digest(entry.method), kit_digest(bench.kit))


def _run_file(entry: Entry, bench: Bench, seed: int) -> Path:
    data = bench.data
    given = "" if entry.given is None else array_digest(np.asarray(entry.given))
    split = array_digest(*data.splits[seed], data.ground.truth, data.ground.contents, data.images.origin)
    parts = (_key(entry, bench), data.digest, given, split, seed, bench.kit.epochs, _has_jpeg(entry, bench), *_Said._fields)
    return bench.cache / "runs" / f"{entry.method.name}-{seed}-{digest(*parts)[:16]}.npz"


def _has_jpeg(entry: Entry, bench: Bench) -> bool:
    return bench.jpeg is not None and not entry.audit


@contextmanager
def _torch_threads(count: int) -> Iterator[None]:
    """Torch on so many threads while it lasts."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
