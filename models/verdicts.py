"""What a bundle says of images in memory: the same computing as in an audit, and besides it the whole distribution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from causalprint.models.attribution import Attribution, Attributor, too_small
from causalprint.models.bundles.bundle import Bundle
from causalprint.models.bundles.manifest import UNREGISTERED
from causalprint.models.fingerprint import Fingerprinter, Fingerprints
from causalprint.schemas.arrays import Floats, Labels, Mask, Pixels, Scores


class Verdicts(NamedTuple):
    """Of N images.

    Attributes:
        fingerprint: float16 (N, 128).
        found: (N,), the best candidate of each image, whatever its verdict; ``unregistered`` is none.
        probabilities: calibrated, float64 (N, K), in the order of the bundle's sources.
        uncalibrated: the same, of the scores as they are.
        generated: float64 (N,), calibrated: that a generator made it.
        novelty: float64 (N,), above 1 for images like no known source.
        verdict: (N,), values of :class:`causalprint.schemas.reasons.Verdict`.
        accused: (N,), whether the image was taken for generated, and a generator named or not.
        named: (N,), the source, else the family, that a verdict ``known`` names, else empty.
        p_values: (N, K), of :class:`~causalprint.models.statistics.conformal.PValues`; NaN of sources that have none.
    """

    fingerprint: npt.NDArray[np.float16]
    found: Labels
    probabilities: Scores
    uncalibrated: Scores
    generated: Scores
    novelty: Scores
    verdict: npt.NDArray[np.str_]
    accused: Mask
    named: npt.NDArray[np.str_]
    p_values: Floats


class Judge:
    """A loaded bundle. Thread safe where its fingerprinter is."""

    def __init__(self, bundle: Bundle, device: str = "auto") -> None:
        """Loads it onto ``device``; raises what :class:`Fingerprinter` does."""
        self.bundle = bundle
        self.fingerprinter = Fingerprinter(bundle, device)
        self.attributor = Attributor(bundle)

    def fingerprints(self, images: Sequence[Pixels]) -> list[Fingerprints | None]:
        """Of each image uint8 (H, W, 3) what its crops give, N = 1; ``None`` where it is smaller than the crop."""
        crops = [self.fingerprinter.crops(pixels) for pixels in images]
        voted = iter(self.fingerprinter.of_images([several for several in crops if len(several)]))
        return [next(voted) if len(several) else None for several in crops]

    def verdict(self, fingerprint: npt.NDArray[np.float16] | None) -> Attribution:
        """The verdict of an audit on an image with this fingerprint (128,); ``None`` where it is smaller than the crop."""
        return too_small() if fingerprint is None else self.attributor(fingerprint[None])[0]

    def attribute(self, images: Sequence[Pixels]) -> list[Attribution]:
        """The verdict of an audit on each image uint8 (H, W, 3)."""
        return [self.verdict(None if voted is None else voted.fingerprint[0]) for voted in self.fingerprints(images)]

    def __call__(
        self, count: int, image: Callable[[int], Pixels], pool: Executor, tell: Callable[[int], None] = lambda _: None
    ) -> Verdicts:
        """Verdicts on ``count`` images.

        Args:
            count: N.
            image: number -> uint8 (H, W, 3), no smaller than the crop; called in the threads of ``pool``, so that decoding and
                changing overlap computing.
            pool: on a CPU each of its threads computes one image at a time.
            tell: told how many images are done.

        Raises:
            ValueError: a fingerprint is not finite.
        """
        size = self.fingerprinter.micro_batch

        def compute(start: int) -> npt.NDArray[np.float16]:
            images = [self.fingerprinter.crops(image(number)) for number in range(start, min(start + size, count))]
            return np.concatenate([voted.fingerprint for voted in self.fingerprinter.of_images(images)])

        parts = []
        for part in pool.map(compute, range(0, count, size)):
            parts.append(part)
            tell(min(size * len(parts), count))
        fingerprints = np.concatenate(parts)
        broken = np.flatnonzero(~np.isfinite(fingerprints).all(axis=1))
        if len(broken):
            where = self.bundle.directory
            raise ValueError(f"{where} gives fingerprints that are not finite for {len(broken)} images; train it again")
        rows = fingerprints.astype(np.float32)
        attributions = self.attributor(fingerprints)
        chances = self.attributor.chances(rows)
        probabilities = chances.sources.astype(np.float64)
        definite = np.array(self.bundle.manifest.sources) != UNREGISTERED
        return Verdicts(
            fingerprints,
            np.where(definite, probabilities, -1).argmax(axis=1),
            probabilities,
            self.attributor.chances(rows, calibrated=False).sources.astype(np.float64),
            chances.generated.astype(np.float64),
            self.attributor.novelty(rows).astype(np.float64),
            np.array([each.verdict for each in attributions]),
            np.array([each.accuses for each in attributions]),
            np.array([each.source or each.family or "" for each in attributions]),
            self.attributor.p_values(chances.sources),
        )
