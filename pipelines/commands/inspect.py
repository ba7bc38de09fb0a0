"""The command that looks at what is there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import Command, argument

DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class InspectConfig(Command):
    """One look."""

    NAME = "inspect"

    what: Annotated[
        str,
        argument(
            "An audit's output, a bundle, or a shard of images; `default` is the bundle inside the package (`bundle:default` "
            "where something here has that name).",
            "OUT|BUNDLE|SHARD",
        ),
    ]
    storage: StorageOptions = NO_OPTIONS

    @property
    def location(self) -> str:
        """Where that is."""
        from causalprint.models.bundles.bundle import DEFAULT as PACKAGED

        packaged = self.what == f"bundle:{DEFAULT}" or (self.what == DEFAULT and not Path(DEFAULT).exists())
        return str(PACKAGED) if packaged else self.what


@command(InspectConfig)
def inspect(config: InspectConfig, session: Session) -> int:
    """Show what an audit's output, a bundle or a shard holds."""
    from causalprint.pipelines.commands.show import as_json, show
    from causalprint.pipelines.inspect import summarise

    return session.present(summarise(config.location, config.storage), show, as_json)
