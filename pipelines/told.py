"""Whose verdicts an audit holds, and the bundle that gave them: for what tells an audit after it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from causalprint.schemas.attribute import AttributeConfig
from causalprint.schemas.config import AuditConfig, Storage
from causalprint.schemas.prior import EVEN, Prior

if TYPE_CHECKING:
    from causalprint.models.bundles.bundle import Bundle
    from causalprint.models.bundles.manifest import Figure
    from causalprint.schemas.runs import RunManifest

PACKAGED = ("default", "demo")
LOOKED_AT = 50
"""Manifests of runs that are read to find one by a bundle."""


class VerdictsError(ValueError):
    """An audit has no verdicts, or not by the bundle that was asked for; the message says what to do."""


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

    @property
    def prior(self) -> Prior:
        """What the verdicts take for granted."""
        if self.run is None:
            return EVEN
        scoring, config = self.run.run.scoring, self.run.run.config
        return scoring.prior if scoring else config.prior if isinstance(config, AuditConfig) else EVEN

    def figure(self, name: str) -> Figure | None:
        """A figure of the card by its name; ``None`` where the card is not here, or has none of that name."""
        figures = self.bundle.manifest.figures if self.bundle else ()
        return next((figure for figure in figures if figure.name == name), None)


def told_by(output: str, asked: str | None, storage: Storage) -> Told:
    """The bundle that is ``asked`` for, by its folder, its name in the package or its id; by default that of the newest run.

    Raises:
        VerdictsError: the audit has no verdicts by it; or nobody says which of several is meant.
    """
    from causalprint.models.bundles.bundle import load_bundle
    from causalprint.models.bundles.manifest import BundleError
    from causalprint.transforms.tables.committed import bundle_ids

    ids = bundle_ids(output, storage)
    runs = [run for run in _runs(output, storage) if run.run.bundle_id in ids]
    if asked is None or asked in ids:
        run = next((one for one in runs if asked in (None, one.run.bundle_id)), None)
        if run is None and asked is None and len(ids) > 1:
            raise VerdictsError(f"{output} has verdicts by {', '.join(ids)}; say which are meant: --bundle {ids[0]}")
        bundle_id = run.run.bundle_id if run else asked or ids[0]
        return Told(bundle_id, run, _found(bundle_id, run, runs))
    try:
        given = load_bundle(asked)
        policies = ((one, *_as_asked(asked, one)) for one in runs)  # another prior or residual gives another id
        for run, bundle, partition in policies:
            if partition == run.run.bundle_id:
                return Told(partition, run, bundle)
    except BundleError as error:
        raise VerdictsError(f"{asked} is no bundle of {output}, which has verdicts by {', '.join(ids)}: {error}") from error
    if given.bundle_id not in ids:
        raise VerdictsError(f"{output} has no verdicts by {asked}; it has some by {', '.join(ids)}")
    return Told(given.bundle_id, None, given)


def _runs(output: str, storage: Storage) -> Iterator[RunManifest]:
    """Manifests of finished runs, the newest first; those of other versions are passed over."""
    from causalprint.transforms.tables.committed import run_ids
    from causalprint.transforms.tables.manifests import read_manifest

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
        scoring, given = run.run.scoring, run.run.config.minimum_probability
        bundle = load_bundle(place, None, scoring.prior, scoring.wrong_names.limit if scoring.wrong_names else given)
        return bundle, bundle.scoring(scoring.embeddings).bundle_id
    elif isinstance(run.run.config, AuditConfig):
        bundle = load_bundle(place, None, run.run.config.prior)
        if run.run.config.residual is not None and run.run.bundle_id.startswith(f"{bundle.manifest.name}-"):
            return bundle, run.run.bundle_id
    return bundle, bundle.bundle_id
