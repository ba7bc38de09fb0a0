"""What an image file says of its own origin: the closed vocabulary, what wins, and where it contradicts a verdict.

A claim is the word of whoever wrote the file. None is a feature: no fingerprint and no verdict depends on one.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

MAX_CLAIMS = 8
"""Claims kept of one file."""
MAX_NAME = 100
"""Characters kept of what a claim names: the name of a program, a model or a camera, never a prompt."""


class ClaimKind(StrEnum):
    """What is claimed, the strongest first: that a machine made it is said against the file's worth, and so before a camera."""

    GENERATED = "generated"  # a trained model made it
    COMPOSITE = "composite"  # parts of it were made by a trained model, or are synthetic
    CAMERA = "camera"  # a camera or a scanner took it; anybody can write that
    SOFTWARE = "software"  # ordinary software wrote or drew it
    UNREAD = "unread"  # a C2PA manifest that could not be read within the bounds
    INVALID = "invalid"  # a C2PA manifest that the file contradicts: changed, or forged; nothing that it says is believed


class Carrier(StrEnum):
    """What in the file says so, the hardest to write first."""

    C2PA = "c2pa"  # a C2PA manifest, which binds what it says to the file's bytes
    IPTC = "iptc"  # DigitalSourceType and what stands by it, in XMP
    AIGC = "aigc"  # the label that GB 45438-2025 asks of services in China
    TEXT = "text"  # what front ends of diffusion models write: text chunks of a PNG file, EXIF's user comment
    EXIF = "exif"  # make, model and software, also where XMP repeats them


class ManifestState(StrEnum):
    """What is known of a C2PA manifest."""

    VALID = "valid"  # nothing contradicts it, and a root that was given as trusted vouches for who signed
    UNVERIFIED = "unverified"  # nothing contradicts it; who signed is not known: anybody can sign so
    INVALID = "invalid"  # the file was changed since, or the manifest is broken or forged
    UNREAD = "unread"  # it could not be read within the bounds of time and memory


class Claim(NamedTuple):
    """One claim.

    Attributes:
        kind: what is claimed.
        carrier: what in the file says so.
        source: the model, the program, the service or the camera that it names, of :data:`MAX_NAME` characters at most; of a
            manifest that names none, who signed.
    """

    kind: ClaimKind
    carrier: Carrier
    source: str | None = None


class Claims(NamedTuple):
    """All that a file claims.

    Attributes:
        claims: the strongest first, :data:`MAX_CLAIMS` at most.
        c2pa: what is known of its manifest; ``None`` where it has none.
    """

    claims: tuple[Claim, ...] = ()
    c2pa: ManifestState | None = None


def ranked(claims: tuple[Claim, ...]) -> tuple[Claim, ...]:
    """Each claim once, the strongest first: by what it says, then by what says it, then those that name a source."""
    kinds, carriers = list(ClaimKind), list(Carrier)
    once = dict.fromkeys(claims)
    order = sorted(once, key=lambda each: (kinds.index(each.kind), carriers.index(each.carrier), each.source is None))
    return tuple(order[:MAX_CLAIMS])


def conflict(claim_kind: str = "claim_kind", verdict: str = "verdict") -> str:
    """SQL that is true where claim and verdict contradict each other, else false; never null.

    A file that is said to be generated and found to be a photograph or drawn by software, or said to be a camera's and found to
    be generated. Either may be wrong.

    Args:
        claim_kind: the column, as the query names it.
        verdict: the same.
    """
    return (
        f"coalesce(({claim_kind} = '{ClaimKind.GENERATED}' AND {verdict} IN ('real', 'graphic')) "
        f"OR ({claim_kind} = '{ClaimKind.CAMERA}' AND {verdict} IN ('known', 'unknown')), false)"
    )
