"""Nothing that comes from outside steers a terminal: not in lines, tables, live lines, errors or JSON."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.progress import Progress, TextColumn

from causalprint.__main__ import main
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import SafeConsole, new_table
from tests.audits import command
from tests.shards import make_samples, tar_of

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202egpj.exe\r\n0 rejects\x9b31m\x7f\u2028"
NAME = f"a{HOSTILE}.jpg"
texts = st.text(st.sampled_from("ab \x1b[2J\x07\x08\r\n\t\x9b\u202e\u2066\u2028é🖼\ud800"), max_size=40)


def assert_harmless(text: str) -> None:
    for each in text:
        assert unicodedata.category(each) not in ("Cc", "Cf", "Cs", "Zl", "Zp") or each == "\n", repr(text)


@given(texts, st.booleans())
def test_lines_and_tables_are_text(text: str, cell: bool) -> None:
    console = SafeConsole()
    console.file = io.StringIO()
    table = new_table("name")
    table.add_row(text)
    console.print(table if cell else f"said: {text}", soft_wrap=True)
    shown = console.file.getvalue()
    assert_harmless(shown)
    assert cell or shown.count("\n") == 1


def test_a_live_line_is_text_and_still_live() -> None:
    console = SafeConsole()
    console.file, console._force_terminal = io.StringIO(), True
    with Progress(TextColumn("{task.description}", markup=False), console=console) as progress:
        progress.add_task(HOSTILE.replace("\n", " "), total=None)
        progress.refresh()
    shown = console.file.getvalue()
    assert "\x1b[?25l" in shown  # the cursor is hidden, by rich itself
    assert "owned" in shown
    assert_harmless(re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\r", "", shown))
    assert "\x1b]0" not in shown


def test_what_an_input_is_called_reaches_no_terminal_raw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / f"s{HOSTILE.replace('/', '')}.tar"
    path.write_bytes(tar_of([(NAME, make_samples(1)[0].data), ("b.jpg", b"")])[:-512])
    assert main(["inspect", str(path)]) == 0
    assert main(["inspect", str(tmp_path / f"gone{HOSTILE}")]) == 1
    shown = capsys.readouterr()
    assert "owned" in shown.out
    assert "owned" in shown.err
    assert "\n0 rejects" not in shown.out + shown.err
    assert_harmless(shown.out + shown.err)
    assert main(["inspect", str(path), "--json"]) == 0
    text = capsys.readouterr().out
    assert_harmless(text)
    assert json.loads(text)["shards"][0]["members"] == [NAME]


def test_json_of_a_failure_is_escaped(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, found, _ = command(capsys, "inspect", tmp_path / "gone\u202e\x9b")
    assert code == 1
    assert "gone" in found["error"]
    Session(as_json=True).fail(HOSTILE, 1)
    assert_harmless(capsys.readouterr().out)
