"""An audit of files that claim something: what its rows say, and that no verdict depends on it; lists matched to it."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from causalprint.pipelines import near_hashes
from causalprint.pipelines.lists import KEYS
from causalprint.pipelines.near_hashes import MOST, near_pairs
from causalprint.schemas.claims import conflict
from causalprint.schemas.config import Storage
from causalprint.transforms.images.manifests import parse_anchors
from causalprint.transforms.tables.manifests import read_manifest
from causalprint.transforms.tables.settings import read_settings
from tests.audits import Answer, command, jpeg, tar
from tests.claimed import MODEL, PARAMETERS, encoded, signed, vendor, with_texts
from tests.outputs import rows

Capture = pytest.CaptureFixture[str]
KEYED = {"image_id", "shard", "member", "offset", "slice_id"}
SIDE = 256


def smaller(data: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((SIDE // 2, SIDE // 2)).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


PLAIN = jpeg(0, SIDE)
SIGNED = signed(PLAIN, "JPEG", vendor("Imagine Works"))
FILES = {
    "plain.jpg": PLAIN,
    "signed.jpg": SIGNED,
    "stranger.jpg": signed(PLAIN, "JPEG", vendor("Nobody's Own")),
    "forged.jpg": SIGNED.replace(b"Imagine Works", b"Imagine Wanks"),
    "drawn.png": encoded("PNG", 3, SIDE),
    "told.png": with_texts(3, SIDE, parameters=PARAMETERS),
    "smaller.jpg": smaller(PLAIN),
    "broken.jpg": PLAIN[:900],
}
URLS = {
    "plain.jpg": "https://img.example.co.uk/a.jpg",
    "signed.jpg": "https://example.co.uk/b.jpg",
    "told.png": "https://www.münchen.de/c.png",
    "smaller.jpg": "https://me.github.io/d.jpg",
    "broken.jpg": "https://you.github.io/e.jpg",
}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """The output of an audit of those files."""
    from causalprint.pipelines.audit_call import audit

    folder = tmp_path_factory.mktemp("claims")
    members = []
    for name, data in FILES.items():
        members.append((name, data))
        if name in URLS:
            members.append((f"{name.partition('.')[0]}.json", json.dumps({"url": URLS[name]}).encode()))
    shard = tar(folder / "00000.tar", members)
    trusted = folder / "trusted.pem"
    trusted.write_text(f"# a list, as it is published\n{vendor('Another').root}\nSubject: x\n{vendor('Imagine Works').root}")
    audit(inputs=(str(shard),), output=str(folder / "out"), bundle=str(tiny), c2pa_trust=str(trusted))
    return folder / "out"


def test_rows_say_what_files_claim(audited: Path) -> None:
    found = {row["member"]: row for row in rows(audited, "images").to_pylist()}
    columns = {name: (row["claim_kind"], row["claim_source"], row["c2pa"]) for name, row in found.items()}
    assert columns == {
        "plain.jpg": (None, None, None),
        "signed.jpg": ("generated", "Imagine Works", "valid"),
        "stranger.jpg": ("generated", "Nobody's Own", "unverified"),
        "forged.jpg": ("invalid", "Imagine Wanks", "invalid"),
        "drawn.png": (None, None, None),
        "told.png": ("generated", MODEL, None),
        "smaller.jpg": (None, None, None),
    }
    assert found["told.png"]["claims"] == [{"kind": "generated", "carrier": "text", "source": MODEL}]
    assert all(row["md5"] == hashlib.md5(FILES[name]).hexdigest() for name, row in found.items())
    assert {name: row["domain"] for name, row in found.items() if row["domain"]} == {
        "plain.jpg": "example.co.uk",
        "signed.jpg": "example.co.uk",
        "told.png": "xn--mnchen-3ya.de",
        "smaller.jpg": "me.github.io",
    }
    hashes = {name: row["phash"] for name, row in found.items()}
    assert hashes["plain.jpg"] == hashes["signed.jpg"] == hashes["forged.jpg"]
    assert hashes["drawn.png"] == hashes["told.png"]


def test_an_output_keeps_to_one_list_of_certificates(audited: Path, tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    asked = ["audit", audited.parent / "00000.tar", "-o", audited, "--bundle", tiny]
    listed = audited.parent / "trusted.pem"
    same = tmp_path / "same.pem"
    same.write_bytes(listed.read_bytes().replace(b"# a list", b"# the same").replace(b"\n", b"\r\n"))
    found = command(capsys, *asked, "--c2pa-trust", same)
    assert (found.code, found.found["computed"]) == (0, 0)
    manifest = read_manifest(str(audited), found.found["run_id"], Storage())
    settings = read_settings(str(audited), Storage())
    assert manifest is not None
    assert settings is not None
    assert manifest.run.c2pa_trust == settings.c2pa_trust == parse_anchors(listed.read_bytes(), "").digest
    other = tmp_path / "other.pem"
    other.write_text(vendor("Another").root)
    for given in ([], ["--c2pa-trust", other]):
        refused = command(capsys, *asked, *given)
        assert refused.code == 1
        assert f"give the --c2pa-trust whose SHA-256 is {settings.c2pa_trust}" in refused.found["error"]


@pytest.mark.parametrize(
    ("claiming", "silent"), [("signed.jpg", "plain.jpg"), ("forged.jpg", "plain.jpg"), ("told.png", "drawn.png")]
)
def test_claims_are_no_features(audited: Path, claiming: str, silent: str) -> None:
    for table in ("embeddings", "attributions"):
        found = {row["member"]: row for row in rows(audited, table).to_pylist()}
        one, other = ({key: value for key, value in found[name].items() if key not in KEYED} for name in (claiming, silent))
        assert one == other


def test_a_conflict_is_where_claim_and_verdict_contradict_each_other() -> None:
    kinds = ("generated", "composite", "camera", "software", "unread", "invalid", None)
    verdicts = ("real", "graphic", "known", "unknown", "abstain", None)
    table = pa.table({"claim_kind": [kind for kind in kinds for _ in verdicts], "v": [*verdicts] * len(kinds)})
    with duckdb.connect() as connection:
        connection.register("findings", table)
        found = connection.sql(f"SELECT claim_kind, v, {conflict(verdict='v')} AS conflict FROM findings").fetchall()
    assert {(kind, verdict) for kind, verdict, is_one in found if is_one} == {
        ("generated", "real"),
        ("generated", "graphic"),
        ("camera", "known"),
        ("camera", "unknown"),
    }
    assert all(is_one is not None for *_, is_one in found)


def matched(capsys: Capture, audited: Path, listed: Path, *options: object) -> tuple[Answer, list[dict[str, object]]]:
    output = listed.with_name("matches.parquet")
    answer = command(capsys, "match", audited, listed, "--output", output, *options)
    return answer, pq.read_table(output).to_pylist() if answer.code == 0 else []


def members(found: list[dict[str, object]]) -> list[str]:
    return sorted(str(row["member"]) for row in found)


def test_digests_find_their_images_also_those_without_a_verdict(capsys: Capture, audited: Path, tmp_path: Path) -> None:
    listed = tmp_path / "known.txt"
    given = [hashlib.sha256(FILES[name]).hexdigest().upper() for name in ("plain.jpg", "broken.jpg")]
    listed.write_text("\n".join([*given, "", "f" * 64, "no digest"]))
    answer, found = matched(capsys, audited, listed, "--on", "sha256")
    assert answer.code == 0
    counts = {key: answer.found[key] for key in ("values", "matched", "unmatched", "unusable", "images", "rows")}
    assert counts == {"values": 3, "matched": 2, "unmatched": 1, "unusable": 1, "images": 2, "rows": 2}
    by_member = {row["member"]: row for row in found}
    assert (by_member["broken.jpg"]["verdict"], by_member["broken.jpg"]["rejected"]) == (None, "truncated-image")
    assert by_member["plain.jpg"]["value"] == given[0], "as the list has it"
    assert by_member["plain.jpg"]["verdict"] is not None
    assert by_member["plain.jpg"]["url"] == URLS["plain.jpg"]


@pytest.mark.parametrize("form", ["csv", "tsv", "jsonl", "parquet"])
def test_lists_have_many_forms(capsys: Capture, audited: Path, tmp_path: Path, form: str) -> None:
    listed = tmp_path / f"list.{form}"
    values = [{"note": "x", "md5": hashlib.md5(FILES[name]).hexdigest()} for name in ("told.png", "smaller.jpg")]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(values), listed)
    elif form == "jsonl":
        listed.write_text("\n".join(map(json.dumps, values)))
    else:
        with listed.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["note", "md5"], delimiter="\t" if form == "tsv" else ",")
            writer.writeheader()
            writer.writerows(values)
    _, found = matched(capsys, audited, listed, "--on", "md5")
    assert members(found) == ["smaller.jpg", "told.png"]
    answer, _ = matched(capsys, audited, listed, "--on", "md5", "--column", "digest")
    assert answer.code == 1
    assert "has no column digest, but note, md5" in answer.found["error"]
    answer, _ = matched(capsys, audited, listed, "--on", "sha256", "--column", "md5")
    assert "holds no sha256, such as 64 hexadecimal digits; the first is" in answer.found["error"]


def test_perceptual_hashes_find_copies(capsys: Capture, audited: Path, tmp_path: Path) -> None:
    listed = tmp_path / "coyo.csv"
    (original,) = {row["phash"] for row in rows(audited, "images").to_pylist() if row["member"] == "plain.jpg"}
    listed.write_text(f"image_phash\n{original}\n0000000000000001\n")
    _, exact = matched(capsys, audited, listed, "--on", "phash")
    assert {row["member"] for row in exact} >= {"plain.jpg", "signed.jpg", "forged.jpg"}
    assert {row["distance"] for row in exact} == {0}
    answer, near = matched(capsys, audited, listed, "--on", "phash", "--within", 8)
    assert "smaller.jpg" in members(near)
    assert answer.found["matched"] == 1
    for options, words in ((("phash", "--within", 12), "too far"), (("md5", "--within", 1), "give --on phash")):
        answer, _ = matched(capsys, audited, listed, "--on", *options)
        assert answer.code == 1
        assert words in answer.found["error"]


@pytest.mark.parametrize(("value", "found"), [
    ("example.co.uk", ["plain.jpg", "signed.jpg"]),
    ("img.example.co.uk", ["plain.jpg"]),
    ("https://EXAMPLE.co.uk:443/", ["plain.jpg", "signed.jpg"]),
    ("ample.co.uk", []),
    ("münchen.de", ["told.png"]),
    ("github.io", ["broken.jpg", "smaller.jpg"]),
    ("you.github.io", ["broken.jpg"]),
])  # fmt: skip
def test_a_domain_names_what_is_below_it(capsys: Capture, audited: Path, tmp_path: Path, value: str, found: list[str]) -> None:
    listed = tmp_path / "domains"
    listed.write_text(f"{value}\n")
    assert members(matched(capsys, audited, listed, "--on", "domain")[1]) == found


def test_urls_are_matched_as_they_are(capsys: Capture, audited: Path, tmp_path: Path) -> None:
    listed = tmp_path / "urls.txt"
    listed.write_text(f"{URLS['told.png']}\n{URLS['broken.jpg']}\nhttps://example.co.uk/\n")
    assert members(matched(capsys, audited, listed, "--on", "url")[1]) == ["broken.jpg", "told.png"]


@pytest.mark.parametrize("within", [0, 1, 3, 4, 8, MOST])
def test_near_hashes_are_those_that_comparing_each_with_each_finds(within: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(within)
    centres = generator.integers(0, 1 << 63, 40, dtype=np.uint64)
    flips = [np.uint64(sum(1 << int(bit) for bit in generator.choice(64, count, replace=False))) for count in range(14)]
    images = np.unique((centres[:, None] ^ np.array(flips)[None]).ravel())
    hashes, listed = ([f"{number:016x}" for number in numbers.tolist()] for numbers in (images, np.unique(centres)))
    with duckdb.connect() as connection:

        def register(name: str, rows: pa.Table) -> None:
            connection.register(name, rows)

        connection.register("images", pa.table({"phash": [*hashes, None]}))
        monkeypatch.setattr(near_hashes, "PROBES", 30_000)  # so that they are looked up in parts
        pairs = near_pairs(lambda query: connection.sql(query).to_arrow_table(), register, "FROM images", listed, within)
    found = [tuple(row.values()) for row in pairs.to_pylist()]
    brute = {(one, other, (int(one, 16) ^ int(other, 16)).bit_count()) for one in listed for other in hashes}
    assert len(found) == len(set(found))
    assert set(found) == {each for each in brute if each[2] <= within}
    assert {distance for *_, distance in found} >= set(range(within + 1))


def test_every_key_of_a_list_is_offered() -> None:
    from causalprint.pipelines.commands.match import MatchConfig
    from causalprint.schemas.options import settings_of

    (option,) = [setting.option for setting in settings_of(MatchConfig) if setting.name == "on"]
    assert option is not None
    assert option.choices == tuple(KEYS)
