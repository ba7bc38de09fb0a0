"""The command line: argv to a configuration, and the configuration to its recipe. Imports nothing heavy before it must."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import causalprint
from causalprint.pipelines.commands.evaluate import evaluate
from causalprint.pipelines.commands.options import (
    Device,
    DeviceName,
    Json,
    Runner,
    StorageOptions,
    Verbose,
    parse_storage,
    session_of,
)
from causalprint.pipelines.commands.session import Session, guarded
from causalprint.pipelines.commands.split import split
from causalprint.pipelines.commands.train import train
from causalprint.pipelines.errors import ExitCode
from causalprint.schemas.config import BATCH_SIZE, SLICE_BYTES, SLICE_IMAGES, AuditConfig, Slicing

DEMO = Path("demo")
BEAM_COMMANDS = ("audit", "train")
EXIT_CODES = (
    "Exit codes: 0 complete; 1 error; 2 usage; 3 finished, but some shard is incomplete; 130, 143 stopped by Ctrl-C or SIGTERM."
)

app = typer.Typer(
    name="causalprint",
    help="Which generative model made each image of a web-scale dataset, with the evidence in Parquet.",
    epilog=EXIT_CODES,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code.

    Args:
        argv: arguments without the program's name; ``None``: the process's.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    own, beam_options = arguments[:cut], tuple(arguments[cut + 1 :])
    session = Session("--json" in own, "--verbose" in own, beam_options)
    if not own:
        app(["--help"], prog_name="causalprint", standalone_mode=False)
        return ExitCode.USAGE
    try:
        code = app(own, prog_name="causalprint", standalone_mode=False, obj=session)
    except Exception as error:
        # Errors of usage have this method, whether typer brings click along or depends on it.
        if not hasattr(error, "format_message"):
            raise
        return session.fail(f"{error.format_message().rstrip('.')}; see causalprint --help", ExitCode.USAGE)
    return int(code or 0)


@app.callback(invoke_without_command=True)
def version(
    context: typer.Context,
    show: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options before the command."""
    if show:
        typer.echo(f"causalprint {causalprint.__version__}")
        raise typer.Exit
    if context.invoked_subcommand not in BEAM_COMMANDS and session_of(context, as_json=False, verbose=False).beam_options:
        raise typer.BadParameter(f"only {' and '.join(BEAM_COMMANDS)} take options for Beam after two dashes")


@app.command(epilog=EXIT_CODES)
def audit(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT…",
            help="Shards or images: URLs, globs, ranges or folders: gs://bucket/{000..099}.tar, s3://bucket/*.parquet, photos/",
        ),
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="URL", help="Root of the tables: a folder, s3://…, gs://…")],
    bundle: Annotated[
        str | None, typer.Option(metavar="DIR", help="Bundle to attribute with.", show_default="the one in the package")
    ] = None,
    residual: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC",
            help="Residual in place of the bundle's own, kind:path-or-hub-name; the verdicts then abstain as uncalibrated.",
        ),
    ] = None,
    device: Device = DeviceName.AUTO,
    batch_size: Annotated[
        int, typer.Option(metavar="N", min=1, help="Images decoded and computed together; bounds memory, never changes a row.")
    ] = BATCH_SIZE,
    slice_images: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Cut shards into slices of so many images", show_default=str(SLICE_IMAGES)),
    ] = None,
    slice_bytes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="or of so many encoded bytes, whichever is less.", show_default=str(SLICE_BYTES)),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Read at most so many images in all.")] = None,
    runner: Runner = "direct",
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Audit image shards: write who made each image, with the evidence, to Parquet tables.

    The same command resumes an audit that was stopped, and reads only what is new in one that was finished. Options for Beam
    follow two dashes: causalprint audit … -- --direct_num_workers=4
    """
    session = session_of(context, as_json=as_json, verbose=verbose)
    cut = (
        None
        if slice_images is None and slice_bytes is None
        else Slicing(slice_images or SLICE_IMAGES, slice_bytes or SLICE_BYTES)
    )
    config = AuditConfig(
        inputs=tuple(inputs),
        output=output,
        bundle=bundle,
        residual=residual,
        device=device.value,
        batch_size=batch_size,
        slicing=cut,
        limit=limit,
        storage=parse_storage(storage_options),
        runner=runner,
        beam_options=session.beam_options,
    )

    def work() -> int:
        from causalprint.pipelines.commands.actions import audit as run

        return run(config, session)

    return guarded(session, work)


@app.command(epilog=EXIT_CODES)
def demo(
    context: typer.Context,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of the demo: its shards and its tables.")
    ] = DEMO,
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Audit real photographs and images that real generative models make on the spot; show the verdicts beside the truth."""
    session = session_of(context, as_json=as_json, verbose=verbose)

    def work() -> int:
        from causalprint.pipelines.commands.actions import demo as run

        return run(output, session)

    return guarded(session, work)


@app.command(epilog=EXIT_CODES)
def inspect(
    context: typer.Context,
    what: Annotated[str, typer.Argument(metavar="OUT|BUNDLE|SHARD", help="An audit's output, a bundle, or a shard of images.")],
    storage_options: StorageOptions = "{}",
    as_json: Json = False,
    verbose: Verbose = False,
) -> int:
    """Show what an audit's output, a bundle or a shard holds."""
    session = session_of(context, as_json=as_json, verbose=verbose)
    storage = parse_storage(storage_options)

    def work() -> int:
        from causalprint.pipelines.commands.actions import inspect as run

        return run(what, storage, session)

    return guarded(session, work)


app.command(epilog=EXIT_CODES)(train)
app.command(epilog=EXIT_CODES)(split)
app.command(epilog=EXIT_CODES)(evaluate)
