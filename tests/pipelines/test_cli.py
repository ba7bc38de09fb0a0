"""What a person or a scheduler gets from the command before any image is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

import causalprint
from causalprint.__main__ import app, main
from causalprint.models.encodings import ENCODINGS
from causalprint.models.evaluation.perturbations import TRACKS
from causalprint.pipelines.commands.command import SPEAKS
from causalprint.pipelines.commands.demo import DemoConfig
from causalprint.pipelines.commands.diff import DiffConfig
from causalprint.pipelines.commands.evaluate import EvaluateConfig
from causalprint.pipelines.commands.inspect import InspectConfig
from causalprint.pipelines.commands.query import QueryConfig
from causalprint.pipelines.commands.split import SplitConfig
from causalprint.pipelines.commands.train import TrainConfig
from causalprint.pipelines.errors import explain
from causalprint.pipelines.runners import RUNNERS
from causalprint.research.ablation.config import AblateConfig
from causalprint.research.aligned.config import AlignedConfig, Decoder
from causalprint.research.anonymization.config import AnonymizeConfig
from causalprint.research.cli import app as laboratory
from causalprint.research.comparison.config import CompareConfig
from causalprint.research.training.config import LensConfig, ModelTrainingConfig
from causalprint.research.training.lens import TRUNKS
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.options import Command, OptionError, Panel, settings_of

COMMANDS = [[str(command.name)] for command in app.registered_commands]
CONFIGS: list[type[Command]] = [
    *(AuditConfig, InspectConfig, DemoConfig, TrainConfig, SplitConfig, EvaluateConfig, CompareConfig, AblateConfig),
    *(AnonymizeConfig, AlignedConfig, LensConfig, ModelTrainingConfig, AttributeConfig, QueryConfig, DiffConfig),
]
LABORATORY = [["lab", str(command.name)] for command in laboratory.registered_commands]


def test_help_waits_for_neither_torch_nor_beam() -> None:
    asked = [["--help"], *([*name, "--help"] for name in [*COMMANDS, ["lab"], *LABORATORY]), ["--version"]]
    code = (
        f"import sys\nfrom causalprint.__main__ import main\nfor arguments in {asked}:\n"
        "    assert main(arguments) == 0, arguments\n"
        "    heavy = {'torch', 'apache_beam', 'diffusers', 'pyarrow', 'numpy', 'fsspec'} & set(sys.modules)\n"
        "    if heavy: sys.exit(f'{arguments} imports {heavy}')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_help_shows_the_commands_in_the_order_in_which_a_user_meets_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    listed = text.partition("Commands")[2]
    assert main(["lab", "--help"]) == 0
    assert "<bool>" not in text + capsys.readouterr().out
    names = [line.split()[1] for line in listed.splitlines() if line.startswith("│ ") and not line.startswith("│  ")]
    assert names == [
        *(
            "audit",
            "inspect",
            "report",
            "query",
            "prevalence",
            "sample",
            "diff",
            "verify",
            "compact",
            "forget",
            "fetch",
            "evidence",
            "match",
            "publish",
        ),
        *("attribute", "trace", "discover", "enroll"),
        *("demo", "train", "split", "evaluate", "lab"),
    ]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.NAME)
def test_every_option_says_in_a_sentence_what_it_does(config: type[Command], capsys: pytest.CaptureFixture[str]) -> None:
    for setting in settings_of(config):
        if setting.option is not None:
            words = setting.option.help.split()
            assert len(words) > 2, setting
            assert words[0] not in {"Of", "For", "From", "In", "Where", "What", "How"}, setting
            assert setting.option.help[-1] in ".…/", setting
    assert main([*config.NAME.split(), "--help"]) == 0
    text = capsys.readouterr().out
    assert "bool" not in text
    assert "<" not in text
    assert {panel for panel in Panel if f"─ {panel} ─" in text} >= {Panel.DATA, Panel.SPEAKS}


@pytest.mark.parametrize(
    ("config", "changes"),
    [
        (AuditConfig, {"bundle": "my bundle", "limit": 3, "slice_bytes": 9, "runner": "flink", "device": "cuda"}),
        (InspectConfig, {}),
        (DemoConfig, {"output": Path("elsewhere")}),
        (
            TrainConfig,
            {"validation": ("a", "b"), "lenses": ("timm:x",), "views": 2, "interventions": 0, "seed": 3, "licence": "CC 0"},
        ),
        (SplitConfig, {"crop": 32, "label_field": "model"}),
        (EvaluateConfig, {"bundles": ("a", "b"), "track": "aligned", "robustness": True, "limit": 2}),
        (CompareConfig, {"methods": ("a", "b"), "leave_out": ("c",), "clip": "none", "track": "jpeg95", "test": ("t",)}),
        (AblateConfig, {"only": ("a", "b"), "threads": 2}),
        (AnonymizeConfig, {"study": True, "epsilon": 2 / 255, "method": "swap", "held_out": ("h",), "limit": 1}),
        (AlignedConfig, {"decoders": (Decoder("sd", "autoencoder:/vae"),), "encoding": "jpeg95"}),
        (LensConfig, {"reading": "image", "channels": "lite0", "epochs": 2, "device": "cpu"}),
        (ModelTrainingConfig, {"inputs": ("photos",), "minutes": 0.5, "val": ("v",)}),
    ],
    ids=lambda one: getattr(one, "NAME", ""),
)
def test_the_command_of_a_configuration_makes_it_again(config: Any, changes: dict[str, Any]) -> None:
    given = {
        setting.name: ("in put",) if setting.many else "out put"
        for setting in settings_of(config)
        if setting.required and setting.name not in changes
    }
    asked = config(**given, **changes)
    program, *words = asked.argv()
    assert program == "causalprint"
    *group, name = config.NAME.split()
    command = typer.main.get_command(laboratory if group else app).get_command(None, name)  # type: ignore[attr-defined]
    values = command.make_context(name, words[len(group) + 1 :]).params
    assert config(**{name: value for name, value in values.items() if value is not None and name not in SPEAKS}) == asked


@pytest.mark.parametrize(
    ("words", "offers"),
    [
        ("causalprint in", "inspect"),
        ("causalprint audit --out", "--output"),
        ("causalprint audit --runner da", "dataflow"),
        ("causalprint evaluate --track al", "aligned"),
        ("causalprint lab comp", "compare"),
        ("causalprint lab anonymize --method s", "swap"),
    ],
)
def test_a_shell_completes_what_is_typed(words: str, offers: str) -> None:
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1), "_CAUSALPRINT_COMPLETE": "complete_bash"}
    done = subprocess.run(
        [sys.executable, "-m", "causalprint"], env={**os.environ, **asked}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [offers]


@pytest.mark.parametrize(
    ("config", "name", "there"),
    [
        (AuditConfig, "runner", RUNNERS),
        (EvaluateConfig, "track", TRACKS),
        (AlignedConfig, "encoding", ENCODINGS),
        (LensConfig, "channels", TRUNKS),
    ],
)
def test_an_option_offers_all_that_there_is(config: type[Command], name: str, there: dict[str, object]) -> None:
    (option,) = (setting.option for setting in settings_of(config) if setting.name == name)
    assert option is not None
    assert set(option.choices) == set(there)


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
    assert "0 complete; 1 error; 2 usage; 3 finished, but something is missing; 4 finished, and --fail-if holds" in text


@pytest.mark.parametrize("group", [[], ["lab"]])
def test_no_command_shows_the_help_and_is_an_error_of_usage(group: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(group) == 2
    shown = capsys.readouterr()
    assert "Commands" in shown.out
    assert shown.err == ""


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
        (["inspect", "x", "--", "--direct_num_workers=2"], "inspect runs no pipeline"),
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


@pytest.mark.parametrize("given", [{"limit": 0}, {"device": "tpu"}, {"runner": "ray"}, {"batch_size": -1}])
def test_python_refuses_a_value_in_the_words_of_the_command(given: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError) as refused:
        AuditConfig(("x.tar",), "out", **given)
    ((name, value),) = given.items()
    assert main(["audit", "x.tar", "-o", "out", f"--{name.replace('_', '-')}={value}"]) == 2
    assert capsys.readouterr().err == f"causalprint: {refused.value}; see causalprint audit --help\n"


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
        (RuntimeError("IsADirectoryError: [Errno 21] Is a directory: '/o/x' [while running 'Write']"), "/o/x: Is a directory"),
        (OSError(28, "No space left", "/o/x"), "/o/x: No space left; make room there, and the same command resumes"),
        (
            PermissionError(13, "Permission denied", "/o"),
            "/o: Permission denied; give this user the right to read and write there, or another path",
        ),
        (OSError(30, "Read-only file system", "/o/x"), "/o/x: Read-only file system; give another path"),
        (OSError(18, "Invalid cross-device link", "/a", None, "/b"), "[Errno 18] Invalid cross-device link: '/a' -> '/b'"),
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
