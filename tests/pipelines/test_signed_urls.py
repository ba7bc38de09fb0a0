"""A shard behind a signed URL: its secret is nowhere, a new signature is the same shard, and a fetch says what it needs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.audits import command, photographs_tar
from tests.outputs import rows
from tests.servers import Web, web

Capture = pytest.CaptureFixture[str]


def test_a_signature_is_in_memory_only(tmp_path: Path, tiny: Path, capsys: Capture, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    data = photographs_tar(tmp_path / "0.tar", range(3)).read_bytes()
    out = tmp_path / "out"
    secret = "versionId=1&X-Amz-Expires=60&X-Amz-Signature=S3CR3T"
    with web(Web({"/0.tar": data}, secret=secret)) as server:
        signed = f"{server.url}/0.tar?{secret}"
        arguments = ("audit", signed, "-o", out, "--bundle", tiny)
        first = command(capsys, *arguments)
        assert (first.code, first.found["computed"]) == (0, 1)
        server.secret = secret.replace("S3CR3T", "S3CR3TNEW")
        renewed = signed.replace("S3CR3T", "S3CR3TNEW")
        again = command(capsys, "audit", renewed, *arguments[2:])
        assert (again.code, again.found["computed"]) == (0, 0)
        assert set(rows(out, "shards").column("uri").to_pylist()) == {f"{server.url}/0.tar?versionId=1"}

        image_id = rows(out, "images").column("image_id")[0].as_py()
        fetching = ("fetch", out, image_id, "--output", tmp_path / "found")
        refused = command(capsys, *fetching)
        assert refused.code == 3
        assert "give it with a fresh signature: --signed URL" in refused.found["lost"][0]["reason"]
        assert command(capsys, *fetching, "--signed", renewed).code == 0
        wrong = command(capsys, "audit", signed, *arguments[2:])
        assert wrong.code == 1
        assert "or the URL a fresh signature" in wrong.found["error"]

    said = [f"{each.found} {each.log}" for each in (first, again, refused, wrong)]
    said += [record.getMessage() for record in caplog.records if record.name.startswith("causalprint")]
    assert "S3CR3T" not in "".join(said)
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 4
    assert not [path for path in files if b"S3CR3T" in path.read_bytes()]
