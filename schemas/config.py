"""What an audit is asked to do, as frozen values that every worker receives."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024
SLICE_IMAGES = 4096
SLICE_BYTES = 256 * MEBIBYTE
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Storage:
    """fsspec options for one side of the run, as JSON text so that the value stays hashable and picklable.

    ``{"s3": {"endpoint_url": "http://…"}}`` keyed by protocol, or flat options passed to every protocol but ``file``.
    """

    options: str = "{}"


@dataclass(frozen=True, slots=True)
class Slicing:
    """Where slices are cut: at ``images`` images or before ``bytes`` encoded bytes are exceeded, whichever comes first."""

    images: int = SLICE_IMAGES
    bytes: int = SLICE_BYTES


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Limits and retries of reading; the defaults suit object stores.

    Attributes:
        max_encoded_bytes: an image of more bytes is rejected as ``too-large`` and skipped over by streaming.
        max_sidecar_bytes: a sidecar of more bytes is skipped; so are those of one sample beyond this sum.
        max_sample_bytes: images of one WebDataset sample that wait for a sidecar hold no more than this; beyond it
            they go on with the sidecars that came before them.
        image_column: the Parquet column or TFRecord feature that holds the images; ``None`` finds it.
        block_bytes: bytes fetched by one request of a stream.
        read_ahead: blocks fetched ahead of a stream, in the background; local files are read as they come.
        attempts: times that a request is tried before the shard is given up as retryable damage.
        backoff: seconds before the second attempt; doubled before each further one.
    """

    max_encoded_bytes: int = 256 * MEBIBYTE
    max_sidecar_bytes: int = 4 * MEBIBYTE
    max_sample_bytes: int = 64 * MEBIBYTE
    image_column: str | None = None
    block_bytes: int = 4 * MEBIBYTE
    read_ahead: int = 2
    attempts: int = 5
    backoff: float = 0.5


@dataclass(frozen=True, slots=True)
class AuditConfig:
    """One audit.

    Attributes:
        inputs: URLs, globs or folders.
        output: URL of the output's root.
        bundle: directory of the bundle; ``None`` for the one inside the package.
        residual: ``kind:path-or-hub-name`` in place of the bundle's own residual.
        device: ``auto``, ``cpu`` or ``cuda``. A device that was asked for and is missing is an error.
        batch_size: images decoded and computed together; bounds memory, never changes a row.
        slicing: where slices are cut; ``None`` takes that of an earlier run into the same output, else the defaults.
        limit: at most this many images in all.
        storage: fsspec options.
        runner: a key of ``causalprint.pipelines.runners.RUNNERS``.
        beam_options: passed to Beam as they are.
        threads: threads that decode and compute in one worker process; ``None`` shares the cores among the workers.
        progress: folder in which local workers count; ``None`` where nobody watches.
    """

    inputs: tuple[str, ...]
    output: str
    bundle: str | None = None
    residual: str | None = None
    device: str = "auto"
    batch_size: int = BATCH_SIZE
    slicing: Slicing | None = None
    limit: int | None = None
    storage: Storage = Storage()
    runner: str = "direct"
    beam_options: tuple[str, ...] = ()
    threads: int | None = None
    progress: str | None = None
