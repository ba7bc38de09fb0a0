"""What an evaluation comes to: ``OUT/evaluation.json``, and the columns of ``OUT/predictions.parquet``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from causalprint.schemas.estimates import Estimate
from causalprint.schemas.losses import Losses
from causalprint.schemas.tables import FINGERPRINT_DIM, column, list_of

EVALUATION_SCHEMA = 5
"""Changes when a field changes its name, type or meaning."""


class Measure(NamedTuple):
    """One figure of merit, over how many images, and what it is."""

    name: str
    interval: Estimate
    images: int
    note: str


class Share(NamedTuple):
    """Of ``images`` by ``source`` from ``origin`` (empty: all of them), a share.

    ``trained`` says whether the bundle's card names images of that source and origin among those it was trained on.
    """

    source: str
    origin: str
    trained: bool
    images: int
    interval: Estimate


class ConfusionRow(NamedTuple):
    """What images by ``source`` are taken for: ``counts`` of best candidates, in the order of the bundle's sources."""

    source: str
    known: bool
    counts: tuple[int, ...]


class Bin(NamedTuple):
    """Images whose best candidate's probability is in one of 15 equal bins: how many, their mean probability, the share right."""

    images: int
    probability: float
    right: float


class Robustness(NamedTuple):
    """What one perturbation costs, over images of known sources.

    Attributes:
        name: of :data:`causalprint.models.evaluation.perturbations.PERTURBATIONS`; ``none`` for the images as they are.
        about: what it does.
        draws: seeds that it was drawn with.
        accuracy: macro accuracy after it.
        lost: macro accuracy before it, less after it.
        flips: share of verdicts (``verdict`` and named source) that it changes.
        answers: share of best candidates that it changes.
        auc: generated against photographs, after it.
        accused: after it, the share of photographs and graphics that are given a generator or have a ``generated_probability`` of
            0.9 or more.
        excluded: after it, how often the true source's ``p_value`` is 0.05 or less, the mean over sources that have one.

    The last three are ``None`` where no image can tell them.
    """

    name: str
    about: str
    draws: int
    accuracy: Estimate
    lost: Estimate
    flips: Estimate
    answers: Estimate
    auc: Estimate | None
    accused: Estimate | None
    excluded: Estimate | None


class Shortcut(NamedTuple):
    """Macro recall of what is no fingerprint, and whether it is above chance by three standard errors, which voids the track."""

    name: str
    interval: Estimate
    chance: float
    voids: bool


class Difference(NamedTuple):
    """A figure of bundle ``bundle_id`` less that of the first bundle, on the same images and resamples."""

    bundle_id: str
    name: str
    interval: Estimate
    images: int


class ImageCount(NamedTuple):
    """How many images of one source and origin were evaluated."""

    source: str
    origin: str
    images: int


@dataclass(frozen=True, slots=True)
class BundleEvaluation:
    """One bundle.

    Attributes:
        bundle_id: name and digest.
        digest: SHA-256 of the bundle, lower-case hex.
        residual: its residual, as the bundle states it.
        sources: its taxonomy, the order of ``confusion``'s counts.
        temperature: that its scores are divided by.
        measures: the figures of merit; one that the images do not allow is left out.
        recalls: the share whose best candidate is right, by source (``origin`` empty) and by source and origin.
        accusations: of what no generator made, the share that is given a generator or has a ``generated_probability`` of 0.9 or
            more, alike.
        confusion: a row a source of the images, known ones first.
        before, after: reliability of the scores as they are, and calibrated; empty bins are left out.
        robustness: a row a perturbation; empty where that was not asked for.
    """

    bundle_id: str
    digest: str
    residual: str
    sources: tuple[str, ...]
    temperature: float
    measures: tuple[Measure, ...]
    recalls: tuple[Share, ...]
    accusations: tuple[Share, ...]
    confusion: tuple[ConfusionRow, ...]
    before: tuple[Bin, ...]
    after: tuple[Bin, ...]
    robustness: tuple[Robustness, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """``evaluation.json``, and what ``evaluate --json`` prints.

    Attributes:
        schema: :data:`EVALUATION_SCHEMA`.
        version: of the package.
        command: what repeats it.
        track: the encoding that every image got alike.
        crop: side of what is analysed, in pixels.
        device: what computed it.
        seeds: of draws; the bootstrap has ``rounds`` resamples.
        images: what was evaluated, by source and origin.
        left_out: images that could not be read or decoded, are smaller than the crop or have no label.
        shortcuts: audits on the same images.
        void: whether one of them voids the track.
        bundles: in the order given.
        differences: of every further bundle to the first.
        losses: what was left out, by reason, and damage of shards.
    """

    schema: int
    version: str
    command: str
    track: str
    crop: int
    device: str
    seeds: int
    rounds: int
    images: tuple[ImageCount, ...]
    left_out: int
    shortcuts: tuple[Shortcut, ...]
    void: bool
    bundles: tuple[BundleEvaluation, ...]
    differences: tuple[Difference, ...] = ()
    losses: Losses = field(default_factory=Losses)


PREDICTIONS = pa.schema(
    [
        column("image_id", pa.string(), "SHA-256 of the encoded bytes, lower-case hex"),
        column("source", pa.string(), "what made the image, by its label"),
        column("origin", pa.string(), "the collection that it is from"),
        column("content", pa.string(), "what it shows: equal for versions of one image"),
        column("bundle", pa.string(), "name and digest of the bundle"),
        column("verdict", pa.string(), "real, graphic, known, unknown or abstain"),
        column("named", pa.string(), "the source that a verdict `known` names", nullable=True),
        column("candidate", pa.string(), "the most probable source, whatever the verdict"),
        column("probability", pa.float32(), "calibrated, of the candidate; 0 to 1"),
        column("generated_probability", pa.float32(), "as in `attributions`"),
        column("novelty", pa.float32(), "as in `attributions`"),
        column(
            "fingerprint",
            list_of(pa.float16(), FINGERPRINT_DIM),
            "causal fingerprint; the zero vector where the image is flat",
        ),
    ],
    metadata={"description": "A row for every image and bundle of an evaluation, in the images' order, bundle after bundle."},
)
