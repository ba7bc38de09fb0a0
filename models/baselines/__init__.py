"""Methods of the comparison. A new one is a file beside this, which exports one :class:`Method`, and a line in ``METHODS``."""

from __future__ import annotations

from collections.abc import Mapping

from causalprint.models.baselines.base import Crops, Kit, Method, Predict, Training, UnavailableError

__all__ = ["BASELINES", "METHODS", "Crops", "Kit", "Method", "Predict", "Training", "UnavailableError"]

METHODS: tuple[Method, ...] = ()
"""Every method, in the order of the comparison's table."""

BASELINES: Mapping[str, Method] = {method.name: method for method in METHODS}
"""Every method by name."""
