"""``causalprint evaluate``: bundles on labelled images, with intervals, audits of shortcuts, figures and a section of results."""

from __future__ import annotations

import shlex
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.pipelines.runners import cores
from causalprint.schemas.config import Storage

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.evaluation.judging import Judged, LabelledImages
    from causalprint.pipelines.labelled.crops import LabelledCrops
    from causalprint.schemas.evaluations import Evaluation

Report = Callable[[str], None]
"""Told in a few words what is being done."""

KEY = "evaluate"
SEEDS = 3
ROUNDS = 1000


class EvaluationError(ValueError):
    """These images or bundles cannot be evaluated; the message says why and what to give."""


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """One evaluation.

    Attributes:
        inputs: URLs, globs or folders of labelled images.
        output: local folder.
        bundles: directories; empty for the one in the package.
        track: a key of :data:`causalprint.models.evaluation.perturbations.TRACKS`.
        robustness: measure every perturbation of :data:`causalprint.models.evaluation.perturbations.PERTURBATIONS`.
        seeds: how many times random perturbations are drawn; the bootstrap has ``rounds`` resamples for each.
        label_field: key of the sidecar that names the source; see ``label_of``.
        limit: at most this many images in all.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: ``None`` for every core.
        rounds: of the bootstrap, a seed.
        storage: fsspec options.
    """

    inputs: tuple[str, ...]
    output: str
    bundles: tuple[str, ...] = ()
    track: str = "png"
    robustness: bool = False
    seeds: int = SEEDS
    label_field: str = "source"
    limit: int | None = None
    device: str = "auto"
    threads: int | None = None
    rounds: int = ROUNDS
    storage: Storage = field(default_factory=Storage)

    @property
    def key(self) -> str:
        """Of the section of results: ``evaluate``, with the track where that is not png."""
        return KEY if self.track == "png" else f"{KEY}-{self.track}"

    @property
    def command(self) -> tuple[str, ...]:
        """What repeats it."""
        words = ["causalprint", "evaluate", *self.inputs]
        words += [word for bundle in self.bundles for word in ("--bundle", bundle)]
        words += ["--output", self.output, "--track", self.track]
        words += ["--robustness"] * self.robustness
        words += ["--seeds", str(self.seeds)]
        words += ["--label-field", self.label_field] * (self.label_field != "source")
        words += ["--limit", str(self.limit)] * (self.limit is not None)
        return tuple(words)


def evaluate(config: EvaluateConfig, report: Report = lambda _: None) -> Evaluation:
    """Measures, and writes ``evaluation.json``, ``predictions.parquet``, figures and the section of ``RESULTS.md``.

    Nothing is written before all is measured, and then every file at once.

    Raises:
        EvaluationError: the images or bundles cannot be evaluated, the output is no local folder, or a package is missing.
        BundleError: a bundle cannot be used.
        InputError: an input matches nothing.
        LabelError: an image has no label.
    """
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.evaluation.judging import LabelledImages, judge_bundle
    from causalprint.models.evaluation.perturbations import TRACKS
    from causalprint.pipelines.evaluation.output import write_evaluation
    from causalprint.pipelines.labelled.crops import read_labelled_crops

    if find_spec("matplotlib") is None:
        raise EvaluationError("evaluate needs matplotlib: pip install 'causalprint[compare]'")
    if "://" in config.output:
        raise EvaluationError(f"--output {config.output!r} is no local folder; evaluations are written to one")
    bundles = [load_bundle(path) for path in config.bundles or (None,)]
    threads = config.threads or cores()
    with tempfile.TemporaryDirectory(prefix="causalprint-") as folder, ThreadPoolExecutor(threads) as pool:
        found = read_labelled_crops(
            config.inputs,
            config.storage,
            config.label_field,
            _common_crop(bundles),
            report,
            Path(folder) / "crops",
            TRACKS[config.track],
            config.limit,
        )
        _check(found, bundles, config)
        images = LabelledImages(
            found.crops,
            found.image_id,
            found.encoded_bytes,
            found.encoding,
            found.size,
            found.source,
            found.origin,
            found.content,
        )
        judged = [judge_bundle(bundle, images, config.device, pool, report) for bundle in bundles]
        evaluation = _measure(config, images, found.left_out, judged, pool, report)
        report("drawing")
        write_evaluation(Path(config.output), config.key, evaluation, images, judged, pool)
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


def _check(images: LabelledCrops, bundles: Sequence[Bundle], config: EvaluateConfig) -> None:
    from causalprint.models.bundles.manifest import REAL

    found = set(images.source.tolist())
    given = ", ".join(config.inputs)
    if not found:
        raise EvaluationError(f"{given} has no image that can be decoded and is large enough ({images.left_out} were left out)")
    for bundle in bundles:
        known = found & set(bundle.manifest.sources)
        if not known - {REAL}:
            raise EvaluationError(
                f"no image of {given} is of a generator that {bundle.bundle_id} knows ({_some(bundle.manifest.sources)}); "
                f"the labels are {_some(sorted(found))}: is --label-field {config.label_field!r} the right one?"
            )
    if config.track == "aligned" and not _versions(images):
        raise EvaluationError(
            f"no content of {given} is there by two sources: make such images with `causalprint lab make-aligned`"
        )
    if REAL not in found:
        raise EvaluationError(f"{given} has no image labelled {REAL!r}, without which detection cannot be measured; add some")


def _versions(images: LabelledCrops) -> int:
    """How many contents are there by two sources or more."""
    pairs = set(zip(images.content.tolist(), images.source.tolist(), strict=True))
    return sum(count > 1 for count in Counter(content for content, _ in pairs).values())


def _some(names: Sequence[str], most: int = 8) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _measure(
    config: EvaluateConfig, images: LabelledImages, left_out: int, judged: Sequence[Judged], pool: Executor, report: Report
) -> Evaluation:
    import causalprint
    from causalprint.models.evaluation.judging import audit_images, measure_bundle, perturb
    from causalprint.models.evaluation.scoring_tables import Resampling, differences
    from causalprint.schemas.evaluations import EVALUATION_SCHEMA, Evaluation, ImageCount

    resampling = Resampling(0, config.rounds * config.seeds)
    report("auditing shortcuts")
    shortcuts = audit_images(images, judged, resampling, config.threads or cores())
    measured = []
    for one in judged:
        costs = perturb(one, images, config.seeds, resampling, pool, report) if config.robustness else ()
        report(f"{one.judge.bundle.bundle_id}: resampling")
        measured.append(measure_bundle(one, config.track, costs, resampling))
    counts = Counter(zip(images.source.tolist(), images.origin.tolist(), strict=True))
    first, *others = judged
    compared = [differences(first.answers, other.answers, other.judge.bundle.bundle_id, resampling) for other in others]
    return Evaluation(
        schema=EVALUATION_SCHEMA,
        version=causalprint.__version__,
        command=shlex.join(config.command),
        track=config.track,
        crop=images.crops.shape[1],
        device=str(first.judge.fingerprinter.device),
        seeds=config.seeds,
        rounds=resampling.rounds,
        images=tuple(ImageCount(source, origin, counts[source, origin]) for source, origin in sorted(counts)),
        left_out=left_out,
        shortcuts=shortcuts,
        void=any(shortcut.voids for shortcut in shortcuts),
        bundles=tuple(measured),
        differences=tuple(difference for several in compared for difference in several),
    )
