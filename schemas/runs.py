"""The manifest of a run: what was asked, with which weights and code, and what it came to."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from typing_extensions import override

from causalprint.schemas.accounts import Counts, RejectCount, VerdictCount, WrittenFile, add_digests, summed
from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.cascade import Tier
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.losses import LeftOut
from causalprint.schemas.prior import Prior

NAMED = 100
"""At most so many incomplete shards are named in a manifest; table ``shards`` has them all."""

LISTED = 1000
"""Where a run has no more shards than this, its manifest lists them."""


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A file of weights and the SHA-256 of its bytes, lower-case hex."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class WrongNames:
    """How many names a bundle gives wrongly, by images that its training held out.

    Attributes:
        target: the share of names that may be wrong.
        limit: the least probability of a name at which no more are.
        names, wrong: names that it gives there, and those of them that are wrong.
        at_most: one-sided 95 % upper bound of the share that is wrong.
    """

    target: float
    limit: float
    names: int
    wrong: int
    at_most: float


@dataclass(frozen=True, slots=True)
class Scoring:
    """How stored fingerprints got verdicts: with the bundle of the run, all that these depend on.

    Attributes:
        embeddings: id of the bundle that computed the fingerprints.
        fingerprint_digest: SHA-256 over all that fingerprints depend on, lower-case hex, of that bundle and of the run's.
        prior: what verdicts and probabilities take for granted.
        estimated_from: rows that the prior was estimated from; 0 where it was given.
        minimum_probability: of a generator, or of a family, to be named.
        wrong_names: what that was chosen by; ``None`` where it was given, or is the bundle's.
    """

    embeddings: str
    fingerprint_digest: str
    prior: Prior
    estimated_from: int
    minimum_probability: float
    wrong_names: WrongNames | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A run, as far as it is known when it starts.

    Attributes:
        run_id: the name of its manifest; sorts by time: ``20260131T235959Z-1a2b3c4d``.
        started: UTC, ISO 8601.
        config: what was asked; in the manifest the values of storage options are left out, for they may be secrets.
        bundle_id: name and digest, of the partition that was written.
        bundle_digest: SHA-256 of the bundle, lower-case hex.
        residual: ``kind:location?option=value``.
        residual_digests: its weights.
        device: what computed it.
        left_out: what the inputs match and what is no shard, by kind.
        c2pa_trust: SHA-256 of the certificates that C2PA manifests were checked against; ``None`` without any.
        scoring: where fingerprints of an earlier audit got verdicts, whose and how; ``None`` of an audit.
        forgets: whether it computed nothing and erased rows; all else is then that of the run before by the same bundle, but the
            accounts, which are all that the bundle has.
    """

    run_id: str
    started: str
    config: AuditConfig | AttributeConfig
    bundle_id: str
    bundle_digest: str
    residual: str
    residual_digests: tuple[FileDigest, ...] = ()
    device: str = ""
    left_out: tuple[LeftOut, ...] = ()
    c2pa_trust: str | None = None
    scoring: Scoring | None = None
    forgets: bool = False

    @property
    def unread(self) -> int:
        """How many of what was left out look like shards or images."""
        return sum(each.count for each in self.left_out if each.missing)


def new_run() -> tuple[str, str]:
    """The ``run_id`` of a run that starts now, and when that is.

    The id begins with the time to the microsecond, the last part of it in hex: two runs of one second sort as they came, too.
    """
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond:05x}{secrets.token_hex(2)[:3]}", now.isoformat(timespec="seconds")


class ClosedShard(NamedTuple):
    """A shard of a run, and the digest of its account: with it, of all rows of its images."""

    uri: str
    shard_id: str
    account: str


class IncompleteShard(NamedTuple):
    """A shard of which something is missing, what, and whether another run may read more."""

    uri: str
    damage: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Totals(Counts):
    """All accounts of a run added up.

    Attributes:
        shards: ``complete + limited + incomplete``.
        complete: of which nothing is missing.
        limited: of which nothing is missing but what ``--limit`` or ``--sample`` left out.
        incomplete: of which anything else is missing; of these ``retryable`` may come out better in another run.
        shard_bytes: sizes of the shards.
        named: the first :data:`NAMED` incomplete shards by URI.
        accounts: sum of the digests of all accounts, modulo 2 to the 128, as hex: what ties the tables to the run.
        closed: every shard by URI with its account's digest, where they are :data:`LISTED` at most; else none.
    """

    shards: int = 0
    complete: int = 0
    limited: int = 0
    incomplete: int = 0
    retryable: int = 0
    shard_bytes: int = 0
    named: tuple[IncompleteShard, ...] = ()
    accounts: str = ""
    closed: tuple[ClosedShard, ...] = ()

    @override
    def plus(self, other: Totals) -> Totals:
        """The sum; of the incomplete shards the first by URI are named, however the sums were made."""
        accounts = add_digests(one for one in (self.accounts, other.accounts) if one)
        # super() finds no class that slots were added to
        both = Counts.plus(replace(self, accounts=""), replace(other, accounts=accounts))
        listed = tuple(sorted(both.closed)) if both.shards <= LISTED else ()
        return replace(both, named=tuple(sorted(both.named)[:NAMED]), closed=listed)


class Change(NamedTuple):
    """Shards that came to the same since the run before: how many, their images, and how these divide."""

    shards: int = 0
    images: int = 0
    verdicts: tuple[VerdictCount, ...] = ()
    rejects: tuple[RejectCount, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of a dataset since the run before over the same inputs.

    Attributes:
        previous: that run; ``None``: there was none.
        file: the list of all shards of this run, with what became of each.
        new: shards that it did not have.
        kept: those that are as they were.
        changed: those that are another version now, or of which another number of images could be read.
        vanished: those that are not found any more, with what they came to then.
    """

    previous: str | None
    file: WrittenFile
    new: Change
    kept: Change
    changed: Change
    vanished: Change


@dataclass(frozen=True, slots=True)
class Work:
    """What a run itself did, as its metrics tell, which every runner shows; what earlier runs had done is not in it.

    Attributes:
        seconds: from the start of its pipeline to the end.
        images: that it computed or rejected; ``rejects`` of them were rejected, for these ``reasons``.
        encoded_bytes: of those images.
        kept: images that an earlier run had committed.
        read_seconds, decode_seconds, compute_seconds, write_seconds: of all threads of all workers together.
        idle: for what share of their time, 0 to 1, the threads that decode and compute did neither: they waited for reading or
            for writing; ``None`` where nothing was computed. Where a GPU computes, it is of the threads that decode.
        device_idle: for what share of its time, 0 to 1, the GPU had no micro-batch to compute; ``None`` without one.
    """

    seconds: float
    images: int = 0
    rejects: int = 0
    reasons: tuple[RejectCount, ...] = ()
    encoded_bytes: int = 0
    kept: int = 0
    read_seconds: float = 0.0
    decode_seconds: float = 0.0
    compute_seconds: float = 0.0
    write_seconds: float = 0.0
    idle: float | None = None
    device_idle: float | None = None


def work_of(counters: Mapping[str, int], seconds: float) -> Work:
    """The work of a pipeline that took so many ``seconds``, by its counters (``causalprint.transforms.counting.count``)."""
    there, device = counters.get("pool_ms", 0), counters.get("device_ms", 0)
    busy, on_device = counters.get("decode_ms", 0) + counters.get("compute_ms", 0), counters.get("on_device_ms", 0)
    rejects = ((name.split("/"), images) for name, images in counters.items() if name.startswith("rejects/"))
    return Work(
        seconds=round(seconds, 3),
        images=counters.get("images", 0),
        rejects=counters.get("rejects", 0),
        reasons=summed(RejectCount(stage, reason, images) for (_, stage, reason), images in rejects),
        encoded_bytes=counters.get("encoded_bytes", 0),
        kept=counters.get("kept", 0),
        read_seconds=counters.get("read_ms", 0) / 1000,
        decode_seconds=counters.get("decode_ms", 0) / 1000,
        compute_seconds=(counters.get("compute_ms", 0) + on_device) / 1000,
        write_seconds=counters.get("write_ms", 0) / 1000,
        idle=_idle(busy, there),
        device_idle=_idle(on_device, device),
    )


def _idle(busy: int, there: int) -> float | None:
    return round(max(0.0, 1 - busy / there), 4) if there else None


class Version(NamedTuple):
    """A package and its version."""

    package: str
    version: str


@dataclass(frozen=True, slots=True)
class RunManifest:
    """``OUT/runs/<run_id>.json``: the run, when it ended (UTC, ISO 8601), what it came to, and what it ran on.

    ``digest`` is the SHA-256 of all else, hex; ``changes`` is what became of the dataset; ``work`` is added by whoever
    started the run, once the runner has ended; ``tier``, where it was one of a cascade, what that came to. Earlier versions wrote
    none of them.
    """

    schema_version: int
    run: Run
    finished: str
    totals: Totals
    versions: tuple[Version, ...]
    platform: str
    digest: str = ""
    changes: Changes | None = None
    work: Work | None = None
    tier: Tier | None = None
