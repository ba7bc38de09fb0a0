"""From a stored fingerprint to a verdict: numpy only, so that an analyst can recompute every row of ``attributions``.

Whether an image is generated is a question of its own, with a detector of its own: a score beside photographs, and one
beside graphics and beside paintings where it has seen these; what is generated must look so beside each, so the least counts.
Logistic regression makes it a probability (Platt, 1999). By whom is asked given that it is: P(source) = P(generated) P(source |
generated). There a linear classifier, or a small transformer over the fingerprint's parts, gives scores, and temperature scaling
(Guo et al., ICML 2017) makes them probabilities. What no source's linear discriminant is large for is like none of them. These
discriminants are of images as they are, while scores are learned to stay when an image is processed: what makes scores robust
hides new sources. A source that was enrolled later has a discriminant and a limit of its own, which come first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from causalprint.models.attention import attention_scores
from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, Bundle
from causalprint.models.bundles.decision import FARTHEST
from causalprint.models.bundles.held_out import p_values_of
from causalprint.models.bundles.manifest import GRAPHIC, UNREGISTERED
from causalprint.models.enrolled import EnrolledSources
from causalprint.models.judged import NONE, REASONS, VERDICTS, Chances, Judged, Rules, nothing, reason
from causalprint.models.statistics.discriminant import discriminants
from causalprint.models.statistics.softmax import shared_out
from causalprint.schemas.arrays import Doubles, Floats
from causalprint.schemas.prior import EVEN, Prior
from causalprint.schemas.reasons import Abstention, Verdict
from causalprint.schemas.tables import FINGERPRINT_DIM

if TYPE_CHECKING:
    from torch import Tensor

BLOCK = 64
"""Rows are computed in multiples of so many."""
TOGETHER = 1024
"""Rows that are computed at once: what is computed of them fits a processor's cache."""


class Candidate(NamedTuple):
    """A source, its calibrated probability, and how unusual the image would be among its own, where that is known."""

    source: str
    probability: float
    p_value: float | None = None


class Attribution(NamedTuple):
    """A row of table ``attributions``, less its keys; probabilities and novelty are ``None`` where nothing was computed."""

    verdict: str
    source: str | None = None
    family: str | None = None
    probability: float | None = None
    family_probability: float | None = None
    generated_probability: float | None = None
    log_likelihood_ratio: float | None = None
    novelty: float | None = None
    candidates: tuple[Candidate, ...] = ()
    reason: str | None = None

    @property
    def accuses(self) -> bool:
        """Whether it takes the image for generated."""
        return self.verdict in (Verdict.KNOWN.value, Verdict.UNKNOWN.value) or self.reason == Abstention.NO_SOURCE.value


class _Projected(NamedTuple):
    """Of P fingerprints: the detector's least score (P,), of each source discriminant and score (K, P), enrolled ones' odds."""

    detector: Doubles
    discriminants: Doubles
    enrolled: Doubles
    scores: Doubles


class Attributor:
    """The attribution head of a bundle."""

    def __init__(self, bundle: Bundle) -> None:
        self._manifest = bundle.manifest
        self._calibrated = bundle.calibrated
        stored = load_file(bundle.directory / ATTRIBUTION_FILE)
        tensors = {key: value.astype(np.float32) for key, value in stored.items()}
        self._centre, self._whitening = tensors.pop("centre"), tensors.pop("whitening")
        weight, bias = discriminants(self._centre, self._whitening)
        many = np.array(self._manifest.sources) == UNREGISTERED  # to be like it is to be like none
        self._discriminants = np.where(many[:, None], 0, weight), np.where(many, -np.inf, bias)
        self._detector = tensors.pop("generated.weight"), tensors.pop("generated.bias")
        self._generators = np.array(self._manifest.generators)
        self._graphics = np.array([source == GRAPHIC for source in self._manifest.sources])
        self._prior = bundle.prior
        self.rules = Rules(self._manifest, bundle.least_probability)
        self.p_values = p_values_of(bundle)
        self._enrolled = EnrolledSources(self._manifest, self.rules, bundle.prior) if self._manifest.enrolled else None
        nobody = np.zeros((0, FINGERPRINT_DIM), np.float32), np.zeros(0, np.float32)
        enrolled = tensors.pop("enrolled.weight", nobody[0]), tensors.pop("enrolled.bias", nobody[1])
        self._tensors = {key.removeprefix("attention."): value for key, value in tensors.items()}
        linear = [self._detector, self._discriminants, enrolled]
        if self._manifest.network.attributor == "linear":
            linear.append((self._tensors["weight"], self._tensors["bias"]))
        self._weight = np.concatenate([weight for weight, _ in linear]).astype(np.float64).T[..., None]
        self._bias = np.concatenate([bias for _, bias in linear]).astype(np.float64)[:, None]

    def __call__(self, fingerprints: npt.NDArray[np.float16]) -> list[Attribution]:
        """One verdict for each row of fingerprints float16 (N, 128); a flat image's is the zero vector."""
        return [self._attribution(*row) for row in zip(*(part.tolist() for part in self.judge(fingerprints)), strict=True)]

    def judge(self, fingerprints: npt.NDArray[np.float16]) -> Judged:
        """The same as arrays. A row does not depend on how many are judged together, nor on its place among them."""
        found = nothing(np.full(len(fingerprints), reason(Abstention.UNCALIBRATED)), self.rules.candidates)
        if not self._calibrated:
            return found
        for start in range(0, len(fingerprints), TOGETHER):
            some = slice(start, start + TOGETHER)
            found.put(some, self._judge(fingerprints[some].astype(np.float32)))
        return found

    def chances(self, fingerprints: Floats, *, calibrated: bool = True, prior: Prior = EVEN) -> Chances:
        """Probabilities of fingerprints (…, 128); not ``calibrated``, of the scores as they are.

        By Bayes' rule a ``prior`` is added to log odds and scores, which are those of :data:`~causalprint.schemas.prior.EVEN`.
        """
        rows = fingerprints.reshape(-1, FINGERPRINT_DIM)
        found = self._chances(self._project(rows), calibrated, prior)
        return Chances(*(part[: len(rows)].reshape((*fingerprints.shape[:-1], *part.shape[1:])) for part in found))

    def novelty(self, fingerprints: Floats) -> Floats:
        """How far the familiarity of fingerprints (…, 128) is below the limit, as a power of e, (…); above 1: like no source."""
        rows = fingerprints.reshape(-1, FINGERPRINT_DIM)
        return self._novelty(self._project(rows))[: len(rows)].reshape(fingerprints.shape[:-1])

    def scores(self, fingerprints: Tensor) -> Tensor:
        """Logarithms of :attr:`Chances.sources`, float32 (N, K), of fingerprints float32 (N, 128), with gradients."""
        decision = self._manifest.decision
        tensors = {key: fingerprints.new_tensor(value) for key, value in self._tensors.items()}
        weight, bias = (fingerprints.new_tensor(part) for part in self._detector)
        odds = decision.generated_scale * (fingerprints @ weight.T + bias).amin(dim=1) + decision.generated_offset
        scores: Tensor = self._scores(tensors, fingerprints, lambda values: values.exp()) / decision.temperature
        found = scores.clone()
        for members, log_share in ((self._generators, odds.sigmoid().log()), (~self._generators, (-odds).sigmoid().log())):
            found[:, members] = scores[:, members].log_softmax(dim=1) + log_share[:, None]
        return found

    def familiarity(self, fingerprints: Tensor) -> Tensor:
        """Discriminants (N, K) of fingerprints float32 (N, 128) over their spread, with gradients. -inf: ``unregistered``.

        The largest is the familiarity; below ``novelty_limit`` an image is like no known source.
        """
        weight, bias = (fingerprints.new_tensor(part) for part in self._discriminants)
        return (fingerprints @ weight.T + bias) / self._manifest.decision.novelty_spread

    def distances(self, fingerprints: Tensor) -> Tensor:
        """Squared Mahalanobis distance (Lee et al., NeurIPS 2018, eq. 2) to each source's centre over 128, with gradients.

        (N, K) of fingerprints float32 (N, 128); about 1 for the images that the bundle was trained on.
        """
        centre, whitening = (fingerprints.new_tensor(part) for part in (self._centre, self._whitening))
        offsets = (fingerprints[:, None] - centre) @ whitening
        return offsets.square().mean(dim=2)

    def _scores(self, tensors: Mapping[str, Any], fingerprints: Any, exp: Callable[[Any], Any]) -> Any:
        if self._manifest.network.attributor == "attention":
            return attention_scores(tensors, fingerprints, exp)
        return fingerprints @ tensors["weight"].T + tensors["bias"]

    def _project(self, fingerprints: Floats) -> _Projected:
        """What is linear in fingerprints (N, 128), and the scores; of P rows, of which those beyond N mean nothing.

        A matrix product's rounding may depend on the number of rows, and so may a function's where it ends with a part of a
        vector register. So sums are taken dimension by dimension, and the rows are filled up to a multiple of :data:`BLOCK`.
        """
        rows = np.zeros((max(1, -(-len(fingerprints) // BLOCK)) * BLOCK, FINGERPRINT_DIM), np.float64)
        rows[: len(fingerprints)] = fingerprints
        found = np.repeat(self._bias, len(rows), axis=1)
        part = np.empty_like(found)
        with np.errstate(invalid="ignore"):  # what is no number is no verdict
            for weight, column in zip(self._weight, np.ascontiguousarray(rows.T), strict=True):
                np.multiply(weight, column, out=part)
                found += part
        ends = np.cumsum([len(self._detector[1]), len(self._generators), len(self._manifest.enrolled)])
        detector, of_sources, enrolled, scores = np.split(found, ends)
        if not len(scores):
            scores = np.zeros((len(self._generators), len(rows)))
            for place, row in enumerate(fingerprints):
                scores[:, place] = attention_scores(self._tensors, row, np.exp)
        return _Projected(detector.min(axis=0), of_sources, enrolled, scores)

    def _chances(self, projected: _Projected, calibrated: bool, prior: Prior) -> Chances:
        """As of :meth:`chances`, of all P rows."""
        decision = self._manifest.decision
        odds, scores = projected.detector, projected.scores
        if calibrated:
            odds = decision.generated_scale * odds + decision.generated_offset
            scores = scores / decision.temperature
        if prior != EVEN:
            odds = odds + prior.log_odds
            scores = np.where(self._graphics[:, None], scores + _moved(prior.graphic_share), scores)
        with np.errstate(over="ignore", invalid="ignore"):
            generated = 1 / (1 + np.exp(-odds))
            sources = shared_out(generated, np.ascontiguousarray(scores.T), self._generators)
        return Chances(generated.astype(np.float32), sources, odds.astype(np.float32))

    def _novelty(self, projected: _Projected) -> Floats:
        decision = self._manifest.decision
        familiarity = projected.discriminants.max(axis=0) / decision.novelty_spread
        found: Floats = np.exp(np.minimum(decision.novelty_limit - familiarity, FARTHEST)).astype(np.float32)
        return found

    def _judge(self, fingerprints: Floats) -> Judged:
        projected = self._project(fingerprints)
        even, novelty = self._chances(projected, True, EVEN), self._novelty(projected)
        asked = even if self._prior == EVEN else self._chances(projected, True, self._prior)
        rows = np.arange(len(fingerprints))
        flat = ~fingerprints.any(axis=1)
        sound = ~flat & np.isfinite(even.sources[rows]).all(axis=1) & np.isfinite(novelty[rows])
        why = np.where(flat, reason(Abstention.FLAT), reason(Abstention.UNDECIDED))
        chosen = rows[sound]
        of = [Chances(*(part[chosen] for part in chances)) for chances in (even, asked)]
        judged = self.rules(of[0], of[1], novelty[chosen])
        if self._enrolled is not None:
            judged = self._enrolled(judged, of[1], projected.enrolled[:, chosen])
        p_values = np.full((len(chosen), len(self.rules.sources)), np.nan, np.float32)  # an enrolled source has none
        p_values[:, : len(self._generators)] = self.p_values(of[0].sources)
        judged = judged._replace(p_values=np.take_along_axis(p_values, judged.candidates, axis=1))
        return judged.placed(sound, why)

    def _attribution(self, *row: Any) -> Attribution:
        verdict, source, family, why, computed, *numbers, candidates, chances, p_values = row
        seldom = (None if math.isnan(value) else value for value in p_values)
        told = zip(map(self.rules.sources.__getitem__, candidates), chances, seldom, strict=True) if computed else ()
        words = (VERDICTS, verdict), (self.rules.sources, source), (self.rules.families, family), (REASONS, why)
        *named, reason_why = (None if place == NONE else names[place] for names, place in words)
        shares = numbers if computed else [None] * len(numbers)
        return Attribution._make([*named, *shares, tuple(map(Candidate._make, told)), reason_why])


def _moved(graphic_share: float) -> float:
    """What is added to the score of graphics where they are so large a share of what is not generated."""
    now, before = (np.log(share / (1 - share)) for share in (graphic_share, EVEN.graphic_share))
    return float(now - before)


def damaged() -> Attribution:
    """The verdict on an image some of whose pixels may be the decoder's invention."""
    return Attribution(Verdict.ABSTAIN.value, reason=Abstention.DAMAGED.value)


def too_small() -> Attribution:
    """The verdict on an image that is smaller than the crop and therefore has no fingerprint."""
    return Attribution(Verdict.ABSTAIN.value, reason=Abstention.TOO_SMALL.value)
