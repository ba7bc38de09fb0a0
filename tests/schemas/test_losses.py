"""What is left out, in words and by kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from causalprint.schemas.losses import MAX_KINDS, OTHER_KINDS, LeftOut, left_out_by_kind

KINDS = [".mds file", ".json file", "link that leads nowhere", "link to a folder"]
left_outs = st.lists(st.builds(LeftOut, st.sampled_from(KINDS), st.integers(1, 9), st.sampled_from("abcd"), st.booleans()))


def test_it_is_said_in_words() -> None:
    assert str(LeftOut(".mds file", 1, "file:///a.mds", missing=True)) == "1 .mds file: file:///a.mds"
    assert str(LeftOut(".mds file", 3000, "file:///a.mds", missing=True)) == "3,000 .mds files, such as file:///a.mds"
    assert str(LeftOut("link out of the folder", 4, "b", missing=True)) == "4 links out of the folder, such as b"
    assert str(LeftOut("Parquet file without images", 2, "c", missing=False)) == "2 Parquet files without images, such as c"


@given(left_outs)
def test_what_may_hold_images_comes_first_and_nothing_is_lost(several: list[LeftOut]) -> None:
    found = left_out_by_kind(several)
    assert {(each.kind, each.missing) for each in found} == {(each.kind, each.missing) for each in several}
    assert len(found) == len({(each.kind, each.missing) for each in found})
    assert sum(each.count for each in found) == sum(each.count for each in several)
    assert [each.missing for each in found] == sorted((each.missing for each in found), reverse=True)
    assert found == left_out_by_kind(reversed(several)) == left_out_by_kind(found)


def test_however_many_kinds_there_are_the_list_is_short() -> None:
    found = left_out_by_kind(LeftOut(f".{number} file", 1, "a", missing=number == 500) for number in range(1000))
    assert len(found) == MAX_KINDS + 1
    assert (found[0].kind, found[-1].kind) == (".500 file", OTHER_KINDS)
    assert sum(each.count for each in found) == 1000
