"""What ``causalprint lab make-graphics`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import Seed
from causalprint.schemas.options import DATA, Command, Option, output


class GraphicsError(ValueError):
    """What was given makes no graphics; the message says what to do."""


@dataclass(frozen=True, slots=True)
class GraphicsConfig(Command):
    """A set of graphics."""

    NAME = "lab make-graphics"

    output: Annotated[Path, output("Write the tars, one an origin, to this folder; those that are there stay as they are.")]
    images: Annotated[int, Option("Make so many images of each origin; a Debian package may hold fewer.", "N", DATA, least=1)] = (
        50
    )
    origins: Annotated[
        tuple[str, ...],
        Option("Make this origin and no other; may be given again.", "NAME", DATA, ("--origin",), usual="all"),
    ] = ()
    debian: Annotated[
        Path | None,
        Option(
            "Take the art of those Debian packages, too, whose .deb files `apt-get download` put into this folder.", "DIR", DATA
        ),
    ] = None
    seed: Seed = 0
