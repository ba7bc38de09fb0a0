"""``OUT/_causalprint.json``: what every run into one output must agree on, or its slices would not be the same ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

from causalprint.schemas.config import Sample, Slicing, Storage
from causalprint.schemas.records import to_json
from causalprint.schemas.tables import SCHEMA_VERSION
from causalprint.transforms.storage.lookup import OUTPUT_MARK
from causalprint.transforms.tables.committed import bundle_ids, some_receipts
from causalprint.transforms.tables.output import Output, get, put
from causalprint.transforms.tables.seals import SealError, from_sealed, sealed


class OutputSettingsError(ValueError):
    """The output was begun with other settings than this run asks for; the message names both and the remedy."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the first run into an output decides.

    Attributes:
        schema_version: of the tables.
        slicing: where slices are cut.
        limit: at most this many images in all; ``None``: no limit.
        sample: the images that were drawn; ``None``: none were.
        c2pa_trust: SHA-256 of the certificates that C2PA manifests are checked against; ``None``: none are.
        digest: SHA-256 of the above, lower-case hex; empty in outputs of earlier versions.
    """

    schema_version: int
    slicing: Slicing
    limit: int | None = None
    sample: Sample | None = None
    c2pa_trust: str | None = None
    digest: str = ""


def agree(
    root: str,
    storage: Storage,
    slicing: Slicing | None,
    limit: int | None,
    sample: Sample | None = None,
    c2pa_trust: str | None = None,
    *,
    write: bool = True,
) -> Settings:
    """The settings of the output at ``root``: an earlier run's where there was one, else those asked for, which are written.

    Args:
        root: URL of the output.
        storage: fsspec options.
        slicing: ``None`` takes an earlier run's, else the default.
        limit: must be an earlier run's.
        sample: must be an earlier run's.
        c2pa_trust: must be an earlier run's.
        write: whether they are written where they are not there.

    Raises:
        OutputSettingsError: they differ from an earlier run's, or the file is none of ours; or it is lost, and what was written
            under it does not tell how it was cut.
    """
    asked = sealed(Settings(SCHEMA_VERSION, slicing or Slicing(), limit, sample, c2pa_trust))
    found = read_settings(root, storage) or _restored(root, storage, asked, write=write)
    if found is None:
        found = _begun(root, storage, asked) if write else asked
    limit_option = "leave out --limit" if found.limit is None else f"give --limit {found.limit}"
    sample_option = f"give {_options(found.sample)}" if found.sample else "leave out --sample"
    trust_option = f"give the --c2pa-trust whose SHA-256 is {found.c2pa_trust}" if found.c2pa_trust else "leave out --c2pa-trust"
    for what, theirs, ours, remedy in (
        ("schema version", found.schema_version, asked.schema_version, "write to another output, or install the older version"),
        ("images a slice", found.slicing.images, asked.slicing.images, "leave out --slice-images, or write to another output"),
        ("bytes a slice", found.slicing.bytes, asked.slicing.bytes, "leave out --slice-bytes, or write to another output"),
        ("limit of images", found.limit, asked.limit, f"{limit_option}, or write to another output"),
        ("sampled images", _drawn(found.sample), _drawn(asked.sample), f"{sample_option}, or write to another output"),
        ("C2PA trust list", found.c2pa_trust, asked.c2pa_trust, f"{trust_option}, or write to another output"),
    ):
        given = slicing is not None or not what.endswith("a slice")
        if given and theirs != ours:
            begun, asks = ("none" if value is None else value for value in (theirs, ours))
            raise OutputSettingsError(f"the output {root} was begun with {what} {begun}, this run asks for {asks}: {remedy}")
    return found


def _restored(root: str, storage: Storage, asked: Settings, *, write: bool) -> Settings | None:
    """The settings of an output whose file is lost, cut as its receipts tell; ``None`` where it has none."""
    lost = lost_slicing(root, storage)
    if lost is None:
        return None
    settings = sealed(replace(asked, slicing=lost))
    if write:
        put(root, OUTPUT_MARK, to_json(settings, indent=1).encode(), storage)
    return settings


def _begun(root: str, storage: Storage, asked: Settings) -> Settings:
    """Writes the settings; where another run began at the same moment, its word counts."""
    try:
        put(root, OUTPUT_MARK, to_json(asked, indent=1).encode(), storage, exclusive=True)
    except FileExistsError:
        found = read_settings(root, storage)
        if found is None:
            raise OutputSettingsError(
                f"{root}/{OUTPUT_MARK} was there and is gone; is something else deleting files in the output?"
            ) from None
        return found
    return asked


def _drawn(sample: Sample | None) -> str | None:
    shards = f" from {sample.shards} shards" if sample and sample.shards else ""
    return f"{sample.images}{shards} by seed {sample.seed}" if sample else None


def _options(sample: Sample) -> str:
    shards = f" --sample-shards {sample.shards}" if sample.shards else ""
    return f"--sample {sample.images}{shards} --seed {sample.seed}"


def read_settings(root: str, storage: Storage) -> Settings | None:
    """What an earlier run decided for the output at ``root``; ``None`` where there was none.

    Raises:
        OutputSettingsError: the file is none of ours.
    """
    data = get(root, OUTPUT_MARK, storage)
    if data is None:
        return None
    where = f"{root}/{OUTPUT_MARK}"
    try:
        return from_sealed(Settings, data, where)
    except SealError as error:
        raise OutputSettingsError(f"{error}; remove that file, and the next audit writes it as the receipts tell") from error
    except ValueError as error:
        raise OutputSettingsError(f"{error}; it does not come from this version: write to another output") from error


def lost_slicing(root: str, storage: Storage) -> Slicing | None:
    """How the slices in an output without settings were cut, as their receipts tell; ``None`` where it holds none.

    Slices that are cut elsewhere would hide images, or count them twice.
    """
    unread = ""
    for bundle_id in bundle_ids(root, storage):
        for receipt in some_receipts(Output(root, bundle_id, "", storage)):
            if receipt is not None and receipt.slicing is not None:
                return receipt.slicing
            unread = f"of a slice by {bundle_id} the receipt " + ("does not tell" if receipt else "cannot be read")
    if unread:
        raise OutputSettingsError(
            f"{root} holds slices and its {OUTPUT_MARK} is lost, so that nothing tells where they were cut ({unread}); put that "
            "file back, or write to another output"
        )
    return None
