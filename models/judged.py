"""From probabilities to verdicts, many images at once: a row of arrays is one image, and no row looks at another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.models.bundles.manifest import GRAPHIC, REAL, UNREGISTERED, Manifest
from causalprint.schemas.arrays import Floats, Labels, Mask
from causalprint.schemas.reasons import Abstention, Verdict

CANDIDATES = 5
NONE = -1
"""The place of no word."""
VERDICTS = tuple(verdict.value for verdict in Verdict)
REASONS = tuple(reason.value for reason in Abstention)
NUMBERS = ("probability", "family_probability", "generated_probability", "log_likelihood_ratio", "novelty")
"""Columns that are null where nothing was computed."""
_VERDICT = {verdict: place for place, verdict in enumerate(Verdict)}
_REASON = {reason: place for place, reason in enumerate(Abstention)}


class Chances(NamedTuple):
    """Probabilities of images, in any shape (…).

    Attributes:
        generated: float32 (…), that a generator made it.
        sources: of each source, float32 (…, K), in the order of the manifest; those of generators add up to ``generated``.
        odds: float32 (…), log odds of ``generated``; where half of all images are generated, the logarithm of the likelihood
            ratio.
    """

    generated: Floats
    sources: Floats
    odds: Floats


class Judged(NamedTuple):
    """Verdicts on N images: the columns of table ``attributions`` less its keys; words are places in a vocabulary.

    Attributes:
        verdict: (N,), places in :data:`VERDICTS`.
        source: (N,), places among the bundle's sources, enrolled ones last; :data:`NONE` unless one is named, as the next.
        family: (N,), places in :attr:`Rules.families`.
        reason: (N,), places in :data:`REASONS`.
        computed: (N,), whether there are probabilities; without them, numbers and candidates are NaN and no place.
        probability, family_probability, generated_probability, log_likelihood_ratio, novelty: float32 (N,).
        candidates: (N, C), places of the likeliest sources, best first.
        chances: float32 (N, C), their probabilities.
        p_values: float32 (N, C), of :class:`~causalprint.models.statistics.conformal.PValues`; NaN of a source that has none.
    """

    verdict: Labels
    source: Labels
    family: Labels
    reason: Labels
    computed: Mask
    probability: Floats
    family_probability: Floats
    generated_probability: Floats
    log_likelihood_ratio: Floats
    novelty: Floats
    candidates: Labels
    chances: Floats
    p_values: Floats

    def placed(self, rows: Mask, others: Labels) -> Judged:
        """These at the ``rows`` (N,) that are true, in order; the others abstain for their reasons, ``others`` (N,)."""
        found = nothing(others, self.candidates.shape[1])
        found.put(rows, self)
        return found

    def put(self, rows: Mask | slice, others: Judged) -> None:
        """Puts other verdicts in place of those at ``rows``."""
        pairs: Iterable[tuple[npt.NDArray[Any], npt.NDArray[Any]]] = zip(self, others, strict=True)
        for whole, part in pairs:
            whole[rows] = part


def nothing(reasons: Labels, candidates: int) -> Judged:
    """Abstentions of which nothing was computed, for ``reasons`` (N,), with room for so many candidates."""
    count = len(reasons)
    verdict, source, family = (np.full(count, place, np.int64) for place in (_VERDICT[Verdict.ABSTAIN], NONE, NONE))
    numbers = (np.full(count, np.nan, np.float32) for _ in NUMBERS)
    told = (np.full((count, candidates), np.nan, np.float32) for _ in range(2))
    places = np.full((count, candidates), NONE, np.int64)
    return Judged._make([verdict, source, family, reasons.astype(np.int64), np.zeros(count, np.bool_), *numbers, places, *told])


def reason(of: Abstention) -> int:
    """Its place in :data:`REASONS`."""
    return _REASON[of]


class Rules:
    """How a bundle decides.

    Whether an image is cleared depends on the prior: of what is cleared, few must be generated. Whether it is taken for
    generated, and by whom, does not: of photographs and graphics, however many there are, few must be accused.

    Args:
        manifest: its sources, families and limits.
        least: probability of a generator, or of a family, to be named.
    """

    def __init__(self, manifest: Manifest, least: float) -> None:
        self._decision, self._least = manifest.decision, least
        self._generators = np.array(manifest.generators)
        named = [source for source, registered in zip(manifest.sources, manifest.registered, strict=True) if registered]
        kin = [one.kin for one in manifest.enrolled]
        self.families = tuple(dict.fromkeys([*map(manifest.family_of, named), *kin]))
        families = [manifest.family_of(source) if source in named else None for source in manifest.sources] + kin
        self._family_of = np.array([NONE if family is None else self.families.index(family) for family in families])
        self._real = manifest.sources.index(REAL)
        self._graphic = np.array([source == GRAPHIC for source in manifest.sources])
        self._unregistered = np.array([source == UNREGISTERED for source in manifest.sources])
        self.sources = manifest.names
        self.candidates = min(CANDIDATES, len(manifest.sources))

    def __call__(self, even: Chances, asked: Chances, novelty: Floats) -> Judged:
        """The verdicts on N images whose probabilities are finite, without p-values.

        Args:
            even: at the prior of the bundle's limits.
            asked: at the audit's.
            novelty: of the images, (N,).
        """
        decision, rows = self._decision, np.arange(len(novelty))
        candidates = self.candidates_of(asked.sources)
        of_families = self.of_families(asked.sources)
        likeliest_family = of_families.argmax(axis=1)
        # A float32 beside a number of Python would round that number.
        cleared = asked.generated.astype(np.float64) <= decision.cleared_limit
        accused = ~cleared & (even.generated.astype(np.float64) >= decision.generated_limit)
        likeliest = np.where(self._generators, even.sources, -1).argmax(axis=1)
        sure = even.sources[rows, likeliest].astype(np.float64) >= self._least
        unknown = accused & ((novelty > 1) | (sure & self._unregistered[likeliest]))
        named = accused & ~unknown & sure
        of_kin = self.of_families(even.sources)[rows, likeliest_family].astype(np.float64) >= self._least
        of_family = accused & ~unknown & ~sure & of_kin
        maker = np.where(self._generators, -1, asked.sources).argmax(axis=1)

        verdict = np.full(len(rows), _VERDICT[Verdict.ABSTAIN], np.int64)
        verdict[cleared] = np.where(self._graphic[maker[cleared]], _VERDICT[Verdict.GRAPHIC], _VERDICT[Verdict.REAL])
        verdict[unknown] = _VERDICT[Verdict.UNKNOWN]
        verdict[named | of_family] = _VERDICT[Verdict.KNOWN]
        family = np.where(named, self._family_of[likeliest], np.where(of_family, likeliest_family, NONE))
        reason = np.where(accused, _REASON[Abstention.NO_SOURCE], _REASON[Abstention.UNDECIDED])
        return Judged(
            verdict,
            np.where(named, likeliest, NONE),
            family,
            np.where(verdict == _VERDICT[Verdict.ABSTAIN], reason, NONE),
            np.ones(len(rows), np.bool_),
            asked.sources[rows, candidates[:, 0]],
            of_families[rows, np.where(named, family, likeliest_family)],
            asked.generated,
            even.odds,
            novelty,
            candidates,
            np.take_along_axis(asked.sources, candidates, axis=1),
            np.full(candidates.shape, np.nan, np.float32),
        )

    def candidates_of(self, probabilities: Floats) -> Labels:
        """The likeliest sources (N, C), best first, ``real`` among them."""
        chosen = np.argsort(-probabilities, axis=1, kind="stable")[:, : self.candidates]
        chosen[~(chosen == self._real).any(axis=1), -1] = self._real
        return chosen

    def of_families(self, probabilities: Floats) -> Floats:
        """The probability of each family of generators that may be named, float32 (N, families)."""
        sums = np.zeros((len(probabilities), len(self.families)), np.float64)
        for source, family in enumerate(self._family_of[: probabilities.shape[1]]):
            if family != NONE:
                sums[:, family] += probabilities[:, source]
        return np.minimum(sums, 1).astype(np.float32)
