"""How shards are read: limits that bound memory, and how often a broken connection is tried again."""

from __future__ import annotations

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024


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
