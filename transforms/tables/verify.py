"""Whether an output is what its receipts, accounts and manifests claim; and the removal of what is not.

Every slice has one claim, the receipt in its commit mark, every shard one, its account, and every run one, its manifest. What
they name must be there, and be what they name; what nobody names should not be there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from causalprint.schemas.accounts import Scored, ShardAccount, SliceReceipt, add_digests
from causalprint.schemas.config import Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.records import from_json
from causalprint.schemas.runs import RunManifest
from causalprint.schemas.tables import TABLES
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables.committed import LIST, bundle_ids, read_receipt, read_sealed, record_in, run_ids
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.run_shards import found_shards
from causalprint.transforms.tables.seals import check_body
from causalprint.transforms.tables.settings import lost_slicing, read_settings
from causalprint.transforms.tables.signatures import Signature, SignatureError, Trust, check, is_signature, signatures
from causalprint.transforms.tables.write_manifest import account_digest, manifest_path, read_manifest

THREADS = 16
"""Files that are read at once: on an object store most of the time is waiting."""

_OURS = re.compile(r"[0-9a-f]{32}\.parquet")


class Kind(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"  # a receipt, an account or a manifest names it
    SIZE = "size"  # it has another size than its receipt says
    DAMAGED = "damaged"  # it is not what was written, or cannot be read
    ORPHAN = "orphan"  # of a slice that was never committed, or of one that no account has
    SURPLUS = "surplus"  # nothing of ours
    UNSIGNED = "unsigned"  # none of the keys that were given vouches for it
    TEMPORARY = "temporary"  # what a killed process left


class Finding(NamedTuple):
    """One file with which something is wrong: its path below the output, and in one sentence what."""

    path: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in an output.

    Attributes:
        output: its root.
        deep: whether every byte was read; else sizes, footers and counts were compared.
        files, bytes: what was looked at.
        slices, shards, runs: commit marks, accounts and manifests among them.
        unverified: marks and accounts by earlier versions, which hold no digest of themselves.
        findings: what is wrong, by path.
        removed: the files that were removed, in this order, so that the next audit computes them again.
        signatures: of runs, oldest first; where keys were given those that one of them made.
    """

    output: str
    deep: bool
    files: int
    bytes: int
    slices: int
    shards: int
    runs: int
    unverified: int
    findings: tuple[Finding, ...]
    removed: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()


class VerifyError(ValueError):
    """There is nothing to verify; the message says where, and what to do."""


def verify(root: str, storage: Storage, *, deep: bool = False, repair: bool = False, trust: Trust | None = None) -> Verification:
    """Compares the output at ``root`` with what it says of itself.

    Args:
        root: URL of an audit's output; no audit may be writing to it.
        storage: fsspec options.
        deep: whether to read every file and compare its digest and its number of rows.
        repair: whether to remove what is damaged, with its commit mark and its shard's account, and what nobody names. Sound
            files stay as they are.
        trust: keys. Every account must then be one that a run has whose manifest one of them signed; take ``deep`` with it, or
            bytes are not read.

    Raises:
        VerifyError: there is no output.
        OSError: it cannot be read, or not be repaired.
    """
    bundles = bundle_ids(root, storage)
    check = _Check(Output(root, "", "", storage), deep)
    check.settings(known=bool(bundles))
    check.beside()
    with ThreadPoolExecutor(THREADS) as pool:
        for bundle_id in bundles:
            _Partition(check, Output(root, bundle_id, "", storage), pool).check()
    check.manifests(bundles)
    signed = tuple(check.signatures(trust or Trust()))
    findings = tuple(sorted(check.findings.values()))
    removed = tuple(_repaired(check)) if repair else ()
    return Verification(
        root, deep, check.files, check.bytes, check.slices, check.shards, check.runs, check.unverified, findings, removed, signed
    )


class _Closed(NamedTuple):
    """What a run that was signed vouches for.

    Attributes:
        accounts: their paths and digests.
        unmatched: paths of accounts that are not, or not all, as it closed them.
    """

    accounts: set[tuple[str, str]]
    unmatched: set[str]


@dataclass
class _Check:
    """What was looked at so far, and what is wrong with it.

    Attributes:
        findings: by path.
        accounts: digests of those that can be read, by path.
        also: of a damaged file, what must go with it so that it is computed again: accounts first, then marks.
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
                if f"{shard.shard_id}.parquet" not in there:
                    account = output.path("shards", shard.shard_id)
                    self.found(
                        account, Kind.MISSING, f"run {run_id} closed the account of {shard.uri}; run the same command again"
                    )

    def signatures(self, trust: Trust) -> Iterator[Signature]:
        """Signatures of runs; where there are keys those that are sound, and every account must be one that they vouch for."""
        root, storage = self.output.root, self.output.storage
        vouched: set[tuple[str, str]] = set()
        unmatched: dict[str, set[str]] = {}
        for run_id, keyids in signatures(root, storage).items():
            for keyid in keyids:
                if not trust.keys:
                    yield Signature(run_id, keyid)
                    continue
                try:
                    yield check(root, run_id, keyid, trust, storage)
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
        for path, account in self.accounts.items() if trust.keys else ():
            if (path, account) not in vouched:
                self.found(path, Kind.UNSIGNED, "no run that one of these keys signed closed this account as it is")

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


class _Partition:
    """What one bundle wrote."""

    def __init__(self, check: _Check, output: Output, pool: ThreadPoolExecutor) -> None:
        self._check = check
        self._output = output
        self._pool = pool
        self._sound: dict[str, SliceReceipt] = {}
        self._account_of: dict[str, str] = {}
        """By the id of a slice, the path of the account that has it."""
        self._whole: set[str] = set()
        """The paths of accounts that can be read."""

    def check(self) -> None:
        """Marks with the files that they name, accounts with their slices, and what is left over."""
        files = {
            table: self._check.list(f"{table}/bundle={self._output.bundle_id}", lambda name: bool(_OURS.fullmatch(name)))
            for table in TABLES
        }
        sizes = {table: {name.removesuffix(".parquet"): size for name, size in found.items()} for table, found in files.items()}
        marks = sizes[self._output.mark]
        accounts = dict(self._accounts(sizes["shards"]))
        self._whole |= accounts.keys()
        self._check.accounts |= {path: account_digest(account) for path, account in accounts.items()}
        for path, account in accounts.items():
            self._account_of |= dict.fromkeys(account.slice_ids, path)
        self._slices(marks, sizes)
        for path, account in accounts.items():
            self._close(path, account, marks)
        self._unclosed()
        for table in self._output.tables[:-1]:
            for slice_id in sizes[table].keys() - marks.keys():
                # Where the account has the slice, its mark is what is missing.
                if slice_id not in self._account_of:
                    path = self._output.path(table, slice_id)
                    self._check.found(path, Kind.ORPHAN, "its slice was not committed; the same audit writes it again")

    def _accounts(self, sizes: Mapping[str, int]) -> Iterator[tuple[str, ShardAccount]]:
        self._check.shards += len(sizes)
        for path, account in self._pool.map(self._account, sizes, sizes.values()):
            if isinstance(account, ShardAccount):
                yield path, account
            else:
                self._check.found(path, Kind.DAMAGED, account)

    def _account(self, shard_id: str, size: int) -> tuple[str, ShardAccount | str]:
        path = self._output.path("shards", shard_id)
        try:
            record = read_sealed(self._output, path, size)
            if record is None:
                return path, "it was listed and is gone"
            account = from_json(ShardAccount, record.text, path)
            if account.shard_id != shard_id:
                return path, f"it is the account of {account.uri}, {account.shard_id}, under another name"
            if self._check.deep:
                self._read(path, 1)
        except (ValueError, pa.ArrowException) as error:
            return path, str(error)
        self._check.unverified += record.seal is None
        return path, account

    def _slices(self, marks: Mapping[str, int], sizes: Mapping[str, Mapping[str, int]]) -> None:
        self._check.slices += len(marks)
        for slice_id, receipt in zip(marks, self._pool.map(self._receipt, marks, marks.values()), strict=True):
            path = self._output.path(self._output.mark, slice_id)
            if not isinstance(receipt, SliceReceipt):
                self._check.found(path, Kind.DAMAGED, receipt, *self._claims(slice_id))
                continue
            self._check.unverified += not receipt.seal
            self._others(receipt, sizes)
            if not {path, *(file.path for file in receipt.files)} & self._check.findings.keys():
                self._sound[slice_id] = receipt

    def _receipt(self, slice_id: str, size: int) -> SliceReceipt | str:
        path = self._output.path(self._output.mark, slice_id)
        try:
            receipt = read_receipt(self._output, path, size)
            if receipt is None:
                return "it was listed and is gone"
            if wrong := self._misplaced(receipt, slice_id):
                return wrong
            told = (sum(count.images for count in receipt.verdicts), sum(count.images for count in receipt.reasons))
            if told != (receipt.attributed, receipt.rejected) or sum(told) + receipt.forgotten != receipt.seen:
                counted = f"{told[0]} attributed, {told[1]} rejected and {receipt.forgotten} forgotten"
                return f"its account does not close: {receipt.seen} images seen, {counted}"
            if self._check.deep:
                self._read(path, receipt.attributed)
        except (ValueError, pa.ArrowException) as error:
            return str(error)
        return receipt

    def _misplaced(self, receipt: SliceReceipt, slice_id: str) -> str | None:
        """What is wrong with a receipt that is found as that of a slice."""
        output = replace(self._output, scored=receipt.scored.embeddings if receipt.scored else "")
        if receipt.shard.slice_id(output.slices_by, receipt.index) != slice_id:
            return f"it is slice {receipt.index} of {receipt.shard.uri}, {receipt.slice_id}, under another name"
        if [file.path for file in receipt.files] != [output.path(one, slice_id) for one in output.tables[:-1]]:
            return "it names other files than those of its slice"
        return self._scored(receipt, receipt.scored) if receipt.scored else None

    def _scored(self, receipt: SliceReceipt, scored: Scored) -> str | None:
        """What is wrong with other verdicts on stored fingerprints: they are of files that an audit's receipt must name too."""
        if scored.bundle_id != self._output.bundle_id:
            return f"its verdicts are those of {scored.bundle_id}"
        source = replace(self._output, bundle_id=scored.embeddings)
        path = source.path(source.mark, receipt.slice_id)
        record = read_sealed(source, path)
        if record is None:
            return (
                f"the slice that it scores is not committed: {path} is missing; once it is there, run causalprint attribute again"
            )
        if from_json(SliceReceipt, record.text, path).files != receipt.files:
            return f"it scores other files than {path} names; run causalprint attribute again{_STOPPED}"
        return None

    def _others(self, receipt: SliceReceipt, sizes: Mapping[str, Mapping[str, int]]) -> None:
        if receipt.scored:
            return  # they are another partition's, and are looked at there
        claims = self._claims(receipt.slice_id, self._output.path(self._output.mark, receipt.slice_id))
        there = []
        stopped = _STOPPED if receipt.forgotten else ""
        for table, file in zip(self._output.tables, receipt.files, strict=False):
            size = sizes[table].get(receipt.slice_id)
            where = f"of slice {receipt.index} of {receipt.shard.uri}"
            if size is None:
                self._check.found(file.path, Kind.MISSING, where, *claims)
            elif size != file.size:
                detail = f"{where}: {size} bytes are there, {file.size} were written{stopped}"
                self._check.found(file.path, Kind.SIZE, detail, *claims)
            else:
                there.append((table, file))
        if self._check.deep:
            rows = {"images": receipt.attributed, "rejects": receipt.rejected}
            for table, file in there:
                try:
                    self._read(file.path, rows.get(table), file.sha256)
                except (ValueError, pa.ArrowException) as error:
                    self._check.found(file.path, Kind.DAMAGED, f"{error}{stopped}", *claims)

    def _read(self, path: str, rows: int | None, sha256: str | None = None) -> None:
        """Compares a whole file with what is known of it."""
        data = self._output.get(path) or b""
        if sha256 is None:
            seal = record_in(data, path).seal
            if seal is not None:
                check_body(data, seal)
        elif (actual := hashlib.sha256(data).hexdigest()) != sha256:
            raise ValueError(f"its SHA-256 is {actual}, its receipt says {sha256}")
        found = pq.read_metadata(pa.BufferReader(data)).num_rows
        if rows not in (None, found):
            raise ValueError(f"it has {found} rows, its receipt says {rows}")

    def _close(self, path: str, account: ShardAccount, marks: Mapping[str, int]) -> None:
        for slice_id in account.slice_ids:
            if slice_id not in marks:
                mark = self._output.path(self._output.mark, slice_id)
                self._check.found(mark, Kind.MISSING, f"the account of {account.uri} has this slice", path)
        receipts = [self._sound[slice_id] for slice_id in account.slice_ids if slice_id in self._sound]
        if len(receipts) < len(account.slice_ids):
            return  # what is wrong with the others is said there
        counted = [sum(getattr(one, name) for one in receipts) for name in _COUNTED]
        claimed = [getattr(account, name) for name in _COUNTED]
        seals = add_digests(digest(one.slice_id, one.seal)[:32] for one in receipts)
        stopped = _STOPPED if any(one.forgotten for one in receipts) else ""
        if counted != claimed or account.seen != account.attributed + account.rejected + account.forgotten:
            detail = f"it counts {claimed} images {', '.join(_COUNTED)}, its slices {counted}{stopped}"
            self._check.found(path, Kind.DAMAGED, detail)
        elif account.seal is not None and account.seal != seals:
            self._check.found(path, Kind.DAMAGED, f"its slices are not those that it was closed with{stopped}")

    def _unclosed(self) -> None:
        for slice_id, receipt in self._sound.items():
            if slice_id in self._account_of:
                continue
            account = self._output.path("shards", receipt.shard.shard_id(self._output.bundle_id))
            if account in self._whole:
                mark = self._output.path(self._output.mark, slice_id)
                detail = f"slice {receipt.index} of {receipt.shard.uri}, whose account does not have it"
                self._check.found(mark, Kind.ORPHAN, detail)
            else:
                detail = f"the account of {receipt.shard.uri}, of which slices are committed; run the same command again"
                self._check.found(account, Kind.MISSING, detail)

    def _claims(self, slice_id: str, *marks: str) -> tuple[str, ...]:
        account = self._account_of.get(slice_id)
        return (*([] if account is None else [account]), *marks)


_COUNTED = ("seen", "attributed", "rejected", "forgotten", "resampled", "skipped")
_STOPPED = "; if a causalprint forget was stopped, the same command finishes it"


def needs_audit(found: Verification) -> bool:
    """Whether something is missing that only the next audit can write, or wrong that is still there."""
    return any(one.path not in found.removed or one.kind in _TO_WRITE for one in found.findings)


_TO_WRITE = (Kind.MISSING, Kind.SIZE, Kind.DAMAGED)


def _repaired(check: _Check) -> Iterator[str]:
    """Removes what is wrong, and first whatever claims it, so that a repair that is stopped leaves no claim about nothing."""
    claims = [path for several in check.also.values() for path in several]
    accounts = [path for path in claims if path.startswith("shards/")]
    wrong = [one.path for one in check.findings.values() if one.kind not in (Kind.MISSING, Kind.UNSIGNED)]
    there: dict[str, Mapping[str, int | None]] = {}
    for path in dict.fromkeys([*accounts, *claims, *sorted(wrong)]):
        folder, _, name = path.rpartition("/")
        if folder not in there:
            there[folder] = listed(check.output.root, folder, check.output.storage)
        if there[folder].get(name) is None:
            continue  # gone, or a folder, in which there may be anything
        if path == OUTPUT_MARK and not _can_be_written_again(check.output):
            continue
        check.output.remove(path)
        yield path


def _can_be_written_again(output: Output) -> bool:
    try:
        return lost_slicing(output.root, output.storage) is not None
    except ValueError:
        return False
