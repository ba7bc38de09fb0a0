"""``card.md``: what a bundle is, in words, made from its manifest."""

from __future__ import annotations

from causalprint.models.bundles.manifest import Manifest
from causalprint.schemas.tables import FINGERPRINT_DIM

LIMITS = """\
- It knows the sources above and no others. What is like none of them is called `unknown`, but not reliably: images of other
  generators mostly look like one of these.
- Probabilities hold where photographs are twice as frequent as each generator and images resemble those it was calibrated on.
  In a crawl where most images are photographs, even a small share of them taken for generated outnumbers what is really
  generated: look at `probability`, at prevalence, and at the image.
- A fingerprint is fragile: resizing, strong compression, screenshots and filters change or remove it.
- Figures were taken on crops of 256 pixels of few origins, all encoded once more as JPEG, quality 95. Much of what tells sources
  apart there is the history of their publication (scaling, earlier compression); other origins have other histories.
"""

NOT_FOR = """\
It must not be used to accuse anyone, to decide about a person, a work or a claim without other evidence, to remove content
automatically, or as proof before a court. A verdict is a reason to look, never a finding of fact. It says nothing about the truth
of what an image shows."""


def card(manifest: Manifest, preface: str = "") -> str:
    """The card of a bundle, Markdown; ``preface`` follows the title."""
    geometry = manifest.geometry
    lines = [f"# {manifest.name}", ""]
    if preface:
        lines += [preface, ""]
    lines += [
        f"A causalprint bundle: residual `{manifest.residual}`, {len(manifest.features)} readings of lenses, a fingerprint of",
        f"{FINGERPRINT_DIM} numbers, and an attribution over {len(manifest.sources)} sources. It analyses",
        f"{geometry.views} crop(s) of {geometry.crop} x {geometry.crop} pixels at native resolution.",
        "",
        f"Licence: {manifest.licence}",
        "",
        "## Figures",
        "",
        "On held-out images. Where a source has several origins, each was held out whole; else images of other content were.",
        "",
        "| figure | value | 95 % interval | note |",
        "|---|---|---|---|",
        *(f"| {f.name} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} | {f.note} |" for f in manifest.figures),
        "",
        "## Training images",
        "",
        "Licences are as stated at the origin.",
        "",
        "| source | origin | images | held out for limits only | licence |",
        "|---|---|---|---|---|",
        *(f"| {d.source} | {d.origin} | {d.training} | {d.validation} | {d.licence} |" for d in manifest.data),
        "",
        "## Weights",
        "",
        "| file | licence |",
        "|---|---|",
        *(f"| {file.path} | {file.licence} |" for file in manifest.files),
        "",
        "## Limits",
        "",
        LIMITS,
        "## What it must not be used for",
        "",
        NOT_FOR,
        "",
    ]
    return "\n".join(lines)
