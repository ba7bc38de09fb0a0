"""What ``train`` does, once its arguments are values."""

from __future__ import annotations

from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.show import as_json, show
from causalprint.pipelines.progress import telling
from causalprint.pipelines.training.train import TrainConfig, train


def train_bundle(config: TrainConfig, session: Session) -> int:
    """Trains a bundle and shows it."""
    with telling(session.log) as tell:
        bundle = train(config, tell)
    if session.as_json:
        session.answer(as_json(bundle))
    else:
        show(bundle, session.out)
        session.out.print(f"next: causalprint audit INPUT --output OUT --bundle {config.output}", soft_wrap=True)
    return 0
