"""A spec is its text: nothing is lost in parsing it, and only its location changes when it is taken elsewhere."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.model_spec import LensError, LensSpec, ModelError, ModelSpec, ResidualError, ResidualSpec, is_spec

WORD = st.text(st.characters(exclude_characters=":?&=", exclude_categories=["Cs"]), min_size=1)


@given(kind=WORD, location=WORD, options=st.dictionaries(WORD, st.text(st.characters(exclude_characters="&"))))
def test_a_text_parses_to_the_value_that_it_is_the_text_of(kind: str, location: str, options: dict[str, str]) -> None:
    text = f"{kind}:{location}" + (f"?{'&'.join(f'{name}={value}' for name, value in options.items())}" if options else "")
    spec = ModelSpec.parse(text)
    assert (spec.kind, spec.location, dict(spec.options), str(spec)) == (kind, location, options, text)
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert is_spec(text)


@pytest.mark.parametrize(("spec", "error"), [(ResidualSpec, ResidualError), (LensSpec, LensError), (ModelSpec, ModelError)])
def test_each_kind_of_model_has_its_own_error(spec: type[ModelSpec], error: type[ModelError]) -> None:
    with pytest.raises(
        ModelError, match=f"^{spec.noun} 'nothing' is not of the form kind:path-or-hub-name; for example"
    ) as raised:
        spec.parse("nothing")
    assert type(raised.value) is error
    with pytest.raises(error, match=f"^{spec.noun} 'a:b\\?c=d': a has no option 'c'; it has e, f$"):
        spec.parse("a:b?c=d").check_options(["e", "f"])
    assert spec("a", "b") != next(other for other in (ResidualSpec, LensSpec) if other is not spec)("a", "b")


def test_what_lies_in_a_bundle_is_found_where_the_bundle_is(tmp_path: Path) -> None:
    spec = ResidualSpec.parse("denoise:./residual?sigma=0.1")
    assert spec.is_inside
    assert str(spec.resolve(tmp_path)) == f"denoise:{tmp_path.resolve()}/residual?sigma=0.1"
    assert isinstance(spec.resolve(tmp_path), ResidualSpec)
    for elsewhere in ("denoise:owner/name?sigma=0.1", "denoise:/models/prior", "denoise:../prior"):
        assert not ResidualSpec.parse(elsewhere).is_inside
        assert str(ResidualSpec.parse(elsewhere).resolve(tmp_path)) == elsewhere


def test_options_are_typed() -> None:
    spec = LensSpec.parse("onnx:x?n=3&f=2.5&grey=0.5&rgb=1,2,3&range=unit")
    assert (spec.integer("n", 1, 0, 9), spec.integer("m", 1, 0, 9), spec.number("f", 0, 0, 9)) == (3, 1, 2.5)
    assert (spec.colour("grey"), spec.colour("rgb"), spec.colour("none")) == ((0.5, 0.5, 0.5), (1, 2, 3), None)
    assert (spec.choice("range", ["signed", "unit"]), spec.choice("other", ["signed", "unit"])) == ("unit", "signed")
    with pytest.raises(LensError, match="range=unit is unknown; give signed or other"):
        spec.choice("range", ["signed", "other"])
