"""The closed vocabulary of ``rejects.reason`` and ``attributions.reason``: short, stable, made for GROUP BY."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """Where an image was rejected."""

    READ = "read"
    DECODE = "decode"
    COMPUTE = "compute"


class Reason(StrEnum):
    """Why an image was rejected: it has a row in ``rejects`` and none in ``attributions``."""

    TRUNCATED_MEMBER = "truncated-member"  # the shard ends, or is damaged, inside this member
    CORRUPT_HEADER = "corrupt-header"  # the member's header in the shard fails its checksum
    CORRUPT_RECORD = "corrupt-record"  # the record's own checksum fails (TFRecord), or its encoding is broken
    READER_ERROR = "reader-error"  # reading failed for this member alone, in a way that nobody foresaw
    NO_BYTES = "no-bytes"  # the row or record holds no image bytes (null, or a path outside the shard)
    EMPTY = "empty"  # zero bytes
    TOO_LARGE = "too-large"  # more encoded bytes than one image may have
    UNSUPPORTED_FORMAT = "unsupported-format"  # not on the allow-list
    UNSUPPORTED_VARIANT = "unsupported-variant"  # a sound file of a kind of its format that the decoder lacks
    TOO_MANY_PIXELS = "too-many-pixels"  # by its header, before decoding
    TOO_COSTLY = "too-costly"  # more segments, scans, tags, chunks, strips or bytes than one image may have, before decoding
    TRUNCATED_IMAGE = "truncated-image"  # the image file itself ends early, or a part of it is a hole
    CORRUPT_IMAGE = "corrupt-image"  # the decoder refuses it
    MODEL_ERROR = "model-error"  # computing failed for this image alone
    NON_FINITE = "non-finite"  # the fingerprint is not a number


class Abstention(StrEnum):
    """Why an image with a fingerprint got the verdict ``abstain``."""

    TOO_SMALL = "too-small"  # smaller than the crop; never resized
    UNDECIDED = "undecided"  # neither surely generated nor surely not
    NO_SOURCE = "no-source"  # surely generated, and no generator or family is probable enough
    DAMAGED = "damaged"  # some of its pixels may be the decoder's invention: `images.damage` says why
    FLAT = "flat"  # no texture, so the residual carries no evidence
    UNCALIBRATED = "uncalibrated"  # the residual was overridden, and the bundle's attributor was not trained on it


class Verdict(StrEnum):
    """What the system says of an image."""

    REAL = "real"
    GRAPHIC = "graphic"
    KNOWN = "known"
    UNKNOWN = "unknown"
    ABSTAIN = "abstain"


TAKEN = f"(verdict IN ('{Verdict.KNOWN}', '{Verdict.UNKNOWN}') OR coalesce(reason = '{Abstention.NO_SOURCE}', false))"
"""The condition, in SQL, of an image that a bundle takes for generated, as its card counts the photographs that it accuses."""


def undecided(verdict: str = "verdict", reason: str = "reason") -> str:
    """The condition, in SQL, of an image that another bundle may decide: what the picture itself forbids, it forbids to all.

    Args:
        verdict: the column, as the query names it.
        reason: the same.
    """
    own = f"'{Abstention.TOO_SMALL}', '{Abstention.DAMAGED}', '{Abstention.FLAT}'"
    return f"({verdict} = '{Verdict.ABSTAIN}' AND {reason} NOT IN ({own}))"
