"""What is found wrong with a shard while reading goes on: a few notes, then a count."""

from __future__ import annotations

from causalprint.schemas.elements import ShardDamageError

MAX_NOTES = 3


class Damage:
    """Notes of damage, bounded, raised together at the end."""

    def __init__(self) -> None:
        self._notes: list[str] = []
        self._more = 0

    def note(self, text: str) -> None:
        """Adds one finding: what is missing, with the byte offset."""
        if len(self._notes) < MAX_NOTES:
            self._notes.append(text)
        else:
            self._more += 1

    def raise_if_any(self) -> None:
        """Raises what was noted.

        Raises:
            ShardDamageError: anything was; not retryable.
        """
        if self._notes:
            more = f"; and {self._more} more" if self._more else ""
            raise ShardDamageError("; ".join(self._notes) + more)
