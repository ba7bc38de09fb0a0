"""The command that trains a bundle from labelled images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.training.config import TrainConfig

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.models.bundles.bundle import Bundle

RESUMES = "the same command with --resume goes on"


@command(TrainConfig, RESUMES)
def train(config: TrainConfig, session: Session) -> int:
    """Train a bundle: the fingerprint and attribution over real and the sources of labelled images.

    Features are computed by Beam, whose options follow two dashes: causalprint train … -- --direct_num_workers=4
    """
    from causalprint.pipelines.commands.show import as_json, show
    from causalprint.pipelines.training.train import train as run

    def show_bundle(bundle: Bundle, out: Console) -> None:
        show(bundle, out)
        out.print(f"next: causalprint audit INPUT --output OUT --bundle {config.output}", soft_wrap=True)

    return session.present(session.watch(partial(run, config)), show_bundle, as_json)
