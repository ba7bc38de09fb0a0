"""The command line: its commands, and from argv to one of them. Imports nothing heavy before it must."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer

import causalprint
from causalprint.pipelines.commands.attribute import attribute
from causalprint.pipelines.commands.audit import audit
from causalprint.pipelines.commands.command import EXIT_CODES, QuietGroup, add
from causalprint.pipelines.commands.compact import compact
from causalprint.pipelines.commands.demo import demo
from causalprint.pipelines.commands.diff import diff
from causalprint.pipelines.commands.discover import discover
from causalprint.pipelines.commands.enroll import enroll
from causalprint.pipelines.commands.evaluate import evaluate
from causalprint.pipelines.commands.evidence import evidence
from causalprint.pipelines.commands.fetch import fetch
from causalprint.pipelines.commands.forget import forget
from causalprint.pipelines.commands.inspect import inspect
from causalprint.pipelines.commands.match import match
from causalprint.pipelines.commands.prevalence import prevalence
from causalprint.pipelines.commands.publish import publish
from causalprint.pipelines.commands.query import query
from causalprint.pipelines.commands.report import report
from causalprint.pipelines.commands.sample import sample
from causalprint.pipelines.commands.session import Session
from causalprint.pipelines.commands.split import split
from causalprint.pipelines.commands.trace import trace
from causalprint.pipelines.commands.train import train
from causalprint.pipelines.commands.verify import verify
from causalprint.pipelines.errors import ExitCode

app = typer.Typer(
    name="causalprint",
    cls=QuietGroup,
    help="Which generative model made each image of a web-scale dataset, with the evidence in Parquet.",
    epilog=EXIT_CODES,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order in which a user meets them; the laboratory follows (see causalprint.__main__).
add(app, audit, inspect, report, query, prevalence, sample, diff, verify, compact, forget, fetch, evidence, match, publish)
add(app, attribute, trace, discover, enroll, demo, train, split, evaluate)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    Args:
        argv: arguments without the program's name; ``None``: the process's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    own, beam_options = arguments[:cut], tuple(arguments[cut + 1 :])
    # What is wrong with an option is told as asked, though nobody has read the others yet.
    structured = "--log-format=json" in own or ("--log-format", "json") in pairwise(own)
    session = Session("--json" in own, "--verbose" in own, "json" if structured else "text", beam_options)
    try:
        # A shell that asks for completions gives no arguments either: typer answers it before it looks at them.
        code = app(own or ["--help"], prog_name="causalprint", standalone_mode=False, obj=session)
    except Exception as error:
        # Errors of usage have this method, whether typer brings click along or depends on it.
        if not hasattr(error, "format_message"):
            raise
        if message := error.format_message().rstrip("."):  # without one, help was shown in place of a missing command
            where = getattr(getattr(error, "ctx", None), "command_path", "causalprint")
            session.fail(f"{message}; see {where} --help", ExitCode.USAGE)
        return ExitCode.USAGE
    return int(code or 0) if own else ExitCode.USAGE


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False) -> None:
    """Options before the command."""
    if show:
        typer.echo(f"causalprint {causalprint.__version__}")
        raise typer.Exit
