"""A real cluster for tests: started by ``../shared/clusters``, or one that runs already and that the environment names."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import pytest

from tests.outputs import files_below

ROOT = Path(__file__).parents[2]
STARTER = ROOT.parent / "shared" / "clusters" / "cluster.py"
FLINK_MASTER, JOB_ENDPOINT = "CAUSALPRINT_FLINK_MASTER", "CAUSALPRINT_JOB_ENDPOINT"
"""Environment variables with the addresses of another cluster, whose machines share this one's disk."""
SHARDS, SLICES, IMAGES_A_SLICE = 4, 48, 2
OPTIONS = ["--bundle", "tiny", "--slice-images", str(IMAGES_A_SLICE)]
OPENED = ("java.lang", "java.lang.invoke", "java.net", "java.nio", "java.time", "java.util", "sun.nio.ch")
"""Packages of Java that Beam's and Flink's code looks into."""
PACKAGES = {"flink": "pyflink", "spark": "pyspark"}


@dataclass
class Cluster:
    """An engine that runs.

    Attributes:
        engine: ``flink`` or ``spark``.
        job_endpoint, web: addresses of Beam's job server, and of the master's REST interface.
        folder: of what was started here; ``None`` where it runs already, and nothing of it can be killed.
    """

    engine: str
    job_endpoint: str
    web: str
    folder: Path | None

    def command(self) -> list[str]:
        """The words of the command of the page on this engine, with this cluster's addresses and relative paths."""
        page = (ROOT / "docs" / "deploy" / f"{self.engine}.md").read_text(encoding="utf-8")
        shown = re.findall(r"^causalprint (audit /data/.*)$", page, re.MULTILINE)
        assert len(shown) == 1, shown
        addresses = {"/data/shards": "crawl", "/data/audit": "out", "HOST:8099": self.job_endpoint, "HOST:8081": self.web}
        for placeholder, here in addresses.items():
            shown[0] = shown[0].replace(placeholder, here)
        words = shlex.split(shown[0])
        cut = words.index("--")
        return [*words[:cut], *OPTIONS, *words[cut:]]

    @property
    def workers(self) -> list[int]:
        """Processes of the engine's workers."""
        if self.folder is None:
            pytest.skip("the cluster runs already: its workers are not killed")
        found: list[int] = json.loads((self.folder / "cluster.json").read_text())["workers"]
        return found

    def add_worker(self) -> None:
        """One more, as after a fault."""
        _starter(self.engine, "add", self.folder)

    def job_server_jar(self, folder: Path) -> Path:
        """A jar that starts Beam's job server for Flink, as the published one does, from what was unpacked for this cluster."""
        if self.folder is None:
            pytest.skip("the cluster runs already: there is no job server here to start another of")
        parts = [
            self.folder / "common.jar",
            self.folder / "flink.jar",
            *(ROOT / ".venv-flink").glob("lib/*/site-packages/**/flink-dist-*.jar"),
        ]
        manifest = {
            "Manifest-Version": "1.0",
            "Main-Class": "org.apache.beam.runners.flink.FlinkJobServerDriver",
            "Class-Path": " ".join(part.as_uri() for part in parts),
            "Add-Opens": " ".join(f"java.base/{package}" for package in OPENED),
        }
        lines = "".join(f"{_folded(f'{name}: {value}')}\r\n" for name, value in manifest.items())
        with zipfile.ZipFile(folder / "job-server.jar", "w") as jar:
            jar.writestr("META-INF/MANIFEST.MF", lines)
        return folder / "job-server.jar"

    def told(self, path: str) -> dict[str, Any]:
        """What the master tells."""
        with urllib.request.urlopen(f"http://{self.web}/{path}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def started(engine: str, folder: Path) -> Iterator[Cluster]:
    """The cluster that the environment names, else one that is stopped in the end; a skip where there can be none."""
    if endpoint := os.environ.get(JOB_ENDPOINT):
        yield Cluster(engine, endpoint, os.environ.get(FLINK_MASTER, ""), None)
        return
    if not STARTER.exists():
        pytest.skip(f"there is no {STARTER} to start a cluster with, and no cluster in ${JOB_ENDPOINT}")
    if shutil.which("java") is None:
        pytest.skip("there is no java")
    if not any((ROOT / f".venv-{engine}").glob(f"lib/*/site-packages/{PACKAGES[engine]}")):
        pytest.skip(f"there is no {PACKAGES[engine]} in .venv-{engine}; `make clusters` installs it")
    try:
        told = json.loads(_starter(engine, "start", folder))
        yield Cluster(engine, told["job_endpoint"], told["web"], folder)
    finally:
        if (folder / "cluster.json").exists():
            _starter(engine, "stop", folder)


class Launcher:
    """The command in a process of its own; what it says on standard error is in a file.

    Args:
        folder: where it runs.
        arguments: without the program's name.
    """

    def __init__(self, folder: Path, arguments: list[str]) -> None:
        self._log = folder / f"launcher-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            words = [sys.executable, "-m", "causalprint", *arguments]
            self._process = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=log, env=surroundings())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def log(self) -> str:
        """What it has said."""
        return self._log.read_text(encoding="utf-8")

    def stop(self) -> int:
        """SIGTERM; its exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=60)

    def wait(self, seconds: float = 240) -> int:
        """Its exit code."""
        return self._process.wait(timeout=seconds)

    def wait_until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Waits for it; that the command ends meanwhile is a failure."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)


def surroundings() -> dict[str, str]:
    """The environment of launchers, and of clusters, whose workers find this package and its command."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}


def committed(home: Path) -> int:
    """Slices that are in the output."""
    return len(list(home.glob("out/attributions/*/*.parquet")))


def audited_here(home: Path) -> dict[str, bytes]:
    """What the same audit writes on this machine."""
    words = [sys.executable, "-m", "causalprint", "audit", "crawl", "--output", "local", *OPTIONS]
    subprocess.run(words, cwd=home, check=True, capture_output=True, env=surroundings())
    return files_below(home / "local")


def python_workers() -> list[int]:
    """Processes of ``causalprint-worker``, without those that they have started."""
    found = [
        pid for pid, words in _processes() if any(b"causalprint-worker" in word or b"engine_worker" in word for word in words)
    ]
    return [pid for pid in found if _parent(pid) not in found]


def processes_with(word: Path) -> list[int]:
    """Processes that were started with this word."""
    return [pid for pid, words in _processes() if str(word).encode() in words]


def all_end(word: Path, seconds: float = 2) -> bool:
    """Whether the processes that were started with this word end, within the time that a kill takes."""
    deadline = time.monotonic() + seconds
    while processes_with(word) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not processes_with(word)


def executors_of(worker: int) -> list[int]:
    """Executors of a worker of Spark."""
    return [
        pid
        for pid, words in _processes()
        if b"org.apache.spark.executor.CoarseGrainedExecutorBackend" in words and _parent(pid) == worker
    ]


def kill(pid: int) -> None:
    """With -9."""
    os.kill(pid, signal.SIGKILL)


@contextmanager
def suspended(pids: list[int]) -> Iterator[None]:
    """For the time of the context, they do nothing."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def _folded(line: str) -> str:
    """A line of a jar's manifest, which has at most 72 bytes and goes on after a blank."""
    return "\r\n ".join(line[start : start + 70] for start in range(0, len(line), 70))


def _processes() -> Iterator[tuple[int, list[bytes]]]:
    for process in Path("/proc").glob("[0-9]*"):
        try:
            yield int(process.name), (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _starter(engine: str, what: str, folder: Path | None) -> str:
    words = [str(ROOT / f".venv-{engine}" / "bin" / "python"), str(STARTER), engine, what, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=surroundings())
    assert done.returncode == 0, done.stderr
    return done.stdout
