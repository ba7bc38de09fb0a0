"""Members of a shard put together: images with the sidecars that describe them, near or far, within bounds of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Reject, Skipped
from causalprint.transforms.faults import unforeseen
from causalprint.transforms.formats.items import UNREAD_SIDECAR, Damage, Item, metadata_or_none, sidecar_metadata
from causalprint.transforms.formats.sidecars import Told, match_sidecars, stem
from causalprint.transforms.images.kinds import sample_key

FEW = 8
"""Images, or sidecars, that wait for others where a tar is in order."""
MAX_SHARED = 16 * 1024
"""Bytes of sidecars that an image, however small, shares with others."""
ORPHAN = "sidecar of no image"
"""What such a member is counted as."""
AnyTold = TypeVar("AnyTold")


class Sidecar(NamedTuple):
    """A member that describes the images of its sample."""

    member: str
    offset: int
    data: bytes


class FarSidecar(NamedTuple):
    """One that was found by listing all members, and is fetched when its image comes."""

    key: str
    offset: int
    size: int
    shared: bool


class Listed:
    """The sidecars of all images of a shard, found by listing its members.

    Args:
        sidecars: those of each image, by its offset.
        fetch: the bytes of the shard from where to where.
    """

    def __init__(self, sidecars: Mapping[int, Sequence[FarSidecar]], fetch: Callable[[int, int], bytes]) -> None:
        self._sidecars = sidecars
        self._fetch = fetch
        self._waiting: dict[int, str] = {}  # sidecars that have come, by their offset, and have described no image
        self._used: set[int] = set()  # offsets of those that have described one, and have not come

    def describe(self, entry: EncodedImage | Reject | Sidecar, options: ReadOptions, damage: Damage) -> Iterator[Item]:
        """The image with its metadata; nothing for a sidecar."""
        if isinstance(entry, Sidecar):
            if entry.offset in self._used:
                self._used.discard(entry.offset)
            else:
                self._waiting[entry.offset] = entry.member
            return
        found = self._sidecars.get(entry.offset, ())
        told = within_bounds(((each, each.size, each.shared) for each in found), size_of(entry), options)
        for each in told:
            if self._waiting.pop(each.offset, None) is None:
                self._used.add(each.offset)
        yield with_metadata(entry, [(each.key, self._fetch(each.offset, each.offset + each.size)) for each in told], damage)

    def unused(self) -> Iterator[Item]:
        """Once all members have come, the sidecars that have described none: of no image, or of a member that is none."""
        return (Skipped(member, offset, ORPHAN) for offset, member in self._waiting.items())


def group_samples(
    entries: Iterable[Item | Sidecar],
    options: ReadOptions,
    damage: Damage,
    listed: Callable[[bool], Listed | None] | None = None,
) -> Iterator[Item]:
    """Images and rejects in order, each with the metadata of its sidecars; those of no image become skipped members.

    Images wait for sidecars that come later, and sidecars for images, up to ``options.max_sample_bytes`` of each. Which belong
    together :func:`~causalprint.transforms.formats.sidecars.match_sidecars` says. Where nobody foresaw what a sidecar makes its
    parser raise, or names those who match them, images go on without metadata.

    Args:
        entries: members in the shard's order.
        options: of reading.
        damage: told of metadata that were lost so.
        listed: asked when images must go on without a sidecar, or sidecars without an image: finds those that lie far away, or
            ``None`` where there are likely none. It is told whether there are sidecars that wait for an image.
    """
    window = _Window(options, damage, listed)
    far: Listed | None = None
    for entry in entries:
        if isinstance(entry, Skipped):
            yield entry
        elif far:
            yield from far.describe(entry, options, damage)
        else:
            window.add(entry)
            yield from window.contained(window.pass_ready(entry))
            if far := window.found():
                yield from (each for held in window.all_held() for each in far.describe(held, options, damage))
    yield from far.unused() if far else window.contained(window.pass_all())


class _Window:
    """Images and sidecars that wait for each other."""

    def __init__(self, options: ReadOptions, damage: Damage, listed: Callable[[bool], Listed | None] | None) -> None:
        self._options = options
        self._damage = damage
        self._listed = listed
        self._far: Listed | None = None
        self._images: list[EncodedImage | Reject] = []
        self._sidecars: list[Sidecar] = []
        self._used: set[int] = set()  # offsets of sidecars that have described an image
        self._image_bytes = self._sidecar_bytes = 0
        self._passed = 0  # images that are on their way

    def add(self, entry: EncodedImage | Reject | Sidecar) -> None:
        if isinstance(entry, Sidecar):
            self._sidecars.append(entry)
            self._sidecar_bytes += _held(entry)
        else:
            self._images.append(entry)
            self._image_bytes += _held(entry)

    def contained(self, passing: Iterator[Item]) -> Iterator[Item]:
        """``passing``; where it fails, the images that are held, without metadata, and what is left of the sidecars."""
        try:
            yield from passing
        except Exception as error:  # noqa: BLE001 - whatever names make it raise costs metadata, and no image
            left = self._images[self._passed :]
            self._damage.note(f"sidecars of {len(left)} members could not be told ({unforeseen(error)})")
            yield from left
            unused = (each for each in self._sidecars if each.offset not in self._used)
            yield from (Skipped(each.member, each.offset, UNREAD_SIDECAR) for each in unused)
            self._images, self._sidecars, self._passed = [], [], 0
            self._image_bytes = self._sidecar_bytes = 0
            self._used.clear()

    def pass_ready(self, came: EncodedImage | Reject | Sidecar) -> Iterator[Item]:
        """Images that need not wait longer; and those that cannot, but where :meth:`found` tells of sidecars far away."""
        if not isinstance(came, Sidecar):
            yield from self.pass_described()
        if max(self._image_bytes, self._sidecar_bytes) > self._options.max_sample_bytes:
            told = self.match()
            self._far = self._listed(self.has_unmatched(told)) if self._listed and self.lacks(told) else None
            if not self._far:
                yield from self.pass_half(told)

    def found(self) -> Listed | None:
        """The sidecars of all images, once those that wait were not enough."""
        return self._far

    def match(self) -> list[list[Told]]:
        """The sidecars of each image."""
        named = [number for number, image in enumerate(self._images) if image.member]
        sidecars = [each.member for each in self._sidecars] if named else []
        found = match_sidecars([self._images[number].member for number in named], sidecars)
        told: list[list[Told]] = [[] for _ in self._images]
        for number, each in zip(named, found, strict=True):
            told[number] = each
        return told

    def lacks(self, told: list[list[Told]]) -> bool:
        """Whether one of the images that are to go on has no sidecar, or sidecars must go that may have an image."""
        crowded = self._sidecar_bytes > self._options.max_sample_bytes
        return crowded or any(not each and image.member for each, image in zip(told[: self._half], self._images, strict=False))

    def has_unmatched(self, told: list[list[Told]]) -> bool:
        matched = {each.sidecar for several in told for each in several}
        return any(number not in matched and each.offset not in self._used for number, each in enumerate(self._sidecars))

    def all_held(self) -> list[EncodedImage | Reject | Sidecar]:
        """Everything, in the shard's order."""
        unused = [each for each in self._sidecars if each.offset not in self._used]
        return sorted([*self._images, *unused], key=lambda entry: entry.offset)

    def pass_described(self) -> Iterator[Item]:
        """The first images where they have sidecars and others have come since: all but the last of a tar in order."""
        if len(self._images) < 2 or max(len(self._images), len(self._sidecars)) > FEW:
            return
        told = self.match()
        if any(each.shared for several in told for each in several):
            return
        latest, count = stem(self._images[-1].member), 0
        for image, each in zip(self._images[:-1], told, strict=False):
            own = stem(image.member)
            if not each or f"{latest}.".startswith(f"{own}.") or own.startswith(f"{latest}."):
                break
            count += 1
        yield from self._pass(count, told)

    def pass_half(self, told: list[list[Told]]) -> Iterator[Item]:
        """The first half of the images; and the first sidecars, where they are too many."""
        yield from self._pass(self._half, told)

    def _pass(self, count: int, told: list[list[Told]]) -> Iterator[Item]:
        last = sample_key(self._images[-1].member)[0] if self._images else ""
        for each in told[:count]:
            yield self._next(each)
        del self._images[: self._passed]
        self._passed = 0
        self._image_bytes = sum(map(_held, self._images))
        needed = {self._sidecars[each.sidecar].offset for several in told[count:] for each in several}
        gone = self._used - needed
        kept = [each for each in self._sidecars if each.offset not in gone or stem(each.member) == last]
        size = self._sidecar_bytes if len(kept) == len(self._sidecars) else sum(map(_held, kept))
        dropped = 0
        while size > self._options.max_sample_bytes // 2:
            oldest = kept[dropped]
            dropped += 1
            size -= _held(oldest)
            if oldest.offset not in self._used:
                yield Skipped(oldest.member, oldest.offset, ORPHAN)
        self._sidecars, self._sidecar_bytes = kept[dropped:], size
        self._used.intersection_update(each.offset for each in self._sidecars)

    def pass_all(self) -> Iterator[Item]:
        for each in self.match():
            yield self._next(each)
        for sidecar in self._sidecars:
            if sidecar.offset not in self._used:
                yield Skipped(sidecar.member, sidecar.offset, ORPHAN)

    @property
    def _half(self) -> int:
        return (len(self._images) + 1) // 2

    def _next(self, told: list[Told]) -> EncodedImage | Reject:
        """The next image to go on, with its sidecars."""
        image = self._images[self._passed]
        sized = ((each, len(self._sidecars[each.sidecar].data), each.shared) for each in told)
        bounded = within_bounds(sized, size_of(image), self._options)
        self._used.update(self._sidecars[each.sidecar].offset for each in bounded)
        described = with_metadata(image, [(each.key, self._sidecars[each.sidecar].data) for each in bounded], self._damage)
        self._passed += 1
        return described


def _held(entry: EncodedImage | Reject | Sidecar) -> int:
    """Bytes, about, that an entry takes."""
    return 512 + len(entry.member) + (0 if isinstance(entry, Reject) else len(entry.data))


def within_bounds(told: Iterable[tuple[AnyTold, int, bool]], image_bytes: int, options: ReadOptions) -> list[AnyTold]:
    """Of the sidecars ``(sidecar, bytes, shared)`` of an image of ``image_bytes`` those that are taken.

    All together have at most ``options.max_sidecar_bytes``. Those that it shares with others have no more bytes than it has
    itself, or 16 KiB, so that the metadata of a shard grow with its bytes and not with their square.
    """
    most = max(MAX_SHARED, image_bytes)
    taken, own, shared = [], 0, 0
    for sidecar, size, is_shared in told:
        own += size
        shared += size if is_shared else 0
        if own > options.max_sidecar_bytes or shared > most:
            break
        taken.append(sidecar)
    return taken


def size_of(image: EncodedImage | Reject) -> int:
    """Bytes of an image; 0 of one that was not read."""
    return len(image.data) if isinstance(image, EncodedImage) else 0


def with_metadata(image: EncodedImage | Reject, sidecars: list[tuple[str, bytes]], damage: Damage) -> EncodedImage | Reject:
    """The image with its sidecars ``(key, data)`` as metadata."""
    if not sidecars:
        return image
    return image._replace(metadata=metadata_or_none(lambda: sidecar_metadata(sidecars), image.member, damage))
