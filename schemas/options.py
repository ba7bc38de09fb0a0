"""What a command can be told: each option once, as a field of the command's configuration. Knows no command line library."""

from __future__ import annotations

import os
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from causalprint.schemas.places import Place, absolute, local_path
from causalprint.schemas.urls import public

PROGRAM = "causalprint"
HERE = "direct"
"""The one ``--runner`` whose workers are on this machine."""
_CALLED = {str: "a text", int: "a whole number", float: "a number", bool: "True or False", Path: "a path"}


class OptionError(ValueError):
    """An option has a value that it cannot have; the message names it as the command line spells it, and what it takes."""


class Panel(StrEnum):
    """Under which heading ``--help`` shows an option."""

    DATA = "Input and output"
    COMPUTES = "What computes"
    RUNS = "How it runs"
    SPEAKS = "How it speaks"


DATA, COMPUTES, RUNS, SPEAKS = Panel


class Stated(Enum):
    """When an option stands in the command that repeats a run; behind an ``Option`` in an annotation it overrides that one's."""

    IF_GIVEN = auto()
    """Where its value is not the default."""
    ALWAYS = auto()
    NEVER = auto()
    """It may hold secrets, or says where an interrupted run goes on."""


@dataclass(frozen=True, slots=True)
class Option:
    """An option, as the annotation of its field says it: ``limit: Annotated[int, Option("Read at most …", "N", least=1)]``.

    Attributes:
        help: a sentence that says what the option does.
        metavar: stands for the value in ``--help``; by default the choices.
        panel: where ``--help`` shows it.
        names: how it is typed, the long form first; by default ``--`` and the field's name.
        choices: all values that it takes; where there is ``parse``, those that are offered.
        least: the smallest value that it takes.
        usual: what is taken where nothing is given, in words; for defaults that do not say it themselves.
        commas: whether several values are given at once, with commas between them, and not by repeating the option.
        positional: whether it is given without a name.
        stated: when the command that repeats a run states it.
        parse: makes the field's value from what was given, a text of the command line or a value; raises ValueError.
        place: of values that may name what lies on this machine's disk.
    """

    help: str
    metavar: str | None = None
    panel: Panel = COMPUTES
    names: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    least: float | None = None
    usual: str | None = None
    commas: bool = False
    positional: bool = False
    stated: Stated = Stated.IF_GIVEN
    parse: Callable[[Any], Any] | None = None
    place: Place | None = None


def argument(text: str, metavar: str = "INPUT") -> Option:
    """What a command is given without a name; ``text`` says what that is."""
    return Option(text, metavar, DATA, positional=True, place=Place.URL)


def output(text: str, metavar: str = "DIR") -> Option:
    """Where a command writes."""
    return Option(text, metavar, DATA, ("--output", "-o"), stated=Stated.ALWAYS, place=Place.URL)


class Setting(NamedTuple):
    """A field of a configuration.

    Attributes:
        name: of the field.
        kind: type of its value, of one of its values where there are ``many``.
        many: whether it is a tuple.
        optional: whether it may be ``None``.
        default: ``MISSING`` where a value must be given.
        option: by which the command line sets it; ``None`` where only Python does.
    """

    name: str
    kind: type
    many: bool
    optional: bool
    default: Any
    option: Option | None

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is MISSING

    @property
    def names(self) -> tuple[str, ...]:
        """How it is typed: ``("--output", "-o")``; empty where it is given without a name."""
        if self.option is None or self.option.positional:
            return ()
        return self.option.names or (f"--{self.name.replace('_', '-')}",)

    @property
    def spelling(self) -> str:
        """What errors call it."""
        if self.option is None:
            return self.name
        return self.names[0] if self.names else self.option.metavar or self.name

    def checked(self, value: object) -> object:
        """The field's value for ``value``: lists become tuples, texts become what the field holds.

        Raises:
            OptionError: it takes no such value.
        """
        if value is None and self.optional:
            return None
        if not self.many:
            return self._one(value)
        several = value
        if isinstance(value, str | os.PathLike):
            split = self.option is not None and self.option.commas
            several = [self._read(part.strip()) for part in str(value).split(",") if part.strip()] if split else [value]
        if not isinstance(several, list | tuple):
            raise OptionError(f"{self.spelling} takes a list, not {value!r}")
        if self.required and not several:
            raise OptionError(f"{self.spelling} is missing: give at least one")
        return tuple(self._one(one) for one in several)

    def _read(self, text: str) -> object:
        """One of several values that a text gives at once: the number that it writes, where numbers are wanted."""
        try:
            return self.kind(text) if self.kind in (int, float) else text
        except ValueError:
            return text

    def _one(self, value: object) -> object:
        option = self.option
        if option is not None and option.parse is not None:
            try:
                return option.parse(value)
            except ValueError as error:
                raise OptionError(f"{self.spelling}: {error}") from error
        if self.kind in (str, Path) and isinstance(value, str | os.PathLike):
            value = self.kind(os.fspath(value))
        if self.kind is float and type(value) is int:
            value = float(value)
        if not isinstance(value, self.kind) or (isinstance(value, bool) and self.kind is not bool):
            raise OptionError(f"{self.spelling} takes {_CALLED.get(self.kind, self.kind.__name__)}, not {value!r}")
        if option is not None and option.choices and value not in option.choices:
            raise OptionError(f"{self.spelling} {value!r} is none of {', '.join(option.choices)}")
        if option is not None and option.least is not None and typing.cast("float", value) < option.least:
            raise OptionError(f"{self.spelling} must be at least {option.least:g}, not {value!r}")
        return value

    def absolute(self, value: Any) -> Any:
        """``value`` as machines elsewhere find what it names."""
        if value is None or self.option is None or self.option.place is None:
            return value
        place = self.option.place
        return tuple(absolute(one, place) for one in value) if self.many else absolute(value, place)

    def local_paths(self, value: Any) -> list[str]:
        """What of ``value`` is a path on this machine."""
        if value is None or self.option is None or self.option.place is None:
            return []
        place = self.option.place
        return [path for one in (value if self.many else (value,)) if (path := local_path(one, place)) is not None]

    def words(self, value: Any) -> list[str]:
        """What sets it to ``value`` on the command line."""
        option, (name, *_) = self.option, self.names or ("",)
        if option is None or option.stated is Stated.NEVER or value is None:
            return []
        if option.positional:
            return [str(one) for one in (value if self.many else (value,))]
        if value == self.default and option.stated is Stated.IF_GIVEN:
            return []
        if isinstance(value, bool):
            return [name] * value
        if self.many and not option.commas:
            return [word for one in value for word in (name, str(one))]
        return [name, ",".join(map(str, value)) if self.many else str(value)]


class Command:
    """Base of the configuration of a command: a frozen dataclass whose fields are the command's options.

    Where its pipeline runs elsewhere, local paths are absolute, for workers run in folders of their own. It is made from keywords
    in Python as from words on the command line, and refuses the same values in the same words:
    ``AuditConfig(inputs=["photos/"], output="audit")``.

    Attributes:
        NAME: of the command: ``audit``, ``lab compare``.

    Raises:
        OptionError: a field cannot have the value that was given.
    """

    __slots__ = ()
    NAME = ""

    def __post_init__(self) -> None:
        elsewhere = getattr(self, "runner", HERE) != HERE
        for setting in settings_of(type(self)):
            value = setting.checked(getattr(self, setting.name))
            object.__setattr__(self, setting.name, setting.absolute(value) if elsewhere else value)

    def local_paths(self) -> tuple[str, ...]:
        """What it names on a disk of this machine, each once, in the order of the fields."""
        paths = (path for setting in settings_of(type(self)) for path in setting.local_paths(getattr(self, setting.name)))
        return tuple(dict.fromkeys(paths))

    def argv(self) -> tuple[str, ...]:
        """The command that repeats this, in words: what is given without a name first, the options in the order of the fields.

        Options stand there as their :class:`Stated` says; URLs without their secrets.
        """
        settings = sorted(settings_of(type(self)), key=lambda setting: bool(setting.names))
        words = [word for setting in settings for word in setting.words(getattr(self, setting.name))]
        return (PROGRAM, *self.NAME.split(), *map(public, words))


def settings_of(config: Any) -> Sequence[Setting]:
    """The fields of a configuration, a dataclass derived from :class:`Command`, in their order."""
    hints = typing.get_type_hints(config, include_extras=True)
    return tuple(_setting(field.name, hints[field.name], field.default) for field in fields(config))


def _setting(name: str, hint: Any, default: object) -> Setting:
    option = None
    if typing.get_origin(hint) is Annotated:
        hint, *notes = typing.get_args(hint)
        option = next(note for note in notes if isinstance(note, Option))
        option = replace(option, stated=next((note for note in reversed(notes) if isinstance(note, Stated)), option.stated))
    optional = isinstance(hint, types.UnionType)
    if optional:
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    many = typing.get_origin(hint) is tuple
    return Setting(name, typing.get_args(hint)[0] if many else hint, many, optional, default, option)
