"""Where the members of a tar are: a second pass over its headers, for what one pass in order cannot tell.

A link needs the bytes of another member, and a sidecar that lies far from its image must be found for it.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterator
from typing import NamedTuple

from causalprint.transforms.storage.streams import BlockStream, Stream

MAX_LISTED = 500_000
"""Members that are remembered by name; links to those after them are not followed."""
MAX_REOPENED = 64
"""Times that a compressed tar is read again from its start for links that lead back."""


class Place(NamedTuple):
    """A member: its name, the byte at which its data begin, how many they are; of a link, the name that it leads to."""

    name: str
    offset: int
    size: int
    link: str | None = None


Walk = Callable[[Stream], Iterator[Place]]
"""All members and links of a tar in order, by their headers."""


class TarIndex:
    """Members by name, listed as far as they are asked for.

    Args:
        opened: opens the tar's stream once more, at its start.
        walk: its members.
        most: bytes that links may give again.
        most_passed: bytes that may be decompressed again for them.
    """

    def __init__(self, opened: Callable[[], Stream], walk: Walk, most: int, most_passed: int) -> None:
        self._opened = opened
        self._walk = walk
        self._left = most
        self._left_to_pass = most_passed
        self._places: dict[bytes, Place] = {}
        self._coming: Iterator[Place] | None = None
        self._next: Place | None = None
        self._stream: Stream | None = None
        self._reopened = 0

    def find(self, name: str, at: int) -> Place | None:
        """The member that a link at byte ``at`` leads to: the last of that name before it, else the first behind."""
        key = _key(name)
        while (coming := self._ahead()) and coming.offset < at:
            self._take()
        while key not in self._places and self._ahead():
            self._take()
        return self._places.get(key)

    def stream_at(self, place: Place) -> Stream | None:
        """The tar's stream at a member, until the next call; ``None`` where links have given, or going back cost, too much."""
        offset, self._left = place.offset, self._left - place.size
        if self._left < 0:
            return None
        back = self._stream is not None and offset < self._stream.position
        if self._stream is None or (back and not isinstance(self._stream, BlockStream)):
            self._reopened += back
            self._left_to_pass -= self._stream.position if self._stream else 0
            if self._reopened > MAX_REOPENED or self._left_to_pass < 0:
                return None
            self.close()
            self._stream = self._opened()
        if isinstance(self._stream, BlockStream):
            self._stream.position = offset
        else:
            self._stream.skip(offset - self._stream.position)
        return self._stream

    def close(self) -> None:
        """Closes what :meth:`stream_at` opened."""
        if self._stream is not None:
            self._stream.close()

    def _ahead(self) -> Place | None:
        """The member that would be listed next."""
        if self._coming is None:
            self._coming = self._walk(self._opened())
            self._next = next(self._coming, None)
        return self._next

    def _take(self) -> None:
        place = self._next
        if self._coming is None or place is None:
            return
        target = place if place.link is None else self._places.get(_key(place.link))
        if target is not None:
            self._places[_key(place.name)] = target
        self._next = next(self._coming, None) if len(self._places) < MAX_LISTED else None


def target_of(name: str, link: str, *, symbolic: bool) -> str:
    """The name of the member that link ``name`` leads to: a symbolic one counts from its folder, a hard one from the root."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), link) if symbolic else link)


def _key(name: str) -> bytes:
    return hashlib.blake2b(posixpath.normpath(name).encode(), digest_size=12).digest()
