"""Where a dataset lay before: ``--same-as OLD=NEW``."""

from __future__ import annotations

import re
from typing import NamedTuple

_BETWEEN = re.compile(r"=(?=[a-zA-Z][a-zA-Z0-9+.-]*://|[/~.])")


class Move(NamedTuple):
    """What lay below ``old`` lies below ``new``, two prefixes of URIs."""

    old: str
    new: str

    def __str__(self) -> str:
        """As :func:`parse_move` reads it."""
        return f"{self.old}={self.new}"

    def before(self, uri: str) -> str | None:
        """Where the shard at ``uri`` lay; ``None`` where that is neither ``new`` nor below it."""
        if uri != self.new and not uri.startswith(f"{self.new.rstrip('/')}/"):
            return None
        return f"{self.old.rstrip('/')}{uri[len(self.new.rstrip('/')) :]}"


def parse_move(text: object) -> Move:
    """``s3://old/crawl=gs://new/crawl``; a prefix may hold ``=``, as long as it is clear which one is between the two.

    Raises:
        ValueError: it is no such pair.
    """
    if isinstance(text, Move):
        return text
    given = str(text)
    parts = _BETWEEN.split(given)
    if len(parts) != 2:
        parts = given.split("=")
    if len(parts) != 2 or not all(parts):
        raise ValueError(
            f"{given!r} is not OLD=NEW: where the shards lay, and where they lie now, each a URL or an absolute path"
        )
    return Move(*parts)
