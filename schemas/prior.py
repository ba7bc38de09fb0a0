"""How frequent photographs, graphics and generated images are taken to be before an image is looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Prior:
    """Shares of all images, each above 0, that add up to 1.

    Attributes:
        photograph: of what neither software drew nor a generator made; paintings are among it.
        graphic: of what ordinary software drew.
        generated: of what a generator made.
    """

    photograph: float
    graphic: float
    generated: float

    def __str__(self) -> str:
        """As :func:`parse_prior` reads it."""
        return ",".join(f"{field.name}={getattr(self, field.name):g}" for field in fields(self))

    @property
    def log_odds(self) -> float:
        """Natural logarithm of the odds of being generated."""
        return math.log(self.generated / (1 - self.generated))

    @property
    def graphic_share(self) -> float:
        """The share of graphics in what is not generated."""
        return self.graphic / (self.photograph + self.graphic)


EVEN = Prior(photograph=0.375, graphic=0.125, generated=0.5)
"""What bundles are calibrated for: half of all images generated, and of the others a quarter graphics."""

ESTIMATE = "estimate"
"""In place of shares: what the rows of an audit tell."""


def parse_prior(text: object) -> Prior:
    """``photograph=0.9,graphic=0.05``: what is not named has the rest, in the proportions of :data:`EVEN`.

    Raises:
        ValueError: a name or a share is none, or the shares leave none for the others.
    """
    if isinstance(text, Prior):
        return text
    if str(text).strip() == ESTIMATE:
        raise ValueError(
            "a prior is estimated from the rows of an audit: audit without it, then causalprint attribute OUT --prior estimate"
        )
    names = [field.name for field in fields(Prior)]
    given: dict[str, float] = {}
    for part in str(text).split(","):
        name, _, share = (word.strip() for word in part.partition("="))
        if name not in names or name in given:
            raise ValueError(f"{part!r} is no share of {', '.join(names)}, each once at most; give photograph=0.9, for example")
        try:
            given[name] = float(share)
        except ValueError:
            raise ValueError(f"{share!r} is no number; give a share between 0 and 1, such as photograph=0.9") from None
    rest = 1 - sum(given.values())
    missing = [name for name in names if name not in given]
    whole = abs(rest) < 2e-6 if not missing else rest > 1e-9  # three shares as they are written, six digits each
    if not all(0 < share < 1 for share in given.values()) or not whole:
        raise ValueError(f"{text!r}: shares are above 0 and below 1, and add up to 1 with those that are not named")
    usual = {name: getattr(EVEN, name) for name in missing}
    shares = given | {name: rest * share / sum(usual.values()) for name, share in usual.items()}
    total = sum(shares.values())
    return Prior(**{name: share / total for name, share in shares.items()})
