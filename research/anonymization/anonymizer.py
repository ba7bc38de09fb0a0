"""Attacks on whole images, and what attributors say of them before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
import torch

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.bundles.manifest import Geometry
from causalprint.models.encodings import recompress
from causalprint.models.evaluation.perturbations import seed_of
from causalprint.models.features import places_of
from causalprint.models.residuals import load_residual
from causalprint.models.residuals.base import Residual
from causalprint.models.verdicts import Judge
from causalprint.pipelines.labelled.crops import read_labelled_crops
from causalprint.pipelines.labelled.reader import LabelledImage, Report
from causalprint.research.anonymization.config import NOISE, PGD, SWAP, AnonymizeConfig
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
from causalprint.research.anonymization.records import Attempt, HeldOut, LeftOut, Seen
from causalprint.schemas.arrays import Crops, Mask, Pixels

CPU = torch.device("cpu")
JPEG = 75


class AnonymizeError(ValueError):
    """What was asked for cannot be done; the message says what to do."""


class Assessment(NamedTuple):
    """What is said of one image: as it is and as a JPEG of quality 75 by the attacked bundle, as it is by the held-out ones."""

    plain: Seen
    jpeg: Seen
    held_out: tuple[Seen, ...]


class Known(NamedTuple):
    """An image to attack: its name, its id, its pixels uint8 (H, W, 3), and what the bundles say of it."""

    name: str
    image_id: str
    content: str
    label: str | None
    pixels: Pixels
    before: Assessment

    @property
    def source(self) -> str | None:
        """The source that it is to leave: its own, as far as that is known."""
        return self.label or self.before.plain.source


class Aim(NamedTuple):
    """What an attack is to do: how, towards which source (``None``: away from the present one), how far (image range 0 to 1)."""

    method: str
    target: str | None
    epsilon: float


@dataclass(frozen=True, slots=True)
class Anonymizer:
    """Changes images so that the attacked bundle names another source. Thread safe.

    All that is changed lies in the crops that vote: the rest of a larger image has no part in the verdict.

    Attributes:
        judge: the attacked bundle.
        held_out: bundles that are only asked.
        descent: how a descent goes; its ε gives way to the aim's.
        residual, traces: of the attacked bundle, for the swap alone: its residual, and the mean trace of each source.
    """

    judge: Judge
    held_out: tuple[Judge, ...] = ()
    descent: Descent = field(default_factory=Descent)
    residual: Residual | None = None
    traces: Mapping[str, Trace] = field(default_factory=dict)

    def look_at(self, image: LabelledImage) -> Known | LeftOut:
        """An image and what the bundles say of it.

        Raises:
            ImageRejectError: it cannot be decoded.
        """
        pixels = image.decode().pixels
        before = self.assess(pixels)
        if before.plain.source is None:
            size = f"{pixels.shape[1]} x {pixels.shape[0]} pixels"
            return LeftOut(image.name, f"{size}: smaller than the crop, or without texture: no verdict to change")
        return Known(image.name, image.encoded.image_id, image.label.content, image.label.source or None, pixels, before)

    def assess(self, pixels: Pixels) -> Assessment:
        """What all bundles say of an image uint8 (H, W, 3)."""
        compressed = see(self.judge, recompress(pixels, JPEG))
        return Assessment(see(self.judge, pixels), compressed, tuple(see(judge, pixels) for judge in self.held_out))

    def attack(self, known: Known, aim: Aim, seed: int) -> Pixels | LeftOut:
        """The changed image, uint8 (H, W, 3)."""
        source = known.source or ""
        if aim.method == NOISE:
            return self.perturb(known.pixels, aim.epsilon, seed_of(known.image_id, seed))
        if aim.method == PGD:
            descent = replace(self.descent, epsilon=aim.epsilon)
            return self.descend(known.pixels, descent, aim.target or source, away=aim.target is None)
        if self.residual is None or aim.target is None or {source, aim.target} - self.traces.keys():
            return LeftOut(known.name, f"--examples hold no image of {source!r}, whose trace would be taken out")
        return self.exchange(known.pixels, self.residual, self.traces[source], self.traces[aim.target], aim.epsilon)

    def attempt(self, known: Known, changed: Pixels, after: Assessment, aim: Aim) -> Attempt:
        """What came of it, if ``after`` is what the bundles say of ``changed``."""
        before, target = known.before, aim.target
        others = zip(self.held_out, before.held_out, after.held_out, strict=True)
        return Attempt(
            image=known.name,
            image_id=known.image_id,
            label=known.label,
            content=known.content,
            file=None,
            **aim._asdict(),
            before=before.plain,
            after=after.plain,
            jpeg=after.jpeg,
            success=succeeded(known.source, after.plain, target),
            jpeg_success=succeeded(known.source, after.jpeg, target),
            **self.fidelity(known.pixels, changed)._asdict(),
            held_out=tuple(
                HeldOut(judge.bundle.bundle_id, old, new, succeeded(known.label or old.source, new, target))
                for judge, old, new in others
            ),
        )

    def descend(self, pixels: Pixels, descent: Descent, source: str, *, away: bool) -> Pixels:
        """:func:`~causalprint.research.anonymization.counterfactual.pgd` towards ``source``, or ``away`` from it."""
        fingerprinter = self.judge.fingerprinter
        index = torch.tensor([self.judge.bundle.manifest.sources.index(source)], device=fingerprinter.device)
        attacked = chain(fingerprinter, self.judge.attributor, self._places(pixels))
        image = to_image(pixels, fingerprinter.device)[None]
        changed: Pixels = to_pixels(pgd(attacked, image, index, descent, away=away))[0]
        return changed

    def exchange(self, pixels: Pixels, residual: Residual, source: Trace, target: Trace, epsilon: float) -> Pixels:
        """:func:`swap` in every voting crop; where they overlap, the last holds."""
        changed = pixels.copy()
        for place in self._voting(pixels):
            part = to_image(pixels[place], self.judge.fingerprinter.device)[None]
            changed[place] = to_pixels(swap(part, residual(part).residual, source, target, epsilon))[0]
        return changed

    def perturb(self, pixels: Pixels, epsilon: float, seed: int) -> Pixels:
        """:func:`~causalprint.research.anonymization.counterfactual.random_noise` where crops vote."""
        noisy = to_pixels(random_noise(to_image(pixels, CPU)[None], epsilon, seed))[0]
        changed: Pixels = np.where(self._votes(pixels)[..., None], noisy, pixels)
        return changed

    def shuffle(self, pixels: Pixels, attacked: Pixels, seed: int) -> Pixels:
        """:func:`~causalprint.research.anonymization.counterfactual.shuffled` where crops vote."""
        voting, changed = self._votes(pixels), pixels.copy()
        original, other = (to_image(each[voting][None], CPU) for each in (pixels, attacked))
        changed[voting] = to_pixels(shuffled(original, other, seed))[0]
        return changed

    def fidelity(self, original: Pixels, changed: Pixels) -> Fidelity:
        """How near the crops that vote are to the original's."""
        places = self._voting(original)
        before, after = (np.stack([pixels[place] for place in places]) for pixels in (original, changed))
        return fidelity(before, after)

    @property
    def _geometry(self) -> Geometry:
        return self.judge.bundle.manifest.geometry

    def _voting(self, pixels: Pixels) -> list[tuple[slice, slice]]:
        """Rows and columns of the crops that vote."""
        crop = self._geometry.crop
        return [(slice(top, top + crop), slice(left, left + crop)) for top, left in self._places(pixels)]

    def _places(self, pixels: Pixels) -> list[tuple[int, int]]:
        return places_of(pixels, self._geometry, self.judge.bundle.manifest.decision.flat)

    def _votes(self, pixels: Pixels) -> Mask:
        """Which pixels vote, (H, W)."""
        votes = np.zeros(pixels.shape[:2], bool)
        for place in self._voting(pixels):
            votes[place] = True
        return votes


def load_anonymizer(config: AnonymizeConfig, report: Report) -> Anonymizer:
    """Loads the bundles, and what the method needs.

    Raises:
        AnonymizeError: the target, the method or a bundle does not fit.
        BundleError: a bundle cannot be used.
    """
    if find_spec("skimage") is None:
        raise AnonymizeError("anonymize measures similarity by scikit-image: pip install 'causalprint[compare]'")
    bundle = load_bundle(config.bundle)
    others = [load_bundle(path) for path in config.held_out]
    for one in (bundle, *others):
        if config.target is not None and config.target not in one.manifest.sources:
            known = ", ".join(one.manifest.sources)
            raise AnonymizeError(f"target {config.target!r} is none of the sources of {one.directory}: {known}")
    for one in others:
        if one.digest == bundle.digest:
            raise AnonymizeError(f"{one.directory} is the bundle that is attacked; hold out another")
    report("loading bundles")
    judge = Judge(bundle, config.device)
    held_out = tuple(Judge(one, config.device) for one in others)
    usual = Descent()
    descent = Descent(
        steps=config.steps or usual.steps,
        # What a JPEG leaves of small steps is nothing.
        step=usual.step * (2 if config.survive_jpeg else 1),
        confidence=max(usual.confidence, (1 + bundle.manifest.decision.minimum_probability) / 2),
        jpeg=JPEG if config.survive_jpeg else None,
    )
    if config.method != SWAP and not config.examples:
        return Anonymizer(judge, held_out, descent)
    if not config.examples or (config.method == SWAP and config.target is None):
        raise AnonymizeError("method swap needs a --target, and --examples: labelled images of it and of the images' own sources")
    crop = bundle.manifest.geometry.crop
    examples = read_labelled_crops(config.examples, config.storage, config.label_field, crop, report)
    if config.target is not None and config.target not in examples.images.source:
        raise AnonymizeError(f"--examples hold no image of the target {config.target!r} that is as large as the crop, {crop}")
    report(f"residuals of {len(examples.images)} examples")
    device = judge.fingerprinter.device
    residual = load_residual(bundle.residual, device)
    found = traces(examples.crops, examples.images.source.tolist(), residual, device)
    return Anonymizer(judge, held_out, descent, residual, found)


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


def traces(crops: Crops, sources: Sequence[str], residual: Residual, device: torch.device) -> Mapping[str, Trace]:
    """The mean trace of each source, from crops uint8 (N, C, C, 3) whose sources are given, (N,)."""
    each = torch.cat([residual(to_image(crop[None], device)).residual for crop in crops])
    names = np.array(sources)
    return {name: mean_trace(each[torch.from_numpy(names == name)]) for name in sorted(set(sources))}
