"""Which images are learned from, which are tuned on and which are tested: by origin and content, never at random over images."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Text = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]

TEST_SHARE = 0.25
"""Of the images of a source with one origin."""

VALIDATION_SHARE = 0.15
LARGEST_VALIDATION = 0.3
"""Of a source's images outside its test, an origin up to this share is held out whole to tune on; of a larger one, half is."""


class SplitError(ValueError):
    """The images cannot be split so that every source is learned from; the message says which is not."""


class Split(NamedTuple):
    """Disjoint masks (N,). Images in none share a content with the test or the validation and are left out."""

    train: Mask
    validation: Mask
    test: Mask


def rotate_origins(sources: Text, origins: Text, contents: Text, seed: int) -> Split:
    """Splits N images; another ``seed`` tests other origins.

    Of a source with several origins, one whole origin is tested: the ``seed``-th in sorted order, cyclic. Of a source with one,
    a quarter of the contents is. Validation is :func:`hold_out_validation` of what is left.

    Args:
        sources: what made each image, (N,).
        origins: where it is from, (N,).
        contents: what it shows, near-duplicates joined, (N,); each content lies on one side whatever its sources.
        seed: of the rotation and of all that is drawn.

    Raises:
        SplitError: nothing is left to learn some source from.
    """
    test = np.zeros(len(sources), np.bool_)
    for source in np.unique(sources):
        of_source = sources == source
        names = np.unique(origins[of_source])
        if len(names) > 1:
            test |= of_source & (origins == names[seed % len(names)])
        else:
            test |= _share_of_contents(of_source, contents, TEST_SHARE, seed)
    free = ~np.isin(contents, contents[test])
    _check(sources, free, "test")
    train, validation = hold_out_validation(sources, origins, contents, seed, free)
    return Split(train, validation, test)


def hold_out_validation(sources: Text, origins: Text, contents: Text, seed: int, among: Mask | None = None) -> tuple[Mask, Mask]:
    """Disjoint masks (N,) of images to learn from and of images to tune on, of those in ``among``.

    Of a source with several origins the smallest is held out, whole where that is at most 30 % of the images, so that
    temperatures and thresholds are set on an origin that was not learned from; of a larger one, half of its contents are.
    Of a source with one origin, contents with about 15 % of the images are.

    Raises:
        SplitError: nothing is left to learn some source from.
    """
    among = np.ones(len(sources), np.bool_) if among is None else among
    validation = np.zeros(len(sources), np.bool_)
    for source in np.unique(sources):
        of_source = (sources == source) & among
        names, counts = np.unique(origins[of_source], return_counts=True)
        if len(names) < 2:
            validation |= _share_of_contents(of_source, contents, VALIDATION_SHARE, seed)
            continue
        smallest = of_source & (origins == names[np.argmin(counts)])
        if smallest.sum() <= LARGEST_VALIDATION * of_source.sum():
            validation |= smallest
        else:
            validation |= _share_of_contents(smallest, contents, 0.5, seed)
    train = among & ~np.isin(contents, contents[validation])
    _check(sources, train, "validation")
    return train, validation


def as_strange_as_test(split: Split, sources: Text, origins: Text) -> Mask:
    """Validation images of origins that were not learned from, and those of sources that have no other, (N,).

    Where a source has several origins the test is of a new one: of images of an origin that it learned from, a method is surer
    than it will be there, and a temperature found on them makes it surer still. All of the validation where no image is such.
    """
    learned = set(zip(sources[split.train].tolist(), origins[split.train].tolist(), strict=True))
    several = [name for name in np.unique(sources) if len(np.unique(origins[sources == name])) > 1]
    new = np.array([pair not in learned for pair in zip(sources.tolist(), origins.tolist(), strict=True)], np.bool_)
    alike: Mask = split.validation & (new | ~np.isin(sources, np.array(several, sources.dtype)))
    return alike if alike.any() else split.validation


def _share_of_contents(of_source: Mask, contents: Text, share: float, seed: int) -> Mask:
    """Images of some contents, about ``share`` of all in ``of_source``.

    Contents are drawn by a digest of their name, so that sources that share contents give the same ones away.
    """
    names, counts = np.unique(contents[of_source], return_counts=True)
    order = sorted(range(len(names)), key=lambda place: hashlib.sha256(f"{seed} {names[place]}".encode()).digest())
    wanted = share * counts.sum()
    taken, given = [], 0
    for place in order[:-1]:  # one content at least stays to learn from
        if given + counts[place] / 2 <= wanted:
            taken.append(names[place])
            given += int(counts[place])
    return of_source & np.isin(contents, np.array(taken, contents.dtype))


def _check(sources: Text, left: Mask, what: str) -> None:
    lost = sorted(set(sources.tolist()) - set(sources[left].tolist()))
    if lost:
        raise SplitError(
            f"nothing is left to learn {', '.join(lost)} from: all their images share contents with the {what}; give more images "
            "or, where contents name no scene or prompt, leave `content` out of the sidecars"
        )
