"""Figures of verdicts whose truth is known: perfect ones, guesses, and ones that a perturbation changes or leaves alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.decision import even_shares
from causalprint.models.bundles.manifest import Origin
from causalprint.models.evaluation.content import Content
from causalprint.models.evaluation.judging import audit_track, content_folds
from causalprint.models.evaluation.perturbations import Perturbation
from causalprint.models.evaluation.scoring import (
    Truth,
    aligned,
    beside_each_kind,
    calibration,
    closed_set,
    measure,
    of_hard_photographs,
    open_set,
    truth_of,
)
from causalprint.models.evaluation.scoring_tables import (
    Resampling,
    accusations,
    confusion,
    differences,
    recalls,
    reliability,
    robustness,
)
from causalprint.models.labelled import STRANGER, LabelledCrops, LabelledImages
from causalprint.models.verdicts import Judge, Verdicts
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.evaluations import Measure, Robustness
from causalprint.schemas.records import from_json, to_json

SOURCES = ("real", "alpha", "beta")
SOME = Resampling(0, 60)
EACH = 12


def a_truth(strangers: int = 6) -> Truth:
    source = np.array([*(name for name in SOURCES for _ in range(EACH)), *["other"] * strangers])
    label = np.array([SOURCES.index(name) if name in SOURCES else STRANGER for name in source.tolist()])
    origin = np.array([f"origin-{place % 2}" for place in range(len(source))])
    content = np.array([str(place % EACH) for place in range(len(source))])
    images = LabelledImages.known(source, origin=origin, content=content)
    known = Content(np.arange(len(source), dtype=np.float64) % 7, SOURCES, np.eye(3)[np.arange(len(source)) % 3])
    return Truth(
        images,
        label,
        0,
        origin == "origin-0",
        source != "real",
        np.array(SOURCES),
        np.ones(len(SOURCES), np.bool_),
        even_shares(SOURCES),
        known,
        known.best(SOURCES),
    )


def verdicts_of(answers: Sequence[int], sure: float = 0.9, novelty: float = 0.5) -> Verdicts:
    """As if the bundle had given ``answers``, each with probability ``sure``."""
    count = len(answers)
    probabilities = np.full((count, len(SOURCES)), (1 - sure) / (len(SOURCES) - 1))
    probabilities[np.arange(count), answers] = sure
    named = np.array([SOURCES[answer] if answer else "" for answer in answers])
    verdict = np.where(named == "", "real", "known")
    nothing = np.zeros(count, np.bool_)
    generated = 1 - probabilities[:, 0]
    fingerprints = np.zeros((count, 128), np.float16)
    best = probabilities.argmax(axis=1)
    common = probabilities.astype(np.float32)
    return Verdicts(
        fingerprints, best, probabilities, probabilities, generated, np.full(count, novelty), verdict, nothing, named, common
    )


def named(measures: Sequence[Measure]) -> dict[str, float]:
    return {each.name: each.interval.value for each in measures}


def test_perfect_verdicts_have_perfect_figures() -> None:
    truth = a_truth()
    said = verdicts_of(np.maximum(truth.label, 0).tolist(), sure=1.0)
    said.novelty[truth.label == STRANGER] = 2
    found = named(
        measure(
            [
                *closed_set(truth, said),
                *of_hard_photographs(truth, said),
                *calibration(truth, said, 1.5),
                *open_set(truth, said),
                *aligned(truth, said),
            ],
            truth.images.content,
            *SOME,
        )
    )
    others = ("accused", "strangers", "content alone")
    best = {name: value for name, value in found.items() if not any(other in name for other in others)}
    zero = {"calibration error after", "log loss after", "calibration error before", "log loss before"}
    zero |= {"calibration error, generated"}
    zero |= {f"{which} {what}" for which in ("photographs", "hard photographs") for what in ("named", "surely generated")}
    zero |= {"true source excluded"}
    zero |= {"open set FPR at 95 % TPR, novelty"}
    by_probability = {name for name in best if "largest probability" in name}
    for name in best.keys() - by_probability:
        assert best[name] == pytest.approx(0 if name in zero else 1, abs=1e-5), name
    assert found["photographs accused"] == 0
    assert found["strangers called unknown"] == found["strangers named"] == 0  # all six are taken for photographs


@pytest.mark.parametrize("missing", [(), (1,), (3, 4), (2, 4, 6)])
def test_probabilities_that_are_true_have_no_calibration_error_whichever_sources_are_missing(missing: tuple[int, ...]) -> None:
    sources = ("real", "graphic", "alpha", "beta", "gamma", "delta", "epsilon")
    shares = even_shares(sources)
    draw = np.random.default_rng(0)
    label = draw.choice(len(sources), 60_000, p=shares)
    seen = draw.normal(size=(len(label), len(sources))) + 1.5 * np.eye(len(sources))[label]
    likelihood = np.exp(1.5 * seen)  # of a normal with mean 1.5 over one with mean 0, up to a factor that all share
    probabilities = likelihood * shares
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    kept = ~np.isin(label, missing)
    label, probabilities = label[kept], probabilities[kept]
    source = np.array(sources)[label]
    images = LabelledImages.known(source, origin=source, content=source)
    nothing = Content(np.zeros(len(label)), sources, np.eye(len(sources))[label])
    made, definite = ~np.isin(source, ("real", "graphic")), np.ones(len(sources), np.bool_)
    truth = Truth(images, label, 0, made, made, np.array(sources), definite, shares, nothing, label)
    some, none = np.zeros(len(label)), np.zeros(len(label), np.bool_)
    fingerprints, generated = np.zeros((len(label), 128), np.float16), probabilities[:, 2:].sum(axis=1)
    found = probabilities.argmax(axis=1)
    said = Verdicts(
        fingerprints, found, probabilities, probabilities, generated, some, source, none, source, probabilities.astype(np.float32)
    )
    by_name = {metric.name: metric for metric in calibration(truth, said, 1.0)}
    assert by_name["calibration error after"](np.arange(len(label))) < 0.015


def test_where_images_are_of_one_source_nothing_tells_whether_it_is_probable() -> None:
    truth = a_truth(strangers=0)
    alone = np.full(len(truth.label), 0)
    said = verdicts_of(alone.tolist())
    of_one = truth._replace(label=alone, generated=np.zeros(len(alone), np.bool_))
    assert "calibration error after" not in named(measure(calibration(of_one, said, 1.0), truth.images.content, *SOME))


def test_figures_without_images_are_left_out() -> None:
    truth = a_truth(strangers=0)
    said = verdicts_of([0] * len(truth.label))
    assert open_set(truth, said) == []
    alone = truth._replace(trained=np.ones(len(truth.label), np.bool_))
    found = named(measure(closed_set(alone, said), truth.images.content, *SOME))
    assert "macro accuracy, new origins" not in found
    assert found["macro accuracy"] == pytest.approx(1 / 3)
    assert found["right where answered"] == pytest.approx(1 / 3)
    assert measure([], truth.images.content, *SOME) == ()


def test_recall_is_counted_by_source_and_origin() -> None:
    truth = a_truth()
    answers = np.maximum(truth.label, 0)
    answers[(truth.images.source == "beta") & (truth.images.origin == "origin-1")] = 1
    rows = {(row.source, row.origin): row for row in recalls(truth, verdicts_of(answers.tolist()), SOME)}
    assert set(rows) == {(source, origin) for source in SOURCES for origin in ("", "origin-0", "origin-1")}
    assert rows["beta", ""].interval.value == 0.5
    assert rows["beta", ""].images == EACH
    assert rows["beta", "origin-0"].interval == Estimate(1, 1, 1)
    assert rows["beta", "origin-1"].interval == Estimate(0, 0, 0)
    assert rows["beta", "origin-0"].trained
    assert not rows["beta", "origin-1"].trained
    table = confusion(truth, verdicts_of(answers.tolist()), SOURCES)
    assert [(row.source, row.known, row.counts) for row in table] == [
        ("real", True, (EACH, 0, 0)),
        ("alpha", True, (0, EACH, 0)),
        ("beta", True, (0, EACH // 2, EACH // 2)),
        ("other", False, (6, 0, 0)),
    ]


def test_false_accusations_are_counted_by_kind_and_origin() -> None:
    truth = a_truth()
    said = verdicts_of([1, 0] * (len(truth.label) // 2))  # origin-0 is taken for alpha
    rows = {(row.source, row.origin): row.interval.value for row in accusations(truth, said, SOME)}
    assert rows == {("real", ""): 0.5, ("real", "origin-0"): 1, ("real", "origin-1"): 0}
    unsure = verdicts_of([0] * len(truth.label))._replace(generated=np.where(truth.images.origin == "origin-1", 0.95, 0.2))
    assert [row.interval.value for row in accusations(truth, unsure, SOME)] == [0.5, 0, 1]
    everything = truth._replace(generated=np.ones(len(truth.label), np.bool_))
    assert accusations(everything, said, SOME) == ()


def test_hard_photographs_are_those_whose_content_looks_most_generated() -> None:
    truth = a_truth()
    photographs = np.flatnonzero(truth.images.source == "real")
    hard = photographs[-2:].tolist()  # the tenth of twelve that begins at its quantile
    content = truth.content._replace(generated=np.arange(len(truth.label), dtype=np.float64))
    said = verdicts_of([int(place in hard) for place in range(len(truth.label))])
    found = named(measure(of_hard_photographs(truth._replace(content=content), said), truth.images.content, *SOME))
    assert found["hard photographs named"] == 1
    assert found["hard photographs accused"] == 0


def test_generated_images_stand_beside_each_kind_of_what_no_generator_made() -> None:
    truth = a_truth()
    graphic = truth.images.source == "beta"
    source, generated = np.where(graphic, "graphic", truth.images.source), truth.generated & ~graphic
    drawn = truth._replace(images=replace(truth.images, source=source), generated=generated)
    said = verdicts_of([0] * len(source))._replace(generated=np.where(graphic, 1.0, 0.1 + 0.8 * generated))
    found = named(measure(beside_each_kind(drawn, said), truth.images.content, *SOME))
    assert found == {
        "all generated against photographs, AUC": 1,
        "all generated against graphics, AUC": 0,
        "all generated found, TPR at 1 % FPR": 0,
    }


def test_reliability_bins_hold_all_images() -> None:
    said = verdicts_of([0] * 10, sure=0.7)
    (only,) = reliability(said.probabilities.max(axis=1), np.arange(10) < 7)
    assert only.images == 10
    assert only.probability == only.right == pytest.approx(0.7)


def test_a_perturbation_that_changes_nothing_flips_nothing() -> None:
    truth = a_truth()
    before = verdicts_of(np.maximum(truth.label, 0).tolist())
    nothing = Perturbation("nothing", lambda pixels, _: pixels)
    row = robustness("identity", nothing, truth, before, [before, before], SOME)
    assert row.flips == row.answers == row.lost == Estimate(0, 0, 0)
    assert row.accuracy == Estimate(1, 1, 1)
    assert row.accused == row.excluded == Estimate(0, 0, 0)
    other = verdicts_of([0] * len(truth.label), sure=0.92)
    row = robustness("blind", nothing, truth, before, [before, other], SOME)
    assert row.accuracy.value == pytest.approx((1 + 1 / 3) / 2)
    assert row.lost.value == pytest.approx(1 / 3)
    assert row.flips.value == pytest.approx(1 / 3)
    assert row.excluded is not None
    assert row.excluded.value == pytest.approx(1 / 3)
    accusing = verdicts_of([1] * len(truth.label))
    row = robustness("accusing", nothing, truth, before, [before, accusing], SOME)
    assert row.accused is not None
    assert row.accused.value == 0.5


def test_what_a_perturbation_costs_is_left_open_where_no_image_can_tell_it() -> None:
    truth = a_truth()
    photographs = truth._replace(label=np.where(truth.label == 0, 0, STRANGER))
    before = verdicts_of([0] * len(truth.label))
    silent = before._replace(p_values=np.full_like(before.p_values, np.nan))
    row = robustness("nothing", Perturbation("nothing", lambda pixels, _: pixels), photographs, silent, [silent], SOME)
    assert (row.auc, row.accused, row.excluded) == (None, Estimate(0, 0, 0), None)
    assert from_json(Robustness, to_json(row)) == row


def test_a_difference_is_of_the_images_that_both_bundles_know() -> None:
    truth = a_truth()
    right = verdicts_of(np.maximum(truth.label, 0).tolist())
    wrong = verdicts_of([0] * len(truth.label))
    narrow = truth._replace(label=np.where(truth.label == 2, STRANGER, truth.label))
    accuracy, auc = differences((narrow, right), (truth, wrong), "other-1", SOME)
    assert (accuracy.bundle_id, accuracy.images) == ("other-1", 2 * EACH)
    assert accuracy.interval == Estimate(-0.5, -0.5, -0.5)
    assert auc.interval.value == -0.5


def test_what_the_bundle_knows_comes_from_its_manifest() -> None:
    manifest = load_bundle().manifest
    known = next(one for one in manifest.data if isinstance(one, Origin) and one.source != "real")
    sources, origins = np.array([known.source, known.source, "nobody"]), np.array([known.origin, "x", "x"])
    content = Content(np.zeros(3), ("nobody", known.source), np.array([[1.0, 0.0]] * 3))
    truth = truth_of(manifest, LabelledImages.known(sources, origin=origins, content=np.array(["1"] * 3)), content)
    assert truth.label.tolist() == [manifest.sources.index(known.source)] * 2 + [STRANGER]
    assert truth.trained.tolist() == [True, False, False]
    assert manifest.sources[truth.real] == "real"
    assert truth.named_by_content.tolist() == [manifest.sources.index(known.source)] * 3  # the bundle cannot name nobody


def test_an_audit_voids_where_a_shortcut_is_there_and_only_there() -> None:
    draw = np.random.default_rng(0)
    count = 120
    source = np.array(["real", "fake"] * (count // 2))
    crops = draw.integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)
    images = LabelledImages.known(
        source,
        origin=source,
        content=np.array([str(place // 2) for place in range(count)]),
        encoded_bytes=draw.integers(900, 1100, count),
        encoding=np.array(["PNG"] * count),
        size=np.full((count, 2), 256),
    )
    plain = LabelledCrops(images, crops)
    chosen = np.ones(count, np.bool_)
    assert [audit.voids for audit in audit_track(plain, chosen, SOME, threads=1)] == [False] * 3
    sizes = plain._replace(images=replace(images, size=np.where((source == "real")[:, None], 256, 512)))
    assert [audit.voids for audit in audit_track(sizes, chosen, SOME, threads=1)] == [True, False, False]
    codec = plain._replace(images=replace(images, encoding=np.where(source == "real", "JPEG", "PNG")))
    assert [audit.voids for audit in audit_track(codec, chosen, SOME, threads=1)] == [True, False, False]
    tint = plain._replace(crops=np.where((source == "real")[:, None, None, None], crops // 2, crops))
    assert [audit.voids for audit in audit_track(tint, chosen, SOME, threads=1)] == [False, True, False]
    assert audit_track(plain, source == "real", SOME, threads=1) == ()
    folds = content_folds(images.content, 0)
    assert np.sum(folds, axis=0).tolist() == [1] * count
    assert all(len(set(images.content[fold]) & set(images.content[~fold])) == 0 for fold in folds)


def test_a_judge_says_what_an_audit_says(tiny: object) -> None:
    from pathlib import Path

    from causalprint.models.attribution import Attributor
    from causalprint.models.fingerprint import Fingerprinter
    from tests.bundles import photograph

    bundle = load_bundle(Path(str(tiny)))
    crops = np.stack([photograph(seed) for seed in range(5)])
    told: list[int] = []
    with ThreadPoolExecutor(2) as pool:
        said = Judge(bundle, "cpu")(5, lambda number: crops[number], pool, told.append)
    expected = Fingerprinter(bundle, "cpu")(crops).fingerprint
    assert np.array_equal(said.fingerprint, expected)
    assert [(row.verdict, row.source or "") for row in Attributor(bundle)(expected)] == list(
        zip(said.verdict.tolist(), said.named.tolist(), strict=True)
    )
    assert told == [1, 2, 3, 4, 5]
    assert said.probabilities.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
