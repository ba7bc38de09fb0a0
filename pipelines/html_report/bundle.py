"""Which bundle's verdicts an audit's report tells, and what that bundle's card says of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig, Storage

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.bundles.manifest import Figure, Manifest
    from causalprint.schemas.runs import RunManifest

PACKAGED = ("default", "demo")
LOOKED_AT = 50
"""Manifests of runs that are read to find one by a bundle."""
ACCUSED = "photographs accused"
FOUND = "generated found, TPR at 1 % FPR"


class ReportError(ValueError):
    """There is nothing to report, or not on what was asked; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Told:
    """Whose verdicts are told.

    Attributes:
        bundle_id: the partition of the tables.
        run: the newest finished run by that bundle; ``None`` where none finished, or an earlier version wrote its manifest.
        bundle: the bundle itself, for its card; ``None`` where it is not here.
    """

    bundle_id: str
    run: RunManifest | None
    bundle: Bundle | None

    def figure(self, name: str) -> Figure | None:
        """A figure of the card by its name; ``None`` where the card is not here, or has none of that name."""
        figures = self.bundle.manifest.figures if self.bundle else ()
        return next((figure for figure in figures if figure.name == name), None)


def told_by(output: str, asked: str | None, storage: Storage) -> Told:
    """The bundle that is ``asked`` for, by its folder, its name in the package or its id; by default that of the newest run.

    Raises:
        ReportError: the audit has no verdicts by it; or nobody says which of several is meant.
    """
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.bundles.manifest import BundleError
    from causalprint.transforms.tables.committed import bundle_ids

    ids = bundle_ids(output, storage)
    given: Bundle | None = None
    if asked is not None and asked not in ids:
        try:
            given = load_bundle(asked)
        except BundleError as error:
            raise ReportError(f"{asked} is no bundle of {output}, which has verdicts by {', '.join(ids)}: {error}") from error
    runs = list(_runs(output, storage))
    # By another prior or residual a bundle has another id, which only the run knows.
    wanted = ids if given is None else [one for one in ids if one == given.bundle_id or one.startswith(f"{given.manifest.name}-")]
    wanted = [asked] if asked in ids else wanted
    run = next((one for one in runs if one.run.bundle_id in wanted), None)
    if not wanted:
        raise ReportError(f"{output} has no verdicts by {asked}; it has some by {', '.join(ids)}")
    if run is None and len(wanted) > 1:
        raise ReportError(f"{output} has verdicts by {', '.join(wanted)}; say which are meant: --bundle {wanted[0]}")
    bundle_id = run.run.bundle_id if run else wanted[0]
    return Told(bundle_id, run, given or _found(bundle_id, run, runs))


def limits_of(manifest: Manifest) -> dict[str, list[str]]:
    """What the card says in words, paragraphs and points by heading: its limits, and what it must not be used for."""
    from causalprint.models.bundles.card import card

    sections = dict(section.split("\n", 1) for section in card(manifest).split("\n## ")[1:])
    told = {}
    for heading in ("Limits", "What it must not be used for"):
        parts = re.split(r"\n\n|^- ", sections[heading], flags=re.MULTILINE)
        told[heading] = [" ".join(re.sub(r"[`*]", "", part).split()) for part in parts if part.strip()]
    return told


def _runs(output: str, storage: Storage) -> Iterator[RunManifest]:
    """Manifests of finished runs, the newest first; those of other versions are passed over."""
    from causalprint.transforms.tables.committed import run_ids
    from causalprint.transforms.tables.write_manifest import read_manifest

    for run_id in sorted(run_ids(output, storage), reverse=True)[:LOOKED_AT]:
        try:
            manifest = read_manifest(output, run_id, storage)
        except ValueError:
            continue
        if manifest is not None:
            yield manifest


def _found(bundle_id: str, run: RunManifest | None, runs: Sequence[RunManifest]) -> Bundle | None:
    """The bundle whose verdicts those are: where a run had it, or in the package."""
    from causalprint.models.bundles.manifest import BundleError

    for place in dict.fromkeys([*(one.run.config.bundle or "default" for one in runs), *PACKAGED]):
        if place not in PACKAGED and not Path(place).is_dir():
            continue
        try:
            bundle, partition = _as_asked(place, run)
        except BundleError:
            continue
        if partition == bundle_id:
            return bundle
    return None


def _as_asked(place: str, run: RunManifest | None) -> tuple[Bundle, str]:
    """A bundle with the policy of a run, and the partition that it then writes to.

    What another residual in place of its own is called, only loading it would tell: the run is believed.
    """
    from causalprint.models.bundles.bundle import load_bundle

    if run is None:
        bundle = load_bundle(place)
    elif run.run.scoring is not None and isinstance(run.run.config, AttributeConfig):
        bundle = load_bundle(place, None, run.run.scoring.prior, run.run.config.minimum_probability)
        return bundle, bundle.scoring(run.run.scoring.embeddings).bundle_id
    elif isinstance(run.run.config, AuditConfig):
        bundle = load_bundle(place, None, run.run.config.prior)
        if run.run.config.residual is not None and run.run.bundle_id.startswith(f"{bundle.manifest.name}-"):
            return bundle, run.run.bundle_id
    return bundle, bundle.bundle_id
