"""Forgetting that is killed: the same command finishes it, and no other one goes on from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from causalprint.pipelines import forget_runs
from causalprint.transforms.tables.forget import ForgetError
from causalprint.transforms.tables.verify import verify
from tests.killed import KilledError, killed_after
from tests.outputs import (
    files_below,
    rows,
)
from tests.pipelines.forget.erased import (
    LOCAL,
    OTHER,
    check_closed,
    copied,
    forgotten,
)


@pytest.fixture(autouse=True)
def undescribed() -> Iterator[None]:
    """The output's description, which is no table of it, is not written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forget_runs, "describe", lambda *_: None)
        yield


def test_killed_between_any_two_writes_the_same_command_finishes_it(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (image, *_), (reject, *_) = (rows(whole, table)["image_id"].to_pylist() for table in ("images", "rejects"))
    ids = (image, reject)
    done = copied(whole, tmp_path / "done" / "OUT")
    (done / "report.html").touch()
    written = killed_after(10**6, monkeypatch)
    report = forgotten(done, image_id=ids)
    expected, many = files_below(done), len(written)
    assert {path for path, data in files_below(whole).items() if expected[path] != data} == set(written) & expected.keys()
    assert report.removed == ("report.html",)
    assert many > 15
    for number in range(many):
        root = copied(whole, tmp_path / str(number) / "OUT")
        (root / "report.html").touch()
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            forgotten(root, image_id=ids)
        killed_after(10**6, monkeypatch)
        found = verify(str(root), LOCAL, deep=True).findings
        assert all("if a causalprint forget was stopped, the same command finishes it" in one.detail for one in found), found
        forgotten(root, image_id=ids)
        assert files_below(root) == expected
        if number % 6 == 5:
            check_closed(root)


def test_another_command_does_not_go_on_from_one_that_was_stopped(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, *_ = rows(copy, "images")["image_id"].to_pylist()
    killed_after(1, monkeypatch)
    with pytest.raises(KilledError):
        forgotten(copy, image_id=(first,))
    monkeypatch.undo()
    with pytest.raises(ForgetError, match="if another causalprint forget was stopped, run that again first"):
        forgotten(copy, image_id=(second,))
    forgotten(copy, image_id=(first,))
    forgotten(copy, image_id=(second,))
    check_closed(copy)


def test_a_bundle_goes_whenever_the_command_is_killed(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = killed_after(10**6, monkeypatch)
    forgotten(copied(whole, tmp_path / "done" / "OUT"), bundle=OTHER)
    expected = files_below(tmp_path / "done" / "OUT")
    for number in range(len(written)):
        root = copied(whole, tmp_path / str(number) / "OUT")
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            forgotten(root, bundle=OTHER)
        killed_after(10**6, monkeypatch)
        assert all(OTHER in one.path or one.path.startswith("runs/") for one in verify(str(root), LOCAL, deep=True).findings)
        forgotten(root, bundle=OTHER)
        assert files_below(root) == expected
        assert not list(root.glob(f"*/*{OTHER}*"))
        check_closed(root)
