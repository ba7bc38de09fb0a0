"""Attacks on the verdicts of a bundle: what is asked for, what is loaded for it, and what is done with each image."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from causalprint.research.anonymization.config import NOISE, PGD, SWAP, AnonymizeConfig
from causalprint.research.anonymization.records import Attempt, LeftOut

if TYPE_CHECKING:
    from causalprint.models.residuals.base import Residual
    from causalprint.models.verdicts import Judge
    from causalprint.pipelines.labelled.reader import LabelledImage
    from causalprint.research.anonymization.anonymizer import Anonymizer, Assessment, Pixels
    from causalprint.research.anonymization.counterfactual import Descent, Trace

JPEG_QUALITY = 75

Report = Callable[[str], None]
"""Told in a few words what is being done."""
ResultT = TypeVar("ResultT")


class AnonymizeError(ValueError):
    """What was asked for cannot be done; the message says what to do."""


class Known(NamedTuple):
    """An image to attack: its name, its id, its pixels uint8 (H, W, 3), and what the bundles say of it."""

    name: str
    image_id: str
    content: str
    label: str | None
    pixels: Pixels
    before: Assessment


class Aim(NamedTuple):
    """What an attack is to do: how, towards which source (``None``: away from the present one), how far (image range 0 to 1)."""

    method: str
    target: str | None
    epsilon: float


class Tools(NamedTuple):
    """All that an attack needs, loaded; ``residual`` and ``traces`` for the swap alone."""

    anonymizer: Anonymizer
    held_out: tuple[str, ...]
    descent: Descent
    residual: Residual | None
    traces: Mapping[str, Trace]


def load_tools(config: AnonymizeConfig, report: Report) -> Tools:
    """Loads the bundles, and what the method needs; raises as :func:`anonymize`."""
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.verdicts import Judge
    from causalprint.research.anonymization.anonymizer import Anonymizer
    from causalprint.research.anonymization.counterfactual import Descent

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
        epsilon=config.epsilon,
        steps=config.steps or usual.steps,
        # What a JPEG leaves of small steps is nothing.
        step=usual.step * (2 if config.survive_jpeg else 1),
        confidence=max(usual.confidence, (1 + bundle.manifest.decision.minimum_probability) / 2),
        jpeg=JPEG_QUALITY if config.survive_jpeg else None,
    )
    residual, traces = _load_swap(config, judge, report) if config.method == SWAP or config.examples else (None, {})
    return Tools(Anonymizer(judge, held_out), tuple(one.bundle_id for one in others), descent, residual, traces)


def _load_swap(config: AnonymizeConfig, judge: Judge, report: Report) -> tuple[Residual, Mapping[str, Trace]]:
    from causalprint.models.residuals import load_residual
    from causalprint.pipelines.labelled.crops import read_labelled_crops
    from causalprint.research.anonymization.anonymizer import traces

    if not config.examples or (config.method == SWAP and config.target is None):
        raise AnonymizeError("method swap needs a --target, and --examples: labelled images of it and of the images' own sources")
    crop = judge.bundle.manifest.geometry.crop
    examples = read_labelled_crops(config.examples, config.storage, config.label_field, crop, report)
    if config.target is not None and config.target not in examples.images.source:
        raise AnonymizeError(f"--examples hold no image of the target {config.target!r} that is as large as the crop, {crop}")
    report(f"residuals of {len(examples.images)} examples")
    device = judge.fingerprinter.device
    residual = load_residual(judge.bundle.residual, device)
    return residual, traces(examples.crops, examples.images.source.tolist(), residual, device)


def each_image(
    config: AnonymizeConfig, label_field: str | None, work: Callable[[LabelledImage], ResultT | LeftOut], report: Report
) -> Iterator[ResultT | LeftOut]:
    """``work`` on every image, several at a time, in order; then all that could not be read.

    Raises:
        ConnectionError: a shard cannot be read for now.
        LabelError: labels are asked for, and no image has one.
    """
    import torch

    from causalprint.models.features import pick_device
    from causalprint.pipelines.labelled.reader import LabelledReader
    from causalprint.transforms.match_shards import match_shards

    in_order = (shard for given in config.inputs for shard in match_shards([given], config.storage))  # as they were given
    shards = {shard.uri: shard for shard in in_order}
    threads = config.threads or (os.cpu_count() or 1 if pick_device(config.device) == torch.device("cpu") else 1)
    lost: list[LeftOut] = []
    reader = LabelledReader(
        tuple(shards.values()), label_field, config.storage, lost=lambda name, why: lost.append(LeftOut(name, why))
    )
    for count, done in enumerate(reader.map(work, threads=threads), 1):
        report(f"{count} images")
        yield done
    yield from lost


def look_at(image: LabelledImage, tools: Tools) -> Known | LeftOut:
    """An image and what the bundles say of it.

    Raises:
        ImageRejectError: it cannot be decoded.
    """
    pixels = image.decode().pixels
    before = tools.anonymizer.assess(pixels)
    if before.plain.source is None:
        height, width = pixels.shape[:2]
        return LeftOut(image.name, f"{width} x {height} pixels: smaller than the crop, or without texture: no verdict to change")
    return Known(image.name, image.encoded.image_id, image.label.content, image.label.source or None, pixels, before)


def attack(known: Known, aim: Aim, seed: int, tools: Tools) -> Pixels | LeftOut:
    """The changed image, uint8 (H, W, 3)."""
    from causalprint.models.evaluation.perturbations import seed_of

    anonymizer, source = tools.anonymizer, known.label or known.before.plain.source or ""
    if aim.method == NOISE:
        return anonymizer.perturb(known.pixels, aim.epsilon, seed_of(known.image_id, seed))
    if aim.method == PGD:
        descent = replace(tools.descent, epsilon=aim.epsilon)
        return anonymizer.descend(known.pixels, descent, aim.target or source, away=aim.target is None)
    if tools.residual is None or aim.target is None or {source, aim.target} - tools.traces.keys():
        return LeftOut(known.name, f"--examples hold no image of {source!r}, whose trace would be taken out")
    return anonymizer.exchange(known.pixels, tools.residual, tools.traces[source], tools.traces[aim.target], aim.epsilon)


def attempt(known: Known, changed: Pixels, after: Assessment, aim: Aim, tools: Tools) -> Attempt:
    """What came of it, if ``after`` is what the bundles say of ``changed``."""
    from causalprint.research.anonymization.anonymizer import compared, succeeded

    before = known.before
    left = known.label or before.plain.source
    measured = tools.anonymizer.fidelity(known.pixels, changed)
    return Attempt(
        image=known.name,
        image_id=known.image_id,
        label=known.label,
        content=known.content,
        file=None,
        method=aim.method,
        epsilon=aim.epsilon,
        target=aim.target,
        before=before.plain,
        after=after.plain,
        jpeg=after.jpeg,
        success=succeeded(left, after.plain, aim.target),
        jpeg_success=succeeded(left, after.jpeg, aim.target),
        ssim=measured.ssim,
        psnr=measured.psnr,
        largest=measured.largest,
        rms=measured.rms,
        held_out=compared(tools.held_out, before, after, aim.target, known.label),
    )
