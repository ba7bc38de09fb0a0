"""Links of tars: each is the image that it leads to, or a reject that says where it leads; none leads out of the tar."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from causalprint.schemas.reasons import Reason
from causalprint.transforms.formats import tar_index
from causalprint.transforms.formats.members import read_member
from tests.shards import compress, make_samples
from tests.transforms.formats.reading import read_all, read_tar

IMAGES = [sample.data for sample in make_samples(5)]


def linked_tar(members: list[tuple[str, bytes | str]], kind: int = tarfile.PAX_FORMAT) -> bytes:
    """Members with their data, or ``hard:NAME`` and ``soft:NAME`` for a link to another."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=kind) as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            if isinstance(data, str):
                info.type = tarfile.LNKTYPE if data.startswith("hard:") else tarfile.SYMTYPE
                info.linkname = data[5:]
                tar.addfile(info)
            else:
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.mark.parametrize("compression", ["", "gz", "zst"])
@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_link_is_an_image_with_the_bytes_of_its_target_and_a_place_of_its_own(
    kind: int, compression: str, tmp_path: Path
) -> None:
    deep = "deep/" * (30 if kind != tarfile.USTAR_FORMAT else 5)
    members: list[tuple[str, bytes | str]] = [
        ("soft.jpg", "soft:d/b.jpg"),
        ("a.jpg", IMAGES[0]),
        ("again.jpg", "hard:a.jpg"),
        ("again.json", b'{"n": 1}'),
        (f"{deep}b.jpg", IMAGES[1]),
        ("d/b.jpg", IMAGES[2]),
        ("dotted.jpg", f"hard:./{deep}b.jpg"),
        ("d/up.jpg", "soft:../a.jpg"),
        ("chain.jpg", "hard:again.jpg"),
        ("hash", "hard:d/b.jpg"),
        ("docs", "soft:d"),
        ("note.txt", "soft:../../etc/passwd"),
        ("table.npy", "hard:a.jpg"),
    ]
    path = tmp_path / f"shard.tar{'.' if compression else ''}{compression}"
    path.write_bytes(compress(linked_tar(members, kind), compression))
    account = read_all(path)
    got = {image.member: image.data for image in account.images}
    wanted = {"soft.jpg": 2, "a.jpg": 0, "again.jpg": 0, f"{deep}b.jpg": 1, "d/b.jpg": 2, "dotted.jpg": 1, "d/up.jpg": 0}
    assert got == {name: IMAGES[number] for name, number in {**wanted, "chain.jpg": 0, "hash": 2}.items()}
    assert (account.rejects, account.damage) == ([], None)
    assert {each.member for each in account.skipped} == {"docs", "note.txt", "table.npy"}
    assert next(json.loads(image.metadata or "") for image in account.images if image.member == "again.jpg") == {"n": 1}
    assert len({image.offset for image in account.images}) == len(account.images)
    for image in account.images:
        assert read_member(path.as_uri(), image.member, image.offset).data == image.data


@pytest.mark.parametrize(
    "link", ["hard:gone.jpg", "soft:gone.jpg", "soft:/etc/hostname", "hard:/etc/hostname", "hard:self.jpg", "hard:x/.."]
)
def test_a_link_that_leads_to_no_member_is_a_reject_and_the_account_says_so(link: str) -> None:
    account = read_tar(linked_tar([("a.jpg", IMAGES[0]), ("self.jpg", link), ("b.jpg", IMAGES[1])]))
    assert [image.member for image in account.images] == ["a.jpg", "b.jpg"]
    assert [(each.member, each.reason) for each in account.rejects] == [("self.jpg", Reason.NO_BYTES)]
    assert repr(link[5:]) in account.rejects[0].detail
    assert "self.jpg" in (account.damage or "")


@given(st.lists(st.integers(0, 4), max_size=12), st.sampled_from(["", "gz"]))
@settings(max_examples=60, deadline=None)
def test_links_in_any_order_give_the_bytes_that_extraction_would(order: list[int], compression: str) -> None:
    members: list[tuple[str, bytes | str]] = [(f"{number}.jpg", data) for number, data in enumerate(IMAGES)]
    members += [(f"link{place}.jpg", f"hard:{number}.jpg") for place, number in enumerate(order)]
    account = read_tar(compress(linked_tar(members), compression), "tar")
    assert [image.data for image in account.images] == [*IMAGES, *(IMAGES[number] for number in order)]


def test_a_name_that_returns_is_the_last_one_before_the_link() -> None:
    account = read_tar(
        linked_tar([("a.jpg", IMAGES[0]), ("one.jpg", "hard:a.jpg"), ("a.jpg", IMAGES[1]), ("two.jpg", "hard:a.jpg")])
    )
    assert [image.data for image in account.images] == [IMAGES[0], IMAGES[0], IMAGES[1], IMAGES[1]]


def test_links_that_would_cost_too_much_are_rejects_and_not_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tar_index, "MAX_REOPENED", 2)
    order = [4, 0, 4, 0, 4, 0]
    members: list[tuple[str, bytes | str]] = [(f"{number}.jpg", data) for number, data in enumerate(IMAGES)]
    members += [(f"link{place}.jpg", f"hard:{number}.jpg") for place, number in enumerate(order)]
    account = read_tar(gzip.compress(linked_tar(members)), "tar.gz")
    assert len(account.images) + len(account.rejects) == 11
    assert {each.reason for each in account.rejects} == {Reason.NO_BYTES}
    assert "too many links" in account.rejects[0].detail
