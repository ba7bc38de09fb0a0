"""Temporary folders: gone with their run, or with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from causalprint.pipelines.scratch import scratch


def test_what_a_killed_run_left_goes_and_what_a_live_one_has_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    others = tmp_path / "causalprint-notes"
    others.mkdir()
    code = "from causalprint.pipelines.scratch import scratch\nimport time\nwith scratch() as folder:\n"
    code += "    print(folder, flush=True)\n    time.sleep(60)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    killed, alive = (
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment) for _ in range(2)
    )
    assert killed.stdout
    assert alive.stdout
    left, used = (Path(process.stdout.readline().strip()) for process in (killed, alive) if process.stdout)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert left.is_dir()
    with scratch() as mine:
        assert not left.exists()
        assert used.is_dir()
        assert others.is_dir()
        assert Path(mine).is_dir()
        with scratch():
            assert Path(mine).is_dir()
    assert not Path(mine).exists()
    alive.kill()
    alive.wait()
    for process in (killed, alive):
        assert process.stdout
        process.stdout.close()
