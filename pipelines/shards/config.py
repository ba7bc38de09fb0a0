"""What ``causalprint split`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Crop, LabelField, LabelledInputs, Seed, StorageOptions
from causalprint.schemas.options import Command, output


@dataclass(frozen=True, slots=True)
class SplitConfig(Command):
    """One split. Near-duplicates are found by the central crop, as ``compare`` takes it."""

    NAME = "split"

    inputs: LabelledInputs
    output: Annotated[Path, output("Write the folders fit and test into this one; it is new, or empty.")]
    seed: Seed = 0
    label_field: LabelField = "source"
    crop: Crop = 256
    storage: StorageOptions = NO_OPTIONS
