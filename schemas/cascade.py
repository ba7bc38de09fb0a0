"""A cascade: further bundles, on the images that those before them do not decide and on a control share of all.

Tier 1 is the audit's own bundle, on every image. What each further tier computes is an output of its own, ``OUT/tiers/2`` and so
on, with the tables, accounts and manifests of an audit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

TIERS = "tiers"
"""The folder below an audit's output that holds those of further tiers, each under its number."""

CORE, GPU = "core", "gpu"
_BUDGET = re.compile(rf"\s*(?P<hours>\d+(?:\.\d+)?)\s*(?P<of>{CORE}|{GPU})-?hours?\s*")
_TURN = 12
"""Hex digits of a digest by which images take their turn."""


class Budget(NamedTuple):
    """So many hours that processor cores, or GPUs, may be held."""

    hours: float
    of: str

    def __str__(self) -> str:
        """As :func:`parse_budget` reads it."""
        return f"{self.hours:.12g}{self.of}-hours"

    def seconds(self, cores: int) -> float:
        """By the clock, of a run that holds so many cores, or one GPU."""
        return 3600 * self.hours / (cores if self.of == CORE else 1)


def parse_budget(text: object) -> Budget:
    """``20core-hours``, ``1.5gpu-hours``.

    Raises:
        ValueError: it is none.
    """
    if isinstance(text, Budget):
        return text
    found = _BUDGET.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no budget; give hours of cores or of GPUs: 20core-hours, 1.5gpu-hours")
    return Budget(float(found["hours"]), found["of"])


def turn_of(image_id: str, seed: int) -> str:
    """When an image's turn is, as SQL over the column ``image_id``: by a digest, so at random, and the same on every run."""
    return f"left(sha256('{seed}:' || {image_id}), {_TURN})"


def first_turns(share: float) -> str:
    """The turn before which such a share of all images is."""
    return f"{min(int(share * 16**_TURN), 16**_TURN - 1):0{_TURN}x}"


class Disagreement(NamedTuple):
    """What a tier says of images that an earlier one had decided, where these are a random sample of all such images.

    Attributes:
        tier: the earlier one.
        images: of the sample, different ones, each counted once.
        abstains: of which this tier says nothing.
        differs: of which it gives another answer: another verdict, or another name.
        crosses: those of them that one tier takes for generated and the other does not.
        share: ``differs / images``; ``None`` without images.
        low, high: 95 % interval of that share in all images that the earlier tier decided.
    """

    tier: int
    images: int
    abstains: int
    differs: int
    crosses: int
    share: float | None = None
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Tier:
    """What one further tier of a cascade came to. Images are different ones, by their SHA-256.

    Attributes:
        tier: 2 for the first after the audit.
        bundle_id: by which.
        output: root of its tables.
        run_id: of the run that ended with this.
        undecided: images that no tier before it decides.
        control: images that those before decide, and that were drawn at random from all.
        chosen: of both, those that this run was to compute: an earlier run had not, and the budget allowed for them.
        left: those that the budget left out; a further run of the same command goes on with them.
        decided: of the undecided, those that this tier decides, by this run or an earlier one.
        incomplete: shards of which something is missing, as its own manifest says.
        seconds_an_image: by the clock, as measured on a few of them before; ``None`` without a budget.
        allowed_seconds, spent_seconds: by the clock, of this tier in this run; ``allowed_seconds`` is ``None`` without a budget.
        disagreements: with each tier before it.
    """

    tier: int
    bundle_id: str
    output: str
    run_id: str
    undecided: int
    control: int
    chosen: int
    left: int
    decided: int
    incomplete: int
    seconds_an_image: float | None
    allowed_seconds: float | None
    spent_seconds: float
    disagreements: tuple[Disagreement, ...]
