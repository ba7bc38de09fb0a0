"""What ``causalprint lab anonymize`` reports: a record an attempt, as JSON and as the columns of ``anonymize.parquet``."""

from __future__ import annotations

import types
import typing
from typing import Any, NamedTuple

import pyarrow as pa

from causalprint.research.anonymization.config import NOISE, PGD, SWAP
from causalprint.schemas.estimates import Estimate
from causalprint.schemas.reasons import Verdict

NONE, SHUFFLED = "none", "shuffled"
ABOUT = {
    PGD: "descent",
    SWAP: "swap of traces",
    SHUFFLED: "the descent's changes at random places",
    NOISE: "random noise, +ε or -ε",
    NONE: "none",
}
"""Every way to change an image, as a table shows it."""


class Seen(NamedTuple):
    """What an attributor says of an image.

    Attributes:
        verdict: a value of :class:`causalprint.schemas.reasons.Verdict`.
        source: its best candidate, whatever the verdict; ``None`` where nothing was computed (too small, flat).
        probability: of that candidate, calibrated.
        novelty: above 1, the image is like no known source.
    """

    verdict: str
    source: str | None
    probability: float | None
    novelty: float | None

    @property
    def named(self) -> str | None:
        """The source that the verdict itself names."""
        return self.source if self.verdict in (Verdict.REAL, Verdict.KNOWN) else None


class HeldOut(NamedTuple):
    """What another attributor, which was not attacked, says before and after; ``success`` as of :class:`Attempt`."""

    bundle: str
    before: Seen
    after: Seen
    success: bool


class Attempt(NamedTuple):
    """One attempt to give one image another source.

    Attributes:
        image: its shard and member.
        image_id: SHA-256 of the encoded original.
        label: what made it, where that is known (``--study``).
        content: what it shows: images that share it are not independent.
        file: the PNG written, below the output; ``None`` where none is (``--study``).
        method: ``pgd``, ``swap``, ``noise``; ``shuffled`` and ``none`` are controls of a study.
        epsilon: of the L∞ ball, image range 0 to 1.
        target: the source to be named; ``None``: any but the original's.
        before, after, jpeg: of the original, of the changed image, and of that after a JPEG of quality 75.
        success: the verdict names the target; without one, the best candidate is another than before (than the label, if known).
        jpeg_success: the same after the JPEG.
        ssim, psnr, largest, rms: as of :class:`causalprint.research.anonymization.counterfactual.Fidelity`.
        held_out: what other attributors say.
    """

    image: str
    image_id: str
    label: str | None
    content: str
    file: str | None
    method: str
    epsilon: float
    target: str | None
    before: Seen
    after: Seen
    jpeg: Seen
    success: bool
    jpeg_success: bool
    ssim: float
    psnr: float | None
    largest: int
    rms: float
    held_out: tuple[HeldOut, ...] = ()


class LeftOut(NamedTuple):
    """An image that was not attacked, and why."""

    image: str
    reason: str


class Anonymization(NamedTuple):
    """``report.json``.

    Attributes:
        version: of causalprint.
        bundle_id: the attributor that was attacked.
        held_out: those that were not.
        attempts: one an image.
        left_out: images without a verdict.
    """

    version: str
    bundle_id: str
    held_out: tuple[str, ...]
    attempts: tuple[Attempt, ...]
    left_out: tuple[LeftOut, ...]


class Transfer(NamedTuple):
    """Of ``images`` that a held-out bundle has right before, the share whose verdict is changed as aimed."""

    bundle: str
    images: int
    success: Estimate | None


class AttackSummary(NamedTuple):
    """All attempts of one method, one aim and one ε.

    Attributes:
        method: a key of :data:`ABOUT`.
        targeted: towards a source drawn for each image; else away from its own.
        epsilon: of the L∞ ball, image range 0 to 1.
        images: how many.
        success, jpeg_success: on the attacked bundle, on the image as PNG and after a JPEG of quality 75.
        ssim, least_ssim: mean and minimum.
        psnr: mean in dB over the images that were changed.
        rms: mean of the root mean square change, in levels of 255.
        transfers: of each held-out bundle.
    """

    method: str
    targeted: bool
    epsilon: float
    images: int
    success: Estimate
    jpeg_success: Estimate
    ssim: float
    least_ssim: float
    psnr: float | None
    rms: float
    transfers: tuple[Transfer, ...]


class Study(NamedTuple):
    """``anonymize.json``: of ``seen`` labelled images with a verdict, ``images`` were attributed rightly and attacked."""

    version: str
    command: str
    bundle_id: str
    held_out: tuple[str, ...]
    seen: int
    images: int
    left_out: int
    rows: tuple[AttackSummary, ...]


_ARROW = {str: pa.string(), bool: pa.bool_(), int: pa.int16(), float: pa.float32()}


def _columns(record: type) -> list[pa.Field]:
    """The fields of a record as columns, nullable where they may be ``None``."""
    hints = typing.get_type_hints(record).items()
    return [pa.field(name, _column(hint), nullable=isinstance(hint, types.UnionType)) for name, hint in hints]


def _column(hint: Any) -> pa.DataType:
    if isinstance(hint, types.UnionType):
        return _column(typing.get_args(hint)[0])
    if typing.get_origin(hint) is tuple:
        return pa.list_(_column(typing.get_args(hint)[0]))
    return _ARROW[hint] if hint in _ARROW else pa.struct(_columns(hint))


ATTEMPTS = pa.schema(_columns(Attempt))
"""Columns of ``anonymize.parquet``: the fields of :class:`Attempt`."""
