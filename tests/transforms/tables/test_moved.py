"""Datasets that move: what is the same keeps its rows, which are those of an audit at the new address; the rest is computed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.pipelines.commands.forget import ForgetConfig
from causalprint.pipelines.forget import forget
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.accounts import ShardAccount
from causalprint.schemas.config import AuditConfig, Slicing, Storage
from causalprint.schemas.elements import AttributedSlice, EncodedImage, FingerprintedSlice, ImageSlice
from causalprint.schemas.moves import Move
from causalprint.schemas.runs import RunManifest
from causalprint.schemas.tables import REJECTS
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_shards
from causalprint.transforms.storage.lookup import InputError
from causalprint.transforms.tables.close_accounts import write_account
from causalprint.transforms.tables.ledger import Ledger
from causalprint.transforms.tables.moved import as_uris, with_versions
from causalprint.transforms.tables.settings import agree
from causalprint.transforms.tables.skip_committed import skip_shard, skip_slice
from causalprint.transforms.tables.verify import verify
from causalprint.transforms.tables.write_manifest import write_run
from causalprint.transforms.tables.write_tables import write_slice
from tests.audits import tar
from tests.killed import KilledError, killed_after
from tests.outputs import BUNDLE_ID, TABLES_OF_IMAGES, accounts_in, files_below, output_at, rows, run_into
from tests.samples import sample_shard, sample_slice

LOCAL = Storage()
PATTERN = sample_slice(sample_shard(), images=8, rejects=8)
"""Rows of all kinds, of which every image gets one by its digest."""
SLICING = Slicing(images=2)


class Night(NamedTuple):
    """What one audit came to, and the slices that it computed, by shard and index."""

    manifest: RunManifest
    computed: list[tuple[str, int]]


def audited(folder: Path, root: Path, number: int, *moves: Move) -> Night:
    """What the pipeline does, with verdicts that depend on the images' bytes alone."""
    agree(str(root), LOCAL, SLICING, None)
    output = output_at(root, slicing=SLICING)
    shards = tuple(match_shards([str(folder)], LOCAL))
    same = as_uris(moves, LOCAL)
    shards = with_versions(shards, same, output) if moves else shards
    accounts: list[ShardAccount] = []
    computed = []
    for shard in shards:
        account = skip_shard(shard, output)
        if account is None:
            ledger = Ledger(shard)
            for source in read_slices(shard, BUNDLE_ID, SLICING, LOCAL):
                receipts = list(skip_slice(source, output))
                if not receipts:
                    computed.append((shard.uri.rpartition("/")[2], source.index))
                    receipts = [write_slice(attributed(source), output)]
                ledger = reduce(Ledger.add, receipts, ledger)
            account = write_account(ledger.close(BUNDLE_ID), output)
        accounts.append(account)
    run = run_into(output, f"2026010{number}T000000Z-00000000")
    return Night(write_run(accounts, replace(run, config=AuditConfig((str(folder),), str(root), same_as=same))), computed)


def attributed(source: ImageSlice) -> AttributedSlice:
    bad, good = ([image for image in source.images if image.data.startswith(b"bad") == wrong] for wrong in (True, False))
    rejects = [*source.rejects, *(image.rejected("decode", "truncated-image", "cut", image.image_id) for image in bad)]
    place = {"shard": source.shard.uri, "slice_id": source.slice_id}
    return AttributedSlice(
        FingerprintedSlice(
            source.without_bytes(),
            source.seen,
            of_images(PATTERN.fingerprinted.images, good, place),
            of_images(PATTERN.fingerprinted.embeddings, good, place),
            pa.RecordBatch.from_pylist([place | reject._asdict() for reject in rejects], REJECTS),
        ),
        of_images(PATTERN.attributions, good, place),
    )


def of_images(pattern: pa.RecordBatch, images: list[EncodedImage], place: dict[str, str]) -> pa.RecordBatch:
    kinds = pattern.take(pa.array([int(image.image_id, 16) % 8 for image in images], pa.int64())).to_pylist()
    own = ({name: getattr(image, name) for name in ("image_id", "member", "offset", "metadata")} | place for image in images)
    made = [row | {name: value for name, value in key.items() if name in row} for row, key in zip(kinds, own, strict=True)]
    return pa.RecordBatch.from_pylist(made, pattern.schema)


def write(folder: Path, shards: Iterable[dict[str, bytes]]) -> None:
    """Of the shards the first is a folder of image files, the others are tars."""
    for number, members in enumerate(shards):
        if number:
            tar(folder / f"{number}.tar", sorted(members.items()))
        for name, data in () if number else members.items():
            (folder / "files").mkdir(parents=True, exist_ok=True)
            (folder / "files" / name).write_bytes(data)


def images(*kinds: str) -> dict[str, bytes]:
    """Members: good images and bad ones, and the sidecar of the first."""
    members = {f"{number}.jpg": f"{kind}-{number:03}".encode() for number, kind in enumerate(kinds)}
    return members | ({"0.json": b'{"url": "https://example.org/0"}'} if kinds else {})


def at_address(root: Path, table: str, folder: Path) -> list[dict[str, object]]:
    return [row for row in rows(root, table).to_pylist() if str(row.get("shard") or row["uri"]).startswith(f"file://{folder}/")]


@settings(max_examples=5)
@given(data=st.data())
def test_what_is_the_same_is_kept_and_all_else_is_computed(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    base = tmp_path_factory.mktemp("moves")
    old, new, root, fresh = (base / name for name in ("old", "elsewhere/new", "OUT", "FRESH"))
    several = data.draw(st.lists(st.lists(st.sampled_from(["good", "bad"]), min_size=1, max_size=5), min_size=1, max_size=3))
    shards = [images(*kinds) for kinds in several]
    write(old, shards)
    first = audited(old, root, 1)
    places = [(number, name) for number, members in enumerate(shards) for name in members]
    changed = data.draw(st.lists(st.sampled_from(places), unique=True, max_size=3))
    for number, name in changed:  # of the same length, so that nothing else moves
        shards[number][name] = shards[number][name].swapcase()
    old_files = sorted(path.relative_to(old) for path in old.rglob("*"))
    shutil.rmtree(old)
    write(new, shards)
    assert sorted(path.relative_to(new) for path in new.rglob("*")) == old_files
    second = audited(new, root, 2, Move(str(old), str(new)))
    audited(new, fresh, 2)
    uris = {number: f"{number}.tar" if number else "" for number in range(len(shards))}
    assert set(second.computed) == {(uris[number], int(name[0]) // 2) for number, name in changed}
    for table in (*TABLES_OF_IMAGES, "shards"):
        assert at_address(root, table, new) == rows(fresh, table).to_pylist()
    expected = files_below(fresh)
    unmarked = {path: found for path, found in files_below(root).items() if path in expected and "/bundle=" in path}
    assert all(expected[path] == found for path, found in unmarked.items() if not path.startswith(("attributions", "shards")))
    assert unmarked.keys() == {path for path in expected if "/bundle=" in path}
    check_now(root, new, second, len(shards), len({number for number, _name in changed}))
    assert second.manifest.changes is not None
    assert second.manifest.changes.previous == first.manifest.run.run_id
    third = audited(new, root, 3)
    assert third.computed == []
    check_now(root, new, third, len(shards), 0)


def check_now(root: Path, folder: Path, night: Night, shards: int, changed: int) -> None:
    """The audit has these shards at their new address and nothing at the old one, accounts close, and nothing is wrong."""
    changes = night.manifest.changes
    assert changes is not None
    states = (changes.new.shards, changes.kept.shards, changes.changed.shards, changes.vanished.shards)
    assert states == (0, shards - changed, changed, 0)
    assert verify(str(root), LOCAL, deep=True).findings == ()
    with open_audit(str(root)) as tables:
        current = tables.sql("FROM current_shards").rows()
        seen = tables.sql("SELECT count(*) AS n FROM findings").rows()[0]["n"]
        rejected = tables.sql("SELECT count(*) AS n FROM current_rejects").rows()[0]["n"]
    assert len(current) == shards
    assert all(row["uri"].startswith(f"file://{folder}/") and row["complete"] for row in current)
    assert sum(row["seen"] for row in current) == seen + rejected


@pytest.fixture
def moved(tmp_path: Path) -> tuple[Path, Path, Path, Move]:
    """An output, where its three shards lay, and where they lie."""
    root, old, new = tmp_path / "OUT", tmp_path / "old", tmp_path / "new"
    write(old, [images("good", "bad", "good"), images("good", "good", "bad"), images("bad")])
    audited(old, root, 1)
    old.rename(new)
    return root, old, new, Move(str(old), str(new))


def test_killed_between_any_two_writes_the_same_command_finishes_it(
    moved: tuple[Path, Path, Path, Move], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, _old, new, move = moved

    def copied(name: str) -> Path:
        return Path(shutil.copytree(root, tmp_path / name / "OUT"))

    whole = copied("whole")
    written = killed_after(10**6, monkeypatch)
    assert audited(new, whole, 2, move).computed == []
    expected = files_below(whole)
    assert len({*written}) == len(written) > 15, "every file once"
    for number in range(0, len(written), 4):
        part = copied(str(number))
        killed_after(number, monkeypatch)
        with pytest.raises(KilledError):
            audited(new, part, 2, move)
        monkeypatch.undo()
        assert {one.kind for one in verify(str(part), LOCAL, deep=True).findings} <= {"missing", "orphan", "temporary"}
        night = audited(new, part, 3, move)
        assert night.computed == []
        assert files_below(part) == expected
    check_now(part, new, night, 3, 0)


def test_what_is_forgotten_stays_so(moved: tuple[Path, Path, Path, Move]) -> None:
    root, _old, new, move = moved
    one = hashlib.sha256(b"good-000").hexdigest()
    assert one in rows(root, "images")["image_id"].to_pylist()
    forget(ForgetConfig(str(root), image_id=(one,)))
    night = audited(new, root, 2, move)
    assert night.computed == []
    assert one not in rows(root, "images")["image_id"].to_pylist()
    assert night.manifest.totals.forgotten == 2, "the same bytes lie in two shards"
    assert verify(str(root), LOCAL, deep=True).findings == ()
    assert sum(account.moved for account in accounts_in(output_at(root))) == night.manifest.totals.moved == 5


@pytest.mark.parametrize("table", TABLES_OF_IMAGES)
def test_rows_that_are_not_what_was_written_are_computed(table: str, moved: tuple[Path, Path, Path, Move]) -> None:
    root, _old, new, move = moved
    (path, *_) = sorted((root / table).glob("*/*.parquet"))
    data = bytearray(path.read_bytes())
    data[6] ^= 1
    path.write_bytes(data)
    assert len(audited(new, root, 2, move).computed) == 1


def test_what_no_audit_saw_is_new_and_what_was_not_moved_stays_where_it_is(moved: tuple[Path, Path, Path, Move]) -> None:
    root, old, new, move = moved
    tar(new / "9.tar", images("good").items())
    old.mkdir()
    (new / "2.tar").rename(old / "2.tar")
    night = audited(new, root, 2, move)
    changes = night.manifest.changes
    assert changes is not None
    assert (night.computed, changes.new.shards, changes.kept.shards) == ([("9.tar", 0)], 1, 2)
    with open_audit(str(root)) as tables:
        uris = [row["uri"] for row in tables.sql("SELECT uri FROM current_shards ORDER BY uri").rows()]
    assert [uri.rpartition("/")[2] for uri in uris] == ["1.tar", "9.tar", "", "2.tar"]
    assert [uri for uri in uris if uri.startswith(f"file://{old}/")] == [f"file://{old}/2.tar"]


def test_a_move_that_concerns_nothing_is_refused(moved: tuple[Path, Path, Path, Move], tmp_path: Path) -> None:
    root, old, new, _move = moved
    with pytest.raises(InputError, match=f"no shard of the input is below file://{old}"):
        audited(new, root, 2, Move(str(new), str(old)))
    with pytest.raises(InputError, match=f"holds no shard of that bundle below file://{tmp_path}/ol"):
        audited(new, root, 2, Move(str(tmp_path / "ol"), str(new)))
