"""What people say of images of an audit: a file of labels."""

from __future__ import annotations

import hashlib
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from causalprint.schemas.config import Storage
from causalprint.transforms.tables.output import get

_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]*")


class LabelsError(ValueError):
    """The file is none of labels; the message says where, and what it should hold."""


class Label(NamedTuple):
    """What made an image: ``generated``, ``real``, ``graphic`` or a source; how it was drawn; and where it lies."""

    label: str
    weight: float = 1.0
    stratum: str = ""
    shard: str = ""
    member: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels by ``image_id``, and the SHA-256 of their file, lower-case hex."""

    by_image: Mapping[str, Label]
    digest: str


def read_labels(path: str, storage: Storage) -> Labels:
    """Reads a CSV or Parquet file with the columns ``image_id`` and ``label``, and those of ``causalprint sample``.

    Rows without a label are left out; those of their stratum that have one then stand for them too.

    Raises:
        LabelsError: there is no such file, or it is none of labels.
    """
    import pandas as pd

    folder, _, name = path.rpartition("/")
    data = get(folder or ".", name, storage)
    if data is None:
        raise LabelsError(f"{path} is not there; causalprint sample OUT --for-labels 400 --output DIR writes one to fill in")
    try:
        frame = pd.read_parquet(io.BytesIO(data)) if name.endswith(".parquet") else pd.read_csv(io.BytesIO(data), dtype=str)
    except (ValueError, OSError) as error:
        raise LabelsError(f"{path} is no CSV or Parquet file: {error}") from error
    if missing := {"image_id", "label"} - set(frame.columns):
        raise LabelsError(f"{path} lacks the column {', '.join(sorted(missing))}; it has {', '.join(map(str, frame.columns))}")
    frame = frame.astype(object).where(frame.notna(), None)
    rows = frame.to_dict("records")
    drawn = Counter(str(row.get("stratum") or "") for row in rows)
    filled = [row for row in rows if row["label"] is not None and str(row["label"]).strip()]
    if not filled:
        raise LabelsError(f"{path} has no label yet: write generated, real, graphic or the name of a source into column label")
    answered = Counter(str(row.get("stratum") or "") for row in filled)
    found: dict[str, Label] = {}
    for row in filled:
        image_id, label, stratum = str(row["image_id"]), str(row["label"]).strip().lower(), str(row.get("stratum") or "")
        if not _DIGEST.fullmatch(image_id):
            raise LabelsError(f"{path}: image_id {image_id!r} is no SHA-256 of 64 hexadecimal digits, lower case")
        if not _NAME.fullmatch(label):
            raise LabelsError(f"{path}: label {label!r} of {image_id} is none: write generated, real, graphic or a source's name")
        if found.get(image_id, Label(label)).label != label:
            raise LabelsError(f"{path}: {image_id} is called {found[image_id].label} and {label}; leave one of them")
        weight = float(row.get("weight") or 1.0) * drawn[stratum] / answered[stratum]
        found[image_id] = Label(label, weight, stratum, str(row.get("shard") or ""), str(row.get("member") or ""))
    return Labels(found, hashlib.sha256(data).hexdigest())
