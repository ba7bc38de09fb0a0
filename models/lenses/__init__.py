"""Lenses: ways to look at a residual. A new one is a file beside this and a line in :data:`LENSES`."""

from __future__ import annotations

from collections.abc import Mapping

from causalprint.models.lenses.base import READINGS, Lens, Reading, read
from causalprint.models.lenses.dct import DCT
from causalprint.models.lenses.fourier import DFT, QFT, RADIAL
from causalprint.models.lenses.rgb import RGB
from causalprint.models.lenses.stats import STATS

__all__ = ["LENSES", "READINGS", "Lens", "Reading", "read"]

LENSES: Mapping[str, Lens] = {lens.name: lens for lens in (RGB, DFT, DCT, QFT, RADIAL, STATS)}
"""Every lens by name, in the order in which their features are put side by side."""
