"""A command, made from its configuration and from what it does with one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, TypeVar, get_args

import typer
from typer.core import TyperCommand, TyperGroup

from causalprint.pipelines.commands.session import LogFormat, Session, guarded
from causalprint.schemas.options import Command, OptionError, Panel, Setting, settings_of

EXIT_CODES = (
    "Exit codes: 0 complete; 1 error; 2 usage; 3 finished, but something is missing; 4 finished, and --fail-if holds; 130, 143 "
    "stopped by Ctrl-C or SIGTERM."
)
BEAM = "beam_options"
CommandT = TypeVar("CommandT", bound=Command)
Callback = Callable[..., int]

SPEAKS: dict[str, tuple[Any, str, str]] = {
    "as_json": (bool, "--json", "Print exactly one JSON object on standard output, also for an error."),
    "verbose": (bool, "--verbose", "Show tracebacks and the libraries' own logs on standard error."),
    "log_format": (
        LogFormat,
        "--log-format",
        "Tell progress and failures, on standard error, as text or as a JSON object a line.",
    ),
}
"""Of every command: what of it each sets, a field of :class:`Session`, by which option."""


class _Quiet:
    """Help without types of flags and arguments, and with ``--help`` among the options that say how the command speaks."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        for param in self.get_params(ctx):  # type: ignore[attr-defined]
            if getattr(param, "is_flag", False):
                param.metavar = ""
            if param.param_type_name == "argument":
                param.display_type_rich = lambda **_: None
            if param.name == "help" and isinstance(self, TyperCommand):
                param.rich_help_panel = Panel.SPEAKS.value
        super().format_help(ctx, formatter)  # type: ignore[misc]


class QuietCommand(_Quiet, TyperCommand):
    """See :class:`_Quiet`."""


class QuietGroup(_Quiet, TyperGroup):
    """See :class:`_Quiet`."""


def command(
    config: type[CommandT], again: str = "the same command resumes"
) -> Callable[[Callable[[CommandT, Session], int]], Callback]:
    """Makes a command of a function: its options are the fields of ``config``, its help is the function's docstring.

    Args:
        config: from which the function is given its first argument.
        again: how to go on after a signal.

    Returns:
        What makes of the function, which returns an exit code, what :func:`add` takes. The function should import what is heavy
        itself, so that help need not wait for it.
    """

    def decorate(run: Callable[[CommandT, Session], int]) -> Callback:
        def callback(context: typer.Context, **values: Any) -> int:
            begun = context.obj if isinstance(context.obj, Session) else Session()
            session = replace(begun, **{name: values.pop(name) for name in SPEAKS})
            given = {name: value for name, value in values.items() if value is not None}
            if takes_beam:
                given[BEAM] = session.beam_options
            elif session.beam_options:
                context.fail(f"{config.NAME} runs no pipeline and takes no options for Beam after two dashes")
            try:
                asked = config(**given)
            except OptionError as error:
                context.fail(str(error))
            return guarded(session, partial(_begun, run, asked, session), resumes=again)

        settings = settings_of(config)
        takes_beam = any(setting.name == BEAM for setting in settings)
        parameters = [
            inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
            *_parameters(settings),
        ]
        callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        callback.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        callback.__name__ = config.NAME.rpartition(" ")[2]
        # Help keeps the line breaks of all paragraphs but the first.
        callback.__doc__ = "\n\n".join(" ".join(text.split()) for text in inspect.cleandoc(run.__doc__ or "").split("\n\n"))
        return callback

    return decorate


def _begun(run: Callable[[CommandT, Session], int], asked: CommandT, session: Session) -> int:
    """``run``, once it is said what whoever runs a pipeline elsewhere should know."""
    from causalprint.pipelines.runners import notes

    for line in notes(asked):
        session.warn(line)
    return run(asked, session)


def add(app: typer.Typer, *commands: Callback) -> None:
    """Adds commands to ``app``; help shows them in this order."""
    for callback in commands:
        app.command(callback.__name__, cls=QuietCommand, epilog=EXIT_CODES)(callback)


def _parameters(settings: Sequence[Setting]) -> Iterator[inspect.Parameter]:
    """The options as typer takes them, in the order of their panels, and how the command speaks."""
    panels = list(Panel)
    shown = [(setting, setting.option) for setting in settings if setting.option is not None]
    for setting, option in sorted(shown, key=lambda one: panels.index(one[1].panel)):
        says: dict[str, Any] = {
            "help": option.help,
            "metavar": option.metavar or "|".join(option.choices),
            "show_default": option.usual or True,
        }
        if option.positional:
            info = typer.Argument(**says)
        else:
            complete = _completion(option.choices) if option.choices else None
            info = typer.Option(*setting.names, **says, rich_help_panel=option.panel.value, autocompletion=complete)
        kind = str if option.parse or option.commas else setting.kind
        # Any other default is the configuration's own affair: what was not given is not passed on.
        default = setting.default if option.usual is None and isinstance(setting.default, kind) else None
        hint: Any = list[kind] if setting.many and not option.commas else kind  # type: ignore[valid-type]
        yield _parameter(setting.name, hint, info, ... if setting.required else default)
    spoken = Session()
    for name, (kind, flag, text) in SPEAKS.items():
        metavar = "|".join(get_args(kind)) or None
        option = typer.Option(flag, help=text, metavar=metavar, rich_help_panel=Panel.SPEAKS.value)
        yield _parameter(name, kind, option, getattr(spoken, name))


def _parameter(name: str, kind: Any, info: Any, default: object) -> inspect.Parameter:
    annotated: Any = Annotated
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=inspect.Parameter.empty if default is ... else default,
        annotation=annotated[kind | None if default is None else kind, info],
    )


def _completion(choices: tuple[str, ...]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete
