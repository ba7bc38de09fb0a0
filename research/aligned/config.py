"""What ``causalprint lab make-aligned`` is asked to do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from causalprint.schemas.config import NO_OPTIONS, Device, LabelField, Seed, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class AlignedError(ValueError):
    """What was given makes no aligned images; the message says what to do."""


class Decoder(NamedTuple):
    """A source of the track: ``name`` labels its images, ``spec`` is that of a residual, whose reconstruction is taken."""

    name: str
    spec: str

    def __str__(self) -> str:
        return f"{self.name}={self.spec}"


def parse_decoder(given: str | Decoder) -> Decoder:
    """``NAME=SPEC`` as a value.

    Raises:
        AlignedError: another form, or a name that cannot be a file's and a source's.
        ResidualError: the spec is none.
    """
    from causalprint.models.bundles.manifest import REAL
    from causalprint.models.residuals import parse_residual

    text = str(given)
    name, equals, spec = text.partition("=")
    if not equals or not NAME.fullmatch(name) or name == REAL:
        raise AlignedError(
            f"decoder {text!r} is not of the form NAME=SPEC with a name of letters, digits, dots and dashes, not {REAL!r}; "
            "for example mine=autoencoder:/path/to/model"
        )
    return Decoder(name, str(parse_residual(spec)))


@dataclass(frozen=True, slots=True)
class AlignedConfig(Command):
    """One aligned track."""

    NAME = "lab make-aligned"

    inputs: Annotated[tuple[str, ...], argument("Shards or folders of labelled images; those of source real are taken.")]
    output: Annotated[Path, output("Write the tars, one a class, to this folder.")]
    decoders: Annotated[
        tuple[Decoder, ...],
        Option(
            "Send the photographs through this decoder, a residual's spec such as sd=autoencoder:/path; may be given again.",
            "NAME=SPEC",
            names=("--decoder",),
            usual="those in the package",
            parse=parse_decoder,
        ),
    ] = ()
    limit: Annotated[
        int | None,
        Option("Take so many photographs at most, spread over their origins and drawn by the seed.", "N", DATA, least=1),
    ] = None
    encoding: Annotated[
        str, Option("Encode every class alike: png is lossless, jpeg95 is JPEG 95 at 4:4:4.", choices=("png", "jpeg95"))
    ] = "png"
    label_field: LabelField = "source"
    seed: Seed = 0
    device: Device = "auto"
    # Photographs computed at a time; None for every core.
    threads: int | None = None
    storage: StorageOptions = NO_OPTIONS
