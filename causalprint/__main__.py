"""``causalprint``, or ``python -m causalprint``: the product's commands, and the laboratory's below ``lab``."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import Any

import typer
from typer.core import TyperGroup

from causalprint.pipelines.cli import app, main
from causalprint.pipelines.commands.command import QuietGroup

__all__ = ["app", "main"]


class _Laboratory(QuietGroup):
    """Loads its commands when one of them is asked for, so that the product's load no file of the laboratory."""

    @cached_property
    def _loaded(self) -> TyperGroup:
        from causalprint.research.cli import app as laboratory  # noqa: PLC0415 - see above

        loaded = typer.main.get_command(laboratory)
        assert isinstance(loaded, TyperGroup), "it has several commands"
        return loaded

    def list_commands(self, ctx: Any) -> list[str]:
        return self._loaded.list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return self._loaded.get_command(ctx, cmd_name)


app.add_typer(
    typer.Typer(
        cls=_Laboratory,
        help="The laboratory: compare methods, take recipes apart, attack verdicts, train lenses and priors.",
        no_args_is_help=True,
    ),
    name="lab",
)

if __name__ == "__main__":
    sys.exit(main())
