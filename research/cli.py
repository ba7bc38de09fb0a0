"""``causalprint lab``: the commands of the laboratory."""

from __future__ import annotations

import typer

from causalprint.pipelines.commands.command import add
from causalprint.research.commands.ablate import ablate
from causalprint.research.commands.anonymize import anonymize
from causalprint.research.commands.compare import compare
from causalprint.research.commands.make_aligned import make_aligned
from causalprint.research.commands.structure import structure
from causalprint.research.commands.train_lens import train_lens
from causalprint.research.commands.train_prior import train_prior

app = typer.Typer()
add(app, compare, ablate, anonymize, structure, make_aligned, train_lens, train_prior)
