"""The last step of a run: all accounts added up, and the manifest written."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from importlib.metadata import PackageNotFoundError, version

import apache_beam as beam
from apache_beam.pvalue import PCollection

import causalprint
from causalprint.models.memory import give_back_memory
from causalprint.schemas.accounts import Counts, ShardAccount, spread
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.cascade import Tier
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.elements import digest
from causalprint.schemas.packs import PACKS
from causalprint.schemas.records import to_json
from causalprint.schemas.runs import Changes, ClosedShard, IncompleteShard, Run, RunManifest, Totals, Version, Work
from causalprint.schemas.tables import SCHEMA_VERSION
from causalprint.schemas.urls import public, scrubbed
from causalprint.transforms.tables.manifests import manifest_path
from causalprint.transforms.tables.output import Output, put
from causalprint.transforms.tables.run_shards import write_list
from causalprint.transforms.tables.seals import sealed
from causalprint.transforms.tables.write_tables import write_empty
from causalprint.transforms.tables.write_views import write_views

PACKAGES = ("torch", "diffusers", "pyarrow", "apache-beam", "numpy", "pillow")


def write_run(accounts: Sequence[ShardAccount], run: Run) -> RunManifest:
    """What :class:`WriteManifest` does with all accounts of a run: their list, then the manifest."""
    return write_manifest(add_up(map(totals_of, accounts)), run, write_list(accounts, run))


def write_manifest(totals: Totals, run: Run, changes: Changes) -> RunManifest:
    """Writes ``OUT/views.sql``, and a file for it where there are no packs, then ``OUT/runs/<run_id>.json``."""
    write_empty(Output(run.config.output, run.bundle_id, run.bundle_digest, run.config.storage), (PACKS,))
    write_views(run.config.output, run.config.storage, filled=bool(totals.slices and totals.shards))
    manifest = sealed(
        RunManifest(
            schema_version=SCHEMA_VERSION,
            run=replace(run, config=without_secrets(run.config)),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            totals=totals,
            versions=versions(),
            platform=platform.platform(),
            changes=changes,
        )
    )
    _put(manifest, run.config.storage)
    return manifest


def add_work(manifest: RunManifest, work: Work, storage: Storage) -> RunManifest:
    """Writes the manifest once more, with what only the launcher knows, since metrics are whole when the pipeline has ended."""
    manifest = sealed(replace(manifest, work=work))
    _put(manifest, storage)
    return manifest


def add_tier(manifest: RunManifest, tier: Tier, storage: Storage) -> RunManifest:
    """Writes the manifest once more, with what a tier of a cascade came to beside those before it."""
    manifest = sealed(replace(manifest, tier=tier))
    _put(manifest, storage)
    return manifest


def _put(manifest: RunManifest, storage: Storage) -> None:
    run = manifest.run
    text = to_json(manifest, indent=1).encode()
    put(run.config.output, manifest_path(run.run_id), text, storage, part="manifest")  # run ids do not return


def totals_of(account: ShardAccount) -> Totals:
    """The totals of one account."""
    incomplete = not account.complete and not account.limited
    return Totals(
        shards=1,
        complete=int(account.complete),
        limited=int(account.limited),
        incomplete=int(incomplete),
        retryable=int(incomplete and account.retryable),
        shard_bytes=account.size,
        accounts=account_digest(account),
        closed=(ClosedShard(account.uri, account.shard_id, account_digest(account)),),
        named=(IncompleteShard(account.uri, account.damage or "", account.retryable),) if incomplete else (),
        **spread(account, Counts),
    )


def account_digest(account: ShardAccount) -> str:
    """Digest of all that an account says but who computed it, and so of its slices' files: 32 hex digits."""
    return digest(to_json(replace(account, computed=0)))[:32]


def add_up(totals: Iterable[Totals]) -> Totals:
    """The sum; of none, that of no shard."""
    return reduce(Totals.plus, totals, Totals())


def versions() -> tuple[Version, ...]:
    """What runs here: this package, Python, and the packages that rows or files depend on."""
    return (
        Version("causalprint", causalprint.__version__),
        Version("python", platform.python_version()),
        *(Version(package, _version(package)) for package in PACKAGES),
    )


def without_secrets(config: AuditConfig | AttributeConfig) -> AuditConfig | AttributeConfig:
    """The configuration with the storage options' names and none of their values, and URLs without what signs them."""
    masked = Storage(json.dumps(_masked(json.loads(config.storage.options))))
    options = tuple(map(scrubbed, config.beam_options))
    if isinstance(config, AuditConfig):
        lineage = None if config.openlineage is None else public(config.openlineage)
        config = replace(config, inputs=tuple(map(public, config.inputs)), openlineage=lineage)
    return replace(config, output=public(config.output), storage=masked, beam_options=options)


@dataclass
class WriteManifest(beam.PTransform[PCollection[ShardAccount], PCollection[RunManifest]]):
    """One list of shards and one manifest for all accounts, also where there is none.

    It waits for every account, and accounts come once they are written: the manifest is the pipeline's last file, the list
    the one before it. Both are made in one worker, which takes the accounts one by one: an engine that starts workers anew
    for each group of stages has one less to start them for than where sums are made apart.

    Attributes:
        run: what is known since the start.
    """

    run: Run

    def expand(self, accounts: PCollection[ShardAccount]) -> PCollection[RunManifest]:
        """The manifest, once it is written."""
        even_if_none = accounts.pipeline | "EvenIfNone" >> beam.Create([None])
        together = (accounts, even_if_none) | beam.Flatten() | beam.Map(_together) | beam.GroupByKey()
        return together | "Write" >> beam.Map(_write, run=self.run)


def _together(account: ShardAccount | None) -> tuple[None, ShardAccount | None]:
    return None, account


def _write(together: tuple[None, Iterable[ShardAccount | None]], run: Run) -> RunManifest:
    give_back_memory()  # what many accounts took on their way here
    totals = Totals()
    told = set[bytes]()

    def counted() -> Iterator[ShardAccount]:
        nonlocal totals
        for account in together[1]:
            # What an engine does again after a fault may find a shard whole whose account comes from elsewhere, too.
            if account is not None and (key := bytes.fromhex(account.shard_id)) not in told:
                told.add(key)
                totals = totals.plus(totals_of(account))
                yield account

    changes = write_list(counted(), run)
    return write_manifest(totals, run, changes)


def _masked(options: object) -> object:
    return {key: _masked(value) for key, value in options.items()} if isinstance(options, dict) else "…"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
