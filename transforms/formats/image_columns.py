"""Which columns of an open table hold images: told by their first values, never by a name or a type alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import pyarrow as pa

from causalprint.schemas.config import MEBIBYTE
from causalprint.transforms.faults import raise_foreign
from causalprint.transforms.formats.columns import (
    Holds,
    Leaf,
    holds,
    is_base64_image,
    is_url,
    leaves_of,
    repeated_in,
    too_wide,
    values_of,
)
from causalprint.transforms.formats.parquet_file import TableFile, why_unreadable
from causalprint.transforms.storage.lookup import InputError

SAMPLED_ROWS = 8
PROBED_ROWS = 1024
PROBED_BYTES = 4 * MEBIBYTE
PROBED_GROUPS = 8


class Found(NamedTuple):
    """What the first values of a file's columns are: ``encoded`` and ``linked`` are names of columns of text."""

    leaves: list[Leaf]
    images: list[Leaf]
    unseen: list[Leaf]
    encoded: list[str]
    linked: list[str]


def why_none(file: TableFile, columns: Sequence[str]) -> str | None:
    """Why an open file is no shard of images; see :func:`causalprint.transforms.formats.parquet.why_no_images`."""
    if too_wide(file.schema):  # reading tells
        return None
    found = found_in(file, encoded=False)
    if found.images or found.unseen:
        chosen_leaves(file, columns, InputError)
        return None
    if repeated_in(file.schema):  # reading tells
        return None
    if columns and all(any(leaf.is_called(name) for leaf in found.leaves) for name in columns):
        return None
    return None if found.encoded else no_images(file, found)


def chosen_leaves(file: TableFile, asked: Sequence[str], kind: type[Exception]) -> list[Leaf]:
    """The leaves of bytes that ``asked`` names; raises ``kind`` where one names none."""
    leaves = [leaf for leaf in leaves_of(file.schema) if not leaf.text]
    for name in asked:
        if not any(leaf.is_called(name) for leaf in leaves):
            able = ", ".join(leaf.name for leaf in leaves) or "none"
            raise kind(f"image column {name!r} is not there or holds no bytes; columns are {_names(file)}, and of bytes {able}")
    return [leaf for leaf in leaves if any(leaf.is_called(name) for name in asked)]


def found_in(file: TableFile, *, encoded: bool = True) -> Found:
    """What the first values of every column of bytes are; of text where none are images, or ``encoded`` asks."""
    leaves = leaves_of(file.schema)
    able = [leaf for leaf in leaves if not leaf.text]
    certain = {leaf for leaf in able if _tells(file.begins_image, leaf.steps)}
    seen = _sampled(file, [leaf for leaf in able if leaf not in certain])
    what = dict.fromkeys(certain, Holds.IMAGES) | {leaf: _holds(values) for leaf, values in seen.items()}
    images = [leaf for leaf in able if what[leaf] is Holds.IMAGES]
    unseen = [leaf for leaf in able if what[leaf] is Holds.UNSEEN]
    texts = _sampled(file, [leaf for leaf in leaves if leaf.text and (encoded or not (images or unseen))], SAMPLED_ROWS)
    seen |= texts
    in_base64 = [leaf.name for leaf in leaves if any(_tells(is_base64_image, value) for value in seen.get(leaf, ()))]
    linked = [leaf.name for leaf in texts if any(_tells(is_url, value) for value in seen[leaf])]
    return Found(able, images, unseen, in_base64, linked)


def _holds(values: Sequence[bytes | str]) -> Holds:
    return holds([value for value in values if _tells(lambda value: bool(holds([value])), value)])


def _tells(test: Callable[[Any], bool], value: Any) -> bool:
    """Whether ``test`` holds for a value; one that makes it raise what nobody foresaw tells nothing."""
    try:
        return test(value)
    except Exception as error:  # noqa: BLE001 - where it is read, it is told
        raise_foreign(error)
        return False


def _sampled(file: TableFile, leaves: Sequence[Leaf], rows: int = PROBED_ROWS) -> dict[Leaf, list[bytes | str]]:
    """The first values of each leaf: those of up to ``rows`` rows, until each leaf of a column has some."""
    seen: dict[Leaf, list[bytes | str]] = {leaf: [] for leaf in leaves}
    columns: dict[str, list[Leaf]] = {}
    for leaf in leaves:
        columns.setdefault(leaf.column, []).append(leaf)
    for column, within in columns.items():
        passed = size = 0
        for group in file.groups[:PROBED_GROUPS]:
            if file.too_costly(group, column):
                continue
            try:
                for batch in file.batches(group, [column], SAMPLED_ROWS // 2):
                    values = batch.column(0)
                    for row in range(len(values)):
                        for leaf in within:
                            seen[leaf] += _present(leaf, values.slice(row, 1))
                    passed, size = passed + batch.num_rows, size + batch.nbytes
                    if passed >= rows or size > PROBED_BYTES or all(len(seen[leaf]) >= SAMPLED_ROWS for leaf in within):
                        break
                else:
                    continue
                break
            except Exception as error:  # noqa: BLE001 - where it is read, it is told that it cannot be
                why_unreadable(error)
                continue
    return seen


def _present(leaf: Leaf, row: pa.Array) -> list[bytes | str]:
    try:
        return [value.data for value in islice(values_of(leaf, row), SAMPLED_ROWS) if value.data]
    except Exception as error:  # noqa: BLE001 - text that is no UTF-8, for one
        why_unreadable(error)
        return []


def no_images(file: TableFile, found: Found) -> str:
    """Why a file without image columns is none of images."""
    if repeated := repeated_in(file.schema):
        return repeated_text(repeated)
    if found.encoded:
        return encoded_text(found.encoded)
    if found.linked:
        what = f"no column holds image bytes, but {', '.join(map(repr, found.linked))} links"
        return f"{what} (download the images first, for example with img2dataset); there are {_names(file)}"
    return f"no column holds image bytes; there are {_names(file)}"


def repeated_text(names: Sequence[str]) -> str:
    """Why columns that share a name are not read."""
    return f"several columns are called {', '.join(map(repr, names))}, which are not read: give each a name of its own"


def encoded_text(names: Sequence[str]) -> str:
    """Why columns of images in base64 are not read."""
    held = ", ".join(map(repr, names))
    return f"images in base64 are not read: decode {held} to bytes first, or choose other columns with --image-column"


def _names(file: TableFile) -> str:
    return ", ".join(file.schema.names) or "none"
