"""``causalprint lab anonymize --study``: how fragile a bundle's verdicts are, over labelled images that it has right."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from causalprint.research.anonymization.anonymize import parquet
from causalprint.research.anonymization.attacks import (
    Aim,
    AnonymizeError,
    Known,
    Report,
    Tools,
    attack,
    attempt,
    each_image,
    load_tools,
    look_at,
)
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

if TYPE_CHECKING:
    from causalprint.pipelines.labelled.reader import LabelledImage
    from causalprint.research.anonymization.anonymizer import Assessment, Pixels
    from causalprint.schemas.estimates import Estimate

EPSILONS = (2 / 255, 4 / 255, 8 / 255)


def study(config: AnonymizeConfig, report: Report = lambda _: None) -> Study:
    """Attacks, and writes ``anonymize.json``, ``anonymize.parquet`` and a section of ``RESULTS.md``: all or nothing.

    Raises:
        AnonymizeError: as :func:`~causalprint.research.anonymization.anonymize.anonymize`; or no image is attributed rightly.
        LabelError: an image has no label.
    """
    from causalprint import __version__
    from causalprint.pipelines.results.sections import publish_section
    from causalprint.research.anonymization.text import section
    from causalprint.schemas.records import to_json

    tools = load_tools(config, report)

    def work(image: LabelledImage) -> tuple[Attempt, ...] | LeftOut:
        known = look_at(image, tools)
        if isinstance(known, LeftOut):
            return known
        return tuple(_attempts(known, config, tools)) if known.before.plain.named == known.label else ()

    found = []
    for each in each_image(config, config.label_field, work, report):
        found.append(each)
        if config.limit and sum(isinstance(one, tuple) and bool(one) for one in found) >= config.limit:
            break
    seen = [each for each in found if not isinstance(each, LeftOut)]
    attempts = [attempt for each in seen for attempt in each]
    if not attempts:
        raise AnonymizeError(f"the bundle names the right source of none of {len(seen)} images; give others, with their labels")
    result = Study(
        __version__,
        shlex.join(config.argv()),
        tools.anonymizer.judge.bundle.bundle_id,
        tools.held_out,
        len(seen),
        sum(bool(each) for each in seen),
        len(found) - len(seen),
        tuple(_rows(attempts, tools.held_out, config.seed)),
    )
    files = {f"{config.key}.json": (to_json(result, indent=1) + "\n").encode(), f"{config.key}.parquet": parquet(attempts)}
    publish_section(config.output, config.key, section(result, config.key, survives_jpeg=config.survive_jpeg), files)
    return result


def _attempts(known: Known, config: AnonymizeConfig, tools: Tools) -> Iterator[Attempt]:
    """All attempts on one image, controls among them; what is asked with both aims is computed once."""
    import numpy as np

    from causalprint.models.evaluation.perturbations import seed_of

    anonymizer = tools.anonymizer
    seed = seed_of(known.image_id, config.seed)
    others = [source for source in anonymizer.judge.bundle.manifest.sources if source != known.label]
    target = config.target if config.target in others else others[int(np.random.default_rng(seed).integers(len(others)))]
    aims = (target, None)

    def outcomes(
        changed: Pixels | LeftOut, after: Assessment | None, method: str, epsilon: float, *to: str | None
    ) -> Iterator[Attempt]:
        if isinstance(changed, LeftOut):
            return
        said = after or anonymizer.assess(changed)
        yield from (attempt(known, changed, said, Aim(method, each, epsilon), tools) for each in to)

    yield from outcomes(known.pixels, known.before, NONE, 0.0, *aims)
    for epsilon in EPSILONS:
        for aim in aims:
            changed = attack(known, Aim(PGD, aim, epsilon), config.seed, tools)
            yield from outcomes(changed, None, PGD, epsilon, aim)
            if not isinstance(changed, LeftOut):
                yield from outcomes(anonymizer.shuffle(known.pixels, changed, seed), None, SHUFFLED, epsilon, aim)
        yield from outcomes(attack(known, Aim(NOISE, None, epsilon), config.seed, tools), None, NOISE, epsilon, *aims)
        if tools.traces:
            yield from outcomes(attack(known, Aim(SWAP, target, epsilon), config.seed, tools), None, SWAP, epsilon, *aims)


def _rows(attempts: Sequence[Attempt], held_out: Sequence[str], seed: int) -> Iterator[AttackSummary]:
    order = list(ABOUT)
    keys = sorted({(order.index(row.method), row.target is None, row.epsilon) for row in attempts})
    for place, away, epsilon in keys:
        rows = [row for row in attempts if (order.index(row.method), row.target is None, row.epsilon) == (place, away, epsilon)]
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
    import numpy as np

    from causalprint.models.statistics.metrics import bootstrap

    values = np.array(success, np.float64)
    return bootstrap(lambda chosen: float(values[chosen].mean()), [row.content for row in rows], seed)
