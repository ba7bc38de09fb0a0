"""PRISM: amplitude and phase of the spectrum reduced over rings, and linear discriminant analysis.

Chosen here: the reduction of lens :func:`~causalprint.models.lenses.fourier.radial`, 45 rings: log10 of the mean power of each
channel and of luma, and the mean cosine and sine of luma's phase over the half plane. Discriminants assume sources equally
frequent; the shrinkage of their covariance by validation rows.
"""

from __future__ import annotations

import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from causalprint.models.lenses.fourier import RINGS, radial
from causalprint.research.methods.base import Kit, Method, Predict, Training
from causalprint.research.methods.estimators import learn_best
from causalprint.research.methods.images import each_tensor
from causalprint.schemas.arrays import Crops, Floats

AMPLITUDES = 4 * RINGS
PHASES = 2 * RINGS


def features(crops: Crops, kit: Kit) -> Floats:
    """float32 (N, 270): 180 of amplitude, 90 of phase. The lens's cross-channel profiles are no part of the method."""
    return each_tensor(crops, lambda image: radial(image)[:, : AMPLITUDES + PHASES], kit.device)


def fit(training: Training, kit: Kit) -> Predict:
    """Scores (M, K): the discriminants, log-probabilities up to a constant."""
    known = len(np.unique(training.labels[~training.validation]))
    equal = np.full(known, 1 / known)
    discriminants = [LinearDiscriminantAnalysis("lsqr", shrinkage=value, priors=equal) for value in ("auto", 0.01, 0.1, 0.3)]
    return learn_best(training, [make_pipeline(StandardScaler(), each) for each in discriminants])


PRISM = Method(
    name="prism",
    title="PRISM",
    reference="Ricco, Onofri, Cima, Cresci, Di Pietro: PRISM, arXiv 2509.15270",
    published="92.04 % over six generators (PRISM-36K); 81.60 % on average over four benchmarks",
    differs="few images a source, native crops of equal encoding, `real` among the sources, other publishers in the test",
    features=features,
    fit=fit,
)
