"""Linear discriminants (Fisher, Annals of Eugenics 1936): classes are Gaussians about their centres, of one covariance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.schemas.arrays import Doubles, Labels

SHRINKAGE = 0.01
"""Share of the mean variance that is added to each, in the covariance about the centres."""


class WithinMetric(NamedTuple):
    """Where the K classes are in D dimensions, and how far is far.

    Attributes:
        centre: (K, D); the mean of all for a class without rows.
        whitening: symmetric (D, D), makes the covariance about the centres the identity.
    """

    centre: Doubles
    whitening: Doubles


class Discriminants(NamedTuple):
    """``rows @ weight.T + bias`` is the log-likelihood of each class over that of the middle of all centres, nats, (N, K).

    Attributes:
        weight: (K, D).
        bias: (K,).
    """

    weight: Doubles
    bias: Doubles

    def __call__(self, rows: npt.NDArray[np.floating]) -> Doubles:
        """(N, K) of rows (N, D)."""
        return rows.astype(np.float64) @ self.weight.T + self.bias


def learn_metric(rows: npt.NDArray[np.floating], labels: Labels, weights: Doubles, classes: int) -> WithinMetric:
    """Centres and covariance of rows (N, D).

    Args:
        rows: (N, D).
        labels: (N,), below ``classes``.
        weights: (N,), what each row weighs.
        classes: K.
    """
    values = rows.astype(np.float64)
    centre = np.tile(np.average(values, axis=0, weights=weights), (classes, 1))
    for label in np.unique(labels):
        of_class = labels == label
        centre[label] = np.average(values[of_class], axis=0, weights=weights[of_class])
    offsets = values - centre[labels]
    covariance = (offsets * weights[:, None]).T @ offsets / weights.sum()
    covariance += SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    spread, axes = np.linalg.eigh(covariance)
    return WithinMetric(centre, axes / np.sqrt(spread) @ axes.T)


def discriminants(centre: npt.NDArray[np.floating], whitening: npt.NDArray[np.floating]) -> Discriminants:
    """Those of a metric."""
    middle = centre.mean(axis=0, dtype=np.float64)
    offsets = centre - middle
    weight = offsets @ np.asarray(whitening, np.float64) @ whitening
    return Discriminants(weight, -weight @ middle - (weight * offsets).sum(axis=1) / 2)
