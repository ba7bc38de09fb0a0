"""What ``causalprint evaluate`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Device, LabelField, Limit, StorageOptions, Track
from causalprint.schemas.options import Command, Option, Stated, argument, output

KEY = "evaluate"
ROUNDS = 1000


@dataclass(frozen=True, slots=True)
class EvaluateConfig(Command):
    """One evaluation."""

    NAME = "evaluate"

    inputs: Annotated[tuple[str, ...], argument("Shards or folders of images whose source is known, `real` ones among them.")]
    output: Annotated[str, output("Write RESULTS.md, its figures, JSON and Parquet to this folder.")]
    bundles: Annotated[
        tuple[str, ...],
        Option(
            "Measure this bundle; give it again for more, side by side with differences to the first.",
            "DIR",
            names=("--bundle",),
            usual="the one in the package",
        ),
    ] = ()
    track: Annotated[Track, Stated.ALWAYS] = "png"
    robustness: Annotated[bool, Option("Also measure what JPEG, resizing, cropping, blur and noise cost.")] = False
    seeds: Annotated[
        int,
        Option(
            "Draw random perturbations so many times, and so many thousands of bootstrap resamples.",
            "N",
            least=1,
            stated=Stated.ALWAYS,
        ),
    ] = 3
    label_field: LabelField = "source"
    limit: Limit = None
    device: Device = "auto"
    storage: StorageOptions = NO_OPTIONS
    # None for every core.
    threads: int | None = None
    # Of the bootstrap, a seed.
    rounds: int = ROUNDS

    @property
    def key(self) -> str:
        """Of the section of results: ``evaluate``, with the track where that is not png."""
        return KEY if self.track == "png" else f"{KEY}-{self.track}"
