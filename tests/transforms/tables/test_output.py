from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from causalprint.schemas.config import Storage
from causalprint.transforms.tables.output import folder_names, get, put

LOCAL = Storage()


def test_what_is_put_is_got(tmp_path: Path) -> None:
    put(str(tmp_path), "a/b/c", b"0123456789", LOCAL)
    assert get(str(tmp_path), "a/b/c", LOCAL) == b"0123456789"
    assert get(str(tmp_path), "a/b/c", LOCAL, tail=3) == b"789"
    assert get(str(tmp_path), "a/b/c", LOCAL, tail=99) == b"0123456789"
    assert get(str(tmp_path), "a/b/d", LOCAL) is None
    assert get(str(tmp_path / "nowhere"), "a", LOCAL) is None


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}"])
def test_the_root_may_be_a_path_or_a_url(tmp_path: Path, form: str) -> None:
    put(form.format(tmp_path), "x", b"1", LOCAL)
    assert (tmp_path / "x").read_bytes() == b"1"


def test_a_shorter_file_replaces_a_longer_part_and_a_longer_file(tmp_path: Path) -> None:
    (tmp_path / ".x.part").write_bytes(b"what a killed process left behind")
    put(str(tmp_path), "x", b"long enough", LOCAL)
    put(str(tmp_path), "x", b"short", LOCAL)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"short"


def test_exclusive_keeps_what_is_there(tmp_path: Path) -> None:
    put(str(tmp_path), "x", b"first", LOCAL, exclusive=True)
    with pytest.raises(FileExistsError):
        put(str(tmp_path), "x", b"second", LOCAL, exclusive=True)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"first"


def test_a_killed_put_leaves_the_old_file_whole(tmp_path: Path) -> None:
    put(str(tmp_path), "x", b"old", LOCAL)
    script = (
        "import os, sys; from causalprint.schemas.config import Storage; from causalprint.transforms.tables.output import put;"
        "os.fsync = lambda _: os._exit(9); put(sys.argv[1], 'x', b'newer, but never safe', Storage())"
    )
    assert subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False).returncode == 9
    assert (tmp_path / ".x.part").exists(), "the process should have died in the midst"
    assert get(str(tmp_path), "x", LOCAL) == b"old"
    put(str(tmp_path), "x", b"new", LOCAL)
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert get(str(tmp_path), "x", LOCAL) == b"new"


def test_writers_of_one_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    texts = [bytes([65 + number]) * (100_000 + number) for number in range(8)]

    def write_and_read(text: bytes) -> bytes | None:
        for _ in range(10):
            put(str(tmp_path), "x", text, LOCAL)
        return get(str(tmp_path), "x", LOCAL)

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write_and_read, texts))
    assert set(seen) <= set(texts), "a reader saw a file that nobody wrote as a whole"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_of_many_exclusive_writers_one_wins(tmp_path: Path) -> None:
    def write(number: int) -> int | None:
        try:
            put(str(tmp_path), "x", str(number).encode(), LOCAL, exclusive=True)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(write, range(32)) if number is not None]
    assert [str(number) for number in winners] == [(tmp_path / "x").read_text()]
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_names_in_a_folder(tmp_path: Path) -> None:
    for name in ("t/ab.parquet", "t/ac.parquet", "t/b.parquet", "t/a/deeper"):
        put(str(tmp_path), name, b"", LOCAL)
    assert folder_names(str(tmp_path), "t", LOCAL) == ["a", "ab.parquet", "ac.parquet", "b.parquet"]
    assert folder_names(str(tmp_path), "nowhere", LOCAL) == []
