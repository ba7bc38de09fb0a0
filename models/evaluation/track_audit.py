"""Audits of an evaluation's images: whether what is no fingerprint tells their sources apart. One above chance voids the track.

Ridge regression as in :mod:`causalprint.models.statistics.ridge`, cross-validated by content; in its primal form, since the
features are few and the images may be many.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.evaluation.scoring import interval
from causalprint.models.evaluation.scoring_tables import Resampling
from causalprint.models.evaluation.shortcuts import thumbnails
from causalprint.models.statistics.metrics import Labels, Mask, bootstrap, macro_recall
from causalprint.models.statistics.ridge import Floats, Text, balance, indicators, standard_of, standardise
from causalprint.schemas.evaluations import Shortcut

FOLDS = 5
RIDGE = 0.1
CLIP = 5.0
ERRORS = 3.0
"""So many standard errors above chance void the track."""


class LabelledImages(NamedTuple):
    """N images and what is known of them.

    Attributes:
        crops: uint8 (N, C, C, 3), of each one the same size.
        image_id: SHA-256 of the encoded bytes, lower-case hex, (N,).
        encoded_bytes: of the files, int64 (N,).
        encoding: of the files: JPEG, PNG, …, (N,).
        size: height and width of the whole images in pixels, int64 (N, 2).
        source, origin, content: as labelled, (N,).
    """

    crops: npt.NDArray[np.uint8]
    image_id: Text
    encoded_bytes: npt.NDArray[np.int64]
    encoding: Text
    size: npt.NDArray[np.int64]
    source: Text
    origin: Text
    content: Text


def audit_track(images: LabelledImages, chosen: Mask, resampling: Resampling) -> tuple[Shortcut, ...]:
    """The three audits of the images in the mask ``chosen`` (N,); none where those are of one source or of one content."""
    names, label = np.unique(images.source[chosen], return_inverse=True)
    origin, content = images.origin[chosen], images.content[chosen]
    folds = content_folds(content, resampling.seed)
    if len(names) < 2 or len(folds) < 2:
        return ()
    # All of them, one by one: a mask would fetch every crop of a mapped file into memory.
    glance = thumbnails(images.crops)[chosen].astype(np.float32)
    shuffled = np.random.default_rng(resampling.seed).permutation(label)
    audits = (
        ("size and encoding of the file, height and width", _listing(images)[chosen], label),
        ("mean colour and a 16x16 thumbnail", glance, label),
        ("the thumbnail, labels shuffled", glance, shuffled),
    )
    found = []
    for name, values, truth in audits:
        answers = cross_validate(values, truth, origin, folds)
        recall = bootstrap(
            lambda rows, truth=truth, answers=answers: macro_recall(truth[rows], answers[rows]),  # type: ignore[misc]
            content.tolist(),
            *resampling,
        )
        chance = 1 / len(names)
        voids = recall.value - chance > ERRORS * recall.standard_error
        found.append(Shortcut(name, interval(recall), round(chance, 6), bool(voids)))
    return tuple(found)


def cross_validate(values: Floats, label: Labels, origin: Text, folds: list[Mask]) -> Labels:
    """The label (N,) that is found for each image by a ridge regression on ``values`` (N, D) which has not seen its fold."""
    classes = int(label.max()) + 1
    answers = np.zeros(len(label), np.int64)
    for held_out in folds:
        learned = ~held_out
        standard = standard_of(values[learned], (values.shape[1],))
        weights = torch.from_numpy(balance(label[learned], origin[learned]))[:, None]
        z, unseen = (_with_constant(standardise(values[rows], standard, CLIP)) for rows in (learned, held_out))
        moments = z.T @ (weights * z) + RIDGE * torch.eye(z.shape[1])
        solution = torch.linalg.solve(moments, z.T @ (weights * indicators(label[learned], classes)))
        answers[held_out] = (unseen @ solution).argmax(dim=1).numpy()
    return answers


def content_folds(content: Text, seed: int) -> list[Mask]:
    """Disjoint masks (N,) that together hold every image; images of one content are in one of them."""
    names, place = np.unique(content, return_inverse=True)
    count = min(FOLDS, len(names))
    fold = np.random.default_rng(seed).permutation(len(names)) % count if count else place
    return [fold[place] == index for index in range(count)]


def _listing(images: LabelledImages) -> Floats:
    logs = np.log(np.column_stack([images.encoded_bytes, images.size]).astype(np.float64))
    _, kind = np.unique(images.encoding, return_inverse=True)
    listed: Floats = np.column_stack([logs, logs**2, logs**3, np.eye(kind.max() + 1)[kind]]).astype(np.float32)
    return listed


def _with_constant(z: torch.Tensor) -> torch.Tensor:
    return torch.cat([z, torch.ones(len(z), 1)], dim=1)
