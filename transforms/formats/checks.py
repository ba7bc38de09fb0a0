"""What every format refuses of an image's bytes before it passes them on."""

from __future__ import annotations

from causalprint.schemas.elements import EncodedImage, Reject
from causalprint.schemas.reasons import Reason, Stage
from causalprint.transforms.storage.options import ReadOptions


def checked_image(
    member: str, offset: int, data: bytes | None, metadata: str | None, options: ReadOptions
) -> EncodedImage | Reject:
    """The image, or its reject: ``no-bytes``, ``empty`` or ``too-large``."""
    if data is None:
        return Reject(member, offset, Stage.READ, Reason.NO_BYTES, "null in place of bytes", metadata=metadata)
    if not data:
        return Reject(member, offset, Stage.READ, Reason.EMPTY, "0 bytes", metadata=metadata)
    if len(data) > options.max_encoded_bytes:
        detail = too_large(len(data), options)
        return Reject(member, offset, Stage.READ, Reason.TOO_LARGE, detail, metadata=metadata)
    return EncodedImage(member, offset, data, metadata)


def too_large(size: int, options: ReadOptions) -> str:
    """Why an image of ``size`` bytes is refused."""
    return f"{size} bytes, more than {options.max_encoded_bytes}"
