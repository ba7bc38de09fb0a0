"""Many small shards: few files and requests, the same files whoever writes them, and a night with nothing new asks little."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from aiobotocore.client import AioBaseClient

from causalprint.schemas.config import Storage
from causalprint.transforms.tables.verify import verify
from tests.audits import command, photographs_tar
from tests.outputs import files_below
from tests.servers import ObjectStore

SHARDS = 48


def test_small_shards_cost_few_requests_and_files(
    s3_store: ObjectStore, tmp_path: Path, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(SHARDS):
        name = f"{number:03}.tar"
        s3_store.put(f"crawl/{name}", photographs_tar(tmp_path / name, [number], side=40).read_bytes())
    asked = Counter[str]()
    call = AioBaseClient._make_api_call

    def counted(self: AioBaseClient, name: str, given: object) -> object:
        asked[name] += 1
        return call(self, name, given)

    monkeypatch.setattr(AioBaseClient, "_make_api_call", counted)
    options = ("--bundle", tiny, "--storage-options", s3_store.storage.options)
    audit = ("audit", f"{s3_store.url}/crawl", "-o", f"{s3_store.url}/OUT", *options)
    foretold = command(capsys, *audit, "--dry-run").found
    asked.clear()
    assert command(capsys, *audit).found["computed"] == SHARDS
    assert foretold["requests"] == pytest.approx(asked.total(), rel=0.25)
    assert asked["PutObject"] < 2 * SHARDS, asked
    asked.clear()
    night = command(capsys, *audit)
    assert (night.code, night.found["computed"], night.found["now"]["images"]) == (0, 0, SHARDS)
    assert asked.total() <= 30, asked
    files = {name.removeprefix("OUT/"): s3_store.get(name) for name in s3_store.names() if name.startswith("OUT/")}
    assert sum(name.startswith("packs/") for name in files) == 16 + 1
    tables = [len(data) for name, data in files.items() if name.endswith(".parquet") and "/bundle=" in name]
    assert foretold["files"] == len(tables)
    assert foretold["output_bytes"] == pytest.approx(sum(tables), rel=0.25)
    other = command(capsys, *audit[:3], tmp_path / "OUT", *options, "--", "--direct_num_workers=2")
    assert other.code == 0, other.log
    on_disk = files_below(tmp_path / "OUT")
    assert {name: files.get(name) for name in on_disk} == on_disk
    assert verify(str(tmp_path / "OUT"), Storage(), deep=True).findings == ()
