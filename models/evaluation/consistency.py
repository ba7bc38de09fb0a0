"""What a causal fingerprint must do on the aligned track, where one content goes through every decoder: metrics on pairs.

The verdict must hold when the content is swapped and the decoder is not, and must move when the decoder is swapped and the
content is not (interventions on content and on the artefact; the causal model of arXiv 2509.15406, which states no such test).
"""

from __future__ import annotations

import numpy as np

from causalprint.schemas.arrays import Labels


def swap_consistency(source: Labels, content: Labels, verdict: Labels) -> float:
    """Share of pairs of one source and two contents that get one verdict, averaged over sources; NaN where there is no pair.

    Args:
        source: (N,), what made each image.
        content: (N,), what it shows.
        verdict: (N,), what it is taken for.
    """
    return _mean([_pairs(content[source == label], verdict[source == label]) for label in np.unique(source)])


def swap_holds(source: Labels, content: Labels, verdict: Labels) -> float:
    """Of rightly attributed images, how many stay so with another content of the same source: a share, averaged over sources.

    Args as of :func:`swap_consistency`; ``verdict`` is right where it equals ``source``. NaN where there is no such pair.
    """
    shares = []
    for label in np.unique(source):
        here = source == label
        right = (verdict == label)[here].astype(np.float64)
        of = content[here]
        all_right = right.sum() ** 2 - np.square(np.bincount(of, right)).sum()
        first_right = right.sum() * len(right) - (np.bincount(of, right) * np.bincount(of)).sum()
        shares.append(all_right / first_right if first_right else np.nan)
    return _mean(shares)


def decoder_moves(source: Labels, content: Labels, verdict: Labels) -> float:
    """Share of pairs of one content by two sources whose verdicts differ; NaN where there is no such pair.

    Args as of :func:`swap_consistency`.
    """
    pairs = _same(content) - _same(content, source)
    alike = _same(content, verdict) - _same(content, source, verdict)
    return float(1 - alike / pairs) if pairs else float("nan")


def contents_solved(source: Labels, content: Labels, verdict: Labels) -> float:
    """Share of images whose content is attributed rightly in all its versions, of contents by two sources or more; NaN: none is.

    Args as of :func:`swap_consistency`.
    """
    first = np.zeros(content.max(initial=-1) + 1, np.int64)
    first[content] = source
    several = np.bincount(content, source != first[content]) > 0
    solved = np.bincount(content, source != verdict) == 0
    versions = several[content]
    return float(solved[content][versions].mean()) if versions.any() else float("nan")


def _pairs(content: Labels, verdict: Labels) -> float:
    """Share of ordered pairs of distinct contents whose verdicts agree."""
    pairs = len(content) ** 2 - _same(content)
    alike = _same(verdict) - _same(content, verdict)
    return float(alike / pairs) if pairs else float("nan")


def _same(*keys: Labels) -> float:
    """Ordered pairs of rows, each with itself among them, that agree in all ``keys``, which are not negative."""
    combined = np.zeros(len(keys[0]), np.int64)
    for key in keys:
        combined = combined * (key.max(initial=0) + 1) + key
    _, counts = np.unique(combined, return_counts=True)
    return float(np.square(counts.astype(np.float64)).sum())


def _mean(shares: list[float]) -> float:
    known = [share for share in shares if not np.isnan(share)]
    return float(np.mean(known)) if known else float("nan")
