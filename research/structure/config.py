"""What ``causalprint lab structure`` is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.schemas.config import Seed
from causalprint.schemas.options import Command, argument, output


@dataclass(frozen=True, slots=True)
class StructureConfig(Command):
    """One study of an evaluation's fingerprints."""

    NAME = "lab structure"

    evidence: Annotated[Path, argument("Folder that evaluate wrote.", "EVIDENCE")]
    output: Annotated[Path, output("Write structure.json and a section of RESULTS.md to this folder.")]
    seed: Seed = 0
