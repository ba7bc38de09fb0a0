"""Signed manifests: whose signature is believed, and of what."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from causalprint.schemas import runs
from causalprint.schemas.config import PASSWORD_VARIABLE, Storage
from causalprint.transforms.tables.settings import agree
from tests.audits import Answer, command
from tests.outputs import audit, files_below, output_at
from tests.samples import sample_shard

Capture = pytest.CaptureFixture[str]
Verify = Callable[..., Answer]
KINDS: dict[str, Callable[[], PrivateKeyTypes]] = {
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
}


class Keys(NamedTuple):
    """The files of a pair of keys."""

    private: Path
    public: Path


def keys(folder: Path, name: str, kind: str = "ed25519", password: str | None = None) -> Keys:
    key = KINDS[kind]()
    hidden = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, hidden))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return Keys(private, public)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output of two shards."""
    agree(str(tmp_path / "out"), Storage(), None, None)
    audit([sample_shard(0), sample_shard(1)], output_at(tmp_path / "out"), count=1)
    return tmp_path / "out"


@pytest.fixture
def verify(out: Path, capsys: Capture) -> Verify:
    return lambda *words: command(capsys, "verify", out, *words)


def kinds(answer: Answer) -> list[str]:
    return sorted(one["kind"] for one in answer.found["findings"])


@pytest.mark.parametrize("kind", KINDS)
def test_who_has_the_public_key_can_tell_that_all_is_as_it_was_signed(tmp_path: Path, verify: Verify, kind: str) -> None:
    own = keys(tmp_path, "own", kind)
    signed = verify("--sign", own.private)
    assert signed.code == 0
    (made,) = signed.found["signatures"]
    (found,) = verify("--key", own.public).found["signatures"]
    assert found == made
    assert (found["run_id"], found["checked"], found["time"]) == ("run", True, None)
    other = verify("--key", keys(tmp_path, "other", kind).public, "--key", own.public)
    assert other.code == 0, "any of the keys may have signed"
    assert not verify().found["signatures"][0]["checked"], "without a key nobody vouches for it"


def test_another_key_is_refused(tmp_path: Path, verify: Verify) -> None:
    verify("--sign", keys(tmp_path, "own").private)
    answer = verify("--key", keys(tmp_path, "other").public)
    assert answer.code == 3
    assert kinds(answer) == ["unsigned"] * 3, "the manifest, and the accounts of both shards"


def test_an_unsigned_output_is_refused(tmp_path: Path, verify: Verify) -> None:
    answer = verify("--key", keys(tmp_path, "own").public)
    assert (answer.code, kinds(answer)) == (3, ["unsigned"] * 2)


@pytest.mark.parametrize("repair", [False, True])
def test_an_edited_manifest_is_refused_and_not_removed(tmp_path: Path, out: Path, verify: Verify, repair: bool) -> None:
    own = keys(tmp_path, "own")
    verify("--sign", own.private)
    manifest = out / "runs" / "run.json"
    manifest.write_text(manifest.read_text().replace("\n", "\n "))
    before = files_below(out)
    answer = verify("--key", own.public, *["--repair"] * repair)
    assert (answer.code, set(kinds(answer))) == (3, {"unsigned"})
    assert files_below(out) == before, "what nobody vouches for is evidence"


def test_tables_that_were_exchanged_as_a_whole_are_refused(tmp_path: Path, out: Path, verify: Verify) -> None:
    own = keys(tmp_path, "own")
    verify("--sign", own.private)
    other = tmp_path / "other"
    audit([sample_shard(0), sample_shard(1)], output_at(other), count=2)
    for table in ("images", "embeddings", "rejects", "attributions", "shards"):
        shutil.rmtree(out / table)
        shutil.copytree(other / table, out / table)
    assert verify("--deep").code == 0, "they are sound by themselves"
    answer = verify("--key", own.public)
    assert (answer.code, kinds(answer)) == (3, ["unsigned"] * 2)


def test_runs_of_more_shards_than_a_manifest_lists_are_vouched_for_by_their_sum(
    tmp_path: Path, out: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "LISTED", 1)
    audit([sample_shard(0), sample_shard(1)], output_at(out), run_id="second", count=1)
    (out / "runs" / "run.json").unlink()
    own = keys(tmp_path, "own")
    assert verify("--sign", own.private).code == 0
    assert verify("--key", own.public).code == 0
    other = tmp_path / "other"
    audit([sample_shard(0), sample_shard(1)], output_at(other), count=2)
    for table in ("images", "embeddings", "rejects", "attributions", "shards"):
        shutil.rmtree(out / table)
        shutil.copytree(other / table, out / table)
    answer = verify("--key", own.public)
    assert (answer.code, set(kinds(answer))) == (3, {"unsigned"})


def test_a_signature_moved_to_another_run_is_refused(tmp_path: Path, out: Path, verify: Verify) -> None:
    own = keys(tmp_path, "own")
    verify("--sign", own.private)
    audit([sample_shard(2)], output_at(out), run_id="second", count=1)
    (signature,) = (out / "runs").glob("run.*.intoto.jsonl")
    signature.rename(out / "runs" / signature.name.replace("run.", "second."))
    answer = verify("--key", own.public)
    assert answer.code == 3
    assert "is of another runs/second.json" in " ".join(one["detail"] for one in answer.found["findings"])


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"\xff", b'{"payload": "", "payloadType": "x", "signatures": [1]}'])
def test_a_broken_signature_is_a_finding(tmp_path: Path, out: Path, verify: Verify, junk: bytes) -> None:
    own = keys(tmp_path, "own")
    verify("--sign", own.private)
    (signature,) = (out / "runs").glob("*.intoto.jsonl")
    signature.write_bytes(junk)
    assert set(kinds(verify("--key", own.public))) == {"unsigned"}


def test_what_is_wrong_is_not_signed(tmp_path: Path, out: Path, verify: Verify) -> None:
    path = min((out / "embeddings").rglob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-20] + b"x" * 20)
    answer = verify("--sign", keys(tmp_path, "own").private)
    assert answer.code == 1
    assert "is not signed" in answer.found["error"]
    assert not list((out / "runs").glob("*.intoto.jsonl"))


def test_a_key_may_have_a_password(tmp_path: Path, verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    own = keys(tmp_path, "own", password="secret")
    assert "no private key that can be read" in verify("--sign", own.private).found["error"]
    monkeypatch.setenv(PASSWORD_VARIABLE, "secret")
    assert verify("--sign", own.private).code == 0


def test_the_statement_is_one_that_others_read(tmp_path: Path, out: Path, verify: Verify) -> None:
    import base64
    import hashlib

    verify("--sign", keys(tmp_path, "own").private)
    (signature,) = (out / "runs").glob("*.intoto.jsonl")
    envelope = json.loads(signature.read_text())
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    digest = hashlib.sha256((out / "runs" / "run.json").read_bytes()).hexdigest()
    assert statement["subject"] == [{"name": "runs/run.json", "digest": {"sha256": digest}}]


class Clock(NamedTuple):
    """A server of time stamps: its URL, and the certificate that vouches for it."""

    url: str
    root: Path


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clock]:
    """OpenSSL's, on loopback."""
    folder = tmp_path_factory.mktemp("clock")
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl here to state the time")
    (folder / "tsa.cnf").write_text(
        "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\ndefault_policy=1.2.3.4\ndigests=sha256,sha512\nsigner_digest=sha256\n"
        "ess_cert_id_alg=sha256\nsigner_cert=tsa.pem\nsigner_key=tsa.key\n"
        "[tsa_ext]\nextendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
    )
    (folder / "serial").write_text("01")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", "root.key", "-out", "root.pem", "-subj", "/CN=root", "-days", "9")
    openssl("req", "-new", *curve, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/CN=tsa")
    signing = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "9", "-extfile", "tsa.cnf", "-extensions")
    openssl("x509", "-req", "-in", "tsa.csr", *signing, "tsa_ext", "-out", "tsa.pem")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            (folder / "query").write_bytes(query)
            openssl("ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query", "-out", "reply")
            self.send_response(200)
            self.end_headers()
            self.wfile.write((folder / "reply").read_bytes())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Clock(f"http://127.0.0.1:{server.server_port}", folder / "root.pem")
        server.shutdown()


def test_a_server_states_when_it_was_signed(tmp_path: Path, out: Path, verify: Verify, clock: Clock) -> None:
    own = keys(tmp_path, "own")
    answer = verify("--sign", own.private, "--timestamp", clock.url)
    assert answer.code == 0, answer
    (signed,) = answer.found["signatures"]
    assert signed["time"].startswith("20")
    answer = verify("--key", own.public, "--timestamp-root", clock.root)
    assert answer.code == 0
    assert answer.found["signatures"] == [signed | {"time_checked": True}]
    verify("--sign", keys(tmp_path, "other").private, "--timestamp", clock.url)
    first, second = sorted((out / "runs").glob("*.tsr"))
    shutil.copy(first, second)
    refused = verify("--key", own.public, "--key", tmp_path / "other.pub", "--timestamp-root", clock.root)
    assert refused.code == 3, "a time stamp of another signature"


def test_a_server_that_states_nothing_leaves_nothing(tmp_path: Path, out: Path, verify: Verify) -> None:
    before = files_below(out)
    answer = verify("--sign", keys(tmp_path, "own").private, "--timestamp", "http://127.0.0.1:1")
    assert (answer.code, "gives no time stamp" in answer.found["error"]) == (1, True)
    assert files_below(out) == before
