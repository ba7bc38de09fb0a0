"""Conditions on what an audit came to, by which a scheduler is warned: ``generated > 1 %``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from causalprint.schemas.reasons import Verdict

GENERATED = "generated"
REJECTED = "rejected"
COUNTED = (GENERATED, *(verdict.value for verdict in Verdict), REJECTED)
"""What can be counted: each verdict; ``generated``, which is known or unknown; and images that have no verdict."""

_CONDITION = re.compile(r"\s*(?P<what>[a-z]+)\s*(?:(?P<than>>=|>)\s*(?P<limit>\d+(?:\.\d+)?)\s*(?P<percent>%)?\s*)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """That of all images of an audit more are something than a limit.

    Attributes:
        what: one of :data:`COUNTED`.
        than: ``>`` or ``>=``.
        limit: a number of images; where ``percent``, a share of all images that were seen, rejected ones among them.
        percent: whether it is that.
    """

    what: str
    than: str
    limit: float
    percent: bool

    def __str__(self) -> str:
        """As :func:`parse_condition` reads it."""
        return f"{self.what} {self.than} {self.limit:.12g}{' %' if self.percent else ''}"

    def holds(self, verdicts: Mapping[str, int], rejected: int) -> bool:
        """Whether it holds of so many images of each verdict, and so many without one. Of no image it does not."""
        counts = {**dict.fromkeys(COUNTED, 0), **verdicts, REJECTED: rejected}
        seen = sum(counts.values())
        counts[GENERATED] = counts[Verdict.KNOWN] + counts[Verdict.UNKNOWN]
        value = 100 * counts[self.what] / max(seen, 1) if self.percent else counts[self.what]
        return seen > 0 and (value > self.limit if self.than == ">" else value >= self.limit)


def parse_condition(text: object) -> Condition:
    """``generated > 1 %``, ``known > 10``, ``rejected >= 0.5 %``; ``unknown`` alone is ``unknown > 0``.

    Raises:
        ValueError: it is none.
    """
    if isinstance(text, Condition):
        return text
    found = _CONDITION.fullmatch(str(text))
    if found is None or found["what"] not in COUNTED:
        raise ValueError(
            f"{text!r} is no condition; give one of {', '.join(COUNTED)}, and > or >= a number or share: 'known > 1 %'"
        )
    return Condition(found["what"], found["than"] or ">", float(found["limit"] or 0), found["percent"] is not None)
