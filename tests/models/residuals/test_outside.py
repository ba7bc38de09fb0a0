"""A residual of another package is found by its entry point, audits like one of ours, and is named where it is broken."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from causalprint.models.residuals import GROUP, RESIDUALS, ResidualKind, load_residual, parse_residual
from causalprint.schemas.model_spec import ResidualError
from tests.audits import photographs_tar
from tests.outputs import rows

OUTSIDE = Path(__file__).parent / "outside"
DOCS = Path(__file__).parents[3] / "docs" / "residuals.md"


def install(site: Path, package: str, entry: str, code: str = "") -> None:
    """What ``pip install`` would leave of a package with one entry point and a module ``<package>_module``."""
    folder = site / f"{package}-2.0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.0\n")
    (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{entry}\n")
    (site / f"{package}_module.py").write_text(code)


@pytest.mark.slow
def test_an_audit_with_a_residual_of_another_package(tiny: Path, tmp_path: Path) -> None:
    shard = photographs_tar(tmp_path / "crawl" / "0.tar", range(2))
    path = os.pathsep.join([str(OUTSIDE), *filter(None, [os.environ.get("PYTHONPATH")])])
    specs = ("example:mean", "example:mean?radius=2")
    arguments = ["audit", str(shard), "--output", str(tmp_path / "out"), "--bundle", str(tiny), "--json", "--residual"]
    code = f"from causalprint.__main__ import main\nfor spec in {specs}: assert main([*{arguments}, spec]) == 0"
    environment = os.environ | {"PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ids = {}
    for spec, line in zip(specs, done.stdout.splitlines(), strict=True):
        run = json.loads(Path(json.loads(line)["manifest"]).read_text())["run"]
        assert run["residual"] == spec
        assert [file["name"] for file in run["residual_digests"]] == ["example_residual.py"]
        ids[spec] = run["bundle_id"]
    assert len(set(ids.values())) == 2
    attributions = rows(tmp_path / "out", "attributions").to_pylist()
    assert [(row["verdict"], row["reason"]) for row in attributions] == [("abstain", "uncalibrated")] * 4


def test_its_options_are_checked_like_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(OUTSIDE)
    residual = load_residual("example:mean?radius=2")
    x = torch.rand((2, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(residual(x).reconstruction[..., 8, 8], x[..., 6:11, 6:11].mean(dim=(2, 3)))
    with pytest.raises(ResidualError, match="example has no option 'size'; it has radius"):
        parse_residual("example:mean?size=2")
    with pytest.raises(ResidualError, match="radius=16 is out of range; give a number from 1 to 15"):
        load_residual("example:mean?radius=16")
    with pytest.raises(ResidualError, match=r"no kind 'vae'; choose one of autoencoder, .*denoise, example"):
        parse_residual("vae:here")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("meaning, options = 'a test', {}", "AttributeError: module 'broken_module' has no attribute 'load'"),
        ("meaning, options = 'a test', {}\ndef load(spec, device): return 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_package_is_named(code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "broken", "cracked = broken_module", code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_module", raising=False)
    message = (
        f"residual 'cracked:here': package broken 2.0, which registers 'broken_module', fails: {said}; update or uninstall it"
    )
    with pytest.raises(ResidualError, match=f"^{re.escape(message)}$"):
        load_residual("cracked:here")
    assert parse_residual("autoencoder:here").kind == "autoencoder"


def test_no_name_is_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, "first", "denoise = first_module")
    install(tmp_path, "second", "mine = second_module")
    install(tmp_path, "third", "mine = third_module")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ResidualError, match=r"package first 2\.0 registers 'denoise', which is built in; uninstall it"):
        parse_residual("denoise:here")
    with pytest.raises(ResidualError, match=r"package (second|third) 2\.0 and package (second|third) 2\.0 both register 'mine'"):
        parse_residual("mine:here")


def test_the_page_is_true_to_the_letter() -> None:
    page = DOCS.read_text(encoding="utf-8")
    assert f"```python\n{(OUTSIDE / 'example_residual.py').read_text()}```" in page
    for name, kind in RESIDUALS.items():
        told = "".join(f"; `{option}`: {meaning}" for option, meaning in kind.options.items()).removeprefix("; ")
        assert f"| `{name}` | {kind.meaning} | {told} |" in page
    for name in ResidualKind._fields:
        assert f"`{name}`" in page
    assert f'[project.entry-points."{GROUP}"]' in page
