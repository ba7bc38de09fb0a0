"""What an audit is asked to do, as frozen values that every worker receives."""

from __future__ import annotations

import json
from dataclasses import dataclass

SLICE_IMAGES = 4096
SLICE_BYTES = 256 * 1024 * 1024
BATCH_SIZE = 32


@dataclass(frozen=True, slots=True)
class Storage:
    """fsspec options for one side of the run, as JSON text so that the value stays hashable and picklable.

    ``{"s3": {"endpoint_url": "http://…"}}`` keyed by protocol, or flat options passed to every protocol but ``file``.
    """

    options: str = "{}"

    def for_protocol(self, protocol: str) -> dict[str, object]:
        """The options to pass to ``fsspec.filesystem(protocol, …)``.

        Raises:
            ValueError: the options are no JSON object.
        """
        parsed = json.loads(self.options)
        if not isinstance(parsed, dict):
            message = f"storage options must be a JSON object, not {self.options!r}; for example '{{\"anon\": true}}'"
            raise ValueError(message)  # noqa: TRY004 - the JSON type is the value's, not the argument's
        if any(isinstance(value, dict) for value in parsed.values()) and protocol in parsed:
            return dict(parsed[protocol])
        if protocol in ("file", "local"):
            return {}
        return {key: value for key, value in parsed.items() if key not in ("s3", "gs", "gcs", "file")}


@dataclass(frozen=True, slots=True)
class Slicing:
    """Where slices are cut: at ``images`` images or before ``bytes`` encoded bytes are exceeded, whichever comes first."""

    images: int = SLICE_IMAGES
    bytes: int = SLICE_BYTES


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
