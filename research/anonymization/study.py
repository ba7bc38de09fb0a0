"""``causalprint lab anonymize --study``: how fragile a bundle's verdicts are, over labelled images that it has right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from itertools import groupby
from statistics import fmean

import numpy as np

from causalprint import __version__
from causalprint.models.evaluation.perturbations import seed_of
from causalprint.models.statistics.metrics import bootstrap
from causalprint.pipelines.labelled.reader import LabelledImage, Report
from causalprint.pipelines.results.sections import publish_section
from causalprint.research.anonymization.anonymize import each_image, parquet
from causalprint.research.anonymization.anonymizer import Aim, AnonymizeError, Anonymizer, Known, load_anonymizer
from causalprint.research.anonymization.config import NOISE, PGD, SWAP, AnonymizeConfig
from causalprint.research.anonymization.records import (
    ABOUT,
    NONE,
    SHUFFLED,
    AttackSummary,
    Attempt,
    LeftOut,
    Study,
    Transfer,
)
from causalprint.schemas.arrays import Pixels
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.records import to_json
from causalprint.schemas.rendering import render

EPSILONS = (2 / 255, 4 / 255, 8 / 255)


def study(config: AnonymizeConfig, report: Report = lambda _: None) -> Study:
    """Attacks, and writes ``anonymize.json``, ``anonymize.parquet`` and a section of ``RESULTS.md``: all or nothing.

    Raises:
        AnonymizeError: as :func:`~causalprint.research.anonymization.anonymize.anonymize`; or no image is attributed rightly.
        LabelError: an image has no label.
    """
    anonymizer = load_anonymizer(config, report)

    def work(image: LabelledImage) -> list[Attempt] | LeftOut:
        known = anonymizer.look_at(image)
        if isinstance(known, LeftOut):
            return known
        return list(_attempts(known, config, anonymizer)) if known.before.plain.named == known.label else []

    seen: list[list[Attempt]] = []
    left_out = 0
    for each in each_image(config, config.label_field, work, report):
        if isinstance(each, LeftOut):
            left_out += 1
        else:
            seen.append(each)
        if config.limit and sum(map(bool, seen)) >= config.limit:
            break
    attempts = [attempt for each in seen for attempt in each]
    if not attempts:
        raise AnonymizeError(f"the bundle names the right source of none of {len(seen)} images; give others, with their labels")
    held_out = tuple(judge.bundle.bundle_id for judge in anonymizer.held_out)
    result = Study(
        __version__,
        shlex.join(config.argv()),
        anonymizer.judge.bundle.bundle_id,
        held_out,
        len(seen),
        sum(map(bool, seen)),
        left_out,
        tuple(_rows(attempts, held_out, config.seed)),
    )
    key = config.key
    text = render("research/anonymization/section.md.j2", study=result, key=key, survives_jpeg=config.survive_jpeg, about=ABOUT)
    files = {f"{key}.json": (to_json(result, indent=1) + "\n").encode(), f"{key}.parquet": parquet(attempts)}
    publish_section(config.output, key, text, files)
    return result


def _attempts(known: Known, config: AnonymizeConfig, anonymizer: Anonymizer) -> Iterator[Attempt]:
    """All attempts on one image, controls among them; what is asked with both aims is computed once."""
    seed = seed_of(known.image_id, config.seed)
    others = [source for source in anonymizer.judge.bundle.manifest.sources if source != known.label]
    target = config.target if config.target in others else others[int(np.random.default_rng(seed).integers(len(others)))]
    aims = (target, None)

    def outcomes(changed: Pixels | LeftOut, method: str, epsilon: float, *to: str | None) -> Iterator[Attempt]:
        if isinstance(changed, LeftOut):
            return
        after = known.before if method == NONE else anonymizer.assess(changed)
        yield from (anonymizer.attempt(known, changed, after, Aim(method, each, epsilon)) for each in to)

    yield from outcomes(known.pixels, NONE, 0.0, *aims)
    for epsilon in EPSILONS:
        for aim in aims:
            changed = anonymizer.attack(known, Aim(PGD, aim, epsilon), config.seed)
            yield from outcomes(changed, PGD, epsilon, aim)
            if not isinstance(changed, LeftOut):
                yield from outcomes(anonymizer.shuffle(known.pixels, changed, seed), SHUFFLED, epsilon, aim)
        yield from outcomes(anonymizer.attack(known, Aim(NOISE, None, epsilon), config.seed), NOISE, epsilon, *aims)
        if anonymizer.traces:
            yield from outcomes(anonymizer.attack(known, Aim(SWAP, target, epsilon), config.seed), SWAP, epsilon, *aims)


def _rows(attempts: Sequence[Attempt], held_out: Sequence[str], seed: int) -> Iterator[AttackSummary]:
    order = list(ABOUT)

    def kind(row: Attempt) -> tuple[int, bool, float]:
        return order.index(row.method), row.target is None, row.epsilon

    for (place, away, epsilon), group in groupby(sorted(attempts, key=kind), kind):
        rows = list(group)
        ratios = [row.psnr for row in rows if row.psnr is not None]
        yield AttackSummary(
            order[place],
            not away,
            epsilon,
            len(rows),
            _share([row.success for row in rows], rows, seed),
            _share([row.jpeg_success for row in rows], rows, seed),
            fmean(row.ssim for row in rows),
            min(row.ssim for row in rows),
            fmean(ratios) if ratios else None,
            fmean(row.rms for row in rows),
            tuple(_transfer(name, number, rows, seed) for number, name in enumerate(held_out)),
        )


def _transfer(name: str, number: int, rows: Sequence[Attempt], seed: int) -> Transfer:
    right = [row for row in rows if row.held_out[number].before.named == row.label]
    success = _share([row.held_out[number].success for row in right], right, seed) if right else None
    return Transfer(name, len(right), success)


def _share(success: Sequence[bool], rows: Sequence[Attempt], seed: int) -> Estimate:
    values = np.array(success, np.float64)
    return bootstrap(lambda chosen: float(values[chosen].mean()), [row.content for row in rows], seed)
