"""``comparison.json``: the table of a comparison, as frozen values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

from causalprint.schemas.estimates import UNMEASURED, Estimate, finite
from causalprint.schemas.losses import Losses


class Measured(NamedTuple):
    """A figure with its bootstrap 95 % interval; ``None`` where it was not measured."""

    name: str
    value: float | None
    low: float | None
    high: float | None

    @classmethod
    def of(cls, name: str, estimate: Estimate) -> Measured:
        """As it is written."""
        return cls(name, *map(finite, estimate.rounded(4)))


class SourceRecall(NamedTuple):
    """The share of a source's test images that was attributed rightly; ``None`` where none was tested."""

    source: str
    value: float | None


class SeedRow(NamedTuple):
    """One training: the headline on its test, macro recall on its validation, and the temperature found there."""

    seed: int
    accuracy: float | None
    validated: float | None
    temperature: float


def figure(figures: tuple[Measured, ...], name: str) -> Estimate:
    """The figure of that name; where there is none, not measured."""
    found = next((one[1:] for one in figures if one.name == name), UNMEASURED)
    return Estimate(*(math.nan if number is None else number for number in found))


@dataclass(frozen=True, slots=True)
class ComparedMethod:
    """One row of the table: a method or an audit.

    Attributes:
        name: the method's key.
        title: as shown.
        audit: whether it is an audit of a shortcut.
        reference, published, differs: see :class:`~causalprint.research.methods.base.Method`.
        unavailable: why there are no figures.
        figures: those of :class:`~causalprint.research.comparison.scoring.Figures`.
        recalls: of each source.
        seeds: of each training.
        deviation: standard deviation of the headline over the seeds; ``None`` for a single one.
    """

    name: str
    title: str
    audit: bool
    reference: str
    published: str
    differs: str
    unavailable: str | None = None
    figures: tuple[Measured, ...] = ()
    recalls: tuple[SourceRecall, ...] = ()
    seeds: tuple[SeedRow, ...] = ()
    deviation: float | None = None

    def figure(self, name: str) -> Estimate:
        """The figure of that name."""
        return figure(self.figures, name)


@dataclass(frozen=True, slots=True)
class SplitRow:
    """How many images one seed learned from, tuned on, tested, and tested as unknown."""

    seed: int
    train: int
    validation: int
    test: int
    unknown: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """``comparison.json``.

    Attributes:
        command: that repeats it.
        images: digest of the pixels.
        sources: what there was to choose from.
        headline: of these, those with at least two origins.
        leave_out: sources tested as unknown.
        track: how every image was encoded once more.
        rotates: whether each seed tests other origins of the same images.
        splits: one a seed.
        recipe: the method that the others are compared with, beside the best.
        best: the method of the highest headline.
        void: titles of the audits above chance by three standard errors.
        rows: methods in the registry's order, then audits.
        losses: images that were left out, by reason, and damage of shards.
    """

    command: tuple[str, ...]
    images: str
    sources: tuple[str, ...]
    headline: tuple[str, ...]
    leave_out: tuple[str, ...]
    track: str
    rotates: bool
    splits: tuple[SplitRow, ...]
    recipe: str | None
    best: str | None
    void: tuple[str, ...]
    rows: tuple[ComparedMethod, ...]
    losses: Losses = field(default_factory=Losses)
