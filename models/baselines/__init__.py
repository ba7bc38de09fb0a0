"""Methods of the comparison. A new one is a file beside this, which exports one :class:`Method`, and a line in ``METHODS``."""

from __future__ import annotations

from collections.abc import Mapping

from causalprint.models.baselines.base import Crops, Kit, Method, Predict, Training, UnavailableError
from causalprint.models.baselines.durall20 import DURALL20
from causalprint.models.baselines.dzanic20 import DZANIC20
from causalprint.models.baselines.frank20 import FRANK20
from causalprint.models.baselines.marra19 import MARRA19
from causalprint.models.baselines.mccloskey18 import MCCLOSKEY18
from causalprint.models.baselines.nataraj19 import NATARAJ19
from causalprint.models.baselines.prism import PRISM
from causalprint.models.baselines.synthbuster import SYNTHBUSTER

__all__ = ["BASELINES", "METHODS", "Crops", "Kit", "Method", "Predict", "Training", "UnavailableError"]

METHODS: tuple[Method, ...] = (
    MCCLOSKEY18,
    MARRA19,
    NATARAJ19,
    DURALL20,
    DZANIC20,
    FRANK20,
    SYNTHBUSTER,
    PRISM,
)
"""Every method, in the order of the comparison's table."""

BASELINES: Mapping[str, Method] = {method.name: method for method in METHODS}
"""Every method by name."""
