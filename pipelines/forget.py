"""``causalprint forget``: rows erased from an output, because a licence or a person asks for it, with its accounts closed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from causalprint.pipelines.cascaded import tiers_of
from causalprint.pipelines.forget_runs import write_runs
from causalprint.schemas.tables import SCHEMA_VERSION
from causalprint.transforms.tables.committed import bundle_ids, scored_by
from causalprint.transforms.tables.output import Output, listed
from causalprint.transforms.tables.packs import pack_ids, read_packs
from causalprint.transforms.tables.partition import read_columns
from causalprint.transforms.tables.settings import read_settings
from causalprint.transforms.tables.write_views import write_views

if TYPE_CHECKING:
    from causalprint.pipelines.commands.forget import ForgetConfig
    from causalprint.schemas.accounts import ShardAccount
    from causalprint.schemas.config import Storage
    from causalprint.schemas.elements import Shard
    from causalprint.transforms.tables.forget import Partition, Place, Unwanted

THREADS = 8
"""Slices and accounts that are read and written at once: on an object store most of the time is waiting."""
REPORT = "report.html"


class Forgotten(NamedTuple):
    """What went from one bundle's tables.

    Attributes:
        bundle_id: whose.
        shards, slices: of which rows went.
        images: rows of table ``images`` and of ``rejects``; of other verdicts than an audit's, rows of ``attributions``.
    """

    bundle_id: str
    shards: int
    slices: int
    images: int


@dataclass(frozen=True, slots=True)
class ForgetReport:
    """What ``forget --json`` prints.

    Attributes:
        output: the audit's.
        dry_run: whether all this was only looked for.
        bundles: what went, or would go.
        unknown: digests of which no row was found.
        again: slices that the next audit computes all the same, and their images with them: they were never committed, or are
            not finished.
        removed: files that went as a whole: reports and tables that were made from the rows, and all of ``--bundle``.
        runs: what was written down of it, a run for each bundle.
        signed: whether runs were signed, those of tiers too, which have to be signed again.
        elsewhere: further shards that hold some of the images of ``--shard`` as well: copies, or the same shard's old address.
        tiers: the same of each further tier of a cascade.
    """

    output: str
    dry_run: bool
    bundles: tuple[Forgotten, ...]
    unknown: tuple[str, ...] = ()
    again: int = 0
    removed: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    signed: bool = False
    elsewhere: tuple[str, ...] = ()
    tiers: tuple[ForgetReport, ...] = ()


class _Found(NamedTuple):
    """The rows that are to go from what one audit wrote, and from other verdicts on it."""

    part: Partition
    places: tuple[Place, ...]

    @property
    def slice_ids(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(place.slice_id for place in self.places))


def forget(config: ForgetConfig) -> ForgetReport:
    """Erases what was asked. The same command finishes what was stopped, and changes nothing once it is done.

    Raises:
        ForgetError: it cannot be done as asked.
        OSError: the output cannot be read or written.
        ValueError: something that tells of the rows is damaged.
    """
    from causalprint.transforms.tables.forget import ForgetError
    from causalprint.transforms.tables.signatures import signatures

    root, storage = config.output, config.storage
    settings = read_settings(root, storage)
    if settings is None:
        raise ForgetError(f"{root} is no output of an audit; give the folder or URL that --output was")
    if settings.schema_version != SCHEMA_VERSION:
        raise ForgetError(
            f"the tables in {root} have version {settings.schema_version}, this version writes {SCHEMA_VERSION}: forget with the "
            "version that wrote them, or audit into another output"
        )
    tiers = [f"{root.rstrip('/')}/{tier.root}" for tier in tiers_of(root, storage)]
    signed = any(signatures(one, storage) for one in (root, *tiers))
    if config.bundle is not None:
        return replace(_forget_bundle(config, config.bundle), signed=signed)
    found = _forget_images(config, check_shards=True)
    further = tuple(_forget_images(replace(config, output=tier), check_shards=False) for tier in tiers)
    return replace(found, signed=signed, tiers=further)


def _forget_images(config: ForgetConfig, *, check_shards: bool) -> ForgetReport:
    from causalprint.transforms.tables.forget import Unwanted, erase_files, erase_from_accounts, remove_parts

    root, storage = config.output, config.storage
    unwanted = Unwanted(frozenset(_digests(config)), frozenset(config.shard))
    parts = list(_partitions(root, storage))
    if not config.dry_run:
        _unpack(parts, unwanted)
    several = [_Found(part, tuple(part.places(unwanted))) for part in parts]
    places = [place for found in several for place in found.places]
    if check_shards:
        _check_shards(parts, unwanted.shards - {place.shard for place in places})
    bundles = tuple(_counted(several))
    derived = tuple(_derived(root, storage, [one.bundle_id for one in bundles]))
    again = 0
    with ThreadPoolExecutor(THREADS) as pool:
        for part, found in ((one.part, one.slice_ids) for one in several):
            packs = read_packs(part.audit)  # of a slice in a pack nothing is left to compute
            alone = [slice_id for slice_id in found if slice_id not in packs.places]
            again += sum(pool.map(partial(_is_computed_again, part, unwanted), alone))
    report = ForgetReport(
        root,
        config.dry_run,
        bundles,
        unknown=tuple(sorted(unwanted.image_ids - {place.image_id for place in places})),
        again=again,
        removed=derived,
        elsewhere=tuple(sorted(_elsewhere(parts, unwanted, places))),
    )
    if config.dry_run:
        return report
    remove_parts(output for part in parts for output in part.outputs)
    for path in derived:
        parts[0].audit.remove(path)
    changed: list[tuple[Output, ShardAccount]] = []
    with ThreadPoolExecutor(THREADS) as pool:
        for part, found in ((one.part, one.slice_ids) for one in several):
            shards = dict.fromkeys(pool.map(partial(_write_marks, part, unwanted), found))
            for accounts in pool.map(partial(erase_from_accounts, part), (one for one in shards if one is not None)):
                changed += accounts
        runs = tuple(write_runs(root, storage, changed, pool))
        for part, found in ((one.part, one.slice_ids) for one in several):
            list(pool.map(partial(erase_files, part, unwanted), found))
    return replace(report, runs=runs)


def _unpack(parts: Iterable[Partition], unwanted: Unwanted) -> None:
    """Gives slices with unwanted rows files of their own again, and removes whatever is left of files that count no more."""
    from causalprint.transforms.tables.compact import tidy
    from causalprint.transforms.tables.unpack import unpack

    for part in parts:
        for output in part.outputs:
            tidy(output)
        packed = [output for output in part.outputs if pack_ids(output)]
        slice_ids = {place.slice_id for place in part.places(unwanted)} if packed else set()
        for output in packed:
            unpack(output, slice_ids)


def _digests(config: ForgetConfig) -> Iterator[str]:
    """Those that are given, and those of the lists that are.

    Raises:
        ListError: a list cannot be used.
        ForgetError: something in it is no digest: what it means would be left.
    """
    from causalprint.pipelines.lists import read_list
    from causalprint.transforms.tables.forget import ForgetError

    for one in config.image_id:
        if not one.startswith("@"):
            yield one
            continue
        found = read_list(one[1:], "sha256", None, config.storage)
        if found.unusable:
            raise ForgetError(f"{found.unusable:,} values of {one[1:]} are no SHA-256: mend the list; nothing was forgotten")
        yield from found.values


def _is_computed_again(part: Partition, unwanted: Unwanted, slice_id: str) -> bool:
    from causalprint.transforms.tables.forget import marks_without

    return marks_without(part, unwanted, slice_id).again


def _write_marks(part: Partition, unwanted: Unwanted, slice_id: str) -> Shard | None:
    from causalprint.transforms.tables.forget import marks_without

    marks = marks_without(part, unwanted, slice_id)
    marks.write()
    return marks.shard


def _partitions(root: str, storage: Storage) -> Iterator[Partition]:
    """What audits wrote, each with the other verdicts on it."""
    from causalprint.transforms.tables.forget import Partition

    outputs = [Output(root, one, "", storage) for one in bundle_ids(root, storage)]
    outputs = [replace(output, scored=scored_by(output)) for output in outputs]
    for audit in outputs:
        if not audit.scored:
            yield Partition(audit, tuple(one for one in outputs if one.scored == audit.bundle_id))


def _check_shards(parts: Iterable[Partition], unmet: Collection[str]) -> None:
    """Makes sure that shards without a row are shards of the output.

    Raises:
        ForgetError: one is not.
    """
    from causalprint.transforms.tables.forget import ForgetError

    known = {uri for part in parts if unmet for rows in read_columns(part.audit, "shards", "uri") for uri in rows[0].to_pylist()}
    for uri in sorted(set(unmet) - known):
        raise ForgetError(f"no shard of the output is called {uri}, but {', '.join(sorted(known)[:3]) or 'none is known'} …")


def _elsewhere(parts: Iterable[Partition], unwanted: Unwanted, places: Iterable[Place]) -> set[str]:
    """The other shards with images of unwanted ones, unless these are unwanted wherever they are."""
    ids = {place.image_id for place in places if place.shard in unwanted.shards and place.image_id} - unwanted.image_ids
    copies = replace(unwanted, image_ids=frozenset(ids), shards=frozenset())
    return {place.shard for part in parts if ids for place in part.places(copies)} - unwanted.shards


def _counted(several: Iterable[_Found]) -> Iterator[Forgotten]:
    for part, places in several:
        for output in part.outputs:
            tables = ("images", "rejects") if output is part.audit else (output.mark,)
            rows = [place for place in places if place.bundle_id == output.bundle_id and place.table in tables]
            if rows:
                shards, slices = ({getattr(place, name) for place in rows} for name in ("shard", "slice_id"))
                yield Forgotten(output.bundle_id, len(shards), len(slices), len(rows))


def _derived(root: str, storage: Storage, bundle_ids: Collection[str]) -> Iterator[str]:
    """What lies in the output and was made from rows that go."""
    if bundle_ids and REPORT in listed(root, "", storage):
        yield REPORT
    for folder in (f"prevalence/bundle={one}" for one in bundle_ids):
        yield from (f"{folder}/{name}" for name in sorted(listed(root, folder, storage)))


def _forget_bundle(config: ForgetConfig, bundle_id: str) -> ForgetReport:
    from causalprint.transforms.tables.forget import remove_parts
    from causalprint.transforms.tables.forget_bundle import files_of, remove_folders

    output = Output(config.output, bundle_id, "", config.storage)
    removed = [*files_of(output), *_derived(config.output, config.storage, [bundle_id])]
    if not config.dry_run:
        for path in dict.fromkeys(removed):
            output.remove(path)
        remove_parts((output,))
        write_views(config.output, config.storage, filled=False)
        remove_folders(output)
    return ForgetReport(config.output, config.dry_run, (), removed=tuple(dict.fromkeys(removed)))
