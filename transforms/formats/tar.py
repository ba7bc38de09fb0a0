"""Tars, plain or compressed: their members in order, and passes over their headers alone for what one pass cannot tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from causalprint.schemas.config import ReadOptions
from causalprint.schemas.elements import EncodedImage, Skipped
from causalprint.transforms.formats.beside import with_table
from causalprint.transforms.formats.items import Damage, Item
from causalprint.transforms.formats.samples import FarSidecar, Listed, Sidecar, group_samples
from causalprint.transforms.formats.sidecars import match_sidecars, stem
from causalprint.transforms.formats.tar_headers import BLOCK, LINK_KINDS, SYMBOLIC_LINK, ZERO_BLOCK, parse_header
from causalprint.transforms.formats.tar_index import Place, TarIndex, target_of
from causalprint.transforms.formats.tar_members import TarReader, header_in
from causalprint.transforms.images.kinds import is_other_name, is_sidecar_name
from causalprint.transforms.storage.storage import ShardSource
from causalprint.transforms.storage.streams import BlockStream, Stream, decompressed

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".tzst", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz")
MAX_LISTED_BYTES = 16 * 1024 * 1024
TAIL_BYTES = 256 * 1024


def read(source: ShardSource, options: ReadOptions) -> Iterator[Item]:
    """Every member of the shard, in order.

    Yields:
        Images, rejects and skipped members; of a damaged shard all that can be made out.

    Raises:
        ShardDamageError: something is missing, after everything else was given; or the connection broke (retryable).
    """
    most = options.most_from(source.size)
    stream = decompressed(source.stream(), is_tar, most)
    damage = Damage()
    index = TarIndex(
        lambda: decompressed(source.stream(read_ahead=False), is_tar, most),
        lambda again: _places(again, options),
        options.max_unpacked_bytes + source.size,
        most,
    )
    try:
        entries = TarReader(stream, options, damage, index).entries()
        far = _far_sidecars(source, options) if isinstance(stream, BlockStream) else None
        yield from with_table(group_samples(entries, options, damage, far), source, damage)
    finally:
        index.close()
        stream.close()
    damage.raise_if_any()


def read_one(source: ShardSource, member: str, offset: int, options: ReadOptions) -> EncodedImage | None:
    """The image whose data begin at byte ``offset`` of a plain tar, by the header right before it.

    ``None`` where that is none of a member ``member``, or of one whose name or size an extended header may say.
    """
    if offset < BLOCK or offset > source.size:
        return None
    header = parse_header(source.fetch(offset - BLOCK, offset))
    if header is None or header.name != member or not 0 < header.size <= min(options.max_encoded_bytes, source.size - offset):
        return None
    padded = header.size + -header.size % BLOCK
    data = source.fetch(offset, min(offset + padded + BLOCK, source.size))
    after = data[padded:]
    if header.kind in LINK_KINDS or (len(after) == BLOCK and after != ZERO_BLOCK and parse_header(after) is None):
        return None
    return EncodedImage(member, offset, data[: header.size])


def is_tar(head: bytes) -> bool:
    """Whether ``head`` (at least 512 bytes) is a tar's first block."""
    return header_in(head[:BLOCK]) is not None


def _far_sidecars(source: ShardSource, options: ReadOptions) -> Callable[[bool], Listed | None]:
    """Finds the sidecars of all images by another pass over the headers of a plain tar: of one that is not sorted by name.

    Whether it is, is seen where sidecars wait for an image, or where the tar ends in sidecars of several images.
    """
    once = cache(lambda: _listed(source, options))
    return lambda waiting: once() if waiting or _ends_in_sidecars(source) else None


def _listed(source: ShardSource, options: ReadOptions) -> Listed | None:
    """The sidecars of all images; ``None`` where there are too many members to list."""
    members = []
    held = 0
    for place in _places(source.stream(), options):
        members.append(place)
        held += len(place.name) + 256
        if held > MAX_LISTED_BYTES:
            return None
    images = [place for place in members if not is_sidecar_name(place.name) and not is_other_name(place.name)]
    sidecars = [
        place for place in members if is_sidecar_name(place.name) and not place.link and place.size <= options.max_sidecar_bytes
    ]
    found = match_sidecars([place.name for place in images], [place.name for place in sidecars])
    described = {
        image.offset: [FarSidecar(each.key, *sidecars[each.sidecar][1:3], each.shared) for each in told]
        for image, told in zip(images, found, strict=True)
    }
    return Listed(described, source.fetch)


def _ends_in_sidecars(source: ShardSource) -> bool:
    """Whether the last two members are sidecars, as far as the tar's end tells, and of different images."""
    start = max(0, source.size - TAIL_BYTES) // BLOCK * BLOCK
    tail = source.fetch(start, source.size)
    headers = [header_in(tail[at : at + BLOCK]) for at in range(0, len(tail), BLOCK)]
    last = [header.name for header in headers if header and header.kind in "0\0"][-2:]
    return len(last) == 2 and all(map(is_sidecar_name, last)) and stem(last[0]) != stem(last[1])


class _Lister(TarReader):
    """Members by their headers alone."""

    def __init__(self, stream: Stream, options: ReadOptions) -> None:
        super().__init__(stream, options, Damage())
        self.found: list[Place] = []

    def _content(self, name: str, offset: int, size: int) -> Item | Sidecar:
        self.found.append(Place(name, offset, size))
        return Skipped(name, offset)

    def _link(self, name: str, offset: int, kind: str, link: str) -> Item | Sidecar:
        self.found.append(Place(name, offset, 0, target_of(name, link, symbolic=kind == SYMBOLIC_LINK)))
        return Skipped(name, offset)


def _places(stream: Stream, options: ReadOptions) -> Iterator[Place]:
    lister = _Lister(stream, options)
    try:
        for _ in lister.entries():
            yield from lister.found
            lister.found.clear()
    finally:
        stream.close()
