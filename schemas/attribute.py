"""What ``attribute`` is asked to do: other verdicts on fingerprints that an audit has stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from causalprint.schemas.config import NO_OPTIONS, Runner, StorageOptions
from causalprint.schemas.options import Command, Option, OptionError, argument
from causalprint.schemas.places import Place
from causalprint.schemas.prior import ESTIMATE, EVEN, Prior, parse_prior


def _prior_words(given: object) -> str:
    """``estimate``, or shares as :func:`~causalprint.schemas.prior.parse_prior` reads them, as they were given."""
    text = str(given).strip()
    if text != ESTIMATE:
        parse_prior(given)
    return text


@dataclass(frozen=True, slots=True)
class AttributeConfig(Command):
    """Verdicts on stored fingerprints. The same configuration goes on with what was stopped."""

    NAME = "attribute"

    output: Annotated[str, argument("An audit's output: a folder, s3://… or gs://…; the verdicts are written there too.", "OUT")]
    bundle: Annotated[
        str | None,
        Option(
            "Attribute with this bundle, which shares its fingerprint with the one that computed the embeddings.",
            "BUNDLE",
            usual="the one that computed the embeddings",
            place=Place.BUNDLE,
        ),
    ] = None
    embeddings: Annotated[
        str | None,
        Option(
            "Score the embeddings of this bundle, by its id as `inspect` shows it.",
            "ID",
            usual="of the last audit whose embeddings the bundle can score",
        ),
    ] = None
    prior: Annotated[
        str,
        Option(
            "Take so many of all images for photographs, graphics or generated ones: photograph=0.9,graphic=0.05; or estimate "
            "how many are generated from the audit's own log likelihood ratios.",
            "SHARES|estimate",
            parse=_prior_words,
        ),
    ] = str(EVEN)
    minimum_probability: Annotated[
        float | None,
        Option("Name a generator, or a family, from this probability on.", "P", least=0, usual="what the bundle was set to"),
    ] = None
    target_error: Annotated[
        float | None,
        Option(
            "Name a generator, or a family, from the least probability on at which no larger share of the names is wrong, by the "
            "95 % upper bound of what the bundle's held-out images show.",
            "SHARE",
            least=0,
            usual="not asked for",
        ),
    ] = None
    storage: StorageOptions = NO_OPTIONS
    runner: Runner = "direct"
    # What follows two dashes, passed to Beam as it is.
    beam_options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        Command.__post_init__(self)  # super() finds no class that slots were added to
        if self.minimum_probability is not None and self.minimum_probability > 1:
            raise OptionError(f"--minimum-probability is a probability, 0 to 1, not {self.minimum_probability:g}")
        if self.target_error is not None and not 0 < self.target_error < 1:
            raise OptionError(f"--target-error is a share between 0 and 1, such as 0.05, not {self.target_error:g}")
        if self.target_error is not None and self.minimum_probability is not None:
            raise OptionError("--target-error chooses the least probability: give it or --minimum-probability")

    @property
    def shares(self) -> Prior | None:
        """The prior; ``None`` where it is to be estimated."""
        return None if self.prior == ESTIMATE else parse_prior(self.prior)
