from __future__ import annotations

import json
from typing import Literal, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.accounts import ShardAccount, SliceReceipt
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.elements import Drawn
from causalprint.schemas.records import from_data, from_json, to_json
from causalprint.schemas.runs import Run, RunManifest, Totals

st.register_type_strategy(Drawn, st.builds(Drawn, of=st.integers(), seed=st.integers(), chance=st.none() | st.floats(0, 1)))


@given(st.from_type(SliceReceipt))
def test_a_receipt_comes_back_as_it_went(receipt: SliceReceipt) -> None:
    assert from_json(SliceReceipt, to_json(receipt)) == receipt


@given(st.from_type(ShardAccount))
def test_an_account_comes_back_as_it_went(account: ShardAccount) -> None:
    assert from_json(ShardAccount, to_json(account)) == account


@given(st.from_type(Totals))
def test_a_manifest_comes_back_as_it_went(totals: Totals) -> None:
    config = AuditConfig(("s3://crawl/*.tar", "é"), "file:///out", slice_images=10, slice_bytes=100, beam_options=("--a=b",))
    manifest = RunManifest(1, Run("id", "then", config, "default-abc", "d" * 64, "prior:./residual"), "now", totals, (), "Linux")
    assert from_json(RunManifest, to_json(manifest, indent=1)) == manifest


class Point(NamedTuple):
    x: int
    y: float = 0.5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "there is no JSON"),
        ("[1]", "there must be a mapping, not"),
        ("{}", "there: 'x' is missing"),
        ('{"x": 1, "z": 2}', "there: 'z' is unknown; Point has x, y"),
        ('{"x": "1"}', "there: x must be a whole number, not '1'"),
        ('{"x": true}', "there: x must be a whole number, not True"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(Point, text, "there")


def test_defaults_fill_in_and_whole_numbers_are_numbers() -> None:
    assert from_json(Point, '{"x": 1}') == Point(1)
    assert from_json(Point, '{"x": 1, "y": 2}') == Point(1, 2.0)


def test_text_is_readable_json() -> None:
    assert json.loads(to_json(AuditConfig(("é",), "out")))["inputs"] == ["é"]
    assert "é" in to_json(AuditConfig(("é",), "out"))


class Shape(NamedTuple):
    kind: Literal["round", "square"]
    points: tuple[Point, ...] = ()
    size: tuple[int, float] = (1, 1.0)
    name: str | None = None


def test_values_as_yaml_gives_them_are_checked_alike() -> None:
    data = {"kind": "round", "points": [{"x": 1}, {"x": 2, "y": 3}], "size": [2, 3], "name": None}
    assert from_data(Shape, data) == Shape("round", (Point(1), Point(2, 3.0)), (2, 3.0))
    assert isinstance(from_data(Shape, data).size[1], float)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"kind": "flat"}, r"^there: kind 'flat' is none of round, square$"),
        ({"kind": ["round"]}, r"^there: kind \['round'\] is none of round, square$"),
        ({"kind": "round", "size": [1]}, r"^there: size must have 2 values, not \[1\]$"),
        ({"kind": "round", "points": [{"x": 1}, {"x": 1, "y": "2"}]}, r"^there: points\[1\]\.y must be a number, not '2'$"),
        ({"kind": "round", "points": [{"x": 1, "y": True}]}, r"^there: points\[0\]\.y must be a number, not True$"),
        ({"kind": "round", 3: 4}, r"^there: '3' is unknown; Shape has kind, points, size, name$"),
    ],
)
def test_what_does_not_fit_is_refused_wherever_it_lies(data: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_data(Shape, data, "there")
