"""One call of the command: where it prints, what it leaves with, and how signals end it."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Literal, TypeVar

from causalprint.pipelines.errors import ExitCode, Interruption, explain
from causalprint.pipelines.jobs import jobs
from causalprint.pipelines.worker import stop_workers
from causalprint.schemas.names import json_printable, printable
from causalprint.schemas.records import to_json
from causalprint.schemas.urls import scrubbed

if TYPE_CHECKING:
    from rich.console import Console

    from causalprint.pipelines.console import Level, SafeConsole

Found = TypeVar("Found")
LogFormat = Literal["text", "json"]
SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""What asks a command to stop: each raises :class:`~causalprint.pipelines.errors.Interruption` in the main thread."""


@dataclass(frozen=True)
class Session:
    """How this call speaks.

    Attributes:
        as_json: exactly one JSON object on standard output, whatever happens.
        verbose: tracebacks and library logs on standard error.
        log_format: of what is told on standard error, lines to read, or a JSON object a line.
        beam_options: what stood after ``--``.
    """

    as_json: bool = False
    verbose: bool = False
    log_format: LogFormat = "text"
    beam_options: tuple[str, ...] = ()

    @cached_property
    def out(self) -> Console:
        """Standard output: results."""
        from causalprint.pipelines.console import SafeConsole

        return SafeConsole()

    @cached_property
    def log(self) -> SafeConsole:
        """Standard error: progress and failures."""
        from causalprint.pipelines.console import JsonConsole, SafeConsole

        return JsonConsole(stderr=True) if self.log_format == "json" else SafeConsole(stderr=True)

    def warn(self, line: str) -> None:
        """Says in one line what somebody should know."""
        self.log.tell(line, "warning")

    def answer(self, text: str) -> None:
        """Prints the one JSON object; what a terminal would obey or hide is escaped in it."""
        sys.stdout.write(json_printable(text.rstrip()) + "\n")

    def watch(self, run: Callable[[Callable[[str], None]], Found]) -> Found:
        """What ``run`` finds; it is given what tells, on standard error, how far it is."""
        from causalprint.pipelines.progress import telling

        with telling(self.log) as tell:
            return run(tell)

    def present(self, found: Found, show: Callable[[Found, Console], None], as_json: Callable[[Found], str] = to_json) -> int:
        """Prints what was found: as the one JSON object, else by ``show`` on the console that it is given. Returns 0."""
        if self.as_json:
            self.answer(as_json(found))
        else:
            show(found, self.out)
        return ExitCode.COMPLETE

    def fail(self, message: str, exit_code: int) -> int:
        """Says in one line what is wrong; returns ``exit_code``."""
        message = scrubbed(message)
        if self.as_json:
            self.answer(json.dumps({"error": message, "exit_code": int(exit_code)}, ensure_ascii=False))
        self.log.tell(message, "error", exit_code=int(exit_code))
        return exit_code


def guarded(session: Session, command: Callable[[], int], *, resumes: str = "the same command resumes") -> int:
    """Runs ``command``; a failure becomes one line and an exit code.

    A signal ends the process here and now: threads may still be at work, and every write they could be in is one that a
    ``kill -9`` may cut short as well.

    Args:
        session: how to speak.
        command: returns its exit code.
        resumes: how to go on after a signal, for the line that says it.
    """
    _quiet(session)
    before = {signum: signal.signal(signum, _interrupt) for signum in SIGNALS}
    try:
        try:
            return command()
        except Exception as error:
            if session.verbose:
                logging.getLogger(__name__).exception("the traceback, as --verbose asks")
            return session.fail(explain(error), ExitCode.ERROR)
    except Interruption as stop:
        stop_workers()
        session.fail("; ".join(filter(None, ("stopped", jobs.cancel(), resumes))), stop.exit_code)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(stop.exit_code)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def _interrupt(signum: int, _frame: FrameType | None) -> None:
    # A second one must not cut the tidying short.
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interruption(signum)


def _quiet(session: Session) -> None:
    """Beam logs a failure several times, each with a traceback of a hundred lines; a user gets one line instead."""
    if session.verbose:
        handler = _Structured(session) if session.log_format == "json" else logging.StreamHandler(sys.stderr)
        handler.setFormatter(_Scrubbed(logging.BASIC_FORMAT))
        logging.basicConfig(level=logging.INFO, handlers=[handler])
        return
    # A handler of our own, or Beam's first warning at import would install one that prints everything.
    logging.basicConfig(handlers=[logging.NullHandler()])
    warnings.simplefilter("ignore")


class _Scrubbed(logging.Formatter):
    """Records as libraries make them, tracebacks too, without the secrets of their URLs or what steers a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(scrubbed(super().format(record)), keep="\n")


class _Structured(logging.Handler):
    """Records of libraries among those of the session."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def emit(self, record: logging.LogRecord) -> None:
        level: Level = "error" if record.levelno >= logging.ERROR else "warning" if record.levelno >= logging.WARNING else "info"
        self._session.log.tell(self.format(record), level, logger=record.name)
