"""How much of a dataset is generated, and by whom: the rows of table ``prevalence``, which is made of the tables of an audit."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import pyarrow as pa

from causalprint.schemas.tables import column

FOLDER = "prevalence"
"""Below an audit's output: ``OUT/prevalence/bundle=<id>/<by>.parquet``. It is no table of slices, and no part of a run."""
ALL = "all"
"""The group of all images."""


class What(StrEnum):
    """What the share is of."""

    GENERATED = "generated"
    SOURCE = "source"
    FAMILY = "family"


class Method(StrEnum):
    """How the share was found."""

    COUNTED = "counted"  # verdicts, counted: the interval knows nothing of the bundle's errors
    CORRECTED = "corrected"  # scores, corrected by what they are of held-out images, origin by origin
    LABELLED = "labelled"  # a labelled sample, helped by the scores of all


class PrevalenceRow(NamedTuple):
    """One share of one group; columns of :data:`PREVALENCE`, in their order."""

    group_by: str
    group: str
    what: str
    name: str
    images: int
    unscored: int
    labelled: int
    counted: float
    share: float
    low: float
    high: float
    method: str
    useless: bool
    why: str | None
    labels_needed: int | None


class PrevalenceReport(NamedTuple):
    """What ``prevalence --json`` prints.

    Attributes:
        output: root of the audit.
        bundle: id of the bundle whose verdicts they are.
        calibration: SHA-256 of what tells the bundle's errors, lower-case hex; ``None`` where nothing does.
        calibrated_on: where that is from, in words.
        labels: SHA-256 of the labels, lower-case hex; ``None`` without.
        rows: the shares, of all images first, then group after group, the largest first.
        file: where they were written; ``None`` where they were not.
    """

    output: str
    bundle: str
    calibration: str | None
    calibrated_on: str
    labels: str | None
    rows: tuple[PrevalenceRow, ...]
    file: str | None = None


PREVALENCE = pa.schema(
    [
        column(
            "group_by", pa.string(), "what the images are grouped by: all, shard, domain, year, a column or a key of the sidecar"
        ),
        column("group", pa.string(), "the group; empty where an image has no such value"),
        column("what", pa.string(), "what the share is of: generated, source or family"),
        column("name", pa.string(), "of the source or family; `generated` for all generators together"),
        column("images", pa.int64(), "images of the group that have scores: the base of the shares", "image"),
        column(
            "unscored",
            pa.int64(),
            "its images without: too small, damaged, flat; nothing is said of them, nor of groups of such images alone",
            "image",
        ),
        column("labelled", pa.int64(), "labelled images that the share rests on", "image"),
        column("counted", pa.float64(), "share of verdicts, as they are, false ones too", "1 (0 to 1)"),
        column("share", pa.float64(), "the estimate", "1 (0 to 1)"),
        column("low", pa.float64(), "lower end of the 95 % interval", "1 (0 to 1)"),
        column("high", pa.float64(), "upper end of the 95 % interval", "1 (0 to 1)"),
        column("method", pa.string(), "counted, corrected or labelled"),
        column("useless", pa.bool_(), "whether the interval says too little, or rests on too little, to be relied on"),
        column("why", pa.string(), "why it is useless, in one sentence", nullable=True),
        column(
            "labels_needed",
            pa.int64(),
            "images of the group, drawn at random and labelled, that give an interval of at most 0.05 to each side; null where "
            "it is no wider now, or where no label mends it, for the drawn shards differ by more",
            "image",
            nullable=True,
        ),
    ],
    metadata={
        "description": "Shares of what is generated, by source, family and group, with 95 % intervals. Made by `causalprint "
        "prevalence`, not by an audit: `OUT/prevalence/bundle=<id>/<by>.parquet`. The metadata of a file names the digests of "
        "what tells the bundle's errors (`calibration`) and of the `labels`."
    },
)
