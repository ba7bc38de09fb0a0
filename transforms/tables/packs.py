"""Packs: commits of several slices and accounts, whose rows share files. A pack's index, in folder ``packs``, commits it.

What a slice's own commit mark says in its footer, and an account's file, a pack's index has as rows. Where a slice has both a
file of its own and a place in a pack, the pack counts; so a pack replaces files in the one moment in which its index is put.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.elements import digest
from causalprint.schemas.packs import PACKS, Pack
from causalprint.schemas.records import from_json
from causalprint.schemas.tables import SEALED_RECORD
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.seals import check_body, read_seal

_log = logging.getLogger(__name__)
SUFFIX = ".parquet"
PREFIX = "pack-"
"""Begins the name of a pack; 32 hex digits follow, a digest of all that it holds."""
RECORDS = 256
"""Records of an index that are decoded together."""
THREADS = 8
"""Files that are read at once: on an object store most of the time is waiting."""


class PackError(ValueError):
    """A pack is not as it was written; the message says which, and what to do."""


class Place(NamedTuple):
    """Where a name lies: in which pack, and in which row of its index."""

    pack_id: str
    row: int


def place_of(pack_id: str, index_size: int, sizes: Mapping[str, int]) -> str:
    """A pack's name and a digest of the bytes of its index and of its files, by table: what a listing tells of it."""
    return f"{pack_id}/{digest(index_size, *(sizes[table] for table in sorted(sizes)))[:32]}"


def index_path(output: Output, pack_id: str) -> str:
    """Where the index of a pack lies below the root."""
    return f"{PACKS}/bundle={output.bundle_id}/{pack_id}{SUFFIX}"


def is_pack(name: str) -> bool:
    """Whether a file's name, without its ending, is that of a pack."""
    return name.startswith(PREFIX)


@dataclass
class Index:
    """The index of one pack. Its records stay compressed until they are asked for.

    Attributes:
        pack_id: its name.
        pack: what it says of itself.
        names: of its slices and shards, in order.
        shard_ids: the shard of each.
        sha256: of the index itself.
    """

    pack_id: str
    pack: Pack
    names: list[str]
    shard_ids: list[str]
    sha256: str
    _file: pq.ParquetFile
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _group: tuple[int, list[str]] = (-1, [])

    def record(self, row: int) -> str:
        """The record in a row."""
        number, place = divmod(row, RECORDS)
        with self._lock:
            if self._group[0] != number:
                self._group = (number, self._file.read_row_group(number, ["record"], use_threads=False)["record"].to_pylist())
            return self._group[1][place]

    def is_whole(self, sizes: Callable[[str], Mapping[str, int]]) -> bool:
        """Whether its files are there, as large as they were written, by the sizes of files by name in each table."""
        return all(sizes(file.table).get(self.pack_id) == file.size for file in self.pack.files)


@dataclass
class Packs:
    """The packs of one partition as they were when they were read. Threads may share it.

    Attributes:
        indexes: by the packs' names.
        places: where every slice and shard lies that is in one.
    """

    indexes: dict[str, Index] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    @classmethod
    def of(cls, indexes: list[Index]) -> Packs:
        """Of a name that is in several the newest counts."""
        packs = cls()
        for index in sorted(indexes, key=lambda index: (index.pack.number, index.pack_id)):
            packs.indexes[index.pack_id] = index
            packs.places |= {name: Place(index.pack_id, row) for row, name in enumerate(index.names)}
        return packs

    def record(self, name: str) -> str | None:
        """What is said of a slice or shard; ``None`` where it is in no pack."""
        place = self.places.get(name)
        return None if place is None else self.indexes[place.pack_id].record(place.row)

    def shard_id(self, name: str) -> str:
        """The shard of a slice or account that is in a pack."""
        place = self.places[name]
        return self.indexes[place.pack_id].shard_ids[place.row]

    def live(self, pack_id: str) -> Iterator[tuple[int, str]]:
        """The rows and names of a pack's index that no newer pack has."""
        for row, name in enumerate(self.indexes[pack_id].names):
            if self.places[name].pack_id == pack_id:
                yield row, name

    @property
    def outlived(self) -> list[str]:
        """Packs of which a newer one has names: a command was stopped that was replacing them."""
        counts = dict.fromkeys(self.indexes, 0)
        for place in self.places.values():
            counts[place.pack_id] += 1
        return [pack_id for pack_id, count in counts.items() if count < len(self.indexes[pack_id].names)]


def read_packs(output: Output, *, sound: bool = False, ids: Mapping[str, int] | None = None) -> Packs:
    """All packs of the partition of ``output``, or those alone whose indexes are ``sound``.

    Args:
        output: that.
        sound: whether damaged ones are passed over.
        ids: the packs and the bytes of their indexes, as of :func:`pack_ids`; by default they are looked up.

    Raises:
        PackError: an index is damaged, and ``sound`` was not asked for.
    """
    ids = pack_ids(output) if ids is None else ids
    if not ids:
        return Packs()

    def read(pack_id: str) -> Index | None:
        try:
            return read_index(output, pack_id, ids[pack_id])
        except PackError as error:
            if not sound:
                raise
            _log.warning("the slices of a pack are computed again: %s", error)
            return None

    with ThreadPoolExecutor(THREADS) as pool:
        return Packs.of([index for index in pool.map(read, ids) if index is not None])


def pack_ids(output: Output) -> dict[str, int]:
    """The packs of the partition of ``output``, and the bytes of the index of each."""
    names = listed(output.root, f"{PACKS}/bundle={output.bundle_id}", output.storage)
    return {name.removesuffix(SUFFIX): size for name, size in names.items() if is_pack(name) and size and name.endswith(SUFFIX)}


def read_index(output: Output, pack_id: str, size: int | None = None) -> Index | None:
    """The index of a pack; ``None`` where it is gone.

    Raises:
        PackError: it is not as it was written.
    """
    path = index_path(output, pack_id)
    data = output.get(path, size=size)
    if data is None:
        return None
    try:
        check_body(data, read_seal(data))
        file = pq.ParquetFile(pa.BufferReader(data))
        pack = from_json(Pack, file.metadata.metadata[SEALED_RECORD.encode()], path)
        columns = file.read(["name", "shard_id"], use_threads=False)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise PackError(
            f"{output.root}/{path} is not the index of a pack that was written there ({error}): causalprint verify {output.root} "
            "--repair removes the pack, and the same audit again computes its images"
        ) from error
    return Index(
        pack_id, pack, columns["name"].to_pylist(), columns["shard_id"].to_pylist(), hashlib.sha256(data).hexdigest(), file
    )
