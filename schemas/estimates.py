"""A measured value with its interval: how it is rounded, written and shown."""

from __future__ import annotations

import math
from typing import NamedTuple

NOT_MEASURED = "—"


class Estimate(NamedTuple):
    """A value with its bootstrap 95 % interval, contents resampled; NaN where there was nothing to measure it on."""

    value: float
    low: float
    high: float

    @property
    def standard_error(self) -> float:
        """Of a normal distribution with this interval."""
        return (self.high - self.low) / (2 * 1.959964)

    @property
    def arms(self) -> tuple[float, float]:
        """How far the interval goes below and above the value, 0 at least."""
        return max(0.0, self.value - self.low), max(0.0, self.high - self.value)

    def rounded(self, digits: int = 6) -> Estimate:
        """As it is written; where no resample had a value, the value alone."""
        low, high = (bound if math.isfinite(bound) else self.value for bound in (self.low, self.high))
        return Estimate(*(round(float(number), digits) for number in (self.value, low, high)))

    def written(self) -> Estimate | None:
        """Rounded; ``None`` where there was nothing to measure it on."""
        return self.rounded() if math.isfinite(self.value) else None

    def show(self, digits: int = 3) -> str:
        """``0.441 [0.422, 0.459]``, or :data:`NOT_MEASURED`."""
        return (
            f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"
            if math.isfinite(self.value)
            else NOT_MEASURED
        )


UNMEASURED = Estimate(math.nan, math.nan, math.nan)


def finite(value: float, digits: int = 4) -> float | None:
    """``value`` as JSON takes it: rounded, ``None`` where it is no number."""
    return round(float(value), digits) if math.isfinite(value) else None
