"""Which lists of runs' shards tell what an audit is, without a look at all of them: the newest one says which others do."""

from __future__ import annotations

from typing import NamedTuple

from causalprint.schemas.config import Storage
from causalprint.schemas.records import from_json
from causalprint.schemas.run_shards import Listed, Telling
from causalprint.transforms.tables.committed import list_path, listed_runs, read_sealed
from causalprint.transforms.tables.output import Output, get


class _Read(NamedTuple):
    """What a list says of itself, and the end of its file, as much as was read of it."""

    listed: Listed
    end: bytes


class RunLists:
    """The lists of the runs into an output as they are when they are looked up.

    A list that is damaged is passed over: ``verify`` finds it.

    Attributes:
        sizes: bytes of each, by run, the oldest first.
        telling: those that tell what the audit is, and what these runs were asked to read, the oldest first: for whatever a run
            was asked the newest, and runs that read no shard since one of these.

    Args:
        root: of the output.
        storage: fsspec options.
        before: only of runs before this one.
    """

    def __init__(self, root: str, storage: Storage, before: str | None = None) -> None:
        self._root = root
        self._storage = storage
        self._read: dict[str, _Read] = {}
        sizes = listed_runs(root, storage)
        self.sizes = {run_id: size for run_id, size in sizes.items() if before is None or run_id < before}
        self.telling = self._as_the_newest_says() or self._as_all_say()

    def newest(self, inputs: str | None) -> str | None:
        """The newest run that was asked to read this."""
        found = self._newest(inputs)
        if found is not None and self._listed(found) is None:
            self.telling = self._as_all_say()
            found = self._newest(inputs)
        return found

    def _newest(self, inputs: str | None) -> str | None:
        return max((run_id for run_id, asked in self.telling.items() if asked == inputs), default=None)

    def data(self, run_id: str) -> bytes | None:
        """A whole list; ``None`` where it is gone."""
        end = self._read[run_id].end if run_id in self._read else b""
        size = self.sizes[run_id]
        return end if len(end) == size else get(self._root, list_path(run_id), self._storage, size=size)

    def with_run(self, run_id: str, inputs: str | None) -> tuple[Telling, ...]:
        """What tells what the audit is once such a run has listed its shards."""
        newest: dict[str, str] = {}
        others = []
        for one, asked in sorted({**self.telling, run_id: inputs}.items()):
            if asked is None:
                others.append(one)
            else:
                newest[asked] = one
        oldest = min(newest.values(), default="")
        told = [*(Telling(one, asked) for asked, one in newest.items()), *(Telling(one, None) for one in others if one > oldest)]
        return tuple(sorted(told))

    def _as_the_newest_says(self) -> dict[str, str | None]:
        """Nothing where it does not, or was written while another run wrote its own, or lists are gone since."""
        newest = max(self.sizes, default=None)
        listed = None if newest is None else self._listed(newest)
        if listed is not None and listed.telling and listed.before == len(self.sizes) - 1:
            return {one.run_id: one.inputs for one in listed.telling if one.run_id in self.sizes}
        return {}

    def _as_all_say(self) -> dict[str, str | None]:
        told = ((run_id, self._listed(run_id)) for run_id in self.sizes)
        return {run_id: listed.inputs for run_id, listed in told if listed is not None}

    def _listed(self, run_id: str) -> Listed | None:
        if run_id not in self._read:
            path = list_path(run_id)
            try:
                record = read_sealed(Output(self._root, "", "", self._storage), path, self.sizes[run_id])
                if record is None:
                    return None
                self._read = {run_id: _Read(from_json(Listed, record.text, f"{self._root}/{path}"), record.read)}
            except ValueError:
                return None
        return self._read[run_id].listed
