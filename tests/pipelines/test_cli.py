"""What a person or a scheduler gets from the command before any image is read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import causalprint
from causalprint.__main__ import app, main
from causalprint.pipelines.errors import explain
from causalprint.pipelines.runners import RUNNERS
from causalprint.research.cli import app as laboratory

COMMANDS = [[command.callback.__name__] for command in app.registered_commands if command.callback is not None]
LABORATORY = [["lab", str(command.name)] for command in laboratory.registered_commands]


@pytest.mark.parametrize(
    "arguments", [["--help"], *([*name, "--help"] for name in [*COMMANDS, ["lab"], *LABORATORY]), ["--version"]]
)
def test_help_waits_for_neither_torch_nor_beam(arguments: list[str]) -> None:
    code = (
        "import sys; from causalprint.__main__ import main; code = main(sys.argv[1:]); "
        "heavy = {'torch', 'apache_beam', 'diffusers', 'pyarrow', 'numpy', 'fsspec'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_python_dash_m_is_the_same_command() -> None:
    done = subprocess.run([sys.executable, "-m", "causalprint", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"causalprint {causalprint.__version__}\n"


def test_help_documents_every_option_and_every_exit_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["audit", "--help"]) == 0
    text = capsys.readouterr().out
    for option in (
        *("--output", "--bundle", "--residual", "--device", "--batch-size", "--slice-images", "--slice-bytes"),
        *("--limit", "--runner", "--storage-options", "--json", "--verbose", *RUNNERS),
    ):
        assert option in text
    assert "0 complete; 1 error; 2 usage; 3 finished, but some shard is incomplete" in text


def test_no_command_shows_the_help_and_is_an_error_of_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "Commands" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["audit"], "INPUT"),
        (["audit", "x.tar"], "--output"),
        (["audit", "x.tar", "-o", "out", "--limit", "many"], "--limit"),
        (["audit", "x.tar", "-o", "out", "--batch-size", "0"], "--batch-size"),
        (["audit", "x.tar", "-o", "out", "--device", "tpu"], "tpu"),
        (["audit", "x.tar", "-o", "out", "--runner", "ray"], "ray"),
        (["audit", "x.tar", "-o", "out", "--storage-options", "anon"], "--storage-options"),
        (["audit", "x.tar", "-o", "out", "--storage-options", "[1]"], "--storage-options"),
        (["audit", "x.tar", "-o", "out", "--frobnicate"], "--frobnicate"),
        (["adit", "x.tar"], "audit"),
        (["inspect", "x", "--", "--direct_num_workers=2"], "only audit and train"),
    ],
)
def test_errors_of_usage_leave_with_2_and_one_line(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    plain = capsys.readouterr()
    assert plain.out == ""
    assert plain.err.count("\n") == 1
    assert says in plain.err
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    assert main([*arguments[:cut], "--json", *arguments[cut:]]) == 2
    machine = capsys.readouterr()
    answer = json.loads(machine.out)
    assert answer["exit_code"] == 2
    assert says in answer["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_workers_traceback_becomes_its_last_line() -> None:
    text = (
        "Traceback (most recent call last):\n"
        '  File "x.py", line 4, in go\n'
        "    raise OutputSettingsError('no')\n"
        "causalprint.transforms.tables.settings.OutputSettingsError: begun with other slices: leave out --slice-images"
        " [while running 'SkipShards/SkipShard']\n"
    )
    assert explain(RuntimeError(text)) == "begun with other slices: leave out --slice-images"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("a bad\n  value"), "a bad value"),
        (ValueError("bad [while running 'WriteSlice']"), "bad"),
        (FileNotFoundError(2, "No such file or directory", "x.tar"), "x.tar: No such file or directory"),
        (KeyError("x"), "KeyError: 'x'"),
        (NotImplementedError(), "NotImplementedError"),
        (RuntimeError("CUDA out of memory"), "RuntimeError: CUDA out of memory"),
    ],
)
def test_a_failure_is_one_line(error: Exception, line: str) -> None:
    assert explain(error) == line


def test_missing_credentials_name_the_remedy() -> None:
    botocore = pytest.importorskip("botocore.exceptions")
    assert "--storage-options" in explain(botocore.NoCredentialsError())
