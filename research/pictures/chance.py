"""Draws at random, from a generator that a seed and names make, and the colours and words that pictures are made of."""

from __future__ import annotations

import colorsys
import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from causalprint.research.pictures.words import NAMES, PHRASES, WORDS

Chance = np.random.Generator
T = TypeVar("T")

PALETTES = (
    ("#264653", "#2a9d8f", "#e9c46a", "#f4a261", "#e76f51"),
    ("#003049", "#d62828", "#f77f00", "#fcbf49", "#eae2b7"),
    ("#0d1b2a", "#1b263b", "#415a77", "#778da9", "#e0e1dd"),
    ("#606c38", "#283618", "#fefae0", "#dda15e", "#bc6c25"),
    ("#ff0000", "#00a000", "#0000ff", "#ffff00", "#000000"),
    ("#f72585", "#7209b7", "#3a0ca3", "#4361ee", "#4cc9f0"),
    ("#222222", "#555555", "#888888", "#bbbbbb", "#eeeeee"),
    ("#cdb4db", "#ffc8dd", "#ffafcc", "#bde0fe", "#a2d2ff"),
    ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"),
    ("#005f73", "#0a9396", "#94d2bd", "#ee9b00", "#9b2226"),
)


def chance(seed: int, *names: object) -> Chance:
    """A generator for each seed and names, the same on every machine."""
    text = "\n".join(map(str, (seed, *names)))
    return np.random.default_rng(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint32).tolist())


def pick(draw: Chance, values: Sequence[T]) -> T:
    """One of the values."""
    return values[int(draw.integers(len(values)))]


def whole(draw: Chance, least: int, most: int) -> int:
    """A whole number from ``least`` to ``most``, both included."""
    return int(draw.integers(least, most + 1))


def real(draw: Chance, least: float, most: float) -> float:
    """A number between the two."""
    return float(draw.uniform(least, most))


def often(draw: Chance, probability: float) -> bool:
    """Whether what happens with this probability happens."""
    return bool(draw.random() < probability)


def hue(draw: Chance, saturation: float = 0.7, value: float = 0.8) -> str:
    """A colour ``#rrggbb`` of any hue."""
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(float(draw.random()), saturation, value))
    return f"#{red:02x}{green:02x}{blue:02x}"


def palette(draw: Chance) -> list[str]:
    """Five colours ``#rrggbb`` in any order: designers' ones, or random ones."""
    if often(draw, 0.3):
        return [hue(draw, real(draw, 0.3, 1), real(draw, 0.3, 1)) for _ in range(5)]
    colours = pick(draw, PALETTES)
    return [colours[int(place)] for place in draw.permutation(5)]


def words(draw: Chance, count: int) -> str:
    """So many words, in small letters."""
    return " ".join(pick(draw, WORDS) for _ in range(count))


def title(draw: Chance, most: int = 4) -> str:
    """Two words or more, the first with a capital."""
    return words(draw, whole(draw, 2, most)).capitalize()


def sentence(draw: Chance) -> str:
    """A sentence without sense, at times a phrase of another language."""
    if often(draw, 0.12):
        return pick(draw, PHRASES)
    return f"{words(draw, whole(draw, 4, 16)).capitalize()}{pick(draw, ('.', '.', '.', '?', '!', ';'))}"


def paragraph(draw: Chance, most: int = 7) -> str:
    """Several sentences."""
    return " ".join(sentence(draw) for _ in range(whole(draw, 2, most)))


def person(draw: Chance) -> str:
    """A first and a last name."""
    return f"{pick(draw, NAMES)} {pick(draw, WORDS).capitalize()}"


def rgb(colour: str) -> tuple[int, int, int]:
    """The levels of ``#rrggbb``."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
