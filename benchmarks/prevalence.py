"""How often 95 % intervals of shares hold the truth: by counting, by what the literature does, and by `causalprint prevalence`.

python benchmarks/prevalence.py                                    made-up datasets, whose origins have errors of their own
python benchmarks/prevalence.py --evaluation DIR --bundle BUNDLE   images of an evaluation: half of the origins tell the bundle's
                                                                   errors, the datasets are drawn from the others
python benchmarks/prevalence.py --shards 60 [--alike 0.5]          1,000 images of so many of 400 made-up shards: as if images had
                                                                   been drawn one by one, and counting what shards differ by

It prints a table for docs/results/prevalence.md: by the true share of generated images, how many of 100 intervals hold it, and
how wide they are on average.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import are_generators
from causalprint.models.evaluation import made_up
from causalprint.models.prevalence import Calibration, Moments, estimate
from causalprint.models.statistics.clusters import clustered
from causalprint.models.statistics.intervals import unified_count
from causalprint.models.statistics.prior_shift import likeliest_share
from causalprint.pipelines.shares.bundle import evaluated_images
from causalprint.schemas.arrays import Mask, Scores, Text
from causalprint.schemas.config import Storage
from causalprint.schemas.rendering import markdown_table
from causalprint.transforms.formats.chosen import draw_shards, shares_alike

SHARES = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.8, 0.95, 1.0)
IMAGES = 1000
RESAMPLES = 100


class Known(NamedTuple):
    """Labelled images: probabilities (N, K) of the sources, what made each, and its origin, (N,)."""

    probabilities: Scores
    source: Text
    origin: Text


class Case(NamedTuple):
    """What is known of the bundle's errors, a dataset (N, K), and of how many origins that is."""

    sources: tuple[str, ...]
    known: Known
    dataset: Scores
    origins: float


Interval = tuple[float, float]


def by_counting(case: Case, _: np.random.Generator) -> Interval:
    """Verdicts counted; sampling alone."""
    low, high = unified_count(np.array([_said(case.dataset, case.sources).mean()]), np.array([float(len(case.dataset))]))
    return float(low[0]), float(high[0])


def by_adjusted_counting(case: Case, random: np.random.Generator) -> Interval:
    """Adjusted counting (Forman, 2008), percentiles of a bootstrap over images, of both sides."""
    truth = np.array(are_generators(case.known.source.tolist()))
    said, asked = _said(case.known.probabilities, case.sources), _said(case.dataset, case.sources)

    def once(rows: np.ndarray, images: np.ndarray) -> float:
        found, false = said[rows][truth[rows]].mean(), said[rows][~truth[rows]].mean()
        return float(np.clip((asked[images].mean() - false) / max(found - false, 1e-6), 0, 1))

    return _percentiles([once(_of(random, len(truth)), _of(random, len(asked))) for _ in range(RESAMPLES)])


def by_em(case: Case, random: np.random.Generator) -> Interval:
    """Maximum likelihood by EM (Saerens et al., 2002) of calibrated probabilities, percentiles of a bootstrap over images."""
    made = np.array(are_generators(case.sources))
    chance = np.clip(case.dataset[:, made].sum(axis=1), 1e-6, 1 - 1e-6)
    odds, weights = np.log(chance / (1 - chance)), np.full(len(chance), 1 / len(chance))
    return _percentiles([likeliest_share(odds[_of(random, len(odds))], weights, steps=60) for _ in range(RESAMPLES)])


def by_origins(case: Case, _: np.random.Generator) -> Interval:
    """`causalprint prevalence`."""
    known = Calibration.of(case.sources, case.known.probabilities, case.known.source, case.known.origin, "", "")
    moments = Moments.none(1, len(case.sources))
    moments.add(case.dataset, np.zeros(len(case.dataset), np.int64))
    found = estimate(moments, known, None, np.array([case.origins]))
    return float(found.low[0]), float(found.high[0])


METHODS: dict[str, Callable[[Case, np.random.Generator], Interval]] = {
    "counted": by_counting,
    "adjusted, images": by_adjusted_counting,
    "EM, images": by_em,
    "prevalence": by_origins,
}


def made_up_case(share: float, random: np.random.Generator) -> Case:
    """Of :mod:`causalprint.models.evaluation.made_up`."""
    source = np.repeat(np.arange(4), (40, 25, 20, 20))
    drawn = made_up.draw(random, random.integers(4, 40, len(source)), source)
    known = Known(drawn.probabilities, np.array(made_up.SOURCES)[drawn.source], drawn.origin.astype(str))
    return Case(made_up.SOURCES, known, made_up.dataset(random, share, images=IMAGES).drawn.probabilities, 100.0)


def halved_case(sources: tuple[str, ...], images: Known, share: float, random: np.random.Generator) -> Case:
    """Half of the origins of what is generated, and of what is not, tell the errors; datasets are drawn from the others."""
    made = np.array(are_generators(images.source.tolist()))
    units = np.char.add(np.char.add(images.source, "\n"), images.origin)
    first = np.zeros(len(units), np.bool_)
    several: list[tuple[float, Mask]] = []
    for kind, chance in ((made, share), (~made, 1 - share)):
        names = random.permutation(np.unique(units[kind]))
        first |= np.isin(units, names[: len(names) // 2])
        rest = names[len(names) // 2 :]
        several += [(chance / len(rest), units == name) for name in rest]
    counts = random.multinomial(IMAGES, [chance for chance, _ in several])
    rows = [random.choice(np.flatnonzero(here), count) for count, (_, here) in zip(counts, several, strict=True) if count]
    known = Known(images.probabilities[first], images.source[first], images.origin[first])
    return Case(sources, known, images.probabilities[np.concatenate(rows)], float((counts > 0).sum()))


class OfShards(NamedTuple):
    """Intervals of a share by a sample of shards: as if images had been drawn one by one, and counting the shards.

    Each of true labels, which are counted, and of scores, as `causalprint prevalence` corrects them; and the true share.
    """

    labels: Interval
    labels_by_shard: Interval
    scores: Interval
    scores_by_shard: Interval
    truth: float


def of_shards(share: float, shards: int, alike: float, number: int) -> OfShards:
    """One made-up dataset, one sample of it."""
    random = np.random.default_rng((number, int(share * 1000)))
    known, data = made_up.calibration(random), made_up.sharded(random, share, alike)
    drawn = draw_shards(shards, data.sizes.tolist(), number)
    images, chance = data.images[[one.place for one in drawn]], [one.chance for one in drawn]
    taken = shares_alike(IMAGES, images.sum(axis=1).tolist(), chance, number)
    found = made_up.from_shards(random, images, np.array(taken))
    by_shard = found.by_shard(np.array(chance))
    made = found.drawn.source >= 2
    counts = clustered(by_shard.cells, np.bincount(found.shard, made, shards).astype(np.float64)[np.array(taken) > 0], 1)
    intervals = [unified_count(np.array([made.mean()]), np.array([float(len(made))]), one) for one in (None, counts)]
    for one in (None, by_shard):
        estimated = estimate(made_up.moments(found.drawn), known, None, np.array([100.0]), one)
        intervals.append((estimated.low, estimated.high))
    labels, labels_by_shard, scores, scores_by_shard = ((float(low[0]), float(high[0])) for low, high in intervals)
    return OfShards(labels, labels_by_shard, scores, scores_by_shard, data.generated)


def shard_table(shards: int, alike: float, rounds: int) -> str:
    """A row a share, as :func:`table`."""
    rows = []
    for share in SHARES:
        several = [of_shards(share, shards, alike, number) for number in range(rounds)]
        row = [f"{share:g}"]
        for name in OfShards._fields[:-1]:
            ends = [(*getattr(one, name), one.truth) for one in several]
            row.append(f"{100 * np.mean([low - 1e-9 <= truth <= high + 1e-9 for low, high, truth in ends]):.0f}")
            row.append(f"{np.mean([high - low for low, high, _ in ends]):.2f}")
        rows.append(row)
        print("|", " | ".join(row), "|", flush=True)
    names = ("labels, images", "labels, shards", "prevalence, images", "prevalence, shards")
    return markdown_table(rows, ["about", *(head for name in names for head in (f"{name}: hold", "width"))], words=0)


def _said(probabilities: Scores, sources: tuple[str, ...]) -> Mask:
    said: Mask = probabilities[:, np.array(are_generators(sources))].sum(axis=1) >= 0.5
    return said


def _of(random: np.random.Generator, count: int) -> np.ndarray:
    return random.integers(0, count, count)


def _percentiles(found: list[float]) -> Interval:
    low, high = np.percentile(found, (2.5, 97.5))
    return float(low), float(high)


def table(case: Callable[[float, np.random.Generator], Case], rounds: int) -> str:
    """A row a share: of each method how many of 100 intervals hold it, and their mean width."""
    rows = []
    for share in SHARES:
        found: dict[str, list[Interval]] = {name: [] for name in METHODS}
        for number in range(rounds):
            random = np.random.default_rng((number, int(share * 1000)))
            one = case(share, random)
            for name, method in METHODS.items():
                found[name].append(method(one, random))
        row: list[str] = [f"{share:g}"]
        for several in found.values():
            held = np.mean([low - 1e-9 <= share <= high + 1e-9 for low, high in several])
            row += [f"{100 * held:.0f}", f"{np.mean([high - low for low, high in several]):.2f}"]
        rows.append(row)
        print("|", " | ".join(row), "|", flush=True)
    return markdown_table(rows, ["true share", *(head for name in METHODS for head in (f"{name}: hold", "width"))], words=0)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--evaluation", help="output of causalprint evaluate")
    parser.add_argument("--bundle", help="the bundle that it evaluated")
    parser.add_argument("--shards", type=int, help="so many shards are drawn")
    parser.add_argument("--alike", type=float, default=0.5, help="correlation of two images of one shard")
    given = parser.parse_args()
    if given.shards is not None:
        print(shard_table(given.shards, given.alike, given.rounds))
        return
    if given.evaluation is None:
        print(table(made_up_case, given.rounds))
        return
    bundle = load_bundle(given.bundle)
    images = Known(*evaluated_images(bundle, given.evaluation, Storage())[:3])
    print(table(lambda share, random: halved_case(bundle.manifest.sources, images, share, random), given.rounds))


if __name__ == "__main__":
    main()
