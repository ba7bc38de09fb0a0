"""The command that measures bundles on labelled images."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import NO_OPTIONS, Device, JudgedTrack, LabelField, Limit, StorageOptions
from causalprint.schemas.options import Command, Option, Stated, argument, output


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
    track: Annotated[JudgedTrack, Stated.ALWAYS] = "png"
    robustness: Annotated[
        bool, Option("Also measure what every perturbation costs: JPEG, WebP, resizing, chains of the web, blur, noise and more.")
    ] = False
    perturbations: Annotated[
        tuple[str, ...],
        Option(
            "Also measure what this perturbation costs, without --robustness; may be given again.",
            "NAME",
            names=("--perturbation",),
            usual="none",
        ),
    ] = ()
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
    rounds: int = 1000

    @property
    def key(self) -> str:
        """Of the section of results: ``evaluate``, with the track where that is not png."""
        return self.NAME if self.track == "png" else f"{self.NAME}-{self.track}"


@command(EvaluateConfig, "the same command begins anew")
def evaluate(config: EvaluateConfig, session: Session) -> int:
    """Measure bundles on labelled images: accuracy, detection, calibration, open set, shortcuts, with 95 % intervals."""
    from causalprint.pipelines.evaluation.evaluate import evaluate as run
    from causalprint.pipelines.evaluation.text import print_evaluation

    found = session.watch(partial(run, config))
    return session.present(found, lambda found, out: print_evaluation(found, config.output, out))
