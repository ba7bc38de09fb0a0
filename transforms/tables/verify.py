"""Whether an output is what its receipts, accounts and manifests claim; and the removal of what is not.

Every slice has one claim, the receipt in its commit mark, every shard one, its account, and every run one, its manifest. What
they name must be there, and be what they name; what nobody names should not be there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from causalprint.schemas.config import Storage
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables.committed import bundle_ids
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.settings import lost_slicing
from causalprint.transforms.tables.signatures import Signature, Trust
from causalprint.transforms.tables.verify_output import Check, Finding, Kind
from causalprint.transforms.tables.verify_partition import Partition

THREADS = 16
"""Files that are read at once: on an object store most of the time is waiting."""


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
    check = Check(Output(root, "", "", storage), deep)
    check.settings(known=bool(bundles))
    check.beside()
    with ThreadPoolExecutor(THREADS) as pool:
        for bundle_id in bundles:
            Partition(check, Output(root, bundle_id, "", storage), pool).check()
    check.manifests(bundles)
    signed = tuple(check.signatures(trust or Trust()))
    findings = tuple(sorted(check.findings.values()))
    removed = tuple(_repaired(check)) if repair else ()
    return Verification(
        root, deep, check.files, check.bytes, check.slices, check.shards, check.runs, check.unverified, findings, removed, signed
    )


def needs_audit(found: Verification) -> bool:
    """Whether something is missing that only the next audit can write, or wrong that is still there."""
    return any(one.path not in found.removed or one.kind in _TO_WRITE for one in found.findings)


_TO_WRITE = (Kind.MISSING, Kind.SIZE, Kind.DAMAGED)


def _repaired(check: Check) -> Iterator[str]:
    """Removes what is wrong, and first whatever claims it, so that a repair that is stopped leaves no claim about nothing."""
    claims = [path for several in check.also.values() for path in several]
    accounts = [path for path in claims if path.startswith("shards/")]
    wrong = [one.path for one in check.findings.values() if one.kind not in (Kind.MISSING, Kind.UNSIGNED, Kind.STOPPED)]
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
