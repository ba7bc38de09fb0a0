"""What names a residual on the command line: ``kind:path-or-hub-name?option=value&option=value``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl

EXAMPLE = "for example autoencoder:stabilityai/sd-vae-ft-mse or denoise:/path/to/pipeline?timestep=12"


class ResidualError(ValueError):
    """A residual that cannot be made: what was asked for, where it was looked for and what to do instead, in one sentence."""


@dataclass(frozen=True, slots=True)
class ResidualSpec:
    """A residual by name.

    Attributes:
        kind: a key of ``causalprint.models.residuals.RESIDUALS``.
        location: a directory, or the name of a model on the Hugging Face hub (``owner/name``).
        options: name and value as written, sorted by name.
    """

    kind: str
    location: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """The text that parses to this value."""
        options = "&".join(f"{name}={value}" for name, value in self.options)
        return f"{self.kind}:{self.location}" + (f"?{options}" if options else "")

    def text(self, name: str, default: str) -> str:
        """Option ``name`` as it was written, or ``default``."""
        return dict(self.options).get(name, default)

    def integer(self, name: str, default: int, lowest: int, highest: int) -> int:
        """Option ``name`` as a whole number from ``lowest`` to ``highest``, or ``default``.

        Raises:
            ResidualError: it is none.
        """
        value = self.number(name, default, lowest, highest)
        if value != int(value):
            message = f"residual {str(self)!r}: {name}={value} is no whole number; give one from {lowest} to {highest}"
            raise ResidualError(message)
        return int(value)

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        """Option ``name`` as a number from ``lowest`` to ``highest``, or ``default``.

        Raises:
            ResidualError: it is none.
        """
        written = self.text(name, str(default))
        try:
            value = float(written)
        except ValueError as error:
            message = f"residual {str(self)!r}: {name}={written} is no number; give one from {lowest} to {highest}"
            raise ResidualError(message) from error
        if not lowest <= value <= highest:
            message = f"residual {str(self)!r}: {name}={written} is out of range; give a number from {lowest} to {highest}"
            raise ResidualError(message)
        return value


def split_spec(text: str) -> ResidualSpec:
    """Cuts ``text`` into kind, location and options; whether they mean anything is for the registry to say.

    Raises:
        ResidualError: kind or location is missing, or an option has no value or comes twice.
    """
    kind, colon, rest = text.partition(":")
    location, _, query = rest.partition("?")
    if not (kind and colon and location):
        message = f"residual {text!r} is not of the form kind:path-or-hub-name; {EXAMPLE}"
        raise ResidualError(message)
    try:
        options = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError as error:
        message = f"residual {text!r}: options {query!r} are not of the form option=value&option=value; {EXAMPLE}"
        raise ResidualError(message) from error
    if len(dict(options)) < len(options):
        message = f"residual {text!r}: an option comes twice in {query!r}; give each once"
        raise ResidualError(message)
    return ResidualSpec(kind, location, tuple(sorted(options)))
