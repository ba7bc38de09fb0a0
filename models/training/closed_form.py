"""Where ours begins: ridge regression in closed form, written into the network's first weights.

min over W of sum_i w_i (sum_v |y_i - W z_iv|^2 + invariance sum_(u<v) |W z_iu - W z_iv|^2) + ridge |W|^2 over images i and their
versions u, v: attributed rightly, and moved little by interventions. To it is added, for each source of several origins,
between |W (z_o - z)|^2: the mean over its origins o of their means' distance to the mean of these, times versions and weight of
its images. What tells a source's collections apart is their history and not what made them. The first K numbers of a fingerprint
begin as its K scores. The next are those of other such regressions, onto whether a generator made the image: one of generated
images and photographs, one of generated images and graphics, one of generated images and paintings, where there are any. There
generated images weigh half, and an origin weighs the root of its images. A regression beside all of these at once would lose what
lies between photographs and graphics, as cartoons do. The next K - 1 are the linear discriminants of the images as they are,
without versions: processing an image wipes away the finest of what a generator leaves, scores do without it, and it is by this
that an image is like no known source. The others are the leading principal components of all lenses.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from causalprint.models.network.fusion import FingerprintNetwork
from causalprint.models.network.reduction import principal
from causalprint.models.statistics.origins import halved
from causalprint.models.training.sample import Sample
from causalprint.schemas.tables import FINGERPRINT_DIM

SCORE_GAIN = 8.0
"""Scores enter the fingerprint times this, so that their spread is of the order of 1."""
COMPONENT_GAIN = 0.5
"""Standard deviation of the discriminants and of the principal components in the fingerprint."""
SHRINKAGE = 0.5
"""Share of the mean variance that is added to each, in the covariance about the sources."""
DOUBT = 0.15
"""Added to a score of the detector over the root of its rival's origins: learned beside few, it is less to be relied on."""


class ClosedForm(NamedTuple):
    """Directions (128, C) over all lenses side by side, and offsets (128,)."""

    directions: Tensor
    offset: Tensor


class Penalty(NamedTuple):
    """Of the regressions, as the text above has it; ``detector`` is the ridge of the detector's, which have no ``between``."""

    ridge: float
    invariance: float = 0.0
    between: float = 0.0
    detector: float = 0.1


class _Origins(NamedTuple):
    """Means of origins less the mean of their source's, (R, C), over the root of how many it has; weights of its images, (R,)."""

    offsets: Tensor
    weights: Tensor


def closed_form(sample: Sample, classes: int, penalty: Penalty, seed: int = 0) -> ClosedForm:
    """The regressions of ``sample`` onto class indicators and onto being generated, then discriminants, then components."""
    joined = torch.cat(sample.lenses, dim=2)
    strength = joined.square().sum(dim=2).mean()  # so that ``ridge`` means the same whatever the lenses
    joined = joined / strength.sqrt()
    weights = sample.weights.float()
    targets = torch.nn.functional.one_hot(sample.labels, classes).float() - 1 / classes
    origins = _origins(joined.mean(dim=1), sample)
    scores = _regression(joined, weights, targets, penalty, origins)
    learned = torch.cat([scores, *(_detection(joined, sample, rival, penalty) for rival in range(sample.rivals))])
    plain = joined[:, 0] * strength.sqrt()
    middle = plain.mean(dim=0)
    apart = _discriminants(plain, sample.labels, weights, classes)
    others = torch.cat([apart, _components(plain - middle, FINGERPRINT_DIM - len(learned) - len(apart), seed)])
    return ClosedForm(
        torch.cat([learned[:, :-1] / strength.sqrt() * SCORE_GAIN, others]),
        torch.cat([learned[:, -1] * SCORE_GAIN, -others @ middle]),
    )


def _detection(joined: Tensor, sample: Sample, rival: int, penalty: Penalty) -> Tensor:
    """The regression of generated images and those of the kind ``rival`` onto being generated."""
    asked = sample.generated | (sample.rival == rival)
    made = sample.generated[asked]
    collections = torch.stack([sample.labels, sample.origins])[:, asked]
    _, origin, images = collections.unique(dim=1, return_inverse=True, return_counts=True)
    weights = halved(images[origin].double().rsqrt().numpy(), made.numpy())
    strength = penalty._replace(ridge=penalty.detector)
    found = _regression(joined[asked], torch.from_numpy(weights).float(), made.float()[:, None] - 0.5, strength)
    found[:, -1] += DOUBT * len(origin[~made].unique()) ** -0.5
    return found


def _origins(values: Tensor, sample: Sample) -> _Origins:
    """Those of images' values (N, C)."""
    offsets, weights = [values.new_zeros(0, values.shape[1])], list[float]()
    for label in sample.labels.unique().tolist():
        here = sample.labels == label
        names = sample.origins[here].unique()
        if len(names) > 1:
            means = torch.stack([values[here & (sample.origins == name)].mean(dim=0) for name in names])
            offsets.append((means - means.mean(dim=0)) * len(means) ** -0.5)
            weights += [float(sample.weights[here].sum())] * len(means)
    return _Origins(torch.cat(offsets), torch.tensor(weights))


def _regression(joined: Tensor, weights: Tensor, targets: Tensor, penalty: Penalty, origins: _Origins | None = None) -> Tensor:
    """Directions, and the intercept as their last column, (T, C + 1), of values (N, V, C) onto targets (N, T)."""
    _, versions, width = joined.shape
    rows = (joined * weights[:, None, None].sqrt()).flatten(0, 1)
    normal = rows.T @ rows
    if versions > 1 and penalty.invariance:
        offsets = ((joined - joined.mean(dim=1, keepdim=True)) * weights[:, None, None].sqrt()).flatten(0, 1)
        normal += penalty.invariance * versions * offsets.T @ offsets
    if penalty.between and origins is not None and len(origins.offsets):
        apart = origins.offsets * origins.weights.sqrt()[:, None]
        normal += penalty.between * versions * apart.T @ apart
    total = joined.sum(dim=1) * weights[:, None]
    border = total.sum(dim=0)[:, None]
    corner = (weights.sum() * versions)[None, None]
    normal = torch.cat([torch.cat([normal, border], dim=1), torch.cat([border.T, corner], dim=1)]).double()
    normal += penalty.ridge * torch.eye(width + 1, dtype=normal.dtype)
    right = torch.cat([total.T @ targets, ((weights * versions) @ targets)[None]]).double()
    found: Tensor = torch.linalg.solve(normal, right).T.float()
    return found


def start_from(network: FingerprintNetwork, form: ClosedForm, sizes: list[int]) -> None:
    """Writes ``form`` into the tokens of ``network``, whose lenses have ``sizes``."""
    with torch.no_grad():
        for index, (token, part) in enumerate(zip(network.tokens, form.directions.split(sizes, dim=1), strict=True)):
            token.get_parameter("weight").copy_(part)
            token.get_parameter("bias").copy_(form.offset if index == 0 else torch.zeros_like(form.offset))


def _discriminants(values: Tensor, labels: Tensor, weights: Tensor, classes: int) -> Tensor:
    """Directions (K - 1, C) in which sources are farthest apart over the spread of values (N, C) about their centres.

    Along each, values have the same spread about their centres, up to the shrinkage.
    """
    shares = torch.nn.functional.one_hot(labels, classes).float() * weights[:, None]
    centres = (shares.T @ values) / shares.sum(dim=0).clamp(min=1e-12)[:, None]
    centres[shares.sum(dim=0) == 0] = centres[shares.sum(dim=0) > 0].mean(dim=0)
    offsets = (values - centres[labels]) * weights.sqrt()[:, None]
    within = (offsets.T @ offsets / weights.sum()).double()
    width = len(within)
    within += SHRINKAGE * within.trace() / width * torch.eye(width, dtype=within.dtype)
    between = (centres - centres.mean(dim=0)).double()
    solved = torch.linalg.solve(within, between.T)
    strengths, axes = torch.linalg.eigh(between @ solved)
    chosen = slice(1, None)  # K centres span K - 1 directions
    directions = (solved @ axes[:, chosen] / strengths[chosen].clamp(min=1e-12).sqrt()).T.float()
    directions[strengths[chosen] < 1e-9 * strengths[-1]] = 0
    spread = (values - values.mean(dim=0)).matmul(directions.T).square().mean().sqrt()
    # The sign of a direction is the library's whim.
    signs = torch.where(directions.sum(dim=1) < 0, -1.0, 1.0)
    found: Tensor = directions * (COMPONENT_GAIN / spread.clamp(min=1e-12) * signs)[:, None]
    return found


def _components(centred: Tensor, count: int, seed: int) -> Tensor:
    """Principal directions (count, C) of centred values (N, C) over the spread along them, nought where there are no more."""
    width = centred.shape[1]
    basis = principal(centred, min(count, len(centred) - 1, width), seed)
    spread = (centred @ basis).square().mean(dim=0).sqrt()
    known = spread > 1e-4 * spread.max()
    directions = basis.T * (COMPONENT_GAIN / spread.clamp(min=1e-12) * known)[:, None]
    return torch.cat([directions, torch.zeros(count - len(directions), width)])
