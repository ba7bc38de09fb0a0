"""From a stored fingerprint to a verdict: numpy only, so that an analyst can recompute every row of ``attributions``.

Whether an image is generated is a question of its own, with a detector of its own, whose score logistic regression makes a
probability (Platt, 1999). By whom is asked given that it is: P(source) = P(generated) P(source | generated). There a linear
classifier, or a small transformer over the fingerprint's parts, gives scores, and temperature scaling (Guo et al., ICML 2017)
makes them probabilities. What no source's linear discriminant is large for is like none of them. These discriminants are of
images as they are, while scores are learned to stay when an image is processed: what makes scores robust hides new sources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from causalprint.models.attention import attention_scores
from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, Bundle
from causalprint.models.bundles.decision import FARTHEST
from causalprint.models.bundles.manifest import GRAPHIC, REAL, UNREGISTERED
from causalprint.models.statistics.discriminant import discriminants
from causalprint.models.statistics.softmax import shared_out
from causalprint.schemas.prior import EVEN, Prior
from causalprint.schemas.reasons import Abstention, Verdict

if TYPE_CHECKING:
    from torch import Tensor

CANDIDATES = 5


class Candidate(NamedTuple):
    """A source and its calibrated probability."""

    source: str
    probability: float


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


class Chances(NamedTuple):
    """Probabilities of one image.

    Attributes:
        generated: that a generator made it.
        sources: of each source, float32 (K,), in the order of the manifest; those of generators add up to ``generated``.
        odds: log odds of ``generated``; where half of all images are generated, the logarithm of the likelihood ratio.
    """

    generated: float
    sources: npt.NDArray[np.float32]
    odds: float


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
        self._registered = self._manifest.registered
        self._graphics = np.array([source == GRAPHIC for source in self._manifest.sources])
        self._prior = bundle.prior
        self._families = tuple(map(self._manifest.family_of, self._manifest.sources))
        self._tensors = {key.removeprefix("attention."): value for key, value in tensors.items()}

    def __call__(self, fingerprints: npt.NDArray[np.float16]) -> list[Attribution]:
        """One verdict for each row of fingerprints float16 (N, 128); a flat image's is the zero vector.

        Rows are computed one by one, since a matrix product's rounding may depend on the number of rows.
        """
        return [self._attribute(row.astype(np.float32)) for row in fingerprints]

    def chances(self, fingerprint: npt.NDArray[np.float32], *, calibrated: bool = True, prior: Prior = EVEN) -> Chances:
        """Probabilities of a fingerprint (128,); not ``calibrated``, of the scores as they are.

        By Bayes' rule a ``prior`` is added to log odds and scores, which are those of :data:`~causalprint.schemas.prior.EVEN`.
        """
        decision = self._manifest.decision
        weight, bias = self._detector
        odds = fingerprint @ weight + bias[0]
        scores = self._scores(self._tensors, fingerprint, np.exp)
        if calibrated:
            odds = decision.generated_scale * odds + decision.generated_offset
            scores = scores / np.float32(decision.temperature)
        if prior != EVEN:
            odds = odds + prior.log_odds
            scores = np.where(self._graphics, scores + _moved(prior.graphic_share), scores)
        generated = 1 / (1 + np.exp(-np.float64(odds)))
        return Chances(float(np.float32(generated)), shared_out(generated, scores, self._generators), float(np.float32(odds)))

    def novelty(self, fingerprint: npt.NDArray[np.float32]) -> float:
        """How far the familiarity of a fingerprint (128,) is below the limit, as a power of e; above 1: like no source."""
        decision = self._manifest.decision
        weight, bias = self._discriminants
        familiarity = float((fingerprint[None].astype(np.float64) @ weight.T + bias).max()) / decision.novelty_spread
        return float(np.float32(np.exp(min(decision.novelty_limit - familiarity, FARTHEST))))

    def scores(self, fingerprints: Tensor) -> Tensor:
        """Logarithms of :attr:`Chances.sources`, float32 (N, K), of fingerprints float32 (N, 128), with gradients."""
        decision = self._manifest.decision
        tensors = {key: fingerprints.new_tensor(value) for key, value in self._tensors.items()}
        weight, bias = (fingerprints.new_tensor(part) for part in self._detector)
        odds = decision.generated_scale * (fingerprints @ weight + bias) + decision.generated_offset
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

    def _attribute(self, fingerprint: npt.NDArray[np.float32]) -> Attribution:
        if not self._calibrated:
            return Attribution(Verdict.ABSTAIN.value, reason=Abstention.UNCALIBRATED.value)
        if not fingerprint.any():
            return Attribution(Verdict.ABSTAIN.value, reason=Abstention.FLAT.value)
        even = self.chances(fingerprint)
        novelty = self.novelty(fingerprint)
        if not (np.isfinite(even.sources).all() and np.isfinite(novelty)):  # what is no number is no verdict
            return Attribution(Verdict.ABSTAIN.value, reason=Abstention.UNDECIDED.value)
        asked = even if self._prior == EVEN else self.chances(fingerprint, prior=self._prior)
        return self._decide(even, asked, novelty)

    def _decide(self, even: Chances, chances: Chances, novelty: float) -> Attribution:
        """The verdict.

        Whether an image is cleared depends on the prior: of what is cleared, few must be generated. Whether it is taken for
        generated, and by whom, does not: of photographs and graphics, however many there are, few must be accused.

        Args:
            even: at the prior of the bundle's limits.
            chances: at the audit's.
            novelty: of the image.
        """
        decision, names = self._manifest.decision, self._manifest.sources
        candidates = self._candidates(chances.sources)
        families = self._family_chances(chances.sources)
        computed = Attribution(
            Verdict.ABSTAIN.value,
            None,
            None,
            candidates[0].probability,
            max(families.values()),
            chances.generated,
            even.odds,
            novelty,
            candidates,
            Abstention.UNDECIDED.value,
        )
        if chances.generated <= decision.cleared_limit:
            maker = names[int(np.where(self._generators, -1, chances.sources).argmax())]
            return computed._replace(verdict=(Verdict.GRAPHIC if maker == GRAPHIC else Verdict.REAL).value, reason=None)
        if even.generated < decision.generated_limit:
            return computed
        return self._name(computed, even, families)

    def _name(self, computed: Attribution, even: Chances, families: Mapping[str, float]) -> Attribution:
        """The verdict on what is taken for generated: like no known source, or by whom; ``families`` are the audit's chances."""
        least, names = self._manifest.decision.minimum_probability, self._manifest.sources
        likeliest = int(np.where(self._generators, even.sources, -1).argmax())
        sure = bool(even.sources[likeliest] >= least)
        if (computed.novelty or 0) > 1 or (sure and names[likeliest] == UNREGISTERED):
            return computed._replace(verdict=Verdict.UNKNOWN.value, reason=None)
        known = computed._replace(verdict=Verdict.KNOWN.value, reason=None)
        if sure:
            own = self._families[likeliest]
            return known._replace(source=names[likeliest], family=own, family_probability=families[own])
        family = max(families, key=lambda name: families[name])
        if self._family_chances(even.sources)[family] >= least:
            return known._replace(family=family)
        return computed._replace(reason=Abstention.NO_SOURCE.value)

    def _family_chances(self, probabilities: npt.NDArray[np.float32]) -> dict[str, float]:
        """The probability of each family of generators that may be named."""
        sums: dict[str, float] = {}
        for family, registered, probability in zip(self._families, self._registered, probabilities.tolist(), strict=True):
            if registered:
                sums[family] = sums.get(family, 0.0) + probability
        return {family: float(np.float32(min(total, 1.0))) for family, total in sums.items()}

    def _candidates(self, probabilities: npt.NDArray[np.float32]) -> tuple[Candidate, ...]:
        order = np.argsort(-probabilities, kind="stable").tolist()
        real = self._manifest.sources.index(REAL)
        chosen = order[:CANDIDATES]
        if real not in chosen:
            chosen[-1] = real
        return tuple(Candidate(self._manifest.sources[index], float(probabilities[index])) for index in chosen)


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
