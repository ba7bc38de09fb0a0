"""``causalprint enroll``: a bundle and a few images of a generator to a bundle that knows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from causalprint.schemas.config import MEBIBYTE, Slicing, Storage

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.bundles.gallery import Gallery
    from causalprint.models.bundles.manifest import Confusion
    from causalprint.models.enrolment import Enrolment, Surroundings
    from causalprint.pipelines.commands.enroll import EnrolConfig

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,63}")
_SLICING = Slicing(images=64, bytes=64 * MEBIBYTE)
MOST_IMAGES = 1000
"""Beyond them, training is the way."""
NAMED = 3
"""Sources that are told to be confused with the new one."""


class EnrolmentError(ValueError):
    """What was given cannot be enrolled; the message says why, and what to do."""


class EnrolmentReport(NamedTuple):
    """What ``enroll --json`` prints.

    Attributes:
        output, bundle_id: the new bundle.
        name: of the new source.
        images: that it was learned from; ``found`` of them are found where each is left out in turn.
        accused: share of images by others that are expected to be given its name.
        confused: the sources that are expected to be most often.
        left_out: images that could not be used, and why.
    """

    output: str
    bundle_id: str
    name: str
    images: int
    found: int
    accused: float
    confused: tuple[Confusion, ...]
    left_out: tuple[str, ...]


def enroll_images(config: EnrolConfig, report: Callable[[str], None] = lambda _: None) -> EnrolmentReport:
    """Computes the images' fingerprints, learns the source from them and writes the bundle.

    Raises:
        EnrolmentError: name, output or images will not do; or the source cannot be told from others.
        BundleError: there is no bundle.
    """
    from causalprint.models.bundles.bundle import MANIFEST, load_bundle
    from causalprint.models.bundles.extend import add_source
    from causalprint.models.bundles.manifest import Confusion, Enrolled
    from causalprint.models.enrolment import enrol

    bundle = load_bundle(config.bundle)
    _check_names(config, bundle)
    if (config.output / MANIFEST).exists():
        raise EnrolmentError(f"{config.output} already holds a bundle; give another --output or remove it")
    images, left_out = _fingerprints(config, bundle, report)
    found = enrol(images.fingerprint, surroundings_of(bundle))
    check(found, config.name)
    confused = tuple(Confusion(*one) for one in found.taken[:NAMED])
    source = Enrolled(config.name, found.limit, found.images, found.found, found.accused, confused, config.family)
    written = add_source(bundle, config.output, source, found.weight, found.bias, images)
    counts = found.images, found.found, found.accused
    return EnrolmentReport(str(config.output), written.bundle_id, config.name, *counts, confused, left_out)


def surroundings_of(bundle: Bundle) -> Surroundings:
    """The sources of a bundle; those that were enrolled lie at the mean of their images."""
    import numpy as np
    from safetensors.numpy import load_file

    from causalprint.models.bundles.bundle import ATTRIBUTION_FILE
    from causalprint.models.bundles.gallery import read_gallery
    from causalprint.models.enrolment import Surroundings

    tensors = load_file(bundle.directory / ATTRIBUTION_FILE)
    centres = list(tensors["centre"].astype(np.float64))
    gallery = read_gallery(bundle) if bundle.manifest.enrolled else None
    if gallery is not None:
        names = [one.name for one in bundle.manifest.enrolled]
        centres += [gallery.fingerprint[gallery.source == name].astype(np.float64).mean(axis=0) for name in names]
    return Surroundings(bundle.manifest.names, np.stack(centres), tensors["whitening"].astype(np.float64))


def check(found: Enrolment, name: str) -> None:
    """Refuses a source that its own images do not tell from others.

    Raises:
        EnrolmentError: says what they are taken for.
    """
    from causalprint.models.bundles.decision import ACCUSED_MOST
    from causalprint.models.enrolment import LEAST_RECALL

    if found.recall < LEAST_RECALL:
        nearest = ", ".join(f"{one.source} ({one.share:.0%} of its images would be called {name})" for one in found.taken[:NAMED])
        raise EnrolmentError(
            f"{name} cannot be told from other sources: at a limit that at most {ACCUSED_MOST:.0%} of other images reach, "
            f"{found.found} of its {found.images} images are found when each is left out in turn, and {LEAST_RECALL:.0%} must "
            f"be; nearest are {nearest}. Give more images, or only images of one generator and history, or train a bundle with it"
        )


def _check_names(config: EnrolConfig, bundle: Bundle) -> None:
    from causalprint.models.bundles.manifest import NOT_GENERATED, UNREGISTERED

    for option, name in (("--name", config.name), ("--family", config.family)):
        if name is not None and (not _NAME.fullmatch(name) or name in (*NOT_GENERATED, UNREGISTERED)):
            raise EnrolmentError(f"{option} {name!r} is no name of a generator: {_NAME.pattern}, and none that bundles reserve")
    if config.name in bundle.manifest.names or config.name in {family.name for family in bundle.manifest.families}:
        raise EnrolmentError(f"--name {config.name!r} is known to {bundle.bundle_id} already; give another name")


def _fingerprints(config: EnrolConfig, bundle: Bundle, report: Callable[[str], None]) -> tuple[Gallery, tuple[str, ...]]:
    """The images as a gallery, each once, and in words those that are left out."""
    import numpy as np

    from causalprint.models.bundles.gallery import ENROLLED, Gallery
    from causalprint.models.enrolment import LEAST_IMAGES
    from causalprint.pipelines.open_bundle import ImageError, OpenBundle

    opened = OpenBundle(bundle, config.device)
    rows: dict[str, np.ndarray] = {}
    left_out = []
    for name, image_id, data in _images(config.images, config.storage):
        report(f"computing fingerprint {len(rows) + 1}")
        try:
            fingerprint = opened.fingerprint(data)
        except ImageError as error:
            left_out.append(f"{name}: {error}")
            continue
        if image_id in rows or not fingerprint.any():
            left_out.append(f"{name}: " + ("given twice" if image_id in rows else "flat, it carries no evidence"))
            continue
        rows[image_id] = fingerprint
    if not LEAST_IMAGES <= len(rows) <= MOST_IMAGES:
        why = f"; left out: {'; '.join(left_out[:5])}" if left_out else ""
        raise EnrolmentError(f"enrolment takes {LEAST_IMAGES} to {MOST_IMAGES:,} images of different bytes, not {len(rows)}{why}")
    source, origin, licence = (np.full(len(rows), text) for text in (config.name, ENROLLED, "unstated"))
    return Gallery(np.array([*rows]), source, origin, licence, np.stack([*rows.values()])), tuple(left_out)


def _images(inputs: tuple[str, ...], storage: Storage) -> Iterator[tuple[str, str, bytes]]:
    """The name, digest and bytes of each image."""
    from causalprint.transforms.formats.slices import read_slices
    from causalprint.transforms.match_shards import match_inputs

    for shard in match_inputs(inputs, storage).shards:
        for part in read_slices(shard, "enroll", _SLICING, storage):
            yield from ((f"{image.member} of {shard.uri}", image.image_id, image.data) for image in part.images)
            if part.damage is not None:
                raise EnrolmentError(f"{shard.uri} cannot be read to its end: {part.damage}")
