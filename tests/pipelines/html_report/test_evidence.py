"""The evidence for a finding: its bytes, what the bundle looked at, and the same verdict once more."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from causalprint.__main__ import main
from causalprint.pipelines.commands.evidence import EvidenceConfig
from causalprint.pipelines.evidence.make_evidence import Agreement, EvidenceError, make_evidence
from causalprint.pipelines.open_audit import open_audit
from causalprint.schemas.names import printable
from tests.pages import Page, Reported


def rows(reported: Reported, where: str) -> list[dict[str, Any]]:
    with open_audit(str(reported.output)) as tables:
        return tables.sql(f"FROM findings WHERE {where} ORDER BY log_likelihood_ratio DESC, member").rows()


def test_a_folder_holds_the_bytes_the_pictures_and_the_numbers_of_a_finding(reported: Reported, tmp_path: Path) -> None:
    row = rows(reported, "log_likelihood_ratio IS NOT NULL AND member <> 'a.jpg'")[0]
    made = make_evidence(EvidenceConfig(audit=str(reported.output), image_id=(row["image_id"][:20],), output=str(tmp_path)))
    (one,) = made.images
    assert (one.image_id, one.verdict, one.again, one.lost) == (row["image_id"], row["verdict"], Agreement.EXACT, None)
    folder = tmp_path / row["image_id"]
    names = {"image.jpg", "crop-1.png", "residual-1.png", "spectrum-1.png", "evidence.json", "evidence.html"}
    assert {path.name for path in folder.iterdir()} == names
    assert hashlib.sha256((folder / "image.jpg").read_bytes()).hexdigest() == row["image_id"]
    about = json.loads((folder / "evidence.json").read_text(encoding="utf-8"))
    (look,) = about["looks"]
    with Image.open(folder / "image.jpg") as whole, Image.open(folder / "crop-1.png") as crop:
        box = (look["left"], look["top"], look["left"] + look["side"], look["top"] + look["side"])
        assert np.array_equal(np.asarray(whole.crop(box)), np.asarray(crop))
    assert about["row"]["probability"] == row["probability"]
    assert about["again"]["candidates"][0] == list(row["candidates"][0].values())
    assert len(about["fingerprint"]) == 128
    assert about["places"][0]["member"] == row["member"]
    page = Page((folder / "evidence.html").read_text(encoding="utf-8"))
    assert sum(tag == "img" for tag, _ in page.elements) == 4
    assert not any(tag == "script" for tag, _ in page.elements)
    assert (tmp_path / "card.md").read_text(encoding="utf-8").startswith("# tiny")


def test_a_zip_holds_the_same_and_is_the_same_file_again(reported: Reported, tmp_path: Path) -> None:
    small, hostile = rows(reported, "member = 'small.jpg'")[0], rows(reported, "contains(member, 'alert')")[0]
    ids = [word for row in (small, hostile) for word in ("--image-id", row["image_id"])]
    target = tmp_path / "finds.zip"
    assert main(["evidence", str(reported.output), *ids, "-o", str(target)]) == 0
    first = target.read_bytes()
    assert main(["evidence", str(reported.output), *ids, "-o", str(target)]) == 0
    assert target.read_bytes() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        names = archive.namelist()
        texts = [archive.read(name).decode() for name in names if name.endswith(("html", "json"))]
    assert f"{hostile['image_id']}/residual-1.png" in names
    assert f"{small['image_id']}/image.jpg" in names
    assert f"{small['image_id']}/residual-1.png" not in names  # it is too small to be looked at
    assert all(printable(text, keep="\n") == text for text in texts)
    assert not any("<script" in text for text in texts if text.startswith("<"))


def test_bytes_that_are_gone_are_told_and_end_with_3(reported: Reported, tmp_path: Path) -> None:
    row = rows(reported, "member = '003.jpg'")[0]
    shards = reported.output.parent / "shards"
    hidden = shards.rename(tmp_path / "elsewhere")
    try:
        code = main(["evidence", str(reported.output), "--image-id", row["image_id"], "-o", str(tmp_path / "out")])
    finally:
        hidden.rename(shards)
    assert code == 3
    folder = tmp_path / "out" / row["image_id"]
    assert {path.name for path in folder.iterdir()} == {"evidence.json", "evidence.html"}
    assert "could not be had again" in (folder / "evidence.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("image_id", "message"), [("0" * 64, "has no verdict by tiny-"), ("X", "is no image_id"), ("", "is no image_id")]
)
def test_what_the_audit_does_not_have_is_refused(reported: Reported, tmp_path: Path, image_id: str, message: str) -> None:
    with pytest.raises(EvidenceError, match=message):
        make_evidence(EvidenceConfig(audit=str(reported.output), image_id=(image_id,), output=str(tmp_path)))
