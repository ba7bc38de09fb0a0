"""``verify`` names what happened to an output, and nothing else; and the next audit makes it whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.records import to_json
from causalprint.schemas.tables import TABLES
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables import close_accounts, write_tables
from causalprint.transforms.tables.output import EMPTY
from causalprint.transforms.tables.seals import Seal
from causalprint.transforms.tables.settings import OutputSettingsError, agree, read_settings
from causalprint.transforms.tables.verify import Verification, needs_audit, verify
from causalprint.transforms.tables.verify_output import VerifyError
from causalprint.transforms.tables.write_tables import write_slice
from tests.outputs import BUNDLE_ID, audit, files_below, output_at, shards, slices_of
from tests.samples import sample_shard
from tests.servers import ObjectStore

LOCAL = Storage()
SLICING = Slicing(images=7)
OF_A_SIZE = ("delete", "empty", "halve", "cut", "grow")
KINDS = (*OF_A_SIZE, "flip", "swap", "surplus", "temporary")


def begun(root: Path) -> None:
    """An output of two shards of two slices each, audited to its end."""
    agree(str(root), LOCAL, SLICING, None)
    audit(list(shards(2)), output_at(root, slicing=SLICING), count=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    begun(root)
    return root


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def found_in(root: Path, *, deep: bool = False) -> set[str]:
    return {finding.path for finding in verify(str(root), LOCAL, deep=deep).findings}


def repaired(root: Path) -> Verification:
    return verify(str(root), LOCAL, deep=True, repair=True)


def audit_again(root: Path) -> list[str]:
    read = agree(str(root), LOCAL, None, None)
    return audit(list(shards(2)), output_at(root, slicing=read.slicing), "again", count=2)


def damage(root: Path, kind: str, path: Path, at: int) -> set[str]:
    """Does it; returns the paths of the files with which something is wrong afterwards."""
    data = path.read_bytes()
    name = path.relative_to(root).as_posix()
    if kind == "delete":
        path.unlink()
    elif kind == "swap":
        others = [other for other in sorted(path.parent.iterdir()) if other.read_bytes() != data]
        if not others:
            return set()
        other = others[at % len(others)]
        path.write_bytes(other.read_bytes())
        other.write_bytes(data)
        return {name, other.relative_to(root).as_posix()}
    elif kind in ("surplus", "temporary"):
        added = path.with_name(f"more-{path.name}" if kind == "surplus" else f".{path.name}.part")
        added.write_bytes(data[: at % len(data)])
        return {added.relative_to(root).as_posix()}
    elif kind == "flip":
        place = at % len(data)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    else:
        cut = {"empty": 0, "halve": len(data) // 2, "cut": at % len(data), "grow": len(data)}[kind]
        path.write_bytes(data[:cut] + b"\0" * (kind == "grow"))
    return {name}


def files(root: Path) -> Iterator[Path]:
    """Every file of the tables that has rows."""
    yield from sorted(path for path in root.glob("*/bundle=*/*.parquet") if path.stem != EMPTY)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), which=st.integers(0, 10**6), at=st.integers(0, 10**6))
def test_verify_names_what_was_damaged_and_nothing_else_and_the_next_audit_is_whole(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, kind: str, which: int, at: int
) -> None:
    root = Path(shutil.copytree(whole, tmp_path_factory.mktemp("damaged") / "out"))
    several = list(files(root))
    expected = damage(root, kind, several[which % len(several)], at)
    assert found_in(root, deep=True) == expected
    if kind in OF_A_SIZE:
        assert found_in(root) == expected, "sizes are compared without --deep"
    else:
        before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
        removed = repaired(root).removed
        assert expected <= set(removed)
        kept = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
        assert kept == {path: time for path, time in before.items() if path.relative_to(root).as_posix() not in removed}
    audit_again(root)
    assert files_below(root) == files_below(whole)
    assert found_in(root, deep=True) == set()
    shutil.rmtree(root.parent)


@settings(max_examples=100, deadline=None)
@given(which=st.integers(0, 10**6), at=st.integers(0, 10**6), flip=st.integers(1, 255))
def test_no_receipt_and_no_account_is_believed_after_a_byte_of_its_footer_changed(
    whole: Path, which: int, at: int, flip: int
) -> None:
    """The footer is all of the file that a resumed audit reads, and so all of it that is checked then."""
    several = [path for path in files(whole) if path.parts[-3] in ("attributions", "shards")]
    path = several[which % len(several)]
    data = path.read_bytes()
    length = int.from_bytes(data[-8:-4], "little") + 8
    place = len(data) - length + at % length
    try:
        path.write_bytes(data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :])
        assert found_in(whole) == {path.relative_to(whole).as_posix()}
    finally:
        path.write_bytes(data)


def test_manifests_and_settings_are_checked_too(whole: Path, copy: Path) -> None:
    (manifest,) = (copy / "runs").glob("*.json")
    for path in (manifest, copy / OUTPUT_MARK):
        data = path.read_bytes()
        name = path.relative_to(copy).as_posix()
        for place in range(0, len(data), 13):
            path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
            assert found_in(copy) == {name}, (name, place)
        path.write_bytes(data)
    assert found_in(copy, deep=True) == set()


def test_a_runs_list_of_shards_is_checked_and_goes_with_its_manifest(copy: Path) -> None:
    (listed,) = (copy / "runs").glob("*.shards.parquet")
    (manifest,) = (copy / "runs").glob("*.json")
    name, data = listed.relative_to(copy).as_posix(), listed.read_bytes()
    for damaged, deep in ((data[:-1] + b"?", False), (data[: len(data) // 2] + data[len(data) // 2 + 1 :], False), (None, False)):
        listed.unlink() if damaged is None else listed.write_bytes(damaged)
        assert found_in(copy, deep=deep) == {name}
    listed.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
    assert (found_in(copy), found_in(copy, deep=True)) == (set(), {name})
    verify(str(copy), LOCAL, deep=True, repair=True)
    assert not listed.exists()
    assert not manifest.exists(), "it would name what is not there"
    assert found_in(copy, deep=True) == set()
    listed.write_bytes(data)
    assert found_in(copy, deep=True) == set(), "that of a run that was killed before its manifest"


def test_a_shard_of_which_everything_is_gone_is_missed_by_the_run_that_audited_it(copy: Path) -> None:
    shard, output = sample_shard(1), output_at(copy)
    gone = [output.path(table, shard.slice_id(BUNDLE_ID, index)) for table in output.tables for index in range(2)]
    account = output.path("shards", shard.shard_id(BUNDLE_ID))
    for path in (*gone, account):
        (copy / path).unlink()
    assert found_in(copy) == {account}


def test_a_killed_run_has_leftovers_which_the_next_one_takes_up(tmp_path: Path) -> None:
    output = output_at(tmp_path, slicing=SLICING)
    agree(str(tmp_path), LOCAL, SLICING, None)
    first, second = slices_of(sample_shard(), 2)
    write_slice(first, output)
    write_slice(second, output)
    (tmp_path / output.path("attributions", second.fingerprinted.source.slice_id)).unlink()
    found = {(finding.path.partition("/")[0], finding.kind) for finding in verify(str(tmp_path), LOCAL).findings}
    assert found == {(table, "orphan") for table in ("images", "embeddings", "rejects")} | {("shards", "missing")}
    audit([sample_shard()], output, count=2)
    assert found_in(tmp_path, deep=True) == set()


def test_outputs_of_earlier_versions_are_unverified_and_not_damaged(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify(str(copy), LOCAL).unverified == 0
    shutil.rmtree(copy)
    write_as_before(monkeypatch)
    begun(copy)
    monkeypatch.undo()
    found = verify(str(copy), LOCAL, deep=True)
    assert (found.unverified, found.findings) == (6, ())
    assert audit_again(copy) == []
    next((copy / "embeddings").rglob("*.parquet")).unlink()
    assert len(found_in(copy)) == 1
    assert len(audit_again(copy)) == 1
    assert found_in(copy, deep=True) == set()


def write_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Receipts and accounts without seals, slicing and footprints."""

    def plain(record: object) -> str:
        told = json.loads(to_json(record))
        return json.dumps({key: value for key, value in told.items() if key not in ("seal", "slicing", "footprint")})

    for module in (close_accounts, write_tables):
        monkeypatch.setattr(module, "to_json", plain)
    monkeypatch.setattr(write_tables, "SEALED_RECORD", "causalprint_record")
    monkeypatch.setattr(write_tables, "seal", lambda data: data)
    monkeypatch.setattr(write_tables, "read_seal", lambda _: Seal("", "", 0))


def test_lost_settings_hide_no_image(copy: Path) -> None:
    (copy / OUTPUT_MARK).unlink()
    assert found_in(copy) == {OUTPUT_MARK}
    with pytest.raises(OutputSettingsError, match="was begun with images a slice 7, this run asks for 10"):
        agree(str(copy), LOCAL, Slicing(10), None)
    assert audit_again(copy) == []
    settings_again = read_settings(str(copy), LOCAL)
    assert settings_again is not None
    assert settings_again.slicing == SLICING
    assert found_in(copy, deep=True) == set()


def test_lost_settings_of_an_earlier_version_stop_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_as_before(monkeypatch)
    begun(tmp_path)
    monkeypatch.undo()
    (tmp_path / OUTPUT_MARK).unlink()
    with pytest.raises(OutputSettingsError, match="put that file back, or write to another output"):
        agree(str(tmp_path), LOCAL, None, None)


def test_slices_that_were_cut_elsewhere_are_none_of_this_run(copy: Path) -> None:
    cut_otherwise = output_at(copy, slicing=Slicing(images=10))
    for path in (copy / "shards").rglob("*.parquet"):
        path.unlink()
    assert len(audit(list(shards(2)), cut_otherwise, "again", count=2)) == 4


def test_what_is_no_output_is_said(tmp_path: Path) -> None:
    with pytest.raises(VerifyError, match="is no output of an audit"):
        verify(str(tmp_path), LOCAL)


def test_a_repair_of_leftovers_needs_no_audit(copy: Path) -> None:
    left = copy / "images" / f"bundle={BUNDLE_ID}" / ".x.parquet.part"
    left.write_bytes(b"x")
    assert needs_audit(verify(str(copy), LOCAL))
    found = verify(str(copy), LOCAL, repair=True)
    assert found.removed == (left.relative_to(copy).as_posix(),)
    assert not needs_audit(found)


@pytest.mark.parametrize("table", TABLES)
def test_a_file_beside_the_partitions_of_a_table_is_named(copy: Path, table: str) -> None:
    (copy / table / "stray.parquet").write_bytes(b"x")
    (copy / table / "_SUCCESS").write_bytes(b"")
    found = verify(str(copy), LOCAL, repair=True)
    assert [(one.path, one.kind) for one in found.findings] == [(f"{table}/stray.parquet", "surplus")]
    assert found.removed == (f"{table}/stray.parquet",)
    assert verify(str(copy), LOCAL, deep=True).findings == ()


def test_a_folder_of_others_is_named_and_never_removed(copy: Path) -> None:
    folder = copy / "images" / f"bundle={BUNDLE_ID}" / "mine"
    folder.mkdir()
    found = verify(str(copy), LOCAL, repair=True)
    assert [finding.kind for finding in found.findings] == ["surplus"]
    assert found.removed == ()
    assert needs_audit(found)
    assert folder.is_dir()


def test_an_object_store_is_verified_and_repaired_as_a_disk_is(object_store: ObjectStore) -> None:
    root, storage = f"{object_store.url}/OUT", object_store.storage
    agree(root, storage, SLICING, None)
    output = output_at(root, storage, slicing=SLICING)
    audit(list(shards(2)), output, count=2)
    assert verify(root, storage, deep=True).findings == ()
    path = output.path("embeddings", sample_shard().slice_id(BUNDLE_ID, 1))
    object_store.put(f"OUT/{path}", object_store.get(f"OUT/{path}")[:-1])
    found = verify(root, storage, repair=True)
    assert [finding.path for finding in found.findings] == [path]
    assert len(found.removed) == 3, "the account, the mark, and the file"
    assert audit(list(shards(2)), output, "again", count=2) == [sample_shard().slice_id(BUNDLE_ID, 1)]
    assert verify(root, storage, deep=True).findings == ()
