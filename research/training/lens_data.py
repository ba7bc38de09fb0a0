"""What a convolutional lens is learned from: labelled shards as two streams that share no content."""

from __future__ import annotations

from collections.abc import Callable

from causalprint.models.labelled import LEAST_IMAGES
from causalprint.research.training.config import LensConfig
from causalprint.research.training.stream_crops import CropStream, SurveyedCrops, survey
from causalprint.schemas.elements import Shard, digest
from causalprint.transforms.match_shards import match_shards

HOLD_OUT_ONE_IN = 8


class LensTrainingError(ValueError):
    """A lens cannot be trained; the message says why and what to do."""


def lens_shards(config: LensConfig) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """The shards of the inputs, and those held out.

    Raises:
        InputError: an input matches nothing.
        LensTrainingError: a shard is in both.
    """
    learned, held_out = (tuple(match_shards(several, config.storage)) for several in (config.inputs, config.val))
    if both := {shard.uri for shard in learned} & {shard.uri for shard in held_out}:
        raise LensTrainingError(f"{min(both)} is among the inputs and in --val; what is learned from cannot validate")
    return learned, held_out


def lens_crops(
    config: LensConfig, crop: int, learned: tuple[Shard, ...], held_out: tuple[Shard, ...]
) -> tuple[SurveyedCrops, SurveyedCrops]:
    """Crops of ``crop`` pixels to learn from and to judge by, of which no content is in both; the shards as of above.

    Raises:
        ConnectionError: a shard cannot be read for now.
        LabelError: no image has a label.
        LensTrainingError: too few sources or images.
    """
    reserved: set[str] = set()

    def reserve(content: str) -> bool:
        reserved.add(content)
        return True

    def found(shards: tuple[Shard, ...], keeps: Callable[[str], bool]) -> SurveyedCrops:
        return survey(CropStream(shards, crop, config.label_field, keeps, config.storage))

    if config.val:
        theirs = found(held_out, reserve)
        ours = found(learned, lambda content: content not in reserved)
    else:
        theirs = found(learned, _is_held_out)
        ours = found(learned, lambda content: not _is_held_out(content))
    counts, losses = ours.by_source, ours.losses
    if len(counts) < 2 or min(counts.values()) < LEAST_IMAGES:
        raise LensTrainingError(
            f"a lens needs at least {LEAST_IMAGES} images of each of two sources, as large as the crop at least; found {counts} "
            f"to learn from, and {losses.images} that are smaller or damaged{f': {losses}' if losses.images else ''}"
        )
    if strangers := theirs.by_source.keys() - counts.keys():
        raise LensTrainingError(f"validation has sources that training has not: {', '.join(sorted(strangers))}; leave them out")
    if not theirs.counts:
        raise LensTrainingError("nothing is held out to validate on; give more images, or some as --val")
    return ours, theirs


def _is_held_out(content: str) -> bool:
    return int(digest(content), 16) % HOLD_OUT_ONE_IN == 0
