"""What ``causalprint lab ablate`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Device, LabelField, LabelledInputs, Seed, StorageOptions, Threads
from causalprint.schemas.options import RUNS, Command, Option, Stated, output


@dataclass(frozen=True, slots=True)
class AblateConfig(Command):
    """One ablation. The recipe as it is always is one of its rows."""

    NAME = "lab ablate"

    inputs: LabelledInputs
    output: Annotated[Path, output("Write the table and RESULTS.md to this folder.")]
    recipe: Annotated[str, Option("Take this recipe apart: a YAML file, or the name of one in the package.", "NAME|FILE")] = (
        "default"
    )
    features: Annotated[
        str | None,
        Option(
            "Take features from this folder and keep them there, as train --features does.",
            "URL",
            RUNS,
            usual="features in the output",
            stated=Stated.NEVER,
        ),
    ] = None
    seeds: Annotated[
        int, Option("Train each row so many times; each tests other origins.", "N", least=1, stated=Stated.ALWAYS)
    ] = 3
    seed: Annotated[Seed, Stated.IF_GIVEN] = 0
    label_field: LabelField = "source"
    device: Device = "auto"
    threads: Threads = None
    only: Annotated[
        tuple[str, ...],
        Option("Train only these rows beside the recipe as it is; an unknown one lists all.", "ROW,…", usual="all", commas=True),
    ] = ()
    # Of the bootstrap.
    rounds: int = 1000
    storage: StorageOptions = NO_OPTIONS
