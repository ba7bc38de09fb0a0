"""A source learned from a few fingerprints is found again, names few others, and changes no other verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.models.attribution import Attributor
from causalprint.models.bundles.bundle import ATTRIBUTION_FILE, MANIFEST, Bundle, load_bundle
from causalprint.models.bundles.decision import ACCUSED_MOST
from causalprint.models.bundles.extend import add_source
from causalprint.models.bundles.gallery import ENROLLED, GALLERY_FILE, Gallery, false_match_rates, read_gallery
from causalprint.models.bundles.manifest import BundleError, Enrolled
from causalprint.models.enrolment import LEAST_RECALL, Enrolment, Surroundings, enrol
from causalprint.pipelines.enroll import EnrolmentError, check, surroundings_of

SOURCES = ("real", "graphic", "alpha", "beta", "gamma")


def world(seed: int, apart: float = 1.0) -> tuple[Surroundings, np.random.Generator]:
    """Sources whose images have a spread of 2 along every axis, but of 6 along the first."""
    draw = np.random.default_rng(seed)
    spread = np.full(128, 2.0)
    spread[0] = 6
    return Surroundings(SOURCES, draw.normal(0, apart, (len(SOURCES), 128)), np.diag(1 / spread)), draw


def images(
    known: Surroundings, centre: npt.NDArray[np.floating], count: int, draw: np.random.Generator
) -> npt.NDArray[np.float16]:
    return (centre + draw.standard_normal((count, 128)) / np.diag(known.whitening)).astype(np.float16)


@settings(max_examples=10)
@given(st.integers(0, 2**32))
def test_what_is_expected_of_it_comes_true_for_images_that_were_not_seen(seed: int) -> None:
    known, draw = world(seed)
    own = draw.normal(0, 1, 128)
    found = enrol(images(known, own, 30, draw), known)
    named = {
        source: float((images(known, centre, 4000, draw).astype(float) @ found.weight + found.bias >= found.limit).mean())
        for source, centre in zip(SOURCES, known.centre, strict=True)
    }
    assert max(named["real"], named["graphic"]) <= ACCUSED_MOST + 0.01
    assert known.shares @ list(named.values()) <= ACCUSED_MOST + 0.01
    assert all(abs(named[one.source] - one.share) < 0.03 for one in found.taken)
    recall = float((images(known, own, 4000, draw).astype(float) @ found.weight + found.bias >= found.limit).mean())
    assert abs(found.recall - recall) < 0.3
    check(found, "own")


def test_a_source_that_is_known_already_is_refused_and_told_which_it_is_like() -> None:
    known, draw = world(1)
    found = enrol(images(known, known.centre[3], 20, draw), known)
    assert found.recall < LEAST_RECALL
    assert found.taken[0].source == "beta"
    with pytest.raises(EnrolmentError, match=r"told from other sources.*nearest are beta"):
        check(found, "own")


@pytest.fixture(scope="module")
def fingerprints(bundle: Bundle) -> npt.NDArray[np.float16]:
    """Of every kind of verdict, the last 30 of a new source; one flat."""
    draw = np.random.default_rng(0)
    known = surroundings_of(bundle)
    rows = [images(known, centre, 40, draw) for centre in known.centre]
    far = known.centre.mean(axis=0) + draw.normal(0, 3, 128)
    return np.concatenate([*rows, np.zeros((1, 128), np.float16), images(known, far, 30, draw)])


@pytest.fixture(scope="module")
def found(bundle: Bundle, fingerprints: npt.NDArray[np.float16]) -> Enrolment:
    return enrol(fingerprints[-10:], surroundings_of(bundle))


def extended(bundle: Bundle, to: Path, name: str, found: Enrolment, rows: npt.NDArray[np.float16], family: str | None) -> Bundle:
    of, origin, licence = (np.full(len(rows), text) for text in (name, ENROLLED, ""))
    gallery = Gallery(np.array([f"{place:064x}" for place in range(len(rows))]), of, origin, licence, rows)
    source = Enrolled(name, found.limit, found.images, found.found, found.accused, family=family)
    return add_source(bundle, to, source, found.weight, found.bias, gallery)


def test_an_enrolled_bundle_computes_the_same_fingerprints_from_the_same_bytes(
    bundle: Bundle, found: Enrolment, fingerprints: npt.NDArray[np.float16], tmp_path: Path
) -> None:
    own = extended(bundle, tmp_path / "own", "own", found, fingerprints[-10:], None)
    assert own.fingerprint_digest == bundle.fingerprint_digest
    assert own.digest != bundle.digest
    for file in bundle.manifest.files:
        same = (own.directory / file.path).read_bytes() == (bundle.directory / file.path).read_bytes()
        assert same == (file.path != ATTRIBUTION_FILE)
    assert "| own | own | 10 |" in (own.directory / "card.md").read_text()
    gallery = read_gallery(own)
    assert gallery is not None
    assert np.array_equal(gallery.fingerprint, fingerprints[-10:])
    assert false_match_rates(gallery, np.zeros(1)) is None
    again = extended(
        own, tmp_path / "two", "two", enrol(-3 * fingerprints[-10:], surroundings_of(own)), -3 * fingerprints[-10:], "own"
    )
    assert again.manifest.names[-2:] == ("own", "two")
    assert surroundings_of(again).centre.shape == (len(bundle.manifest.sources) + 2, 128)
    assert Attributor(again)(fingerprints[-1:])[0].source == "own"
    assert Attributor(again)(-3 * fingerprints[-1:])[0][:3] == ("known", "two", "own")
    rates = false_match_rates(read_gallery(again) or gallery, np.array([-1.0, -0.99, 1.1]))
    assert rates is not None
    assert rates[0] == 1 > rates[1] > rates[2] == 0
    (own.directory / GALLERY_FILE).write_bytes(b"")
    with pytest.raises(BundleError, match=GALLERY_FILE):
        load_bundle(own.directory)
    assert (own.directory / MANIFEST).exists()


@pytest.mark.parametrize("family", [None, "alpha"])
def test_enrolling_changes_the_verdicts_that_reach_its_limit_and_no_others(
    bundle: Bundle, found: Enrolment, fingerprints: npt.NDArray[np.float16], tmp_path: Path, family: str | None
) -> None:
    own = extended(bundle, tmp_path / "own", "own", found, fingerprints[-10:], family)
    before, after = Attributor(bundle)(fingerprints), Attributor(own)(fingerprints)
    odds = fingerprints.astype(np.float64) @ found.weight + found.bias
    named = (odds >= found.limit) & fingerprints.any(axis=1)
    assert 25 < named[-30:].sum() <= named.sum() < 40
    assert [one for one, hit in zip(after, named, strict=True) if not hit] == [
        one for one, hit in zip(before, named, strict=True) if not hit
    ]
    for row, one, was in zip(odds[named], np.array(after, object)[named], np.array(before, object)[named], strict=True):
        verdict, source, family_of, probability, of_family, generated, ratio, novelty, candidates, reason = one
        assert (verdict, source, family_of, reason) == ("known", "own", family or "own", None)
        of = {one.source: one.probability for one in candidates}
        assert next(one.p_value for one in candidates if one.source == "own") is None
        assert probability == candidates[0].probability <= generated + 1e-6
        chance = 1 / (1 + np.exp(-row))
        assert generated == pytest.approx(chance + (1 - chance) * was[5], abs=1e-5)
        assert of["own"] == pytest.approx(chance, abs=1e-5)
        assert ratio == pytest.approx(np.log(generated / (1 - generated)), abs=0.01) or generated > 0.9999
        assert sum(of.values()) <= 1 + 1e-5
        assert of_family >= of["own"] - 1e-6
        assert novelty <= 1


def test_a_row_depends_on_no_other(
    bundle: Bundle, found: Enrolment, fingerprints: npt.NDArray[np.float16], tmp_path: Path
) -> None:
    attributor = Attributor(extended(bundle, tmp_path / "own", "own", found, fingerprints[-10:], None))
    together = attributor(fingerprints)
    assert [attributor(row[None])[0] for row in fingerprints] == together
