"""The command that makes an audit's tables known to a catalog."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from causalprint.pipelines.commands.command import command
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.console import new_table
from causalprint.schemas.config import NO_OPTIONS, StorageOptions
from causalprint.schemas.options import DATA, Command, Option, argument

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.publish import Published


@dataclass(frozen=True, slots=True)
class PublishConfig(Command):
    """Which audit is published, and where."""

    NAME = "publish"

    audit: Annotated[str, argument("Root of the audit's output.", "OUT")]
    to: Annotated[str, Option("Publish in this format.", panel=DATA, choices=("iceberg",))] = "iceberg"
    catalog: Annotated[
        str,
        Option("Take the catalog of this name, as pyiceberg finds it in ~/.pyiceberg.yaml or the environment.", "NAME", DATA),
    ] = "default"
    namespace: Annotated[str, Option("Publish the tables in this namespace.", "NAME", DATA)] = "causalprint"
    storage: StorageOptions = NO_OPTIONS


@command(PublishConfig, "the same command publishes the rest")
def publish(config: PublishConfig, session: Session) -> int:
    """Register an audit's files as tables of an Iceberg catalog, where they lie; what is forgotten or new is so there, too.

    The same command after every audit keeps the tables as the output is. No row is copied.
    """
    from causalprint.pipelines.publish import publish as register

    run = partial(register, config.audit, config.storage, config.catalog, config.namespace)
    return session.present(session.watch(run), _print)


def _print(found: Published, out: Console) -> None:
    table = new_table("table", numbers=("rows", "files", "added", "removed"))
    for one in found.tables:
        table.add_row(one.table, f"{one.rows:,}", f"{one.files:,}", f"{one.added:,}", f"{one.removed:,}")
    out.print(table)
