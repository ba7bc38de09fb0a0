"""``causalprint compact``: committed slices and closed accounts of an output rewritten into few large files."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from causalprint.pipelines.commands.compact import CompactConfig
    from causalprint.schemas.config import Storage
    from causalprint.transforms.tables.output import Output


class Compacted(NamedTuple):
    """What became of one bundle's files.

    Attributes:
        bundle_id: whose.
        before, after: files of its tables, and indexes of its packs, when the command began and when it ended.
        packs: that were written.
    """

    bundle_id: str
    before: int
    after: int
    packs: int


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What ``compact --json`` prints.

    Attributes:
        output: the audit's.
        bundles: what became of the files of each.
        signed: whether runs were signed, which have to be signed again to vouch for the packs.
    """

    output: str
    bundles: tuple[Compacted, ...]
    signed: bool = False


def compact(config: CompactConfig, report: Callable[[str], None] = lambda _: None) -> CompactReport:
    """Writes packs, waits, and removes what they replace. The same command finishes what was stopped.

    Raises:
        CompactError: files are not as they should be, or there is no audit.
        ValueError: a mark, an account or an index is damaged.
        OSError: the output cannot be read or written.
    """
    from causalprint.schemas.tables import SCHEMA_VERSION
    from causalprint.transforms.tables.committed import bundle_ids
    from causalprint.transforms.tables.compact import CompactError, compact_partition, tidy
    from causalprint.transforms.tables.packs import THREADS
    from causalprint.transforms.tables.settings import read_settings
    from causalprint.transforms.tables.signatures import signatures

    root, storage = config.output, config.storage
    settings = read_settings(root, storage)
    if settings is None:
        raise CompactError(f"{root} is no output of an audit; give the folder or URL that --output was")
    if settings.schema_version != SCHEMA_VERSION:
        raise CompactError(
            f"the tables in {root} have version {settings.schema_version}, this version writes {SCHEMA_VERSION}: compact with "
            "the version that wrote them"
        )
    outputs = list(_outputs(root, bundle_ids(root, storage), storage))
    before = [_files(output) for output in outputs]
    packs = list[int]()
    with ThreadPoolExecutor(THREADS) as pool:
        for output in outputs:
            report(f"compacting {output.bundle_id}")
            tidy(output)
            packs.append(len(compact_partition(output, pool, config.pack_bytes)))
    if any(packs) and config.keep_seconds:
        report(f"replaced files stay for {config.keep_seconds:.0f} s, for whoever reads them")
        time.sleep(config.keep_seconds)
    for output in outputs:
        tidy(output)
    counts = zip(outputs, before, packs, strict=True)
    bundles = tuple(Compacted(output.bundle_id, files, _files(output), written) for output, files, written in counts)
    return CompactReport(root, bundles, bool(any(packs) and signatures(root, storage)))


def _outputs(root: str, bundle_ids: list[str], storage: Storage) -> Iterator[Output]:
    """The partition of each bundle."""
    from causalprint.transforms.tables.committed import scored_by
    from causalprint.transforms.tables.output import Output

    for output in (Output(root, bundle_id, "", storage) for bundle_id in bundle_ids):
        yield replace(output, scored=scored_by(output))


def _files(output: Output) -> int:
    from causalprint.schemas.packs import PACKS
    from causalprint.transforms.tables.compact import own_tables
    from causalprint.transforms.tables.output import listed

    return sum(
        len(listed(output.root, f"{one}/bundle={output.bundle_id}", output.storage)) for one in (*own_tables(output), PACKS)
    )
