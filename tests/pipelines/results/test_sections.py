"""A command replaces its own section of RESULTS.md and nothing else, whole or not at all."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.pipelines.results.sections import (
    ResultsError,
    publish,
    publish_section,
    read_section,
    replace_section,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="<\r"), max_size=40)


@given(st.lists(st.tuples(st.sampled_from(["compare", "evaluate", "evaluate-aligned"]), TEXT), min_size=1, max_size=8))
def test_the_last_text_of_each_section_is_there_once_in_the_order_of_the_first(writes: list[tuple[str, str]]) -> None:
    document = ""
    for key, text in writes:
        document = replace_section(document, key, text)
    last = dict(writes)
    assert {key: read_section(document, key) for key in last} == {key: text.strip() for key, text in last.items()}
    assert re.findall(r"<!-- begin (\S+) -->", document) == list(dict.fromkeys(key for key, _ in writes))
    assert replace_section(document, *writes[-1]) == document


def test_what_people_wrote_around_a_section_stays(tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text("Mine.\n\n<!-- begin evaluate -->\nold\n<!-- end evaluate -->\n\nAlso mine.\n")
    publish_section(tmp_path, "evaluate", "new", {})
    assert path.read_text() == "Mine.\n\n<!-- begin evaluate -->\n\nnew\n\n<!-- end evaluate -->\n\nAlso mine.\n"
    publish_section(tmp_path, "compare", "other", {})
    assert path.read_text().startswith("Mine.")
    assert read_section(path.read_text(), "compare") == "other"
    assert [file.name for file in tmp_path.iterdir()] == ["RESULTS.md"]


@pytest.mark.parametrize("broken", ["<!-- begin a -->", "<!-- end a --> <!-- begin a -->", "<!-- begin a --><!-- end a -->" * 2])
def test_a_file_whose_marks_do_not_match_is_left_alone(broken: str, tmp_path: Path) -> None:
    path = tmp_path / "RESULTS.md"
    path.write_text(broken)
    with pytest.raises(ResultsError, match=r"RESULTS.md has '<!-- begin a -->'"):
        publish_section(tmp_path, "a", "text", {})
    assert path.read_text() == broken


def test_images_that_a_section_no_longer_shows_are_removed(tmp_path: Path) -> None:
    publish_section(
        tmp_path,
        "one",
        "![a](figures/one-a.png) ![b](figures/one-b.png)",
        dict.fromkeys(("figures/one-a.png", "figures/one-b.png"), b"old"),
    )
    publish_section(tmp_path, "two", "![c](figures/two-c.png)", {"figures/two-c.png": b"old"})
    publish_section(tmp_path, "one", "![a](figures/one-a.png)", {"figures/one-a.png": b"new"})
    found = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    assert found == {"one-a.png": b"new", "two-c.png": b"old"}


def test_files_are_written_all_or_none(tmp_path: Path) -> None:
    (tmp_path / "kept.json").write_bytes(b"old")
    (tmp_path / "taken").write_bytes(b"a file where a folder is needed")
    with pytest.raises(ResultsError, match="taken"):
        publish(tmp_path, {"kept.json": b"new", "taken/figure.png": b"new"})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.json", "taken"]
    assert (tmp_path / "kept.json").read_bytes() == b"old"
