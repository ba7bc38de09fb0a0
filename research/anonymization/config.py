"""What ``causalprint lab anonymize`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Device, LabelField, Seed, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument, output

PGD, SWAP, NOISE = METHODS = ("pgd", "swap", "noise")


def parse_epsilon(given: object) -> float:
    """``4/255`` or ``0.016`` as a number; a number as it is.

    Raises:
        ValueError: it is none above 0 and at most 1, or below one level of 8 bits.
    """
    above, slash, below = str(given).partition("/")
    try:
        value = float(above) / (float(below) if slash else 1.0)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(f"{given!r} is no number; give 4/255 or 0.016") from error
    if not 1 / 255 - 1e-6 <= value <= 1:
        raise ValueError(f"{given!r} is not from 1/255, one level of 8 bits, to 1; give 4/255 or 0.016")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class AnonymizeConfig(Command):
    """What is to be changed, and how far; or a study of it, at several ``epsilon`` and by every ``method``."""

    NAME = "lab anonymize"

    inputs: Annotated[
        tuple[str, ...], argument("Image files, globs of them, and shards or folders as audit takes them.", "IMAGE")
    ]
    study: Annotated[
        bool, Option("Attack labelled images that are attributed rightly, at 2, 4 and 8/255; write figures and RESULTS.md.")
    ] = False
    bundle: Annotated[str | None, Option("Attack this bundle.", "DIR", usual="the one in the package")] = None
    held_out: Annotated[
        tuple[str, ...], Option("Also ask this bundle, which is not attacked; may be given again.", "BUNDLE")
    ] = ()
    examples: Annotated[
        tuple[str, ...], Option("Let the swap learn from these labelled images; may be given again.", "INPUT", DATA)
    ] = ()
    target: Annotated[str | None, Option("Have this source be named.", "SOURCE", usual="any but the present one")] = None
    # Radius of the L∞ ball.
    epsilon: Annotated[
        float, Option("Change no value of an image, 0 to 1, by more than this.", "E", usual="4/255", parse=parse_epsilon)
    ] = 4 / 255
    method: Annotated[
        str,
        Option(
            "Attack in this way: pgd descends along gradients, swap exchanges mean residuals, noise is random, as a control.",
            choices=METHODS,
        ),
    ] = PGD
    steps: Annotated[
        int | None,
        Option("Descend in so many steps at most; the descent ends when the verdict is safe.", "N", least=1, usual="30"),
    ] = None
    survive_jpeg: Annotated[bool, Option("Let the descent reach a verdict that also holds after JPEG 75.")] = False
    label_field: LabelField = "source"
    limit: Annotated[int | None, Option("Attack at most so many images in a study.", "N", DATA, least=1)] = None
    seed: Seed = 0
    output: Annotated[Path, output("Write the changed images and the report to this folder.")]
    device: Device = "auto"
    storage: StorageOptions = NO_OPTIONS
    # Images under way at any time; None for every core, on a GPU one.
    threads: int | None = None

    @property
    def key(self) -> str:
        """Of a study's section of results and of its files: ``anonymize``, or ``anonymize-survive-jpeg``."""
        return "anonymize-survive-jpeg" if self.survive_jpeg else "anonymize"
