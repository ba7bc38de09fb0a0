"""How far workers elsewhere are: each keeps a small file of its counts in the output, and whoever watches adds them up.

Engines give the metrics of a batch job once it has ended, and its workers reach nothing of the launcher but the output.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared

from causalprint.schemas.config import Storage
from causalprint.transforms.counting import Tally, listeners
from causalprint.transforms.storage.storage import filesystem
from causalprint.transforms.tables.output import Output, folder_names, get, put

SECONDS = 10.0
"""Between two writes of one worker."""


def tally_folder(run_id: str) -> str:
    """Where the files lie below the output's root, as long as the run is watched."""
    return f"runs/{run_id}.tally"


class Tell(beam.DoFn):
    """Passes everything on, and keeps the file of this worker process, until the process ends.

    Args:
        output: where to.
        run_id: of the run.
    """

    def __init__(self, output: Output, run_id: str) -> None:
        self._begin = partial(Teller, output, run_id)
        self._shared = Shared()

    def setup(self) -> None:
        """Beam calls it before the first element."""
        self._teller = self._shared.acquire(self._begin)

    def process(self, element: Any) -> Iterator[Any]:
        """Beam calls it for every element."""
        yield element

    def finish_bundle(self) -> None:
        """Beam calls it when what was passed on is done with, and perhaps nothing after that."""
        self._teller.write()


class Teller:
    """The counts of this process, from now on, and their file."""

    def __init__(self, output: Output, run_id: str) -> None:
        self._output = output
        self._path = f"{tally_folder(run_id)}/{uuid.uuid4().hex}.json"
        self._total = Tally()
        self._written: Tally | None = None
        self._lock = threading.Lock()
        listeners.append(self._add)
        self.write()
        threading.Thread(target=self._go_on, name="tally", daemon=True).start()

    def write(self) -> None:
        """Writes the file where it is not up to date; a count that is lost must not stop work."""
        with self._lock:
            total = self._total
        if total != self._written:
            with suppress(Exception):
                put(self._output.root, self._path, json.dumps(total._asdict()).encode(), self._output.storage)
                self._written = total

    def _add(self, tally: Tally) -> None:
        with self._lock:
            self._total = self._total.plus(tally)

    def _go_on(self) -> None:
        while True:
            time.sleep(SECONDS)
            self.write()


def told(root: str, run_id: str, storage: Storage) -> list[Tally]:
    """What each worker has told so far."""
    folder = tally_folder(run_id)
    found = (get(root, f"{folder}/{name}", storage) for name in folder_names(root, folder, storage) if name.endswith(".json"))
    return [Tally(**json.loads(data)) for data in found if data]


def clear(root: str, run_id: str, storage: Storage) -> None:
    """Removes the files of a run."""
    fs, base = filesystem(root, storage)
    with suppress(FileNotFoundError):
        fs.rm(f"{base}/{tally_folder(run_id)}", recursive=True)
