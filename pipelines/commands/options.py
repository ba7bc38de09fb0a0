"""Options that several commands share, and what they mean."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.runners import RUNNERS
from causalprint.schemas.config import Storage


class DeviceName(StrEnum):
    """What ``--device`` takes."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class TrackName(StrEnum):
    """What ``--track`` takes: keys of ``causalprint.models.evaluation.perturbations.TRACKS``."""

    PNG = "png"
    JPEG95 = "jpeg95"
    ALIGNED = "aligned"


def _known_runner(name: str) -> str:
    if name not in RUNNERS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(RUNNERS)}")
    return name


LabelledInputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT…", help="Shards or folders of images whose source is known, as audit takes them."),
]
LabelField = Annotated[
    str,
    typer.Option(metavar="KEY", help="Key of the sidecar, or column, that names the source; else the image's folder does."),
]
Device = Annotated[DeviceName, typer.Option(help="What computes; one that is missing is an error.")]
Json = Annotated[bool, typer.Option("--json", help="Print exactly one JSON object on standard output, also for an error.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Show tracebacks and the libraries' own logs on standard error.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Of everything that is drawn.")]
Threads = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Decode, compute and train in so many.", show_default="every core it may use"),
]
Runner = Annotated[
    str,
    typer.Option(
        metavar="|".join(RUNNERS),
        help="; ".join(f"{name}: {known.about}" for name, known in RUNNERS.items()) + ".",
        callback=_known_runner,
    ),
]
StorageOptions = Annotated[
    str,
    typer.Option(
        metavar="JSON",
        help='Options for fsspec, flat or by protocol: \'{"anon": true}\', \'{"s3": {"endpoint_url": "http://…"}}\'. '
        "By default s3fs and gcsfs find the credentials.",
    ),
]


def session_of(context: typer.Context, *, as_json: bool, verbose: bool) -> Session:
    """The session that the program began with, and how this command was told to speak."""
    begun = context.obj if isinstance(context.obj, Session) else Session()
    return replace(begun, as_json=as_json, verbose=verbose)


def parse_storage(options: str) -> Storage:
    """``--storage-options`` as a value.

    Raises:
        typer.BadParameter: it is no JSON object.
    """
    try:
        parsed = json.loads(options)
    except ValueError as error:
        raise typer.BadParameter(f"--storage-options is no JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise typer.BadParameter(f"--storage-options must be a JSON object such as '{{\"anon\": true}}', not {options!r}")
    return Storage(options)
