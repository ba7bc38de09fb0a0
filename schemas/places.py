"""Options that name what may lie on a disk of this machine, and how a machine elsewhere finds the same."""

from __future__ import annotations

import os
from enum import Enum, auto
from pathlib import Path


class Place(Enum):
    """What the value of an option is, and so when it is a path."""

    URL = auto()
    """A URL or a path, of what is there or is to be."""
    BUNDLE = auto()
    """A path where a bundle lies there, else a name of one."""
    MODEL = auto()
    """``kind:location?option=value``, whose location is a path where something lies there, else a name of a hub."""


def local_path(value: str, place: Place) -> str | None:
    """The part of ``value`` that is a path on this machine; ``None`` where nothing of it is."""
    if place is Place.URL:
        before, found, _ = value.partition("://")
        return value if not found or "/" in before else None
    if place is Place.BUNDLE:
        return value if (Path(value) / "bundle.json").exists() else None
    location = value.partition(":")[2].partition("?")[0]
    return location if location and Path(location).exists() else None


def absolute(value: str, place: Place) -> str:
    """``value`` with its path, if it has one, from the root: relative ones mean another folder on another machine.

    ``..`` is kept, for behind a link it is not the folder before it.
    """
    path = local_path(value, place)
    if path is None:
        return value
    straight = os.path.join(os.getcwd(), os.path.expanduser(path).removeprefix("./"))  # noqa: PTH109, PTH111, PTH118 - any text
    return value.replace(path, straight, 1)
