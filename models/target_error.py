"""From an error that is allowed to the least probability at which a bundle names a generator, by its own held-out images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from causalprint.models.bundles.bundle import Bundle
from causalprint.models.bundles.held_out import HeldOutScores, read_held_out
from causalprint.models.bundles.manifest import UNREGISTERED, Manifest
from causalprint.models.judged import Rules
from causalprint.schemas.arrays import Doubles, Labels, Mask
from causalprint.schemas.runs import WrongNames

LEVEL = 0.95
STEPS = 10_000
"""Limits that are tried: a probability of four digits, which can be given in words."""


class UnsupportedTargetError(ValueError):
    """A bundle's held-out images cannot show that so few names are wrong; the message says what they show."""


def least_probability(bundle: Bundle, target: float) -> WrongNames:
    """The least limit of a name at which few enough names are wrong, among the bundle's held-out images as they are.

    A name is a source, or a family where the source is not sure enough; it is wrong where another or no generator made the image.
    What decides is not the share that is wrong but its one-sided 95 % upper bound (Clopper and Pearson, Biometrika 26, 1934), so
    that few images promise little. It knows of chance alone: images of one origin are taken for independent ones, and nothing is
    known of other origins. What a bundle calls ``unknown`` for its novelty counts as named here, since scores do not tell it.

    Raises:
        UnsupportedTargetError: the bundle holds no such images, or too few to show it at any limit.
    """
    held_out = read_held_out(bundle)
    if held_out is None or not len(held_out.source):
        raise UnsupportedTargetError(
            f"{bundle.directory} holds no scores of held-out images, so that nothing tells how often its names are wrong: give "
            "--minimum-probability, or train it again"
        )
    limits = np.arange(1, STEPS + 1) / STEPS
    names, wrong = _names(bundle.manifest, held_out).at(limits)
    bound = np.where(names > 0, betaincinv(wrong + 1.0, np.maximum(names - wrong, 1e-9), LEVEL), 1.0)
    enough = np.flatnonzero(bound <= target)
    place = int(enough[0]) if len(enough) else int(bound.argmin())
    found = WrongNames(target, float(limits[place]), int(names[place]), int(wrong[place]), round(float(bound[place]), 4))
    if not len(enough):
        raise UnsupportedTargetError(
            f"the held-out images of {bundle.directory} show at no limit that at most {target:g} of all names are wrong: at best "
            f"{found.wrong} of {found.names} are, which may be {found.at_most:g} of all others; allow for that, or give "
            "--minimum-probability"
        )
    return found


class _Names(NamedTuple):
    """Whom N images that are taken for generated are called by: the source from one probability up, from another one the family.

    Attributes:
        sure, kin: up to which limit the likeliest source is named, and a family is; the latter is no less, float64 (N,).
        named: whether that source has a name to give; without one it is ``unknown``.
        wrong, of_other_kin: whether the source is another, and the family.
    """

    sure: Doubles
    kin: Doubles
    named: Mask
    wrong: Mask
    of_other_kin: Mask

    def at(self, limits: Doubles) -> tuple[Labels, Labels]:
        """How many names are given at each of the limits (L,), and how many of these are wrong."""

        def reach(values: Doubles) -> Labels:
            return np.asarray(len(values) - np.searchsorted(np.sort(values), limits, "left"), np.int64)

        wrong_source = reach(self.sure[self.named & self.wrong])
        wrong_kin = reach(self.kin[self.of_other_kin]) - reach(self.sure[self.of_other_kin])
        return reach(self.kin) - reach(self.sure[~self.named]), wrong_source + wrong_kin


def _names(manifest: Manifest, held_out: HeldOutScores) -> _Names:
    rules = Rules(manifest, 0.0)
    taken = held_out.generated >= manifest.decision.generated_limit
    truth, chances = held_out.source[taken], held_out.probabilities[taken]
    sources = np.array(manifest.sources)
    likeliest = np.where(np.array(manifest.generators), chances, -1).argmax(axis=1)
    sure, of_families = chances[np.arange(len(chances)), likeliest], rules.of_families(chances.astype(np.float32))
    families = np.array(rules.families)
    kin = of_families.max(axis=1, initial=0).astype(np.float64)
    likeliest_kin = families[of_families.argmax(axis=1)] if len(families) else np.full(len(chances), "")
    true_kin = np.array([manifest.family_of(one) for one in truth], np.str_)
    return _Names(
        sure,
        np.maximum(sure, kin),
        sources[likeliest] != UNREGISTERED,
        sources[likeliest] != truth,
        likeliest_kin != true_kin,
    )
