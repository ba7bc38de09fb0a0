"""What an audit is asked to do, as frozen values that every worker receives; and the options that commands share."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from causalprint.schemas.cascade import Budget, parse_budget
from causalprint.schemas.conditions import Condition, parse_condition
from causalprint.schemas.moves import Move, parse_move
from causalprint.schemas.options import DATA, RUNS, Command, Option, OptionError, Stated, argument, output
from causalprint.schemas.places import Place
from causalprint.schemas.prior import EVEN, Prior, parse_prior
from causalprint.schemas.urls import hide

MEBIBYTE = 1024 * 1024
SLICE_IMAGES = 4096
SLICE_BYTES = 256 * MEBIBYTE
BATCH_SIZE = 32
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class Storage:
    """fsspec options for one side of the run, as JSON text so that the value stays hashable and picklable.

    ``{"s3": {"endpoint_url": "http://…"}}`` keyed by protocol, or flat options passed to every protocol but ``file``. They may
    be secrets: neither errors nor the value's own representation show them.
    """

    options: str = field(default="{}", repr=False)

    def __post_init__(self) -> None:
        try:
            parsed = json.loads(self.options)
        except ValueError as error:
            raise ValueError(f"it is no JSON, {error}; its value is not shown, as it may be secret") from None
        if not isinstance(parsed, dict):
            raise ValueError("must be a JSON object such as '{\"anon\": true}'; its value is not shown")  # noqa: TRY004 - its value
        hide(parsed)


NO_OPTIONS = Storage()


@dataclass(frozen=True, slots=True)
class Slicing:
    """Where slices are cut: at ``images`` images or before ``bytes`` encoded bytes are exceeded, whichever comes first."""

    images: int = SLICE_IMAGES
    bytes: int = SLICE_BYTES


@dataclass(frozen=True, slots=True)
class Sample:
    """So many images in all, drawn at random by a seed: from all shards, or from so many of them that are drawn first."""

    images: int
    seed: int = 0
    shards: int | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Limits and retries of reading; the defaults suit object stores.

    Attributes:
        max_encoded_bytes: an image of more bytes is rejected as ``too-large`` and skipped over by streaming.
        max_sidecar_bytes: a sidecar of more bytes is skipped; so are those of one image beyond this sum.
        max_sample_bytes: images that wait for sidecars, and sidecars that wait for images, hold no more than this each; beyond it
            a tar's headers are read once more to find what is far away, and in a compressed one images go on without it.
        max_unpacked_bytes: a shard becomes no more bytes than this and ``max_unpacked_times`` as many as are stored, decompressed
            or in its images, names and metadata together: what would come after that is not read, and is damage. Links of a tar
            give no more of its bytes again than this and as many as are stored.
        block_bytes: bytes fetched by one request of a stream.
        read_ahead: blocks fetched ahead of a stream, in the background; local files are read as they come.
        attempts: times that a request is tried before the shard is given up as retryable damage.
        backoff: seconds before the second attempt; doubled before each further one, less up to a half by chance.
        answer_seconds: seconds within which one attempt is answered, besides those for its bytes.
        least_rate: bytes a second; a slower answer is given up.
    """

    max_encoded_bytes: int = 256 * MEBIBYTE
    max_sidecar_bytes: int = 4 * MEBIBYTE
    max_sample_bytes: int = 64 * MEBIBYTE
    max_unpacked_bytes: int = 512 * MEBIBYTE
    max_unpacked_times: int = 100
    block_bytes: int = 4 * MEBIBYTE
    read_ahead: int = 2
    attempts: int = 5
    backoff: float = 0.5
    answer_seconds: float = 60.0
    least_rate: int = 64 * 1024

    def most_from(self, stored: int) -> int:
        """How many bytes a shard of ``stored`` bytes may become."""
        return self.max_unpacked_bytes + self.max_unpacked_times * stored

    def seconds_for(self, size: int) -> float:
        """How long one attempt to read or write ``size`` bytes may take."""
        return self.answer_seconds + size / self.least_rate


DEFAULT_READING = ReadOptions()


STORAGE_VARIABLE = "CAUSALPRINT_STORAGE_OPTIONS"
"""The environment variable that holds the storage options where none are given, so that no process list shows them."""


PASSWORD_VARIABLE = "CAUSALPRINT_KEY_PASSWORD"  # noqa: S105 - a name
"""The environment variable that holds the password of a key that signs, where it has one."""


def storage_of(given: object) -> Storage:
    """``--storage-options`` as a value: from JSON text, ``@FILE`` that holds it, or a dict; by default, of the environment.

    Raises:
        ValueError: it is none of these. The message does not show it.
    """
    if given in (NO_OPTIONS, "{}") and (variable := os.environ.get(STORAGE_VARIABLE) or "{}") != "{}":
        try:
            return storage_of(variable)
        except ValueError as error:
            raise ValueError(f"{STORAGE_VARIABLE}: {error}") from None
    if isinstance(given, Storage):
        return given
    if isinstance(given, str) and given.startswith("@"):
        try:
            return Storage(Path(given[1:]).expanduser().read_text(encoding="utf-8"))
        except OSError as error:
            raise ValueError(f"cannot read {given[1:]!r}, {error.strerror}; @FILE names a file that holds JSON") from None
        except ValueError as error:
            raise ValueError(f"{given[1:]!r}: {error}") from None
    try:
        return Storage(given if isinstance(given, str) else json.dumps(given))
    except TypeError as error:
        raise ValueError(f"it is no JSON: {error}; its value is not shown, as it may be secret") from None


def _device(name: object) -> str:
    """``auto``, ``cpu``, ``cuda`` or ``cuda:N``; any other is a ValueError."""
    if not isinstance(name, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", name):
        raise ValueError(f"{name!r} is none of {', '.join(DEVICES)}")
    return name


# The options that several commands share.
LabelledInputs = Annotated[tuple[str, ...], argument("Shards or folders of images whose source is known, as audit takes them.")]
Validation = Annotated[
    tuple[str, ...],
    Option("Hold these inputs out, and validate on them; may be given again.", "INPUT", DATA, ("--val",), place=Place.URL),
]
LabelField = Annotated[
    str,
    Option(
        "Take the source from this key of the sidecar, or column; where it is missing, the image's folder names it.", "KEY", DATA
    ),
]
ImageColumn = Annotated[
    tuple[str, ...],
    Option(
        "Read the images of this Parquet column or TFRecord feature, and of no other; may be given again. Without it, of all "
        "whose first values begin an image.",
        "NAME",
        DATA,
    ),
]
Limit = Annotated[int | None, Option("Read at most so many images in all.", "N", DATA, least=1)]
StorageOptions = Annotated[
    Storage,
    Option(
        'Give fsspec these options, flat or by protocol: \'{"anon": true}\', \'{"s3": {"endpoint_url": "http://…"}}\'; or the '
        "@FILE that holds them. Without them s3fs and gcsfs find the credentials.",
        "JSON",
        DATA,
        ("--storage-options",),
        stated=Stated.NEVER,
        usual=f"${STORAGE_VARIABLE}, else none",
        parse=storage_of,
    ),
]
_TRACKS = ("png", "jpeg95", "aligned", "laundered")
_ENCODINGS = (
    "Encode every image alike: png keeps the pixels, jpeg95 makes JPEG 95 at 4:4:4, aligned keeps the pixels and compares "
    "the versions of a content, laundered sends each through a chain of the web (smaller, JPEG, twice)"
)
Track = Annotated[str, Option(f"{_ENCODINGS}.", choices=_TRACKS)]
JudgedTrack = Annotated[
    str,
    Option(
        f"{_ENCODINGS}, hard keeps the pixels, and of what no generator made graphics, paintings and a tenth of the photographs.",
        choices=(*_TRACKS, "hard"),
    ),
]
Crop = Annotated[int, Option("Look at the central crop of so many pixels a side; smaller images are left out.", "N", least=16)]
Seed = Annotated[int, Option("Draw all that is drawn at random from this seed.", "N", least=0, stated=Stated.ALWAYS)]
Device = Annotated[
    str, Option("Compute on this device; one that is missing is an error.", panel=RUNS, choices=DEVICES, parse=_device)
]
Threads = Annotated[
    int | None, Option("Decode, compute and train in so many threads.", "N", RUNS, least=1, usual="every core it may use")
]
Resume = Annotated[bool, Option("Go on with what an interrupted training left.", panel=RUNS, stated=Stated.NEVER)]
Runner = Annotated[
    str,
    Option(
        "Run the pipeline here: direct is this machine, with more processes by -- --direct_num_workers=N; flink a cluster, by "
        "-- --flink_master=HOST:PORT; spark a cluster, by -- --spark_master_url=URL; dataflow is Google Cloud, by "
        "-- --project=P --region=R --temp_location=gs://…",
        "NAME",
        RUNS,
        choices=("direct", "flink", "spark", "dataflow"),
    ),
]
"""A name of ``causalprint.pipelines.runners.RUNNERS``."""


@dataclass(frozen=True, slots=True)
class AuditConfig(Command):
    """One audit. The same configuration resumes one that was stopped."""

    NAME = "audit"

    inputs: Annotated[
        tuple[str, ...],
        argument(
            "Shards or images: URLs, globs, ranges, folders, image files: gs://bucket/{000..099}.tar, s3://bucket/*.parquet, "
            "photos/, photo.jpg. Each image file is a shard of its own; folders are the way for many."
        ),
    ]
    output: Annotated[str, output("Write the tables below this root: a folder, s3://… or gs://…", "URL")]
    bundle: Annotated[
        str | None,
        Option("Attribute with this bundle, a folder or `demo`.", "BUNDLE", usual="the one in the package", place=Place.BUNDLE),
    ] = None
    residual: Annotated[
        str | None,
        Option(
            "Compute this residual, kind:path-or-hub-name, in place of the bundle's own; the verdicts then abstain as "
            "uncalibrated.",
            "SPEC",
            place=Place.MODEL,
        ),
    ] = None
    prior: Annotated[
        Prior,
        Option(
            "Take so many of all images for photographs, graphics or generated ones: photograph=0.9,graphic=0.05. Probabilities "
            "follow it, and what is cleared as real or graphic; what is taken for generated does not.",
            "SHARES",
            usual=str(EVEN),
            parse=parse_prior,
        ),
    ] = EVEN
    cascade: Annotated[
        tuple[str, ...],
        Option(
            "Compute with this bundle, too, what those before it do not decide, and a control share of all images. May be given "
            "again, for a further tier.",
            "BUNDLE",
            place=Place.BUNDLE,
        ),
    ] = ()
    control: Annotated[
        float,
        Option("Have each further tier (--cascade) compute this share of all images too, drawn at random.", "SHARE", least=0),
    ] = 0.01
    budget: Annotated[
        Budget | None,
        Option(
            "Spend no more than this on all further tiers (--cascade) together, by a forecast made of a few images: "
            "20core-hours, 1.5gpu-hours. The same command goes on with what is left.",
            "HOURS",
            usual="as much as it takes",
            parse=parse_budget,
        ),
    ] = None
    device: Device = "auto"
    batch_size: Annotated[
        int,
        Option(
            "Decode so many images ahead, or twice the threads where that is more; this bounds memory and never changes a row.",
            "N",
            RUNS,
            least=1,
        ),
    ] = BATCH_SIZE
    slice_images: Annotated[
        int | None, Option("Cut shards into slices of so many images.", "N", RUNS, least=1, usual=str(SLICE_IMAGES))
    ] = None
    slice_bytes: Annotated[
        int | None, Option("Cut slices at so many encoded bytes, where that is less.", "N", RUNS, least=1, usual=str(SLICE_BYTES))
    ] = None
    limit: Limit = None
    sample: Annotated[
        int | None,
        Option(
            "Read a sample of so many images, each as likely as any other, from every shard in proportion. All shards are read "
            "once more, to count them.",
            "N",
            DATA,
            least=1,
        ),
    ] = None
    sample_shards: Annotated[
        int | None,
        Option(
            "Draw so many shards first, and --sample from these alone: no other is read. Intervals of `causalprint prevalence` "
            "count that images of one shard are alike.",
            "K",
            DATA,
            least=1,
            usual="all",
        ),
    ] = None
    seed: Annotated[Seed, Stated.IF_GIVEN] = 0
    image_column: ImageColumn = ()
    c2pa_trust: Annotated[
        str | None,
        Option(
            "Call C2PA manifests valid for whose signers these certificates vouch: a PEM file or its URL, such as C2PA's own "
            "trust list. An output keeps to one list.",
            "FILE.pem",
            DATA,
            usual="none: no manifest is more than unverified",
        ),
    ] = None
    retry_rejects: Annotated[
        str | None,
        Option(
            "Compute slices again of which images were rejected at this stage.",
            "STAGE",
            RUNS,
            choices=("read", "decode", "compute"),
        ),
    ] = None
    dry_run: Annotated[
        bool,
        Option(
            "Compute a few images, and say what the audit would take: images, hours, files, bytes, requests. Nothing is written.",
            panel=RUNS,
        ),
    ] = False
    same_as: Annotated[
        tuple[Move, ...],
        Option(
            "The shards below OLD lie below NEW now. Those that the output holds are read and compared by their images' digests; "
            "what is the same keeps its rows at its new address and is not computed. May be given again.",
            "OLD=NEW",
            DATA,
            parse=parse_move,
        ),
    ] = ()
    fail_if: Annotated[
        tuple[Condition, ...],
        Option(
            "Exit with 4 where this holds of the audit as it then is: 'generated > 1 %' of all images, 'known > 10', 'unknown', "
            "'rejected >= 5 %'. May be given again.",
            "CONDITION",
            RUNS,
            parse=parse_condition,
        ),
    ] = ()
    metrics_file: Annotated[
        str | None,
        Option("Write what the run came to into this file too, for Prometheus' node_exporter (textfile).", "FILE.prom", RUNS),
    ] = None
    openlineage: Annotated[
        str | None,
        Option("Send OpenLineage events to the service at this URL: that the run starts, and how it ends.", "URL", RUNS),
    ] = None
    storage: StorageOptions = NO_OPTIONS
    runner: Runner = "direct"
    # What follows two dashes, passed to Beam as it is.
    beam_options: tuple[str, ...] = ()
    # That decode and compute in one worker process; None shares the cores among the workers.
    threads: int | None = None

    def __post_init__(self) -> None:
        Command.__post_init__(self)  # super() finds no class that slots were added to
        if self.limit is not None and self.sample is not None:
            raise OptionError("--limit reads the first images and --sample some of all: give one of them")
        if self.sample_shards is not None and self.sample is None:
            raise OptionError(f"--sample-shards {self.sample_shards} is of a sample: give --sample N, too")
        if self.sample is not None and self.sample_shards is not None and self.sample < self.sample_shards:
            raise OptionError(
                f"--sample {self.sample} leaves some of --sample-shards {self.sample_shards} without an image: give at least one "
                "image a shard, better 20"
            )
        if self.control > 1:
            raise OptionError(f"--control is a share of all images, 0 to 1, not {self.control:g}")
        if self.budget is not None and not self.cascade:
            raise OptionError("--budget is of further tiers: give --cascade BUNDLE")

    @property
    def sampling(self) -> Sample | None:
        """The images to draw; ``None`` reads all, or the first."""
        return None if self.sample is None else Sample(self.sample, self.seed, self.sample_shards)

    @property
    def slicing(self) -> Slicing | None:
        """Where slices are cut; ``None`` takes that of an earlier run into the same output, else the defaults."""
        if self.slice_images is None and self.slice_bytes is None:
            return None
        return Slicing(self.slice_images or SLICE_IMAGES, self.slice_bytes or SLICE_BYTES)
