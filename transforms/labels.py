"""What is known of a labelled image: what made it, and where it comes from."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import NamedTuple

from causalprint.schemas.elements import EncodedImage, Shard

UNKNOWN = "unstated"
UNLABELLED = "unlabelled"
"""Why an image without a label is left out."""


class LabelError(ValueError):
    """An image that cannot be learned from since nothing says what made it."""


class Label(NamedTuple):
    """What is known of one image.

    Attributes:
        source: what made it: ``real`` or a generator's name.
        origin: the collection that it comes from; its folder or shard where nothing says.
        content: what it shows: images that share it (a photograph and its decoded copy) stay on one side of a split. The image's
            own id where nothing says.
        licence: ``unstated`` where nothing says.
    """

    source: str
    origin: str
    content: str
    licence: str


def label_of(image: EncodedImage, shard: Shard, label_field: str, otherwise: str | None = None) -> Label:
    """The label of ``image``: from its metadata, else its source is ``otherwise``, or the name of the folder that it lies in.

    Metadata are its sidecar or the other columns of its row (Parquet, TFRecord). The key ``label_field`` names the source, as
    text or as a whole number (a column of classes); the keys ``origin``, ``content`` and ``licence`` the rest.

    Raises:
        LabelError: neither the metadata nor a folder names its source.
    """
    metadata = json.loads(image.metadata) if image.metadata else {}
    known = metadata if isinstance(metadata, dict) else {}
    return Label(
        _source(known.get(label_field, otherwise), image, shard, label_field),
        str(known.get("origin") or shard.collection),
        str(known.get("content") or image.image_id),
        str(known.get("licence") or UNKNOWN),
    )


def _source(stated: object, image: EncodedImage, shard: Shard, label_field: str) -> str:
    if isinstance(stated, str) and stated:
        return stated
    if isinstance(stated, int) and not isinstance(stated, bool):
        return str(stated)
    inside = PurePosixPath(image.member).parent.name
    folder = inside or (PurePosixPath(shard.collection).name if shard.format == "folder" else "")
    if folder and stated is None:
        return folder
    found = f"holds {stated!r}, which is no text" if stated is not None else "is not there"
    where = "" if folder else " and it lies in no folder"
    raise LabelError(
        f"{image.member} in {shard.uri} has no label: {label_field!r} of its sidecar or row {found}{where}; "
        "state its source there, or name another key or column with another --label-field"
    )
