"""Verdicts follow from the stored fingerprint alone, and the system says so when it cannot tell."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from causalprint.models.attention import attention_shapes
from causalprint.models.attribution import Attribution, Attributor, too_small
from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, Bundle, load_bundle, save_bundle
from causalprint.models.bundles.manifest import SCHEMA, Family, Geometry, Manifest, Network
from causalprint.models.judged import Judged
from causalprint.schemas.prior import parse_prior
from causalprint.schemas.tables import FINGERPRINT_DIM
from tests.bundles import UNDECIDED

SOURCES = ("alpha", "beta", "real", "gamma", "delta", "epsilon", "zeta", "graphic")
MADE, NO_GRAPHIC = 50, 51
"""The axes along which generated images lie beside photographs and beside graphics."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Eight sources, the k-th centred on 10 along axis k and told apart by it; the detector reads two further axes."""
    centre = np.zeros((len(SOURCES), FINGERPRINT_DIM), np.float32)
    centre[np.arange(len(SOURCES)), np.arange(len(SOURCES))] = 10
    manifest = Manifest(
        schema=SCHEMA,
        name="axes",
        licence="Apache-2.0",
        sources=SOURCES,
        geometry=Geometry(),
        residual="denoise:someone/some-model",
        features=(),
        families=(Family("greek", ("alpha", "beta")),),
        network=Network(rivals=2),
        decision=replace(
            UNDECIDED,
            temperature=2.0,
            generated_scale=0.5,
            generated_offset=1.0,
            cleared_limit=0.2,
            generated_limit=0.8,
            minimum_probability=0.6,
            novelty_spread=10.0,
        ),
    )
    attribution: dict[str, npt.NDArray[np.float32]] = {
        "weight": centre / np.float32(10),
        "bias": np.zeros(len(SOURCES), np.float32),
        "centre": centre,
        "whitening": np.eye(FINGERPRINT_DIM, dtype=np.float32),
        "generated.weight": np.eye(FINGERPRINT_DIM, dtype=np.float32)[[MADE, NO_GRAPHIC]],
        "generated.bias": np.array([1, 100], np.float32),
    }
    return save_bundle(
        tmp_path_factory.mktemp("bundle"), manifest, {"bias": np.zeros(FINGERPRINT_DIM, np.float32)}, attribution, {}
    )


def _at(made: float = 0, **axes: float) -> npt.NDArray[np.float16]:
    row = np.zeros(FINGERPRINT_DIM, np.float16)
    row[MADE] = made
    for name, value in axes.items():
        row[SOURCES.index(name)] = value
    return row


def _generated(made: float) -> float:
    """The detector's score is one more than the axis; scale and offset make it log odds."""
    return float(1 / (1 + np.exp(-(0.5 * (made + 1) + 1))))


def _familiarity(made: float = 0, **axes: float) -> float:
    """Log-likelihood of the best centre over that of the middle of all: half the difference of squared distances to them."""
    row = _at(made, **axes).astype(np.float64)
    centres = 10 * np.eye(len(SOURCES), FINGERPRINT_DIM)
    middle = centres.mean(axis=0)
    return float((np.square(row - middle).sum() - np.square(row - centres).sum(axis=1)).max() / 2)


def _one(bundle: Bundle, row: npt.NDArray[np.float16]) -> Attribution:
    (found,) = Attributor(bundle)(row[None])
    return found


def test_what_looks_generated_beside_photographs_alone_is_not_taken_for_it(bundle: Bundle) -> None:
    row = _at(made=10, graphic=10)
    row[NO_GRAPHIC] = -110
    found = _one(bundle, row)
    assert found.verdict == "graphic"
    assert found.generated_probability == pytest.approx(_generated(-11))
    scores = Attributor(bundle).scores(torch.from_numpy(row[None].astype(np.float32)))
    assert float(scores.exp()[0, bundle.manifest.generators].sum()) == pytest.approx(_generated(-11))


def test_a_photograph_is_real_and_names_no_generator(bundle: Bundle) -> None:
    found = _one(bundle, _at(made=-10, real=10))
    assert (found.verdict, found.source, found.family, found.reason) == ("real", None, None, None)
    assert found.candidates[0].source == "real"
    assert found.generated_probability == pytest.approx(_generated(-10), rel=1e-5)


def test_what_software_drew_is_a_graphic_whatever_generator_it_is_most_like(bundle: Bundle) -> None:
    found = _one(bundle, _at(made=-10, graphic=6, delta=10))
    assert (found.verdict, found.source, found.family, found.reason) == ("graphic", None, None, None)


def test_a_known_generator_is_named_with_its_calibrated_probability(bundle: Bundle) -> None:
    found = _one(bundle, _at(made=3, delta=10, alpha=1))
    assert (found.verdict, found.source, found.family) == ("known", "delta", "delta")
    powers = np.exp(np.array([10, 1, 0, 0, 0, 0]) / 2)  # among the six generators
    assert found.probability == pytest.approx(_generated(3) * powers[0] / powers.sum(), rel=1e-5)
    assert found.novelty == pytest.approx(np.exp(1 - _familiarity(made=3, delta=10, alpha=1) / 10), rel=1e-4)


def test_where_no_source_can_be_named_its_family_is(bundle: Bundle) -> None:
    found = _one(bundle, _at(made=10, alpha=10, beta=10))
    assert (found.verdict, found.source, found.family, found.reason) == ("known", None, "greek", None)
    assert found.family_probability == pytest.approx(2 * found.candidates[0].probability, rel=1e-5)


def test_the_probability_of_a_family_is_that_of_the_family_named(bundle: Bundle) -> None:
    """Beside a source of a family of its own, two of another family can have more together."""
    low = replace(bundle, manifest=replace(bundle.manifest, decision=replace(bundle.manifest.decision, minimum_probability=0.3)))
    found = _one(low, _at(made=10, delta=10, alpha=9, beta=9))
    assert (found.verdict, found.source, found.family) == ("known", "delta", "delta")
    assert found.probability is not None
    assert found.family_probability == found.probability
    assert sum(one.probability for one in found.candidates if one.source in ("alpha", "beta")) > found.probability


@settings(max_examples=60, deadline=None)
@given(st.floats(-12, 8), st.floats(0.02, 0.98))
def test_probabilities_at_a_prior_are_those_of_bayes_rule_on_the_stored_ratio(bundle: Bundle, made: float, share: float) -> None:
    row = _at(made=made, delta=10, real=3)
    even, asked = _one(bundle, row), _one(replace(bundle, prior=parse_prior(f"generated={share}")), row)
    assert even.log_likelihood_ratio == asked.log_likelihood_ratio
    assert even.log_likelihood_ratio is not None
    odds = even.log_likelihood_ratio + np.log(share / (1 - share))
    assert asked.generated_probability == pytest.approx(1 / (1 + np.exp(-odds)), rel=1e-4)
    assert sum(one.probability for one in asked.candidates) <= 1 + 1e-5


def test_a_prior_moves_what_is_cleared_and_not_what_is_accused(bundle: Bundle) -> None:
    between, accused = _at(made=-2, real=10), _at(made=3, delta=10)
    assert _one(bundle, between).reason == "undecided"
    few, many = (replace(bundle, prior=parse_prior(f"generated={share}")) for share in (0.1, 0.8))
    assert _one(few, between).verdict == "real"
    assert _one(many, between).reason == "undecided"
    assert {_one(one, accused).source for one in (bundle, few, many)} == {"delta"}
    none = replace(bundle, prior=parse_prior("generated=0.001"))
    assert _one(none, accused).verdict == "real"  # more probably so than of what is cleared elsewhere


def test_a_prior_moves_graphics_against_photographs(bundle: Bundle) -> None:
    row = _at(made=-10, graphic=5, real=7)
    assert _one(bundle, row).verdict == "real"
    drawn = replace(bundle, prior=parse_prior("graphic=0.49,photograph=0.01"))
    assert _one(drawn, row).verdict == "graphic"
    chances = Attributor(drawn).chances(row.astype(np.float32), prior=drawn.prior)
    at = dict(zip(SOURCES, chances.sources.tolist(), strict=True))
    assert np.log(at["graphic"] / at["real"]) == pytest.approx((5 - 7) / 2 + np.log(49) + np.log(3), rel=1e-4)


@pytest.fixture(scope="module")
def several(bundle: Bundle) -> Bundle:
    """The same, of which ``zeta`` stands for many."""
    return replace(bundle, manifest=replace(bundle.manifest, sources=(*SOURCES[:6], "unregistered", "graphic")))


def test_what_is_most_like_the_unregistered_is_unknown(several: Bundle) -> None:
    found = _one(several, _at(made=3, zeta=10, alpha=1))
    assert (found.verdict, found.source, found.family, found.reason) == ("unknown", None, None, None)
    assert found.candidates[0].source == "unregistered"
    assert found.accuses
    familiar = _one(several, _at(made=10, zeta=22, delta=19))
    assert (familiar.verdict, familiar.candidates[0].source) == ("unknown", "unregistered")
    assert familiar.novelty is not None
    assert familiar.novelty < 1
    between = _one(several, _at(made=10, zeta=10, gamma=10))
    assert (between.verdict, between.reason) == ("abstain", "no-source")
    assert _one(several, _at(made=3, delta=10, alpha=1)).source == "delta"


def test_what_is_near_the_unregistered_alone_is_familiar_to_none(bundle: Bundle, several: Bundle) -> None:
    row = _at(made=3, zeta=10).astype(np.float32)
    assert Attributor(bundle).novelty(row) < 1 < Attributor(several).novelty(row)
    familiar = Attributor(several).familiarity(torch.from_numpy(row)[None])[0]
    assert np.isneginf(familiar.numpy()).tolist() == [source == "zeta" for source in SOURCES]
    near = _at(made=3, delta=10).astype(np.float32)
    assert Attributor(bundle).novelty(near) == Attributor(several).novelty(near)


def test_the_unregistered_are_no_family(several: Bundle) -> None:
    found = _one(several, _at(made=3, zeta=10, alpha=6, beta=6))
    at = {one.source: one.probability for one in found.candidates}
    assert found.verdict == "unknown"
    assert found.family_probability == pytest.approx(at["alpha"] + at["beta"], rel=1e-5)


def test_a_prior_gives_a_bundle_another_id(bundle: Bundle) -> None:
    ids = {load_bundle(bundle.directory, prior=parse_prior(f"generated={share}")).bundle_id for share in (0.1, 0.2, 0.5)}
    assert len(ids) == 3
    assert bundle.bundle_id in ids


def test_a_generated_image_like_no_source_is_unknown(bundle: Bundle) -> None:
    row = _at(made=10, beta=1)
    row[100] = 12
    found = _one(bundle, row)
    assert (found.verdict, found.source, found.reason) == ("unknown", None, None)
    assert found.novelty == pytest.approx(np.exp(1 - _familiarity(made=10, beta=1) / 10), rel=1e-4)
    assert found.candidates[0].source == "beta"


def test_what_is_like_nothing_and_not_surely_generated_is_not_called_unknown(bundle: Bundle) -> None:
    found = _one(bundle, _at(made=-3, beta=1))
    assert (found.verdict, found.reason) == ("abstain", "undecided")
    assert found.novelty is not None
    assert found.novelty > 1


def test_between_two_sources_of_two_families_it_says_that_it_is_generated(bundle: Bundle) -> None:
    found = _one(bundle, _at(made=10, beta=10, gamma=10))
    assert (found.verdict, found.source, found.reason) == ("abstain", None, "no-source")
    assert found.generated_probability == pytest.approx(_generated(10), rel=1e-5)


def test_the_zero_vector_is_a_flat_image(bundle: Bundle) -> None:
    assert _one(bundle, _at()) == Attribution("abstain", reason="flat")


def test_too_small_is_said_without_candidates() -> None:
    assert too_small() == Attribution("abstain", reason="too-small")


def test_with_another_residual_it_never_claims_anything(bundle: Bundle) -> None:
    rows = np.stack([_at(real=10), _at(delta=10), _at()])
    found = Attributor(load_bundle(bundle.directory, "autoencoder:someone/another"))(rows)
    assert found == [Attribution("abstain", reason="uncalibrated")] * 3


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-40, 40, width=16), min_size=len(SOURCES), max_size=len(SOURCES)), st.floats(-10, 10, width=16))
def test_candidates_are_the_best_first_with_real_among_them(bundle: Bundle, values: list[float], made: float) -> None:
    row = np.zeros(FINGERPRINT_DIM, np.float16)
    row[: len(SOURCES)] = values
    row[MADE] = made
    row[-1] = 1
    found = _one(bundle, row)
    names = [candidate.source for candidate in found.candidates]
    chances = [candidate.probability for candidate in found.candidates]
    assert len(set(names)) == 5
    assert "real" in names
    assert chances == sorted(chances, reverse=True)
    assert 0 <= sum(chances) <= 1 + 1e-5
    assert found.probability == chances[0]
    assert (found.family is not None) == (found.verdict == "known")
    assert found.source is None or found.verdict == "known"
    assert (found.reason is not None) == (found.verdict == "abstain")
    assert found.novelty is not None
    assert found.novelty > 1 or found.verdict != "unknown"
    assert found.novelty <= 1 or found.verdict != "known"
    assert found.generated_probability is not None
    whole = Attributor(bundle).chances(row.astype(np.float32))
    made_by = [chance for name, chance in zip(SOURCES, whole.sources.tolist(), strict=True) if name not in ("real", "graphic")]
    assert sum(made_by) == pytest.approx(found.generated_probability, abs=1e-5)
    assert sum(whole.sources.tolist()) == pytest.approx(1, abs=1e-5)


@pytest.fixture(scope="module")
def attentive(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same with the other attributor, its weights drawn at random."""
    draw = np.random.default_rng(0)
    manifest = replace(bundle.manifest, network=Network(attributor="attention", rivals=2))
    stored = load_file(bundle.directory / ATTRIBUTION_FILE)
    tensors = {name: value for name, value in stored.items() if name not in ("weight", "bias")}
    shapes = attention_shapes(len(SOURCES)).items()
    tensors |= {f"attention.{name}": draw.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes}
    fingerprint = {"bias": np.zeros(FINGERPRINT_DIM, np.float32)}
    return save_bundle(tmp_path_factory.mktemp("attentive"), manifest, fingerprint, tensors, {})


@pytest.mark.parametrize("kind", ["linear", "attention"])
@pytest.mark.parametrize("prior", ["generated=0.5", "generated=0.02,graphic=0.3"])
def test_a_row_is_the_same_alone_and_in_any_batch(bundle: Bundle, attentive: Bundle, kind: str, prior: str) -> None:
    rows = np.random.default_rng(1).normal(0, 4, (2100, FINGERPRINT_DIM)).astype(np.float16)
    rows[5] = 0
    rows = rows if kind == "linear" else rows[:200]
    judge = Attributor(replace(bundle if kind == "linear" else attentive, prior=parse_prior(prior))).judge
    whole = judge(rows)
    assert len(np.unique(whole.verdict)) > 2
    for size in (1, 2, 3, 7, 64, 1000):
        parts = [judge(rows[start : start + size]) for start in range(0, min(len(rows), 40 * size), size)]
        for field in Judged._fields:
            one, together = getattr(whole, field), np.concatenate([getattr(part, field) for part in parts])
            assert np.array_equal(together, one[: len(together)], equal_nan=one.dtype.kind == "f"), (size, field)
    turned = judge(rows[::-1])
    assert all(getattr(whole, field).tobytes() == getattr(turned, field)[::-1].tobytes() for field in Judged._fields)


def test_rows_of_a_bundle_are_close_to_exact_sums(bundle: Bundle) -> None:
    rows = np.random.default_rng(2).normal(0, 4, (70, FINGERPRINT_DIM)).astype(np.float16)
    found = Attributor(bundle).chances(rows.astype(np.float32))
    odds = 0.5 * (rows[:, MADE].astype(np.float64) + 1) + 1
    np.testing.assert_allclose(found.odds, odds, rtol=1e-6)
    powers = np.exp(rows[:, : len(SOURCES)].astype(np.float64) / 2)
    made = np.array([source not in ("real", "graphic") for source in SOURCES])
    among = np.where(
        made, powers / powers[:, made].sum(axis=1, keepdims=True), powers / powers[:, ~made].sum(axis=1, keepdims=True)
    )
    share = (1 / (1 + np.exp(-odds)))[:, None]
    np.testing.assert_allclose(found.sources, among * np.where(made, share, 1 - share), rtol=1e-5, atol=1e-12)


def test_a_least_probability_of_ones_own_names_fewer_and_gives_another_id(bundle: Bundle) -> None:
    row = _at(made=3, delta=10, alpha=1)
    strict = load_bundle(bundle.directory, minimum_probability=0.99)
    assert (_one(bundle, row).source, _one(strict, row).reason) == ("delta", "no-source")
    assert strict.bundle_id != bundle.bundle_id
    assert strict.fingerprint_digest == bundle.fingerprint_digest


def test_with_few_sources_all_are_candidates(bundle: Bundle, tmp_path: Path) -> None:
    two = {
        "weight": np.eye(2, FINGERPRINT_DIM, dtype=np.float32),
        "bias": np.zeros(2, np.float32),
        "centre": np.eye(2, FINGERPRINT_DIM, dtype=np.float32),
        "whitening": np.eye(FINGERPRINT_DIM, dtype=np.float32),
        "generated.weight": np.zeros((1, FINGERPRINT_DIM), np.float32),
        "generated.bias": np.ones(1, np.float32),
    }
    manifest = replace(bundle.manifest, sources=("real", "alpha"), families=(), network=Network())
    small = save_bundle(
        tmp_path,
        manifest,
        {"bias": np.zeros(FINGERPRINT_DIM, np.float32)},
        two,
        {},
    )
    assert [candidate.source for candidate in _one(small, _at(beta=3)).candidates] == ["alpha", "real"]
