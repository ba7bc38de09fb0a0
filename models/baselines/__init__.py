"""Methods of the comparison. A new one is a file beside this, which exports one :class:`Method`, and a line in ``METHODS``."""

from __future__ import annotations

from collections.abc import Mapping

from causalprint.models.baselines.aedr import AEDR
from causalprint.models.baselines.aeroblade import AEROBLADE
from causalprint.models.baselines.base import Crops, Kit, Method, Predict, Training, UnavailableError
from causalprint.models.baselines.causal import CAUSAL, CAUSAL_PAPER
from causalprint.models.baselines.clip_layers import CLIP_LAYERS
from causalprint.models.baselines.clip_linear import CLIP_LINEAR
from causalprint.models.baselines.dire_cnn import DIRE_CNN
from causalprint.models.baselines.dna_det import DNA_DET
from causalprint.models.baselines.durall20 import DURALL20
from causalprint.models.baselines.dzanic20 import DZANIC20
from causalprint.models.baselines.frank20 import FRANK20
from causalprint.models.baselines.manifpt import MANIFPT_FREQ, MANIFPT_LEARNED, MANIFPT_RGB
from causalprint.models.baselines.marra19 import MARRA19
from causalprint.models.baselines.mccloskey18 import MCCLOSKEY18
from causalprint.models.baselines.nataraj19 import NATARAJ19
from causalprint.models.baselines.prism import PRISM
from causalprint.models.baselines.synthbuster import SYNTHBUSTER
from causalprint.models.baselines.wang20 import WANG20
from causalprint.models.baselines.yu19 import YU19

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
    YU19,
    WANG20,
    DNA_DET,
    DIRE_CNN,
    MANIFPT_RGB,
    MANIFPT_FREQ,
    MANIFPT_LEARNED,
    AEROBLADE,
    AEDR,
    CLIP_LINEAR,
    CLIP_LAYERS,
    CAUSAL_PAPER,
    CAUSAL,
)
"""Every method, in the order of the comparison's table."""

BASELINES: Mapping[str, Method] = {method.name: method for method in METHODS}
"""Every method by name."""
