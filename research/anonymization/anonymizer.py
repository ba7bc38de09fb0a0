"""Attacks on whole images, and what attributors say of them before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from causalprint.models.bundles.manifest import Geometry
from causalprint.models.encodings import recompress
from causalprint.models.features import corners, cut
from causalprint.models.residuals.base import Residual
from causalprint.models.verdicts import Judge
from causalprint.research.anonymization.counterfactual import (
    Descent,
    Fidelity,
    Trace,
    chain,
    fidelity,
    mean_trace,
    pgd,
    random_noise,
    shuffled,
    swap,
    to_image,
    to_pixels,
)
from causalprint.research.anonymization.records import HeldOut, Seen

Pixels = npt.NDArray[np.uint8]
JPEG = 75


class Assessment(NamedTuple):
    """What is said of one image: as it is and as a JPEG of quality 75 by the attacked bundle, as it is by the held-out ones."""

    plain: Seen
    jpeg: Seen
    held_out: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Anonymizer:
    """Changes images so that the attacked bundle names another source. Thread safe.

    All that is changed lies in the crops that vote: the rest of a larger image has no part in the verdict.

    Attributes:
        judge: the attacked bundle.
        held_out: bundles that are only asked.
    """

    judge: Judge
    held_out: tuple[Judge, ...] = ()

    def assess(self, pixels: Pixels) -> Assessment:
        """What all bundles say of an image uint8 (H, W, 3)."""
        compressed = see(self.judge, recompress(pixels, JPEG))
        return Assessment(see(self.judge, pixels), compressed, tuple(see(judge, pixels) for judge in self.held_out))

    def descend(self, pixels: Pixels, descent: Descent, source: str, *, away: bool) -> Pixels:
        """:func:`~causalprint.research.anonymization.counterfactual.pgd` towards ``source``, or ``away`` from it."""
        fingerprinter = self.judge.fingerprinter
        index = torch.tensor([self.judge.bundle.manifest.sources.index(source)], device=fingerprinter.device)
        attacked = chain(fingerprinter, self.judge.attributor, pixels.shape[0], pixels.shape[1])
        image = to_image(pixels, fingerprinter.device)[None]
        changed: Pixels = to_pixels(pgd(attacked, image, index, descent, away=away))[0]
        return changed

    def exchange(self, pixels: Pixels, residual: Residual, source: Trace, target: Trace, epsilon: float) -> Pixels:
        """:func:`swap` in every voting crop; where they overlap, the last holds."""
        crop = self._geometry.crop
        changed = pixels.copy()
        for top, left in self._corners(pixels):
            part = to_image(pixels[top : top + crop, left : left + crop], self.judge.fingerprinter.device)[None]
            swapped = swap(part, residual(part).residual, source, target, epsilon)
            changed[top : top + crop, left : left + crop] = to_pixels(swapped)[0]
        return changed

    def perturb(self, pixels: Pixels, epsilon: float, seed: int) -> Pixels:
        """:func:`~causalprint.research.anonymization.counterfactual.random_noise` where crops vote."""
        noisy = to_pixels(random_noise(to_image(pixels, torch.device("cpu"))[None], epsilon, seed))[0]
        changed: Pixels = np.where(self._voting(pixels)[..., None], noisy, pixels)
        return changed

    def shuffle(self, pixels: Pixels, attacked: Pixels, seed: int) -> Pixels:
        """:func:`~causalprint.research.anonymization.counterfactual.shuffled` where crops vote."""
        voting, changed = self._voting(pixels), pixels.copy()
        original, other = (to_image(each[voting][None], torch.device("cpu")) for each in (pixels, attacked))
        changed[voting] = to_pixels(shuffled(original, other, seed))[0]
        return changed

    def fidelity(self, original: Pixels, changed: Pixels) -> Fidelity:
        """How near the crops that vote are to the original's."""
        return fidelity(cut(original, self._geometry), cut(changed, self._geometry))

    @property
    def _geometry(self) -> Geometry:
        return self.judge.bundle.manifest.geometry

    def _corners(self, pixels: Pixels) -> list[tuple[int, int]]:
        return corners(pixels.shape[0], pixels.shape[1], self._geometry)

    def _voting(self, pixels: Pixels) -> npt.NDArray[np.bool_]:
        voting = np.zeros(pixels.shape[:2], bool)
        for top, left in self._corners(pixels):
            voting[top : top + self._geometry.crop, left : left + self._geometry.crop] = True
        return voting


def see(judge: Judge, pixels: Pixels) -> Seen:
    """What an audit with that bundle would say of an image uint8 (H, W, 3)."""
    (verdict,) = judge.attribute([pixels])
    source = verdict.candidates[0].source if verdict.candidates else None
    return Seen(verdict.verdict, source, verdict.probability, verdict.novelty)


def succeeded(before: str | None, after: Seen, target: str | None) -> bool:
    """Whether the verdict names ``target``; without one, whether the best candidate is another than ``before``."""
    if target is None:
        return after.source is not None and after.source != before
    return after.named == target


def compared(
    names: Sequence[str], before: Assessment, after: Assessment, target: str | None, label: str | None
) -> tuple[HeldOut, ...]:
    """What each held-out bundle of ``names`` says; ``label`` as of an attempt."""
    rows = zip(names, before.held_out, after.held_out, strict=True)
    return tuple(HeldOut(name, old, new, succeeded(label or old.source, new, target)) for name, old, new in rows)


def traces(crops: Pixels, sources: Sequence[str], residual: Residual, device: torch.device) -> Mapping[str, Trace]:
    """The mean trace of each source, from crops uint8 (N, C, C, 3) whose sources are given, (N,)."""
    each = torch.cat([residual(to_image(crop[None], device)).residual for crop in crops])
    names = np.array(sources)
    return {name: mean_trace(each[torch.from_numpy(names == name)]) for name in sorted(set(sources))}
