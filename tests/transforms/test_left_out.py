"""Everything that an input matches is read or counted by kind; what looks like a shard or an image is never lost silently."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.config import Slicing, Storage
from causalprint.schemas.losses import LeftOut
from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats.left_out import looks_like_shard
from causalprint.transforms.formats.slices import read_slices
from causalprint.transforms.match_shards import match_inputs
from causalprint.transforms.storage.lookup import InputError
from tests.servers import ObjectStore
from tests.shards import MAKERS, compress, make_samples, tar_of, tfrecord_bytes, zip_of

SAMPLES = make_samples(3)
JPEG = SAMPLES[0].data
TAR = MAKERS["tar"](SAMPLES)


class Seen(NamedTuple):
    """What reading an input came to."""

    images: int
    rejects: list[tuple[str, str]]
    skipped: int
    incomplete: int
    left_out: tuple[LeftOut, ...]

    @property
    def kinds(self) -> dict[str, int]:
        return {each.kind: each.count for each in self.left_out}

    @property
    def missing(self) -> int:
        return sum(each.count for each in self.left_out if each.missing)


def see(*inputs: object, storage: Storage | None = None) -> Seen:
    matched = match_inputs([str(each) for each in inputs], storage or Storage())
    slices = [part for shard in matched.shards for part in read_slices(shard, "b", Slicing(), storage or Storage())]
    return Seen(
        images=sum(len(part.images) for part in slices),
        rejects=[(reject.member, reject.reason) for part in slices for reject in part.rejects],
        skipped=sum(part.skipped for part in slices),
        incomplete=sum(part.damage is not None for part in slices),
        left_out=matched.left_out,
    )


def put(root: Path, **files: bytes) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


# Of each: its bytes, how many images it holds, and whether it is missing where they are not read.
CONTENTS: dict[str, tuple[bytes, int, bool]] = {
    "a.tar": (TAR, 3, False),
    "b.tar.xz": (compress(TAR, "xz"), 3, False),
    "latest": (TAR, 3, False),
    "0a1b2c": (JPEG, 1, False),
    "d.tfrecords-1": (tfrecord_bytes(SAMPLES), 3, False),
    "e-00000-of-00002": (tfrecord_bytes(SAMPLES, "gz"), 3, False),
    "f-00001-of-00002": (compress(TAR, "bz2"), 3, False),
    "photo.jpg": (JPEG, 1, False),
    "g.7z": (b"7z", 0, True),
    "h.mds": (b"mds", 0, True),
    "i.mds.zstd": (b"mds", 0, True),
    "j.tar.lz4": (b"\x04\x22\x4d\x18", 0, True),
    "k.tar.001": (b"part", 0, True),
    "l-00000-of-00002": (b"what", 0, True),
    "notes.md": (b"#", 0, False),
    "a_stats.json": (b"{}", 0, False),
    "a.tar.sha256": (b"00", 0, False),
    "a.tar.idx": (b"00", 0, False),
    "unknown": (b"hello", 0, False),
    "empty": (b"", 0, False),
}
FOLDERS = ("", "x/", "x/y/", "z/")


@given(files=st.dictionaries(st.tuples(st.sampled_from(FOLDERS), st.sampled_from(sorted(CONTENTS))), st.none(), min_size=1))
@settings(max_examples=120, deadline=None)
def test_every_file_of_a_folder_is_read_or_counted(files: dict[tuple[str, str], None]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        put(Path(temporary), **{folder + name: CONTENTS[name][0] for folder, name in files})
        images = sum(CONTENTS[name][1] for _, name in files)
        missing = sum(CONTENTS[name][2] for _, name in files)
        if images == 0:
            with pytest.raises(InputError, match=r"nothing there is a shard .*; there (is|are) \d"):
                see(temporary)
            return
        seen = see(temporary)
        assert (seen.images, seen.rejects, seen.incomplete) == (images, [], 0)
        assert seen.missing == missing
        image_folders = {folder for folder, name in files if name in ("photo.jpg", "0a1b2c")}
        others = [(folder, name) for folder, name in files if CONTENTS[name][1] == 0]
        counted = [name for folder, name in others if folder not in image_folders or CONTENTS[name][2]]
        assert sum(each.count for each in seen.left_out) == len(counted)
        assert seen == see(temporary)


@pytest.mark.parametrize("name", sorted(name for name, content in CONTENTS.items() if not content[1]))
def test_what_is_no_shard_is_counted_in_a_glob_and_an_error_by_itself(name: str, tmp_path: Path) -> None:
    put(tmp_path, **{name: CONTENTS[name][0], "z.tar": TAR})
    for given_input in (tmp_path / "*", tmp_path):
        seen = see(given_input)
        assert (seen.images, sum(each.count for each in seen.left_out)) == (3, 1)
        assert seen.left_out[0].missing == CONTENTS[name][2]
        assert seen.left_out[0].example == (tmp_path / name).as_uri()
    with pytest.raises(InputError, match="is no shard"):
        see(tmp_path / name)


def test_a_folder_of_hash_names_alone_is_a_folder_of_images(tmp_path: Path) -> None:
    put(tmp_path, **{f"b/{number:032x}": sample.data for number, sample in enumerate(SAMPLES)})
    assert see(tmp_path).images == see(tmp_path / "b").images == 3


@pytest.mark.parametrize("name", ["a.dds", "b.icns", "c.jpg.gz", "d.CR3", "e.svgz"])
def test_images_that_are_not_read_are_images_all_the_same(name: str, tmp_path: Path) -> None:
    put(tmp_path, **{name: b"DDS whatever"})
    assert see(tmp_path).images == 1, "it is decoded, and rejected there by its name"


def test_names_without_bytes_are_rejects_or_counted(tmp_path: Path) -> None:
    put(tmp_path, **{"a.jpg": JPEG, "shards/0.tar": TAR})
    (tmp_path / "b.jpg").symlink_to(".git/annex/objects/b.jpg")
    os.mkfifo(tmp_path / "c.jpg")
    (tmp_path / "notes.txt").symlink_to("nowhere.txt")
    (tmp_path / "shards" / "1.tar").symlink_to("gone.tar")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "shards" / "socket"))
        seen = see(tmp_path)
    assert seen.rejects == [("b.jpg", Reason.NO_BYTES), ("c.jpg", Reason.NO_BYTES)]
    assert (seen.images, seen.skipped, seen.incomplete) == (4, 1, 1)
    assert [(each.kind, each.count, each.missing) for each in seen.left_out] == [
        ("link that leads nowhere", 1, True),
        ("socket", 1, False),
    ]
    globbed = see(tmp_path / "*.jpg")
    assert (globbed.images, globbed.kinds) == (1, {"link that leads nowhere": 1, "named pipe": 1})
    assert globbed.missing == 2


def test_a_folder_of_nothing_but_links_that_lead_nowhere_is_read_and_incomplete(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").symlink_to(".git/annex/objects/a.jpg")
    seen = see(tmp_path)
    assert (seen.images, seen.rejects, seen.incomplete) == (0, [("a.jpg", Reason.NO_BYTES)], 1)


def test_folders_that_are_not_looked_into_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, **{"0.tar": TAR, ".cache/1.tar": TAR, "out/_causalprint.json": b"{}", "out/images/x.parquet": b""})
    put(tmp_path, **{"d.lance/data/0.lance": b"", "d.lance/_versions/1.manifest": b"", "closed/2.tar": TAR})
    (tmp_path / "round").symlink_to(tmp_path)
    listed = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    seen = see(tmp_path)
    assert seen.images == 3
    assert [(each.kind, each.count, each.missing) for each in seen.left_out] == [
        (".lance folder", 1, True),
        ("folder that cannot be listed", 1, True),
        ("hidden folder", 1, False),
        ("link to a folder", 1, False),
        ("output of this program", 1, False),
    ]


def test_what_links_to_folders_lead_to_is_missing_unless_it_is_read_under_its_own_name(tmp_path: Path) -> None:
    root = tmp_path / "root"
    put(root, **{"0.jpg": JPEG, "sub/1.jpg": JPEG, ".hidden/2.jpg": JPEG})
    put(tmp_path, **{"elsewhere/3.jpg": JPEG, "root-2/4.jpg": JPEG})
    targets = {"round": ".", "alias": "sub", "sub/up": "..", "to-hidden": ".hidden", "out": "../elsewhere", "beside": "../root-2"}
    for name, target in targets.items():
        (root / name).symlink_to(target)
    seen = see(root)
    assert (seen.images, seen.skipped, seen.incomplete) == (2, 0, 0)
    assert [(each.kind, each.count, each.missing, each.example) for each in seen.left_out] == [
        ("link to a folder", 3, True, f"{root.as_uri()}/beside/"),
        ("hidden folder", 1, False, f"{root.as_uri()}/.hidden/"),
        ("link to a folder", 3, False, f"{root.as_uri()}/alias/"),
    ]
    assert see(root, root / "out", root / "to-hidden").missing == 1, "the others are named"
    assert see(root / "out").images == see(root / "o*").images == 1


def test_a_link_to_a_file_of_another_folder_costs_itself(tmp_path: Path) -> None:
    put(tmp_path, **{"a/0.jpg": JPEG, "b/1.jpg": JPEG})
    (tmp_path / "a" / "1.jpg").symlink_to("../b/1.jpg")
    seen = see(tmp_path)
    assert (seen.images, seen.rejects, seen.incomplete) == (2, [("1.jpg", Reason.NO_BYTES)], 1)
    assert see(tmp_path / "a" / "*.jpg").images == 2, "named by a glob"


def test_shards_among_the_images_of_a_folder_are_no_members_of_it(tmp_path: Path) -> None:
    put(
        tmp_path, **{name: CONTENTS[name][0] for name in ("photo.jpg", "a.tar", "latest", "e-00000-of-00002", "notes.md", "g.7z")}
    )
    pq.write_table(pa.table({"caption": ["a cat"]}), tmp_path / "metadata.parquet")
    seen = see(tmp_path)
    assert (seen.images, seen.incomplete, seen.kinds) == (10, 0, {".7z file": 1})
    assert seen.skipped == 3, "the note, the table and the archive"


INNER = {name: data for name, (data, _, _) in CONTENTS.items() if name not in ("photo.jpg", "0a1b2c", "f-00001-of-00002")}


@pytest.mark.parametrize("outer", ["tar", "zip"])
@pytest.mark.parametrize("name", [*INNER, "n.zip"])
def test_a_shard_within_an_archive_makes_it_incomplete_as_it_would_be_read_or_missing_in_a_folder(
    outer: str, name: str, tmp_path: Path
) -> None:
    data = INNER.get(name, zip_of([("a.jpg", JPEG)]))
    put(tmp_path, **{f"outer.{outer}": {"tar": tar_of, "zip": zip_of}[outer]([("a.jpg", JPEG), (f"sub/{name}", data)])})
    put(tmp_path / "folder", **{name: data, "a.jpg": JPEG})
    whole, folder = see(tmp_path / f"outer.{outer}"), see(tmp_path / "folder")
    assert (whole.images, whole.skipped) == (1, 1)
    assert whole.incomplete == (folder.images > 1 or folder.missing > 0)


def test_a_range_with_gaps_names_the_gaps(tmp_path: Path) -> None:
    put(tmp_path, **{"0.tar": TAR, "2.tar": TAR})
    with pytest.raises(InputError, match=r"/1.tar, \S*/3.tar are not there \(2 of 4 are\)"):
        see(tmp_path / "{0..3}.tar")


def test_files_of_an_object_store_are_told_by_their_first_bytes_too(object_store: ObjectStore) -> None:
    for name in ("latest", "x/0a1b2c", "e-00000-of-00002", "h.mds", "notes.md"):
        object_store.put(name, CONTENTS[name.rpartition("/")[2]][0])
    seen = see(object_store.url, storage=object_store.storage)
    assert seen.images == 7
    assert seen.kinds == {".mds file": 1, ".md file": 1}


@given(name=st.sampled_from(["a", "b.c", "0001", "é"]), kind=st.sampled_from(sorted(MAKERS)))
def test_parts_of_a_shard_look_like_one_and_what_describes_it_does_not(name: str, kind: str) -> None:
    for part in (f"{name}.{kind}", f"{name}.{kind}.001", f"{name}.{kind}.part", f"{name}.{kind}-3", f"{name}-00001-of-00009"):
        assert looks_like_shard(part)
    for other in (f"{name}.{kind}.json", f"{name}.{kind}.md5", f"{name}.{kind}.idx", name, f"{name}.md"):
        assert not looks_like_shard(other)
