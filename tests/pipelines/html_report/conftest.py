"""One tiny audit with its report, for all tests of pages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from causalprint.__main__ import main
from causalprint.pipelines.commands.report import ReportConfig
from causalprint.pipelines.html_report.make_report import make_report
from tests.audits import jpeg, tar
from tests.pages import HOSTILE, Page, Reported


@pytest.fixture(scope="session")
def reported(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Reported:
    """A tiny audit, with names and addresses that want to be more than text, and its report with pictures."""
    folder = tmp_path_factory.mktemp("report")
    members: list[tuple[str, bytes]] = []
    for seed in range(14):
        members += [
            (f"{seed:03}.jpg", jpeg(seed)),
            (f"{seed:03}.json", json.dumps({"url": f"https://example.org/{seed}?{HOSTILE}"}).encode()),
        ]
    members += [
        (f"x{HOSTILE}.jpg", jpeg(100)),
        ("small.jpg", jpeg(101, 64)),
        (f"broken{HOSTILE}.jpg", b"\xff\xd8\xff" + bytes(90)),
        ("empty.png", b""),
    ]
    tar(folder / "shards" / "00000.tar", members)
    tar(folder / "shards" / "00001.tar", [("a.jpg", jpeg(0)), ("cut.jpg", jpeg(200)[:4000])])
    output = folder / "audit"
    assert main(["audit", str(folder / "shards"), "--bundle", str(tiny), "--output", str(output)]) == 0
    made = make_report(ReportConfig(audit=str(output), images=True))
    text = (output / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    (data,) = (part.text for part in page.said if part.element.get("id") == "figures")
    return Reported(output, made, text, page, json.loads(data))
