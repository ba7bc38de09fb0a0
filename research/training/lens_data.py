"""What a convolutional lens is learned from: labelled shards as two streams that share no content."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from causalprint.models.labelled import LEAST_IMAGES
from causalprint.research.training.config import LensConfig

if TYPE_CHECKING:
    from causalprint.research.training.stream_crops import CropCounts, CropStream
    from causalprint.schemas.elements import Shard

HOLD_OUT_ONE_IN = 8


class LensTrainingError(ValueError):
    """A lens cannot be trained; the message says why and what to do."""


class Surveys(NamedTuple):
    """What there is to learn from, and to judge by."""

    learned: CropCounts
    held_out: CropCounts


class LensData(NamedTuple):
    """Crops to learn from and crops to judge by, of which no content is in both, and what they are."""

    learned: CropStream
    held_out: CropStream
    surveys: Surveys


def lens_shards(config: LensConfig) -> tuple[tuple[Shard, ...], tuple[Shard, ...]]:
    """The shards of the inputs, and those held out.

    Raises:
        InputError: an input matches nothing.
        LensTrainingError: a shard is in both.
    """
    from causalprint.transforms.match_shards import match_shards

    learned, held_out = (tuple(match_shards(several, config.storage)) for several in (config.inputs, config.val))
    if both := {shard.uri for shard in learned} & {shard.uri for shard in held_out}:
        raise LensTrainingError(f"{min(both)} is among the inputs and in --val; what is learned from cannot validate")
    return learned, held_out


def lens_streams(config: LensConfig, crop: int, learned: tuple[Shard, ...], held_out: tuple[Shard, ...]) -> LensData:
    """Streams of crops of ``crop`` pixels from shards to learn from and, where there are any, shards held out.

    Raises:
        ConnectionError: a shard cannot be read for now.
        LabelError: no image has a label.
        LensTrainingError: too few sources or images.
    """
    from causalprint.research.training.stream_crops import CropStream, survey

    reserved: set[str] = set()

    def remembers(content: str) -> bool:
        reserved.add(content)
        return True

    def stream(shards: tuple[Shard, ...], keeps: Callable[[str], bool]) -> CropStream:
        return CropStream(shards, crop, config.label_field, keeps, config.storage)

    if not config.val:
        ours, theirs = stream(learned, lambda content: not _is_held_out(content)), stream(learned, _is_held_out)
        data = LensData(ours, theirs, Surveys(survey(ours), survey(theirs)))
    else:
        judged = survey(stream(held_out, remembers))
        ours = stream(learned, lambda content: content not in reserved)
        data = LensData(ours, stream(held_out, lambda _: True), Surveys(survey(ours), judged))
    _check(data.surveys)
    return data


def _is_held_out(content: str) -> bool:
    from causalprint.schemas.elements import digest

    return int(digest(content), 16) % HOLD_OUT_ONE_IN == 0


def _check(surveys: Surveys) -> None:
    counts = _by_source(surveys.learned)
    losses = surveys.learned.losses
    if len(counts) < 2 or min(counts.values()) < LEAST_IMAGES:
        raise LensTrainingError(
            f"a lens needs at least {LEAST_IMAGES} images of each of two sources, as large as the crop at least; found {counts} "
            f"to learn from, and {losses.images} that are smaller or damaged{f': {losses}' if losses.images else ''}"
        )
    judged = _by_source(surveys.held_out)
    if strangers := judged.keys() - counts.keys():
        raise LensTrainingError(f"validation has sources that training has not: {', '.join(sorted(strangers))}; leave them out")
    if not judged:
        raise LensTrainingError("nothing is held out to validate on; give more images, or some as --val")


def _by_source(survey: CropCounts) -> dict[str, int]:
    counts = dict.fromkeys(survey.sources, 0)
    for (source, _, _), count in survey.counts.items():
        counts[source] += count
    return counts


def losses(surveys: Surveys) -> list[str]:
    """What is left out of the images to learn from and of those held out, in words; nothing where nothing is."""
    named = (("learned from", surveys.learned), ("held out", surveys.held_out))
    return [f"of the images {name}, {found.losses}" for name, found in named if str(found.losses)]
