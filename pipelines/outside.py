"""What others are told of a run while it goes on and when it ends, however it ends: a metrics file, and a lineage service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from causalprint.pipelines.errors import explain

if TYPE_CHECKING:
    from causalprint.pipelines.report import AuditReport
    from causalprint.schemas.config import AuditConfig


class Listener(Protocol):
    """Somebody who is told of a run; ``str`` of it is what a warning calls it. Each method may raise what it likes."""

    def start(self) -> None:
        """The run has started."""

    def complete(self, found: AuditReport) -> None:
        """It has finished; that something is missing is in what was ``found``."""

    def fail(self, error: BaseException) -> None:
        """It ended with ``error``."""


@contextmanager
def told_outside(config: AuditConfig, warn: Callable[[str], None]) -> Iterator[Callable[[AuditReport], None]]:
    """For the time of one run: what tells how it ended, as ``--metrics-file`` and ``--openlineage`` ask.

    What cannot be told is one warning: no audit fails for it.

    Args:
        config: what was asked.
        warn: is given the warning.

    Yields:
        what is to be given the report of a run that has finished.

    Raises:
        LineageError: no events can be sent as asked.
    """
    listeners = list(_listeners(config))

    def tell(how: Callable[[Listener], None]) -> None:
        for listener in listeners:
            try:
                how(listener)
            except Exception as error:  # noqa: BLE001 - whatever a service answers, the run goes on
                warn(f"{listener} could not be told how the run goes: {explain(error)}")

    tell(lambda listener: listener.start())
    try:
        yield lambda found: tell(lambda listener: listener.complete(found))
    except BaseException as error:
        failure = error  # its own name is gone when the lambda is read again
        tell(lambda listener: listener.fail(failure))
        raise


def _listeners(config: AuditConfig) -> Iterator[Listener]:
    if config.metrics_file is not None:
        from causalprint.pipelines.metrics_file import MetricsFile

        yield MetricsFile(config.metrics_file, config.output)
    if config.openlineage is not None:
        from causalprint.pipelines.lineage import Lineage

        yield Lineage(config.openlineage, config)
