"""Names: whatever bytes they are, they become text that tables hold, lead back to their file, and do a terminal no harm."""

from __future__ import annotations

import json
import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.names import MAX_NAME_BYTES, json_printable, printable, raw_path, text_of, well_formed

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
texts = st.text(st.characters(exclude_categories=[])) | st.text(
    st.sampled_from("a\x00\x1b\x7f\x9b\n\r\u2028\ud800\udce9é🖼" + BIDI)
)


@given(st.binary(max_size=50).filter(bool))
def test_bytes_and_what_python_makes_of_them_are_one_text(name: bytes) -> None:
    text = text_of(name)
    assert text == text_of(name.decode("utf-8", "surrogateescape"))
    assert text.encode("utf-8").decode() == text
    assert name.decode("utf-8", "replace") == text or "\\x" in text


@given(texts)
def test_any_text_is_well_formed_once_it_is_asked_for(text: str) -> None:
    well_formed(text).encode()
    text_of(text).encode()
    assert well_formed(well_formed(text)) == well_formed(text)


@given(st.binary(min_size=1, max_size=9), st.binary(min_size=1, max_size=3))
def test_a_long_name_is_cut_and_still_told_from_others(name: bytes, more: bytes) -> None:
    long = name * MAX_NAME_BYTES + b"x" * 300 + b".jpg"
    assert text_of(long).endswith(".jpg")
    assert len(text_of(long)) <= 4 * MAX_NAME_BYTES
    assert text_of(long) != text_of(name * MAX_NAME_BYTES + more + b"x" * 300 + b".jpg")


def test_the_text_of_a_name_leads_back_to_its_file(tmp_path: Path) -> None:
    for name in (b"caf\xe9.jpg", b"\xff\xfe", b"a\\xe9.jpg", "é.jpg".encode()):
        raw = os.fsencode(tmp_path) + b"/" + name
        Path(os.fsdecode(raw)).write_bytes(name)
        assert Path(raw_path(f"{tmp_path}/{text_of(name)}")).read_bytes() == name
    assert raw_path(f"{tmp_path}/gone\\xe9") == f"{tmp_path}/gone\\xe9"


@given(texts)
def test_nothing_that_a_terminal_obeys_is_printed(text: str) -> None:
    shown = printable(text)
    assert not {each for each in shown if unicodedata.category(each) in ("Cc", "Cs", "Zl", "Zp")}
    assert not set(BIDI) & set(shown)
    shown.encode()
    assert printable(shown) == shown


@pytest.mark.parametrize("text", ["plain", "ünïcödé 图像 🖼", "👩\u200d🚀", "a b_c-d.jpg", "নমস্তে"])
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert printable(text) == text


@given(texts)
def test_json_keeps_its_value_and_hides_nothing(text: str) -> None:
    told = json_printable(json.dumps({"name": text, "list": [text]}, indent=1, ensure_ascii=False))
    assert json.loads(told) == json.loads(json.dumps({"name": text, "list": [text]}))
    assert printable(told, "\n") == told
