"""How far a bundle's figures can be trusted, read from its manifest: what voids them, and what they say nothing about."""

from __future__ import annotations

from causalprint.models.bundles.manifest import Figure, Manifest
from causalprint.models.statistics.metrics import is_above_chance
from causalprint.schemas.estimates import Estimate

AUDIT = "shortcut audit: "
"""Begins the name of a figure that is the macro recall of what is no fingerprint."""


def voiding_audits(manifest: Manifest) -> tuple[Figure, ...]:
    """The shortcut audits above chance by three standard errors: any one voids the figures as evidence of fingerprints."""
    audits = (figure for figure in manifest.figures if figure.name.startswith(AUDIT))
    classes = len(manifest.sources)
    return tuple(audit for audit in audits if is_above_chance(Estimate(audit.value, audit.low, audit.high), classes))


def is_validated(manifest: Manifest) -> bool:
    """Whether held-out images were given apart, not taken from those that were learned from in turn."""
    return any(one.validation for one in manifest.data)


def of_known_origins(manifest: Manifest) -> tuple[str, ...]:
    """The sources of which no image of another origin was held out: their figures are of the origins that were learned from."""
    learned = {(one.source, one.origin) for one in manifest.data if one.training}
    if is_validated(manifest):
        new = {one.source for one in manifest.data if one.validation and (one.source, one.origin) not in learned}
    else:
        origins = [source for source, _ in learned]
        new = {source for source in origins if origins.count(source) > 1}
    return tuple(source for source in manifest.sources if source not in new)


def warnings(manifest: Manifest) -> tuple[str, ...]:
    """What whoever reads the figures must know, a sentence or two each; none where there are no figures."""
    if not manifest.figures:
        return ()
    told = []
    if voiding := voiding_audits(manifest):
        audits = ", ".join(f"{audit.name.removeprefix(AUDIT)} {audit.value:.3f}" for audit in voiding)
        told.append(
            "The figures are void as evidence of fingerprints: what is no fingerprint tells these sources apart, above chance "
            f"({1 / len(manifest.sources):.3f}) by three standard errors ({audits}). How the images were collected may explain "
            "the figures."
        )
    elif not any(figure.name.startswith(AUDIT) for figure in manifest.figures):
        told.append("No shortcut audit was made: how the images were collected may explain the figures.")
    if known := of_known_origins(manifest):
        which = "any source" if len(known) == len(manifest.sources) else ", ".join(known)
        told.append(
            f"No other origin was held out of {which}: what is recognised there may be the history of a collection, and nothing "
            "is proved about new origins."
        )
    return tuple(told)
