"""``causalprint lab``: the commands of the laboratory."""

from __future__ import annotations

import typer

from causalprint.pipelines.cli import EXIT_CODES
from causalprint.research.commands.ablate import ablate
from causalprint.research.commands.anonymize import anonymize
from causalprint.research.commands.compare import compare
from causalprint.research.commands.make_aligned import make_aligned
from causalprint.research.commands.structure import structure
from causalprint.research.commands.train_lens import train_lens
from causalprint.research.commands.train_prior import train_prior

app = typer.Typer()
for _command in (compare, ablate, anonymize, make_aligned, structure, train_lens, train_prior):
    app.command(name=_command.__name__.replace("_", "-"), epilog=EXIT_CODES)(_command)
