"""Sources that were enrolled into a bundle: what is surely theirs is given their name, and no other row changes."""

from __future__ import annotations

import numpy as np

from causalprint.models.bundles.manifest import Manifest
from causalprint.models.judged import NONE, VERDICTS, Chances, Judged, Rules
from causalprint.schemas.arrays import Doubles
from causalprint.schemas.prior import Prior
from causalprint.schemas.reasons import Verdict


class EnrolledSources:
    """M of them.

    Args:
        manifest: their names, families and limits.
        rules: of the verdicts on the bundle's other sources, K of them.
        prior: the audit's.
    """

    def __init__(self, manifest: Manifest, rules: Rules, prior: Prior) -> None:
        self._limits = np.array([one.limit for one in manifest.enrolled])
        self._families = np.array([rules.families.index(one.kin) for one in manifest.enrolled], np.int64)
        self._generators = np.array(manifest.generators)
        self._rules, self._prior = rules, prior

    def __call__(self, judged: Judged, asked: Chances, odds: Doubles) -> Judged:
        """Gives their names to images (N,) whose log odds reach the limit; of several, that of the largest odds over its limit.

        Of all that is generated the source has the part that these odds give it, and the others share the rest as before.

        Args:
            judged: what the bundle says without them.
            asked: probabilities that this follows from.
            odds: that each source made the image, at the prior of the bundle's limits, (M, N).
        """
        over = odds - self._limits[:, None]
        hit = np.flatnonzero((over >= 0).any(axis=0))
        if not len(hit):
            return judged
        best = over[:, hit].argmax(axis=0)
        own, even = odds[best, hit], judged.log_likelihood_ratio[hit].astype(np.float64)
        # p + (1 - p) g over (1 - p) (1 - g), of probabilities p of the source and g of another generator
        of_source, of_another = own + np.logaddexp(0, even), even
        generated_odds = np.logaddexp(of_source, of_another)
        part = np.exp(of_source - generated_odds)
        generated = 1 / (1 + np.exp(-(generated_odds + self._prior.log_odds)))
        before = asked.generated[hit].astype(np.float64)
        tiny = np.finfo(np.float64).tiny
        scale = np.where(
            self._generators,
            ((1 - part) * generated / np.maximum(before, tiny))[:, None],
            ((1 - generated) / np.maximum(1 - before, tiny))[:, None],
        )
        chances = np.zeros((len(hit), scale.shape[1] + len(odds)), np.float32)
        chances[:, : scale.shape[1]] = asked.sources[hit] * scale
        rows = np.arange(len(hit))
        source = scale.shape[1] + best
        chances[rows, source] = part * generated
        candidates = self._rules.candidates_of(chances)
        found = Judged._make(whole.copy() for whole in judged)
        found.verdict[hit] = VERDICTS.index(Verdict.KNOWN.value)
        found.source[hit], found.family[hit], found.reason[hit] = source, self._families[best], NONE
        found.probability[hit] = chances[rows, candidates[:, 0]]
        found.family_probability[hit] = self._rules.of_families(chances)[rows, self._families[best]]
        found.generated_probability[hit] = generated
        found.log_likelihood_ratio[hit] = generated_odds
        found.novelty[hit] = np.minimum(judged.novelty[hit], np.exp(-over[best, hit]))
        found.candidates[hit], found.chances[hit] = candidates, np.take_along_axis(chances, candidates, axis=1)
        return found
