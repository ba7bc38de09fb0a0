"""What a method of the comparison is: features of a crop, and a rule learned from them that scores every source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy.typing as npt
import torch

from causalprint.models.bundles.bundle import DEFAULT, load_bundle
from causalprint.models.bundles.manifest import BundleError
from causalprint.schemas.arrays import Crops, Labels, Mask, Scores, Text
from causalprint.schemas.model_spec import LensError, ResidualError

AUTOENCODERS = tuple(f"autoencoder:{DEFAULT.parent / name}" for name in ("autoencoder-nearest", "autoencoder-pixelshuffle"))
"""Specs of the two in the package."""

Predict = Callable[[npt.NDArray[Any]], Scores]
"""Features (M, …) -> scores (M, K), finite; the largest is the answer. Monotone in log-probability where a method has one."""


class UnavailableError(RuntimeError):
    """A method cannot run here: what is missing, and the remedy, in one sentence."""


UNAVAILABLE = (UnavailableError, BundleError, LensError, ResidualError)
"""What says that a method cannot run here."""


@dataclass(frozen=True, slots=True)
class Kit:
    """What methods may use besides the training rows.

    Attributes:
        device: where networks run.
        residual: residual spec of methods that read one; by default that of the package's bundle.
        autoencoders: residual specs of autoencoders, for methods that reconstruct by several (AEROBLADE, AEDR);
            by default the two in the package.
        clip: spec of a learned lens, for methods on pretrained features: ``onnx:/path/model.onnx``, or
            ``transformers:`` and a path or a hub's name. ``None``: there is none, and they raise :class:`UnavailableError`.
        epochs: of networks that are learned from scratch or fine-tuned.
        threads: that a method may use.
    """

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    residual: str = field(default_factory=lambda: load_bundle().residual)
    autoencoders: tuple[str, ...] = AUTOENCODERS
    clip: str | None = None
    epochs: int = 6
    threads: int = 2


class Training(NamedTuple):
    """The rows that one split gives to learn from, N of them.

    Attributes:
        features: (N, …), as of :attr:`Method.features`.
        labels: int64 (N,), 0 … ``classes`` - 1; 0 stands for ``real``.
        classes: K.
        origins: str (N,), the collection that an image is from.
        contents: str (N,), what images of one scene or prompt share.
        validation: bool (N,): rows for early stopping, choices and thresholds, never learned from.
        seed: of every random choice.
    """

    features: npt.NDArray[Any]
    labels: Labels
    classes: int
    origins: Text
    contents: Text
    validation: Mask
    seed: int


@dataclass(frozen=True, slots=True)
class Method:
    """A method of the literature, or one of ours, as the comparison runs it.

    Attributes:
        name: its key in ``causalprint.research.methods.BASELINES``.
        title: as tables show it.
        reference: authors, venue, arXiv id.
        published: the published figure with its setting, or why there is none to compare with.
        differs: why ours differs from that.
        features: crops (N, C, C, 3), kit -> (N, …), float16, float32 or uint8; a row depends on its crop alone, so that rows
            can be computed in chunks and kept.
        fit: training rows, kit -> the rule. Deterministic for ``Training.seed``.

    Both raise one of :data:`UNAVAILABLE` where the kit or the machine lacks what they need.
    """

    name: str
    title: str
    reference: str
    published: str
    differs: str
    features: Callable[[Crops, Kit], npt.NDArray[Any]]
    fit: Callable[[Training, Kit], Predict]
