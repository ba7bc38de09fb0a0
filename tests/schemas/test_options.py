"""What a configuration takes from words and from Python, and the command that repeats it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import pytest

from causalprint.schemas.config import NO_OPTIONS, AuditConfig, Device, Seed, Storage, StorageOptions
from causalprint.schemas.options import Command, Option, OptionError, Stated, argument, output


@dataclass(frozen=True, slots=True)
class Brew(Command):
    """Every kind of option."""

    NAME = "lab brew"

    leaves: Annotated[tuple[str, ...], argument("Leaves.", "LEAF")]
    output: Annotated[Path, output("Pour the tea here.")]
    water: Annotated[tuple[str, ...], Option("Take this water.", "KIND", names=("--spring",))] = ()
    spices: Annotated[tuple[str, ...], Option("Add these spices.", "A,B", commas=True)] = ()
    minutes: Annotated[float | None, Option("Steep so long.", "N", least=0.5)] = None
    cups: Annotated[int, Option("Make so many cups.", "N", least=1, stated=Stated.ALWAYS)] = 2
    milk: Annotated[bool, Option("Add milk.")] = False
    pot: Annotated[str, Option("Brew in this pot.", choices=("clay", "glass"))] = "clay"
    seed: Annotated[Seed, Stated.IF_GIVEN] = 0
    device: Device = "auto"
    storage: StorageOptions = NO_OPTIONS
    threads: int | None = None
    pours: Annotated[tuple[int, ...], Option("Fill up after so many minutes.", "N,N", least=1, commas=True)] = (4, 6)


def test_lists_and_texts_become_what_the_fields_hold() -> None:
    made: Any = Brew
    brew = made(leaves=["assam", Path("ceylon")], output="tea", water="spring", spices="clove, cardamom", minutes=3)
    assert brew == Brew(("assam", "ceylon"), Path("tea"), ("spring",), ("clove", "cardamom"), 3.0)
    assert made(leaves="assam", output="tea", pours="3, 12").pours == (3, 12)
    assert made(leaves="assam", output="tea", storage={"anon": True}).storage == Storage('{"anon": true}')
    assert made(leaves="assam", output="tea", storage='{"anon": true}').storage == Storage('{"anon": true}')


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"leaves": []}, "LEAF is missing: give at least one"),
        ({"leaves": 3}, "LEAF takes a list, not 3"),
        ({"leaves": [3]}, "LEAF takes a text, not 3"),
        ({"output": None}, "--output takes a path, not None"),
        ({"cups": 0}, "--cups must be at least 1, not 0"),
        ({"cups": "2"}, "--cups takes a whole number, not '2'"),
        ({"pours": "3,soon"}, "--pours takes a whole number, not 'soon'"),
        ({"pours": "3,0"}, "--pours must be at least 1, not 0"),
        ({"cups": True}, "--cups takes a whole number, not True"),
        ({"minutes": 0.25}, "--minutes must be at least 0.5, not 0.25"),
        ({"milk": 1}, "--milk takes True or False, not 1"),
        ({"pot": "tin"}, "--pot 'tin' is none of clay, glass"),
        ({"seed": -1}, "--seed must be at least 0, not -1"),
        ({"device": "tpu"}, "--device: 'tpu' is none of auto, cpu, cuda"),
        (
            {"storage": "anon"},
            "--storage-options: it is no JSON, Expecting value: line 1 column 1 (char 0); its value is not shown",
        ),
        ({"storage": "[1]"}, "--storage-options: must be a JSON object"),
        ({"storage": {"fs": object}}, "is no JSON"),
        ({"threads": "many"}, "threads takes a whole number, not 'many'"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_one_clear_error(given: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError) as caught:
        Brew(**{"leaves": ("assam",), "output": Path("tea"), **given})
    assert says in str(caught.value)


def test_a_change_is_checked_too() -> None:
    with pytest.raises(OptionError, match="--cups"):
        replace(Brew(("assam",), Path("tea")), cups=0)


def test_the_command_states_what_is_not_the_default_in_the_order_of_the_fields() -> None:
    brew = Brew(("assam", "a b"), Path("tea"))
    assert brew.argv() == ("causalprint", "lab", "brew", "assam", "a b", "--output", "tea", "--cups", "2")
    changed = replace(
        brew, water=("a", "b"), spices=("c", "d"), minutes=3.0, milk=True, pot="glass", seed=1, device="cuda:1", threads=3
    )
    assert " ".join(changed.argv()[5:]) == (
        "--output tea --spring a --spring b --spices c,d --minutes 3.0 --cups 2 --milk --pot glass --seed 1 --device cuda:1"
    )


SECRET = '{"s3": {"secret": "S3CR3TS3CR3T"}}'


@pytest.mark.parametrize("broken", ["S3CR3T", '{"secret": "S3CR3T"', '["S3CR3T"]', '"S3CR3T"', "@{file}"])
@pytest.mark.parametrize("by", ["option", "variable"])
def test_storage_options_are_never_shown(broken: str, by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: Any = Brew
    (tmp_path / "options").write_text('{"secret": "S3CR3T"')
    broken = broken.format(file=tmp_path / "options") if broken.startswith("@") else broken
    if by == "variable":
        monkeypatch.setenv("CAUSALPRINT_STORAGE_OPTIONS", broken)
    with pytest.raises(OptionError, match="--storage-options: ") as caught:
        made(("assam",), Path("tea"), **({} if by == "variable" else {"storage": broken}))
    assert "S3CR3T" not in str(caught.value)
    assert "not shown" in str(caught.value)


def test_storage_options_come_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "options.json").write_text(SECRET)
    made: Any = Brew
    assert made(("assam",), "tea", storage=f"@{tmp_path}/options.json").storage == Storage(SECRET)
    monkeypatch.setenv("CAUSALPRINT_STORAGE_OPTIONS", f"@{tmp_path}/options.json")
    assert made(("assam",), "tea").storage == Storage(SECRET)
    assert made(("assam",), "tea", storage='{"anon": true}').storage == Storage('{"anon": true}')
    monkeypatch.setenv("CAUSALPRINT_STORAGE_OPTIONS", SECRET)
    assert made(("assam",), "tea").storage == Storage(SECRET)
    assert "S3CR3T" not in repr(made(("assam",), "tea"))
    for nothing in ("", "{}"):
        monkeypatch.setenv("CAUSALPRINT_STORAGE_OPTIONS", nothing)
        assert made(("assam",), "tea").storage == Storage()


def test_the_command_that_repeats_a_run_has_no_signatures() -> None:
    audit = AuditConfig(inputs=("https://user:S3CR3T@h/0.tar?X-Amz-Signature=S3CR3T",), output="s3://b/out")
    assert audit.argv() == ("causalprint", "audit", "https://h/0.tar", "--output", "s3://b/out")


def test_the_command_never_states_storage_options() -> None:
    secret = Storage(json.dumps({"key": "secret"}))
    assert "secret" not in " ".join(Brew(("assam",), Path("tea"), storage=secret).argv())


def test_an_audit_from_keywords_is_the_audit_from_words() -> None:
    made: Any = AuditConfig
    config = made(inputs=["photos/"], output="audit", slice_images=3)
    assert config == AuditConfig(("photos/",), "audit", slice_images=3)
    assert config.slicing is not None
    assert (config.slicing.images, config.slicing.bytes) == (3, 256 * 1024 * 1024)
    assert AuditConfig(("photos/",), "audit").slicing is None


def test_configurations_load_nothing_heavy() -> None:
    code = (
        "import sys, causalprint.schemas.config\n"
        "sys.exit(', '.join({'torch', 'apache_beam', 'numpy', 'pyarrow', 'typer', 'fsspec'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
