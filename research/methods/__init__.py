"""Methods of the comparison. A new one is a file beside this, which exports one :class:`Method`, and a line in ``BASELINES``."""

from __future__ import annotations

from causalprint.research.methods.aedr import AEDR
from causalprint.research.methods.aeroblade import AEROBLADE
from causalprint.research.methods.causal import CAUSAL, CAUSAL_PAPER
from causalprint.research.methods.clip_layers import CLIP_LAYERS
from causalprint.research.methods.clip_linear import CLIP_LINEAR
from causalprint.research.methods.dire_cnn import DIRE_CNN
from causalprint.research.methods.dna_det import DNA_DET
from causalprint.research.methods.durall20 import DURALL20
from causalprint.research.methods.dzanic20 import DZANIC20
from causalprint.research.methods.frank20 import FRANK20
from causalprint.research.methods.manifpt import MANIFPT_FREQ, MANIFPT_LEARNED, MANIFPT_RGB
from causalprint.research.methods.marra19 import MARRA19
from causalprint.research.methods.mccloskey18 import MCCLOSKEY18
from causalprint.research.methods.nataraj19 import NATARAJ19
from causalprint.research.methods.prism import PRISM
from causalprint.research.methods.synthbuster import SYNTHBUSTER
from causalprint.research.methods.wang20 import WANG20
from causalprint.research.methods.yu19 import YU19

BASELINES = {
    method.name: method
    for method in (
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
}
"""Every method by name, in the order of the comparison's table."""
