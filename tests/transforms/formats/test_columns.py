"""Tables with images in any column, field or list: what is audited, under which address, and that it is fetched again by it."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.elements import ImageSlice
from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats.members import read_member
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.lookup import InputError
from tests.shards import make_samples, write_shard

IMAGES = [sample.data for sample in make_samples(12, kinds=("JPEG", "PNG", "WEBP", "GIF"), width=16, height=16)]
HUGGING_FACE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
NESTED = pa.struct([("sample", pa.struct([("image", pa.binary())]))])
SIZE = max(map(len, IMAGES))

Cell = Any
"""What a column holds in one row: an image or ``None`` where it is one; a list of them."""


def _struct(name: str) -> Any:
    kind = pa.struct([(name, pa.binary()), ("n", pa.int32())])
    return lambda cells: pa.array([{name: cell, "n": 1} if cell else None for cell in cells], kind)


SINGLE = {
    "binary": lambda cells: pa.array(cells, pa.binary()),
    "large": lambda cells: pa.array(cells, pa.large_binary()),
    "view": lambda cells: pa.array(cells, pa.binary_view()),
    "dictionary": lambda cells: pa.array(cells, pa.binary()).dictionary_encode(),
    "fixed": lambda cells: pa.array([cell and cell.ljust(SIZE, b"\0") for cell in cells], pa.binary(SIZE)),
    "hugging face": lambda cells: pa.array([{"bytes": cell, "path": None} if cell else None for cell in cells], HUGGING_FACE),
    "struct of data": _struct("data"),
    "nested struct": lambda cells: pa.array([{"sample": {"image": cell}} for cell in cells], NESTED),
}
LISTS = {
    "list of bytes": lambda cells: pa.array(cells, pa.list_(pa.binary())),
    "large list": lambda cells: pa.array(cells, pa.large_list(pa.large_binary())),
    "list of structs": lambda cells: pa.array(
        [cell and [{"bytes": each, "path": None} for each in cell] for cell in cells], pa.list_(HUGGING_FACE)
    ),
    "list of lists": lambda cells: pa.array(
        [cell and [[each] for each in cell] for cell in cells], pa.list_(pa.list_(pa.binary()))
    ),
    "struct of a list": lambda cells: pa.array(
        [{"images": cell} for cell in cells], pa.struct([("images", pa.list_(pa.binary()))])
    ),
    "map": lambda cells: pa.array(
        [cell and [(str(number), each) for number, each in enumerate(cell)] for cell in cells], pa.map_(pa.string(), pa.binary())
    ),
}
one = st.one_of(st.none(), st.sampled_from(IMAGES))
several = st.one_of(st.none(), st.lists(st.sampled_from(IMAGES), max_size=3))


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, tuple[str, list[Cell]]], int]:
    """Columns by name, each with its shape and cells; and their rows."""
    rows = draw(st.integers(1, 5))
    names = draw(
        st.lists(st.sampled_from(["image", "edited_image", "jpg", "png", "a.b", "x/y", "2"]), min_size=1, max_size=4, unique=True)
    )
    columns = {}
    for name in names:
        shape = draw(st.sampled_from([*SINGLE, *LISTS]))
        cells = draw(st.lists(one if shape in SINGLE else several, min_size=rows, max_size=rows))
        columns[name] = (shape, cells)
    return columns, rows


def write(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def read_shard(path: Path, *columns: str) -> list[ImageSlice]:
    (shard,) = match_shards([str(path)], Storage(), columns=columns)
    return list(read_slices(shard, "b", Slicing(), Storage()))


def read_table(columns: dict[str, Any], *chosen: str) -> ImageSlice:
    with tempfile.TemporaryDirectory() as folder:
        (whole,) = read_shard(write(Path(folder, "a.parquet"), columns), *chosen)
        return whole


def members(whole: ImageSlice) -> list[tuple[str, int]]:
    return [(image.member, image.offset) for image in whole.images]


def _images(shape: str, cell: Cell) -> Iterator[bytes]:
    for image in (cell or []) if shape in LISTS else [cell]:
        if image is not None:
            yield image.ljust(SIZE, b"\0") if shape == "fixed" else image


@given(table=tables(), group=st.integers(1, 5))
@settings(max_examples=150, deadline=None)
def test_every_image_of_every_shape_is_read_once_and_fetched_again_by_its_row(
    table: tuple[dict[str, tuple[str, list[Cell]]], int], group: int
) -> None:
    columns, rows = table
    made: dict[str, Any] = {name: (SINGLE | LISTS)[shape](cells) for name, (shape, cells) in columns.items()}
    expected = [[image for shape, cells in columns.values() for image in _images(shape, cells[row])] for row in range(rows)]
    nothing = {row for row in range(rows) if not expected[row]}
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "a.parquet"), made | {"id": list(range(rows))}, row_group_size=group)
        (whole,) = read_shard(path)
        found = [[image.data for image in whole.images if image.offset == row] for row in range(rows)]
        assert found == expected
        assert whole.damage is None
        assert len(set(members(whole))) == len(whole.images)
        assert {reject.offset for reject in whole.rejects} <= nothing
        assert len(whole.rejects) + whole.skipped == len(nothing)
        assert {reject.reason for reject in whole.rejects} <= {Reason.NO_BYTES}
        assert [json.loads(image.metadata or "")["id"] for image in whole.images] == [image.offset for image in whole.images]
        for image in whole.images:
            assert read_member(path.as_uri(), image.member, image.offset).image_id == image.image_id


@given(table=tables(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_chosen_columns_are_read_alone_and_fetched_again(
    table: tuple[dict[str, tuple[str, list[Cell]]], int], data: st.DataObject
) -> None:
    columns, rows = table
    made: dict[str, Any] = {name: (SINGLE | LISTS)[shape](cells) for name, (shape, cells) in columns.items()}
    chosen = data.draw(st.lists(st.sampled_from(sorted(columns)), min_size=1, unique=True))
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "a.parquet"), made)
        (whole,) = read_shard(path, *chosen)
        found = [image.data for image in whole.images]
        assert found == [
            image
            for row in range(rows)
            for name, (shape, cells) in columns.items()
            if name in chosen
            for image in _images(shape, cells[row])
        ]
        for image in whole.images:
            assert read_member(path.as_uri(), image.member, image.offset).image_id == image.image_id


def test_addresses_name_the_column_where_there_are_several_and_the_place_in_a_list() -> None:
    pairs: dict[str, Any] = {"image": IMAGES[:2], "edited_image": IMAGES[2:4], "prompt": ["a", "b"]}
    assert members(read_table(pairs)) == [("0/image", 0), ("0/edited_image", 0), ("1/image", 1), ("1/edited_image", 1)]
    assert members(read_table({"images": [IMAGES[:2], IMAGES[2:3]]})) == [("0/images/0", 0), ("0/images/1", 0), ("1/images/0", 1)]
    assert members(read_table({"image": IMAGES[:2]})) == [("0", 0), ("1", 1)]
    assert members(read_table(pairs, "edited_image")) == [("0/edited_image", 0), ("1/edited_image", 1)]


def test_an_image_of_an_audit_from_before_rows_had_several_is_still_fetched(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", {"thumbnail": IMAGES[:2], "image": IMAGES[2:4]})
    assert read_member(path.as_uri(), "1", 1).data == IMAGES[3]


@pytest.mark.parametrize("other", [b"\1" * 8, bytes(512), b"some text", b"%PDF-1.4", b"<html>"])
def test_a_column_of_other_bytes_is_no_column_of_images_whatever_its_name_is(other: bytes) -> None:
    whole = read_table({"image": [other] * 9, "data": [other] * 9, "thumb": [IMAGES[0]] * 9})
    assert [image.data for image in whole.images] == [IMAGES[0]] * 9
    assert (whole.rejects, whole.damage) == ((), None)


def test_a_null_beside_an_image_is_nothing_and_a_row_of_nulls_one_reject() -> None:
    whole = read_table({"jpg": [IMAGES[0], None, None], "png": [None, IMAGES[1], None]})
    assert [image.data for image in whole.images] == IMAGES[:2]
    assert [(each.member, each.offset, each.reason) for each in whole.rejects] == [("2", 2, Reason.NO_BYTES)]


@pytest.mark.parametrize("compression", ["snappy", "brotli"])
def test_a_column_whose_first_image_comes_late_is_read(compression: str, tmp_path: Path) -> None:
    late: list[bytes | None] = [None] * 3000
    late[2500] = IMAGES[1]
    columns = {"jpg": [IMAGES[0] if each is None else None for each in late], "png": late, "text": pa.nulls(3000, pa.binary())}
    path = write(tmp_path / "a.parquet", columns, compression=compression)
    (whole,) = read_shard(path)
    assert len(whole.images) == 3000
    assert [(image.member, image.data) for image in whole.images if image.member.endswith("png")] == [("2500/png", IMAGES[1])]
    assert not whole.rejects
    for image in whole.images[2499:2502]:
        assert read_member(path.as_uri(), image.member, image.offset).image_id == image.image_id


def test_some_first_values_that_are_no_images_do_not_hide_a_column() -> None:
    whole = read_table({"image": [b"<html>", b"", b"404", IMAGES[0]]})
    assert [image.offset for image in whole.images] == [0, 2, 3]
    assert [reject.reason for reject in whole.rejects] == [Reason.EMPTY]


def test_an_empty_list_is_counted_as_no_image() -> None:
    whole = read_table({"images": [IMAGES[:1], []]})
    assert (len(whole.images), len(whole.rejects), whole.skipped) == (1, 0, 1)


def test_what_stands_beside_an_image_in_its_struct_is_metadata() -> None:
    cells = [[{"bytes": IMAGES[0], "path": "a.jpg", "width": 16}, {"bytes": IMAGES[1], "path": None, "width": 16}]]
    whole = read_table({"images": cells, "caption": ["c"]})
    assert [json.loads(image.metadata or "") for image in whole.images] == [
        {"caption": "c", "images.path": "a.jpg", "images.width": 16},
        {"caption": "c", "images.width": 16},
    ]


def test_tables_without_images_are_left_out_of_folders_and_an_error_alone(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": IMAGES[:1]})
    tables: dict[str, dict[str, Any]] = {
        "img2dataset": {"url": ["https://example.org/x"], "key": ["0"], "sha256": ["ab" * 32]},
        "metadata": {"file_name": ["a.jpg"], "caption": ["c"]},
        "embeddings": {"clip_embedding": [bytes(512)], "phash": [b"\1" * 8]},
        "checkpoint": {"add": [{"path": "part.parquet", "size": 3}]},
    }
    for name, columns in tables.items():
        path = write(tmp_path / f"{name}.parquet", columns)
        with pytest.raises(
            InputError, match=f"{name}.parquet is no shard: no column holds image bytes.* there are {', '.join(columns)}"
        ):
            list(match_shards([str(path)], Storage()))
    for whole in (tmp_path, tmp_path / "*.parquet"):
        assert [shard.uri.rpartition("/")[2] for shard in match_shards([str(whole)], Storage())] == ["a.parquet"]


def test_images_in_base64_are_refused_with_what_to_do() -> None:
    text = base64.b64encode(IMAGES[0])
    for column in ([text.decode()], [text], ["data:image/jpeg;base64," + text.decode()], [[text.decode()]]):
        alone = read_table({"picture": column})
        assert "base64 are not read: decode 'picture' to bytes first" in (alone.damage or "")
        beside = read_table({"image": IMAGES[1:2], "picture": column})
        assert [image.data for image in beside.images] == IMAGES[1:2]
        assert "decode 'picture' to bytes first, or choose other columns with --image-column" in (beside.damage or "")
        assert read_table({"image": IMAGES[1:2], "picture": column}, "image").damage is None


def test_a_column_that_is_not_there_is_an_error_that_lists_those_that_are() -> None:
    with pytest.raises(
        InputError, match=r"a.parquet: image column 'imge' is not there .* columns are image, n, and of bytes image$"
    ):
        read_table({"image": IMAGES[:1], "n": [1]}, "image", "imge")


def test_a_choice_of_columns_is_of_formats_that_have_them(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", {"image": IMAGES[:1]})
    for kind in ("tar", "tfrecord"):
        write_shard(kind, make_samples(1), tmp_path / f"b.{kind}")
    write_shard("folder", make_samples(1), tmp_path / "photos")
    shards = match_shards([str(tmp_path)], Storage(), columns=("image",))
    assert {shard.format: shard.columns for shard in shards} == {
        "parquet": ("image",),
        "tfrecord": ("image",),
        "tar": (),
        "folder": (),
    }


def test_another_choice_of_columns_is_other_slices() -> None:
    columns: dict[str, Any] = {"image": IMAGES[:2], "edited_image": IMAGES[2:4]}
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder, "a.parquet"), columns)
        chosen: list[tuple[str, ...]] = [(), ("image",), ("edited_image",), ("image", "edited_image")]
        shards = [next(match_shards([str(path)], Storage(), columns=names)) for names in chosen]
        assert len({shard.slice_id("b", 0) for shard in shards}) == len({shard.shard_id("b") for shard in shards}) == 4
        (turned,) = match_shards([str(path)], Storage(), columns=("edited_image", "image"))
        assert turned.slice_id("b", 0) == shards[3].slice_id("b", 0)


@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd", "brotli", "lz4"])
@pytest.mark.parametrize("dictionary", [True, False])
@pytest.mark.parametrize("shape", ["binary", "fixed", "hugging face", "struct of data"])
def test_looking_at_a_table_costs_little(
    shape: str, compression: str, *, dictionary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.transforms.formats.test_columns.SIZE", 20_000)
    noise = np.random.default_rng(0).bytes(16_000)
    cells = [IMAGES[0] + noise + bytes([n]) for n in range(200)]
    options = {"compression": compression, "use_dictionary": dictionary}
    path = write(tmp_path / "a.parquet", {"image": SINGLE[shape](cells), "phash": [b"\1" * 8] * 200}, **options)
    read: list[int] = []
    cat = LocalFileSystem.cat_file

    def counted(self: LocalFileSystem, *args: Any, **keywords: Any) -> bytes:
        data: bytes = cat(self, *args, **keywords)
        read.append(len(data))
        return data

    monkeypatch.setattr(LocalFileSystem, "cat_file", counted)
    assert len(list(match_shards([str(path)], Storage()))) == 1
    if compression not in ("brotli", "lz4"):
        assert sum(read) < 200_000
    (whole,) = read_shard(path)
    assert [len(image.data) for image in whole.images] == [20_000 if shape == "fixed" else len(cell) for cell in cells]
