"""What ``causalprint lab make-pictures`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import Seed
from causalprint.schemas.options import DATA, Command, Option, output


class PicturesError(ValueError):
    """What was given makes no pictures; the message says what to do."""


@dataclass(frozen=True, slots=True)
class PicturesConfig(Command):
    """A set of pictures."""

    NAME = "lab make-pictures"

    output: Annotated[Path, output("Write the tars, one an origin, to this folder; those that are there stay as they are.")]
    images: Annotated[int, Option("Make so many images of each origin; a package may hold fewer.", "N", DATA, least=1)] = 50
    origins: Annotated[
        tuple[str, ...],
        Option("Make this origin and no other; may be given again.", "NAME", DATA, ("--origin",), usual="all"),
    ] = ()
    packages: Annotated[
        Path | None,
        Option("Take the art and the photographs of the packages of Debian, npm and PyPI in this folder, too.", "DIR", DATA),
    ] = None
    seed: Seed = 0
