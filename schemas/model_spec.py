"""What names a pretrained model, wherever one is named: ``kind:location?option=value&option=value``; and how a lens reads."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

Reading = Literal["residual", "difference", "image"]
READINGS: tuple[Reading, ...] = get_args(Reading)
"""Whether a lens is shown the residual, or the difference of what it sees in image and reconstruction, or the image."""
INSIDE = "./"


class ModelError(ValueError):
    """A model that cannot be had: what was asked for, where it was looked for and what to do instead, in one sentence."""


class ResidualError(ModelError):
    """A residual that cannot be had."""


class LensError(ModelError):
    """A lens that cannot be had."""


def is_spec(text: str) -> bool:
    """Whether ``text`` names a model by its place; else it is the plain name of something that is built in."""
    return ":" in text


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by name. Its text is what it was parsed from.

    Attributes:
        kind: a key of a registry, which says what kinds there are and what options each takes.
        location: a file or directory, a model's name on a hub, or what else the kind takes; one that starts with ``./`` lies in
            the bundle that names it.
        options: name and value as written, in order.
        noun: what errors call it.
        refusal: what they are.
        example: what they offer.
    """

    kind: str
    location: str
    options: tuple[tuple[str, str], ...] = ()

    noun: ClassVar[str] = "model"
    refusal: ClassVar[type[ModelError]] = ModelError
    example: ClassVar[str] = "for example denoise:/path/to/pipeline?timestep=12"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Cuts ``text`` up. Looks at no file; whether kind and options mean anything is for a registry to say.

        Raises:
            ModelError: (a residual's :class:`ResidualError`, a lens's :class:`LensError`) kind or location is missing, or an
                option has no value or comes twice.
        """
        kind, _, rest = text.partition(":")
        location, _, query = rest.partition("?")
        if not (kind and location):
            raise cls.refusal(f"{cls.noun} {text!r} is not of the form kind:path-or-hub-name; {cls.example}")
        pairs = [option.partition("=") for option in query.split("&") if query]
        if not all(name and equals for name, equals, _ in pairs):
            raise cls.refusal(
                f"{cls.noun} {text!r}: options {query!r} are not of the form option=value&option=value; {cls.example}"
            )
        if len({name for name, _, _ in pairs}) < len(pairs):
            raise cls.refusal(f"{cls.noun} {text!r}: an option comes twice in {query!r}; give each once")
        return cls(kind, location, tuple((name, value) for name, _, value in pairs))

    def __str__(self) -> str:
        """The text that parses to this value."""
        return f"{self.kind}:{self.location}" + (f"?{self.query}" if self.options else "")

    @property
    def query(self) -> str:
        """The options as they are written."""
        return "&".join(f"{name}={value}" for name, value in self.options)

    def error(self, what: str) -> ModelError:
        """The error that says ``what`` is wrong with this model, and what to do instead."""
        return self.refusal(f"{self.noun} {str(self)!r}: {what}")

    def check_kind(self, kinds: Collection[str]) -> None:
        """Raises :class:`ModelError` where the kind is none of ``kinds``."""
        if self.kind not in kinds:
            raise self.error(f"there is no kind {self.kind!r}; choose one of {', '.join(kinds)}")

    def check_options(self, options: Collection[str]) -> None:
        """Raises :class:`ModelError` where an option is none of ``options``."""
        for name, _ in self.options:
            if name not in options:
                raise self.error(f"{self.kind} has no option {name!r}; it has {', '.join(options) or 'none'}")

    @property
    def is_inside(self) -> bool:
        """Whether the model lies in the bundle that names it."""
        return self.location.startswith(INSIDE)

    def resolve(self, folder: Path) -> Self:
        """The same model to whoever stands elsewhere, if it lies in a bundle: the one in ``folder``."""
        return self.relocate(f"{folder.resolve()}/{self.location.removeprefix(INSIDE)}") if self.is_inside else self

    def relocate(self, location: str) -> Self:
        """The same kind and options at another location."""
        return replace(self, location=location)

    def text(self, name: str, default: str) -> str:
        """Option ``name`` as it was written, or ``default``."""
        return dict(self.options).get(name, default)

    def choice(self, name: str, choices: Collection[str]) -> str:
        """Option ``name``, one of ``choices``, or the first of them; else a :class:`ModelError`."""
        written = self.text(name, next(iter(choices)))
        if written not in choices:
            raise self.error(f"{name}={written} is unknown; give {' or '.join(choices)}")
        return written

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Option ``name`` as a whole number from ``lowest`` to ``highest``, or ``default``; else a :class:`ModelError`."""
        value = self.number(name, default, lowest, highest)
        if value != int(value):
            raise self.error(f"{name}={value} is no whole number; give one from {lowest} to {highest}")
        return int(value)

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        """Option ``name`` as a number from ``lowest`` to ``highest``, or ``default``; else a :class:`ModelError`."""
        written = self.text(name, str(default))
        try:
            value = float(written)
        except ValueError as error:
            raise self.error(f"{name}={written} is no number; give one from {lowest} to {highest}") from error
        if not lowest <= value <= highest:
            raise self.error(f"{name}={written} is out of range; give a number from {lowest} to {highest}")
        return value

    def ordinals(self, name: str) -> tuple[int, ...]:
        """Option ``name`` as ascending whole numbers from 1, with commas; none where it is missing; else :class:`ModelError`."""
        written = self.text(name, "")
        parts = written.split(",") if written else []
        values = tuple(int(part) for part in parts if part.isascii() and part.isdigit())
        if len(values) < len(parts) or 0 in values or list(values) != sorted(set(values)):
            raise self.error(f"{name}={written} are no whole numbers from 1 in ascending order; give for example {name}=4,6,8")
        return values

    def colour(self, name: str) -> tuple[float, ...] | None:
        """Option ``name`` as one number for each of red, green and blue, or one for all; ``None`` where it is not given.

        Raises:
            ModelError: it is neither.
        """
        written = dict(self.options).get(name)
        if written is None:
            return None
        try:
            values = tuple(float(part) for part in written.split(","))
        except ValueError as error:
            raise self.error(f"{name}={written} is no number and no three numbers with commas") from error
        if len(values) not in (1, 3):
            raise self.error(f"{name}={written} has {len(values)} numbers; give one, or one for each of red, green and blue")
        return values * 3 if len(values) == 1 else values


class ResidualSpec(ModelSpec):
    """A residual by name."""

    __slots__ = ()
    noun = "residual"
    refusal = ResidualError
    example = "for example autoencoder:stabilityai/sd-vae-ft-mse or denoise:/path/to/pipeline?timestep=12"


class LensSpec(ModelSpec):
    """A learned lens by name."""

    __slots__ = ()
    noun = "lens"
    refusal = LensError
    example = "for example transformers:facebook/dino-vitb16, or onnx:/path/model.onnx"
