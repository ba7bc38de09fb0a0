"""What of an output belongs to no partition: settings, manifests, lists, signatures; and the findings of all that is seen."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from causalprint.schemas.accounts import add_digests
from causalprint.schemas.runs import RunManifest
from causalprint.schemas.tables import TABLES
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables.committed import LIST, read_sealed, run_ids
from causalprint.transforms.tables.manifests import manifest_path, read_manifest
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.run_shards import found_shards
from causalprint.transforms.tables.seals import check_body
from causalprint.transforms.tables.settings import read_settings
from causalprint.transforms.tables.signatures import Signature, SignatureError, Trust, check, is_signature, signatures


class Kind(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"  # a receipt, an account or a manifest names it
    SIZE = "size"  # it has another size than its receipt says
    DAMAGED = "damaged"  # it is not what was written, or cannot be read
    ORPHAN = "orphan"  # of a slice that was never committed, or of one that no account has
    SURPLUS = "surplus"  # nothing of ours
    UNSIGNED = "unsigned"  # none of the keys that were given vouches for it
    TEMPORARY = "temporary"  # what a killed process left
    STOPPED = "stopped"  # it counts, and a command that was to replace it was stopped


class Finding(NamedTuple):
    """One file with which something is wrong: its path below the output, and in one sentence what."""

    path: str
    kind: str
    detail: str


class VerifyError(ValueError):
    """There is nothing to verify; the message says where, and what to do."""


class _Closed(NamedTuple):
    """What a run that was signed vouches for.

    Attributes:
        accounts: their paths and digests.
        unmatched: paths of accounts that are not, or not all, as it closed them.
    """

    accounts: set[tuple[str, str]]
    unmatched: set[str]


@dataclass
class Check:
    """What was looked at so far, and what is wrong with it.

    Attributes:
        findings: by path.
        accounts: digests of those that can be read, by path.
        also: of a damaged file, what must go with it so that it is computed again: accounts first, then marks.
        packs: the indexes of packs, by path, and the SHA-256 of each.
    """

    output: Output
    deep: bool
    files: int = 0
    bytes: int = 0
    slices: int = 0
    shards: int = 0
    runs: int = 0
    unverified: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    also: dict[str, tuple[str, ...]] = field(default_factory=dict)
    packs: dict[str, str] = field(default_factory=dict)

    def found(self, path: str, kind: Kind, detail: str, *also: str) -> None:
        """Keeps the first finding about a file."""
        self.findings.setdefault(path, Finding(path, kind.value, detail))
        self.also[path] = (*self.also.get(path, ()), *also)

    def list(self, folder: str, ours: Callable[[str], bool]) -> dict[str, int]:
        """The files of ours in a folder with their sizes; of the others, those that hinder readers are found to be surplus."""
        kept = {}
        for name, size in listed(self.output.root, folder, self.output.storage).items():
            path = f"{folder}/{name}"
            if size is not None and name.startswith(".") and name.endswith(".part"):
                self.found(path, Kind.TEMPORARY, "a process that was killed left it")
            elif size is not None and ours(name):
                kept[name] = size
                self.files += 1
                self.bytes += size
            elif not name.startswith((".", "_")):
                what = "a folder" if size is None else f"{size} bytes"
                self.found(path, Kind.SURPLUS, f"{what} that no audit wrote")
        return kept

    def settings(self, *, known: bool) -> None:
        """Looks at ``_causalprint.json``, and beside it."""
        root, storage = self.output.root, self.output.storage
        try:
            settings = read_settings(root, storage)
        except ValueError as error:
            self.found(OUTPUT_MARK, Kind.DAMAGED, str(error))
        else:
            if settings is None and not known:
                raise VerifyError(f"{root} is no output of an audit; give the folder or URL that --output was")
            if settings is None:
                self.found(OUTPUT_MARK, Kind.MISSING, "the next audit writes it again, as the receipts tell")
        for name in listed(root, "", storage):
            if name.startswith(".") and name.endswith(".part"):
                self.found(name, Kind.TEMPORARY, "a process that was killed left it")

    def beside(self) -> None:
        """Looks beside the partitions of each table: readers of the whole table take what lies there for a part of it."""
        for table in TABLES:
            for name, size in listed(self.output.root, table, self.output.storage).items():
                if not name.startswith((".", "_")) and not (size is None and name.startswith("bundle=")):
                    what = "a folder" if size is None else f"{size} bytes"
                    self.found(f"{table}/{name}", Kind.SURPLUS, f"{what} that no audit wrote")

    def manifests(self, bundles: Iterable[str]) -> None:
        """The accounts that runs name must be there: those of the last run by each bundle, or of all where all is read."""
        root, storage = self.output.root, self.output.storage
        sizes = self.list("runs", lambda name: name.endswith((".json", LIST)) or is_signature(name))
        self._lists(sizes)
        open_bundles = set(bundles)
        for run_id in reversed(run_ids(root, storage)):
            self.runs += 1
            path = manifest_path(run_id)
            if not open_bundles and not self.deep:
                continue
            try:
                manifest = read_manifest(root, run_id, storage)
            except ValueError as error:
                self.found(path, Kind.DAMAGED, str(error))
                continue
            if manifest is None or (manifest.run.bundle_id not in open_bundles and not self.deep):
                continue
            open_bundles.discard(manifest.run.bundle_id)
            self._list_of(manifest, sizes)
            output = Output(root, manifest.run.bundle_id, "", storage)
            there = listed(root, f"shards/bundle={output.bundle_id}", storage)
            for shard in manifest.totals.closed:
                account = output.path("shards", shard.shard_id)
                if f"{shard.shard_id}.parquet" not in there and account not in self.accounts:
                    self.found(
                        account, Kind.MISSING, f"run {run_id} closed the account of {shard.uri}; run the same command again"
                    )

    def signatures(self, trust: Trust) -> Iterator[Signature]:
        """Signatures of runs; where there are keys those that are sound, and every account must be one that they vouch for."""
        root, storage = self.output.root, self.output.storage
        vouched: set[tuple[str, str]] = set()
        packs: set[tuple[str, str]] = set()
        unmatched: dict[str, set[str]] = {}
        for run_id, keyids in signatures(root, storage).items():
            for keyid in keyids:
                if not trust.keys:
                    yield Signature(run_id, keyid)
                    continue
                try:
                    yield (signature := check(root, run_id, keyid, trust, storage))
                    packs |= {*signature.packs}
                    closed = self._closed(run_id)
                    vouched |= closed.accounts
                    unmatched[run_id] = closed.unmatched
                except (SignatureError, ValueError) as error:
                    self.found(manifest_path(run_id), Kind.UNSIGNED, str(error))
        known = {path for path, account in vouched if self.accounts.get(path) == account}
        for run_id, paths in unmatched.items():
            if not paths <= known:  # a later run that was signed may have closed them, too
                why = f"the accounts of run {run_id} are not, or not all, those that were signed; sign it again"
                self.found(manifest_path(run_id), Kind.UNSIGNED, why)
        if trust.keys:
            self._unsigned(vouched, packs)

    def _unsigned(self, accounts: set[tuple[str, str]], packs: set[tuple[str, str]]) -> None:
        """Finds the accounts and packs that are not among those that were signed."""
        for path in (path for path, account in self.accounts.items() if (path, account) not in accounts):
            self.found(path, Kind.UNSIGNED, "no run that one of these keys signed closed this account as it is")
        for path in (path for path, sha256 in self.packs.items() if (path, sha256) not in packs):
            self.found(path, Kind.UNSIGNED, "no run was signed by one of these keys since this pack was written; sign again")

    def _closed(self, run_id: str) -> _Closed:
        """The accounts that a run closed."""
        manifest = read_manifest(self.output.root, run_id, self.output.storage)
        if manifest is None:
            return _Closed(set(), set())
        output = Output(self.output.root, manifest.run.bundle_id, "", self.output.storage)
        closed = {(output.path("shards", shard.shard_id), shard.account) for shard in manifest.totals.closed}
        if len(closed) == manifest.totals.shards:
            return _Closed(closed, set())
        # Of so many shards the manifest has the sum of digests alone, and their names in its list.
        paths = [output.path("shards", shard_id) for shard_id in found_shards(self.output.root, run_id, self.output.storage)]
        there = {(path, self.accounts[path]) for path in paths if path in self.accounts}
        if add_digests(digest for _, digest in there) != manifest.totals.accounts:
            return _Closed(set(), set(paths))
        return _Closed(there, set())

    def _lists(self, sizes: Mapping[str, int]) -> None:
        """Looks at the lists of shards, which hold digests of themselves: a killed run may leave one without a manifest."""
        for name in sizes:
            if not name.endswith(LIST):
                continue
            path = f"runs/{name}"
            manifest = manifest_path(name.removesuffix(LIST))
            claims = (manifest,) if manifest.partition("/")[2] in sizes else ()
            try:
                record = read_sealed(self.output, path, sizes[name])
                if record is not None and record.seal is not None and self.deep:
                    check_body(self.output.get(path) or b"", record.seal)
            except ValueError as error:
                self.found(path, Kind.DAMAGED, str(error), *claims)

    def _list_of(self, manifest: RunManifest, sizes: Mapping[str, int]) -> None:
        """Compares the list of shards that a manifest names with what is there."""
        if manifest.changes is None:  # of an earlier version
            return
        file, claim = manifest.changes.file, manifest_path(manifest.run.run_id)
        size = sizes.get(file.path.rpartition("/")[2])
        if size is None:
            self.found(file.path, Kind.MISSING, f"the shards of run {manifest.run.run_id}; run the same command again", claim)
        elif size != file.size:
            self.found(file.path, Kind.SIZE, f"{size} bytes are there, {file.size} were written", claim)
        elif self.deep and hashlib.sha256(self.output.get(file.path) or b"").hexdigest() != file.sha256:
            self.found(file.path, Kind.DAMAGED, "it is not the list that its run's manifest names", claim)
