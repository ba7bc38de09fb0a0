"""Which images are learned from, which are tuned on and which are tested: by origin and content, never at random over images."""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np

from causalprint.models.statistics.calibration import balanced
from causalprint.schemas.arrays import Mask, Scores, Text

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
    """Splits N images; another ``seed`` tests other origins: :func:`hold_out_test`, then :func:`hold_out_validation` of the rest.

    Args and errors are those of :func:`hold_out_test`.
    """
    free, test = hold_out_test(sources, origins, contents, seed)
    train, validation = hold_out_validation(sources, origins, contents, seed, free)
    return Split(train, validation, test)


def hold_out_test(sources: Text, origins: Text, contents: Text, seed: int) -> tuple[Mask, Mask]:
    """Disjoint masks (N,) of images that share no content with the test, and of images to test on.

    Of a source with several origins, one whole origin is tested: the ``seed``-th in sorted order, cyclic. Of a source with one,
    a quarter of the contents is.

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
    return free, test


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


def weigh_as_tested(split: Split, sources: Text, origins: Text) -> Scores:
    """Weights of the validation images, 1 on average, (V,): what they are worth in finding a temperature for the test.

    Of an origin that it learned from, a method is surer than of another, and most of a test is of others. So the images of
    origins not learned from have together the share that they have in the test, as far as the validation has such (importance
    weights, Shimodaira, Journal of Statistical Planning and Inference 2000). Sources weigh alike among them, and among the rest.
    """
    names = np.char.add(np.char.add(sources, "\n"), origins)
    new = ~np.isin(names, names[split.train])
    tested = split.test & np.isin(sources, sources[split.train])
    share = float(new[tested].mean()) if tested.any() else 1.0
    tuned = np.flatnonzero(split.validation)
    weights = np.zeros(len(tuned))
    for group, part in ((new[tuned], share), (~new[tuned], 1 - share)):
        if group.any():
            weights[group] = balanced(sources[tuned][group]) / group.sum() * part
    if not weights.any():  # all of the test is of one kind, all of the validation of the other
        weights = balanced(sources[tuned])
    normal: Scores = weights * len(weights) / weights.sum()
    return normal


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
