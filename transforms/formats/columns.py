"""Where the images of a table are: columns, nested fields and lists, told by what their first values begin with."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from functools import reduce
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from causalprint.transforms.images.kinds import image_format, looks_like_image

MAX_COLUMNS = 5_000
HEAD_BYTES = 64
_USUAL = "image images img jpg jpeg png webp image_bytes image_data bytes content data encoded"
USUAL_NAMES = tuple(_USUAL.split())


class Holds(Enum):
    """What the first values of a leaf are."""

    IMAGES = auto()
    OTHER = auto()
    UNSEEN = auto()
    """There are none among the rows that were looked at, or they could not be read."""


class Leaf(NamedTuple):
    """Values of a table that may be encoded images, or text.

    Attributes:
        steps: the column, then the fields within it; ``None`` stands for the values of a list.
        text: whether they are text and not bytes.
    """

    steps: tuple[str | None, ...]
    text: bool

    @property
    def column(self) -> str:
        """The column of the table."""
        return str(self.steps[0])

    @property
    def name(self) -> str:
        """What it is called: names from the column inwards with dots between, but for ``bytes`` at the end of a struct."""
        names = [step for step in self.steps if step is not None]
        return ".".join(names[:-1] if len(names) > 1 and names[-1] == "bytes" else names)

    @property
    def in_list(self) -> bool:
        """Whether a row may hold several."""
        return None in self.steps

    def is_called(self, name: str) -> bool:
        """Whether ``name`` names it, or what it lies in."""
        full = ".".join(step for step in self.steps if step is not None)
        return name in (self.name, full) or full.startswith(f"{name}.")


class Value(NamedTuple):
    """A value of a leaf in a row: where in the row's lists it is, the bytes or text, and the struct around it, if any."""

    places: tuple[int, ...]
    data: bytes | str | None
    around: Any

    def beside(self, name: str | None = None) -> Mapping[str, Any]:
        """What stands beside it in its struct, as scalars: all but bytes, lists and structs; of ``name`` alone, where given."""
        if self.around is None:
            return {}
        kind = self.around.type
        places = range(kind.num_fields) if name is None else kind.get_all_field_indices(name)
        fields = ((place, kind.field(place)) for place in places)
        return {
            field.name: self.around[place]
            for place, field in fields
            if not (pa.types.is_nested(field.type) or _is_bytes(_stored(field.type)))
        }


def leaves_of(schema: pa.Schema) -> list[Leaf]:
    """All leaves of bytes and of text, in order; columns and fields whose name is not theirs alone are none."""
    return [leaf for field in distinct(schema) for leaf in _leaves(field.type, (field.name,))]


def distinct(fields: Iterable[pa.Field]) -> list[pa.Field]:
    """Those of ``fields`` whose name is theirs alone, in order."""
    fields = list(fields)
    times = Counter(field.name for field in fields)
    return [field for field in fields if times[field.name] == 1]


def too_wide(schema: pa.Schema) -> str | None:
    """Why a table of so many columns, with the fields in them, is not read; ``None`` where it is."""
    width = sum(_width(field.type) for field in schema)
    return f"{width} columns and fields, more than {MAX_COLUMNS}" if width > MAX_COLUMNS else None


def repeated_in(schema: pa.Schema) -> list[str]:
    """Names that columns or fields of a struct share, one of which holds bytes: these are not read."""
    return sorted(set(_repeated([(field.name, field.type) for field in schema])))


def values_of(leaf: Leaf, row: pa.Array) -> Iterator[Value]:
    """The values of ``leaf`` in a row, of which ``row`` is its column; of an empty list, none."""
    if len(leaf.steps) > 1 or isinstance(row, pa.ExtensionArray):
        yield from _values(leaf.steps[1:], row[0], (), None)
    else:
        yield Value((), row[0].as_py(), None)  # neither of these two copies is held here


def may_hold(column: pa.Array) -> pa.Array:
    """Of each row of a column, whether there is something but nulls and empty lists in it: booleans."""
    if isinstance(column, pa.ExtensionArray):
        return may_hold(column.storage)
    valid = column.is_valid()
    if pa.types.is_struct(column.type) and column.type.num_fields:
        return pc.and_(valid, reduce(pc.or_, [may_hold(column.field(place)) for place in range(column.type.num_fields)]))
    if pa.types.is_map(column.type):
        return pc.and_(valid, pc.greater(pc.subtract(column.offsets[1:], column.offsets[:-1]), 0))
    if _is_list(column.type):
        return pc.fill_null(pc.greater(pc.list_value_length(column), 0), fill_value=False)
    return valid


def holds(values: Iterable[bytes | str]) -> Holds:
    """What the first values of a leaf, those without content left out, are."""
    heads = [value[:HEAD_BYTES] for value in values if value and isinstance(value, bytes)]
    if not heads:
        return Holds.UNSEEN
    # A crawl's first pages may be no images; and two bytes of an embedding may begin one by chance.
    certain = any(image_format(head.ljust(HEAD_BYTES, b"\0")) for head in heads)
    return Holds.IMAGES if certain or 2 * sum(map(looks_like_image, heads)) >= len(heads) else Holds.OTHER


def is_base64_image(text: object) -> bool:
    """Whether ``text`` (str or bytes) is an image in base64, as it is or as a ``data:`` URL."""
    head = text[:512] if isinstance(text, str | bytes) else ""
    head = head.decode("ascii", "replace") if isinstance(head, bytes) else head
    if head.startswith("data:"):
        head = head.partition(",")[2]
    head = head.lstrip()[: 4 * HEAD_BYTES // 3 // 4 * 4]
    try:
        return (
            len(head) > HEAD_BYTES
            and image_format(base64.b64decode(head.replace("-", "+").replace("_", "/"), validate=True)) is not None
        )
    except (binascii.Error, ValueError):
        return False


def is_url(text: object) -> bool:
    """Whether ``text`` is a URL of the web."""
    return isinstance(text, str) and text.lower().startswith(("http://", "https://"))


def usual_first(leaves: Iterable[Leaf]) -> list[Leaf]:
    """``leaves`` in the order in which one of them was taken for the image where rows had no address for several."""
    order = {name: place for place, name in enumerate(USUAL_NAMES)}
    return sorted(leaves, key=lambda leaf: (order.get(leaf.column.lower(), len(order)), len(leaf.steps) == 1))


def _leaves(kind: pa.DataType, steps: tuple[str | None, ...]) -> Iterator[Leaf]:
    kind = _stored(kind)
    if pa.types.is_struct(kind):
        for field in distinct(kind):
            yield from _leaves(field.type, (*steps, field.name))
    elif _is_list(kind):
        yield from _leaves(kind.value_type, (*steps, None))
    elif pa.types.is_map(kind):
        yield from _leaves(kind.item_type, (*steps, None, "value"))
    elif _is_bytes(kind):
        yield Leaf(steps, text=False)
    elif _is_text(kind):
        yield Leaf(steps, text=True)


def _repeated(fields: Sequence[tuple[str, pa.DataType]]) -> Iterator[str]:
    times = Counter(name for name, _ in fields)
    for name, kind in fields:
        if times[name] > 1 and _holds_bytes(kind):
            yield name
        yield from _repeated(_fields(kind))


def _holds_bytes(kind: pa.DataType) -> bool:
    return _is_bytes(_stored(kind)) or any(_holds_bytes(inner) for _, inner in _fields(kind))


def _width(kind: pa.DataType) -> int:
    return 1 + sum(_width(inner) for _, inner in _fields(kind))


def _fields(kind: pa.DataType) -> list[tuple[str, pa.DataType]]:
    """What is in values of a kind: the fields of a struct, the values of a list or map."""
    kind = _stored(kind)
    if pa.types.is_struct(kind):
        return [(field.name, field.type) for field in kind]
    if _is_list(kind):
        return [("", kind.value_type)]
    return [("", kind.item_type)] if pa.types.is_map(kind) else []


def _values(steps: tuple[str | None, ...], scalar: Any, index: tuple[int, ...], around: Any) -> Iterator[Value]:
    if isinstance(scalar, pa.ExtensionScalar):
        scalar = scalar.value
    if not scalar.is_valid:
        yield Value(index, None, around)
    elif not steps:
        yield Value(index, scalar.as_py(), around)
    elif steps[0] is None:
        for number, value in enumerate(scalar.values):
            yield from _values(steps[1:], value, (*index, number), None)
    else:
        place = scalar.type.get_field_index(steps[0])  # by name, all fields would be looked at
        yield from _values(steps[1:], scalar[place], index, scalar)


def _stored(kind: pa.DataType) -> pa.DataType:
    while isinstance(kind, pa.BaseExtensionType) or pa.types.is_dictionary(kind):
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind.value_type
    return kind


def _is_list(kind: pa.DataType) -> bool:
    lists = (
        pa.types.is_list,
        pa.types.is_large_list,
        pa.types.is_fixed_size_list,
        pa.types.is_list_view,
        pa.types.is_large_list_view,
    )
    return any(is_one(kind) for is_one in lists)


def _is_bytes(kind: pa.DataType) -> bool:
    several = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view, pa.types.is_fixed_size_binary)
    return any(is_one(kind) for is_one in several)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
