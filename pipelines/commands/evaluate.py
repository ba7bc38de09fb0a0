"""The command that measures bundles on labelled images."""

from __future__ import annotations

from functools import partial

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.evaluation.config import EvaluateConfig


@command(EvaluateConfig, "the same command begins anew")
def evaluate(config: EvaluateConfig, session: Session) -> int:
    """Measure bundles on labelled images: accuracy, detection, calibration, open set, shortcuts, with 95 % intervals."""
    from causalprint.pipelines.evaluation.evaluate import evaluate as run
    from causalprint.pipelines.evaluation.text import print_evaluation

    found = session.watch(partial(run, config))
    return session.present(found, lambda found, out: print_evaluation(found, config.output, out))
