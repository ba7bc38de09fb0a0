"""What an audit's report says of the bundle: limits and figures of its card."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from causalprint.models.bundles.manifest import Manifest

ACCUSED = "photographs accused"
FOUND = "generated found, TPR at 1 % FPR"


def limits_of(manifest: Manifest) -> dict[str, list[str]]:
    """What the card says in words, paragraphs and points by heading: its limits, and what it must not be used for."""
    from causalprint.models.bundles.card import card

    sections = dict(section.split("\n", 1) for section in card(manifest).split("\n## ")[1:])
    told = {}
    for heading in ("Limits", "What it must not be used for"):
        parts = re.split(r"\n\n|^- ", sections[heading], flags=re.MULTILINE)
        told[heading] = [" ".join(re.sub(r"[`*]", "", part).split()) for part in parts if part.strip()]
    return told
