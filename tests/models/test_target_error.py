"""The least probability of a name, by the share of names that may be wrong: as the rules of verdicts count them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from causalprint.models.bundles.bundle import Bundle, load_bundle
from causalprint.models.bundles.held_out import HeldOutScores, read_held_out
from causalprint.models.judged import NONE, Chances, Rules
from causalprint.models.target_error import UnsupportedTargetError, least_probability

TARGETS = (0.07, 0.08, 0.1, 0.2, 0.3)


def counted(bundle: Bundle, held_out: HeldOutScores, limit: float) -> tuple[int, int]:
    """Names that the rules give held-out images at a limit, and the wrong ones of these."""
    manifest = bundle.manifest
    rules = Rules(manifest, limit)
    generated = held_out.generated.astype(np.float32)
    chances = Chances(generated, held_out.probabilities.astype(np.float32), np.zeros_like(generated))
    judged = rules(chances, chances, np.zeros_like(generated))
    names = wrong = 0
    for source, family, truth in zip(judged.source.tolist(), judged.family.tolist(), held_out.source.tolist(), strict=True):
        if family == NONE:
            continue
        names += 1
        right = rules.sources[source] == truth if source != NONE else rules.families[family] == manifest.family_of(truth)
        wrong += not right
    return names, wrong


def bound(names: int, wrong: int) -> float:
    return float(binomtest(wrong, names, alternative="less").proportion_ci(0.95).high) if names else 1.0


@pytest.fixture(scope="module")
def packaged() -> Bundle:
    return load_bundle()


def test_few_enough_names_are_wrong_at_the_limit_and_too_many_just_below(packaged: Bundle) -> None:
    held_out = read_held_out(packaged)
    assert held_out is not None
    for target in TARGETS:
        found = least_probability(packaged, target)
        assert counted(packaged, held_out, found.limit) == (found.names, found.wrong)
        assert found.wrong / found.names <= found.at_most <= target == found.target
        assert found.at_most == pytest.approx(bound(found.names, found.wrong), abs=1e-4)
        assert bound(*counted(packaged, held_out, round(found.limit - 0.0001, 4))) > target


def test_whoever_allows_for_more_gets_more_names(packaged: Bundle) -> None:
    found = [least_probability(packaged, target) for target in TARGETS]
    limits, names = [one.limit for one in found], [one.names for one in found]
    assert limits == sorted(limits, reverse=True)
    assert names == sorted(names)
    assert len(set(limits)) > 2


def test_what_held_out_images_cannot_show_is_refused(packaged: Bundle, bundle: Bundle) -> None:
    with pytest.raises(UnsupportedTargetError, match=r"at most 0\.001 of all names are wrong: at best \d+ of \d+ are"):
        least_probability(packaged, 0.001)
    with pytest.raises(UnsupportedTargetError, match=r"holds no scores of held-out images.*--minimum-probability"):
        least_probability(bundle, 0.1)
