"""``python -m causalprint.pipelines.beam_main``: an audit, asked for as launchers of Beam pipelines ask for one.

Airflow's operators and Dataflow's Flex Templates give every option in one word with underscores, the runner by its class, and
Beam's own options among them: ``--input=gs://crawl/*.tar --output=gs://audit --runner=DataflowRunner --region=R``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from causalprint.pipelines.cli import main
from causalprint.pipelines.commands.command import SPEAKS
from causalprint.schemas.config import AuditConfig
from causalprint.schemas.options import settings_of

INPUT = "input"
"""What is given without a name to the command, and may be given again."""


def arguments(words: Sequence[str]) -> list[str]:
    """The words of the command ``causalprint`` for those of a launcher; what it does not know goes to Beam."""
    names = [flag for _, flag, _ in SPEAKS.values()] + [name for one in settings_of(AuditConfig) for name in one.names[:1]]
    own = {name.lstrip("-").replace("-", "_"): name for name in names}
    inputs, given, beam = list[str](), list[str](), list[str]()
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        if name == INPUT:
            inputs.append(value)
        elif name == "runner":
            given += ["--runner", value.lower().removesuffix("runner")]
        elif name in own:
            given += [own[name], value] if equals else [own[name]]
        else:
            beam.append(word)
    return [AuditConfig.NAME, *inputs, *given, "--", *beam]


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:])))
