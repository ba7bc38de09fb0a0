"""Which sidecars describe which images: one rule, by names alone, for tars, folders and whatever else holds files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from causalprint.transforms.images.kinds import sample_key

MAX_SIDECARS = 64
"""Of one image; others belong to none."""
MAX_VIEWS = 16
"""Images of one WebDataset sample that a sidecar with a name of its own among them (``000.meta.json``) describes together."""
_MAX_DOTS = 4
_DIGITS = re.compile(r"\d.*\.")  # before the last suffix: part of a serial number, and not of the name of a field
_NUMBERED = re.compile(r"(.+?)(\.[^./]+)(\.s[^./()]*)?(\(\d+\))\.json$", re.IGNORECASE)


class Told(NamedTuple):
    """That a sidecar describes an image.

    Attributes:
        key: under which: its suffix, or what its name has besides the image's, lower case.
        sidecar: which, as its place in the sequence.
        shared: whether it describes a sample of images and is not named after this one.
    """

    key: str
    sidecar: int
    shared: bool


def match_sidecars(images: Sequence[str], sidecars: Sequence[str]) -> list[list[Told]]:
    """The sidecars of each image.

    1. A sidecar belongs to the image whose name, or whose name up to its last suffix, is the longest that it begins with, up to a
       dot: ``a.json``, ``a.jpg.json``, ``a.meta.json``, ``IMG.jpg.supplemental-metadata.json`` (Google Takeout). Keys may have
       dots: ``v1.0_7.json`` belongs to ``v1.0_7.jpg`` alone.
    2. Images with none of their own have those of their WebDataset sample, that of the names up to their first dot: ``a.json``
       describes ``a.left.jpg`` and ``a.right.jpg``; and so does ``a.meta.json``, but ``a.7.json`` is of another image.

    Where a name comes twice (tars put together), the first image has the first sidecars, and so on. The order of different names
    does not matter.
    """
    told: list[list[Told]] = [[] for _ in images]
    owners: dict[tuple[str, int], list[int]] = defaultdict(list)
    samples: dict[str, list[int]] = defaultdict(list)
    for image, (name, time) in enumerate(_numbered(images)):
        for owner in {name, stem(name)}:
            owners[owner, time].append(image)
        samples[sample_key(name)[0]].append(image)
    left = []
    for sidecar, (name, time) in enumerate(_numbered(sidecars)):
        whole = _NUMBERED.sub(r"\1\4\2\3.json", name)
        owner = next((each for each in _beginnings(whole) if (each, time) in owners), "")
        for image in owners.get((owner, time), ()):
            rest = whole.rpartition(".")[2] if images[image] == owner else whole[len(owner) + 1 :]
            _tell(told[image], rest, sidecar, shared=False)
        if time == 0 and owner in ("", sample_key(name)[0]):
            left.append(sidecar)
    own = [bool(each) for each in told]
    for sidecar in left:
        key, rest = sample_key(sidecars[sidecar])
        sample = samples.get(key, [])
        views = len(sample) <= MAX_VIEWS and not any(own[image] for image in sample) and not _DIGITS.search(rest)
        if stem(sidecars[sidecar]) == key or views:
            for image in sample:
                if not own[image]:
                    _tell(told[image], rest, sidecar, shared=True)
    return told


def stem(name: str) -> str:
    """``name`` without its last suffix."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)


def _beginnings(name: str) -> Iterable[str]:
    """What ``name`` begins with, up to a dot of its last part, longest first."""
    start = name.rfind("/") + 2
    at = len(name)
    for _ in range(_MAX_DOTS):
        at = name.rfind(".", start, at)
        if at < 0:
            return
        yield name[:at]


def _tell(told: list[Told], key: str, sidecar: int, *, shared: bool) -> None:
    if len(told) < MAX_SIDECARS:
        told.append(Told(key.lower(), sidecar, shared))


def _numbered(names: Sequence[str]) -> Iterable[tuple[str, int]]:
    """Each name, and how often it came before."""
    times: dict[str, int] = {}
    for name in names:
        time = times.get(name, 0)
        times[name] = time + 1
        yield name, time
