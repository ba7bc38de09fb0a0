"""``card.md``: what a bundle is, in words, made from its manifest."""

from __future__ import annotations

from causalprint.models.bundles.manifest import Manifest
from causalprint.models.bundles.trust import AUDIT, is_validated, voiding_audits, warnings
from causalprint.schemas.rendering import render
from causalprint.schemas.tables import FINGERPRINT_DIM


def card(manifest: Manifest, preface: str = "") -> str:
    """The card of a bundle, Markdown; ``preface`` follows the title."""
    learned = [one for one in manifest.data if one.training]
    origins = [len({one.origin for one in learned if one.source == source}) for source in manifest.sources]
    return render(
        "models/bundles/card.md.j2",
        manifest=manifest,
        preface=preface,
        fingerprint_dim=FINGERPRINT_DIM,
        crop=manifest.geometry.crop,
        views=manifest.geometry.views,
        warnings=warnings(manifest),
        voiding=voiding_audits(manifest),
        audited=any(figure.name.startswith(AUDIT) for figure in manifest.figures),
        validated=is_validated(manifest),
        images=sum(one.training for one in learned),
        fewest=min(origins),
        most=max(origins),
    )
