from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.records import to_json
from causalprint.schemas.tables import SCHEMA_VERSION
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables.seals import sealed
from causalprint.transforms.tables.settings import OutputSettingsError, Settings, agree

LOCAL = Storage()


def test_the_first_run_decides_and_a_later_one_that_does_not_say_follows(tmp_path: Path) -> None:
    first = agree(str(tmp_path), LOCAL, Slicing(100, 5000), 70)
    assert first == sealed(Settings(SCHEMA_VERSION, Slicing(100, 5000), 70))
    assert agree(str(tmp_path), LOCAL, None, 70) == first
    assert agree(str(tmp_path), LOCAL, Slicing(100, 5000), 70) == first


def test_without_a_word_from_anyone_the_defaults_hold(tmp_path: Path) -> None:
    assert agree(str(tmp_path), LOCAL, None, None) == sealed(Settings(SCHEMA_VERSION, Slicing(), None))


@pytest.mark.parametrize(
    ("slicing", "limit", "message"),
    [
        (Slicing(200, 5000), 70, "begun with images a slice 100, this run asks for 200: leave out --slice-images, or"),
        (Slicing(100, 6000), 70, "begun with bytes a slice 5000, this run asks for 6000: leave out --slice-bytes, or"),
        (None, 71, "begun with limit of images 70, this run asks for 71: give --limit 70, or"),
        (None, None, "begun with limit of images 70, this run asks for none: give --limit 70, or"),
    ],
)
def test_a_run_that_asks_for_something_else_is_told_both_and_what_to_do(
    tmp_path: Path, slicing: Slicing | None, limit: int | None, message: str
) -> None:
    agree(str(tmp_path), LOCAL, Slicing(100, 5000), 70)
    before = (tmp_path / OUTPUT_MARK).read_bytes()
    with pytest.raises(OutputSettingsError, match=message) as caught:
        agree(str(tmp_path), LOCAL, slicing, limit)
    assert str(tmp_path) in str(caught.value)
    assert (tmp_path / OUTPUT_MARK).read_bytes() == before


def test_a_limit_where_there_was_none(tmp_path: Path) -> None:
    agree(str(tmp_path), LOCAL, None, None)
    with pytest.raises(OutputSettingsError, match="limit of images none, this run asks for 5: leave out --limit, or write"):
        agree(str(tmp_path), LOCAL, None, 5)


def test_an_output_of_other_tables_is_refused(tmp_path: Path) -> None:
    agree(str(tmp_path), LOCAL, None, None)
    other = sealed(Settings(8, Slicing(), None))
    (tmp_path / OUTPUT_MARK).write_text(to_json(other))
    with pytest.raises(OutputSettingsError, match=f"version 8, this run asks for {SCHEMA_VERSION}: write to another"):
        agree(str(tmp_path), LOCAL, None, None)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"slicing": 3}'])
def test_a_file_that_is_not_ours_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / OUTPUT_MARK).write_text(text)
    with pytest.raises(OutputSettingsError, match=f"{OUTPUT_MARK}.* write to another output"):
        agree(str(tmp_path), LOCAL, None, None)


def test_of_runs_that_begin_at_once_one_decides(tmp_path: Path) -> None:
    def begin(images: int) -> int | None:
        try:
            return agree(str(tmp_path), LOCAL, Slicing(images), None).slicing.images
        except OutputSettingsError:
            return None

    with ThreadPoolExecutor(8) as pool:
        agreed = [images for images in pool.map(begin, range(1, 17)) if images is not None]
    assert agreed == [agree(str(tmp_path), LOCAL, None, None).slicing.images]
