"""A recipe: all the choices of a training, as a frozen value that is read from YAML and kept in the bundle's folder.

``recipes/`` beside this file holds those that ship: ``default`` is ours, ``causal-2509.15406`` the paper's method as published.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import yaml

from causalprint.models.bundles.manifest import AttributorKind, Family, Fusion
from causalprint.models.lenses import LENSES
from causalprint.models.training.interventions import Interventions
from causalprint.schemas.model_spec import Reading, is_spec
from causalprint.schemas.records import from_data

RECIPES = Path(__file__).parents[1] / "recipes"


class _Loader(yaml.SafeLoader):
    """YAML 1.1 takes 1e-4, which has no point, for a word; here it is a number, as in YAML 1.2."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)[eE][-+]?\d+$"), list("-+.0123456789")
)


class RecipeError(ValueError):
    """The recipe cannot be used; the message names the file, the key and the remedy."""


@dataclass(frozen=True, slots=True)
class Use:
    """A lens and what it reads.

    Attributes:
        lens: a key of ``LENSES``, or the spec of a learned lens (``kind:path-or-name``).
        reading: of what.
        weight: how large its features are beside those of the other lenses, before anything is learned: the ridge strength of a
            block of features is one over the square of this.
        components: that are kept of it at most; 0 for as many as of the others.
    """

    lens: str
    reading: Reading
    weight: float = 1.0
    components: int = 0


@dataclass(frozen=True, slots=True)
class Objective:
    """What is minimised; each number weighs its term, 0 leaves it out. See :mod:`causalprint.models.training.objectives`.

    Attributes:
        cross_entropy: of the attribution.
        detection: cross-entropy of the detector, which learns beside and moves no fingerprint.
        contrast: supervised contrastive loss (Khosla et al., NeurIPS 2020), versions and other images of a source as positives.
        hard: how many times a hard pair counts: another origin of the same source, another source with the same content.
        invariance: squared distance between the fingerprints of an image's versions.
        independence: HSIC (Gretton et al., ALT 2005) between the fingerprint and codes of content and style, within a source.
        adversary: a network that guesses the origin within a source from the fingerprint, its gradient reversed
            (Ganin et al., JMLR 2016).
        swap: a decoder from fingerprint and content code back to lens features must give, with the fingerprint of another
            image of the same content and another source, that image's features.
        reconstruction, sparsity, divergence: of the variational autoencoder: MSE, L1 of the code, KL (the paper has 1, 0.1, 0.1).
    """

    cross_entropy: float = 1.0
    detection: float = 1.0
    contrast: float = 0.0
    hard: float = 1.0
    invariance: float = 0.0
    independence: float = 0.0
    adversary: float = 0.0
    swap: float = 0.0
    reconstruction: float = 0.0
    sparsity: float = 0.0
    divergence: float = 0.0


@dataclass(frozen=True, slots=True)
class Optimiser:
    """Adam with decoupled weight decay (Loshchilov & Hutter, ICLR 2019) and early stopping.

    Attributes:
        epochs: at most.
        batch: images of a step, each with all of its versions.
        rate: learning rate, falling to nought along a cosine.
        decay: weight decay: towards the closed form where training begins from it, else towards nought.
        patience: epochs without a better macro recall on validation after which training stops and goes back to the best.
    """

    epochs: int = 40
    batch: int = 256
    rate: float = 1e-3
    decay: float = 1e-2
    patience: int = 10


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training.

    Attributes:
        name: of the recipe.
        about: what it is, in a sentence.
        residual: its spec; empty for that of the bundle in the package.
        lenses: what the fingerprint reads, in order.
        interventions: on content and style; each gives one more version of every image, which is learned from beside the image.
        families: of generators: where a verdict cannot name one, it may name its family.
        components: each lens is reduced to at most so many principal components before anything is learned.
        closed_form: begin from the ridge regression of :mod:`causalprint.models.training.closed_form` instead of at random.
        ridge: its strength.
        detector_ridge: that of the regressions that the detector begins from.
        between: how strongly it is kept from what tells origins of one source apart.
        fusion: ``f0`` equal weights, ``f1`` weights by each lens's accuracy on validation, ``f2`` cross-attention.
        autoencoder: whether the fused fingerprint passes the variational autoencoder 128 -> 64 -> 128.
        attributor: ``linear``, or ``attention``: a transformer over the fingerprint's parts.
        objective: what is minimised.
        optimiser: how.
    """

    name: str
    about: str
    residual: str = ""
    lenses: tuple[Use, ...] = ()
    interventions: tuple[Interventions, ...] = ()
    families: tuple[Family, ...] = ()
    components: int = 256
    closed_form: bool = True
    ridge: float = 0.1
    detector_ridge: float = 0.1
    between: float = 0.0
    fusion: Fusion = "f0"
    autoencoder: bool = False
    attributor: AttributorKind = "linear"
    objective: Objective = field(default_factory=Objective)
    optimiser: Optimiser = field(default_factory=Optimiser)

    @property
    def reduction(self) -> tuple[list[int], list[float]]:
        """Of each lens, how many components are kept, and its weight."""
        return [use.components or self.components for use in self.lenses], [use.weight for use in self.lenses]


def load_recipe(name_or_path: str, further: Sequence[str] = ()) -> Recipe:
    """The recipe of that name in the package, or in that YAML file.

    Args:
        name_or_path: of the recipe.
        further: lenses that are read on the image besides those of the recipe.

    Raises:
        RecipeError: there is none, or a key or value is not of a recipe.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = RECIPES / f"{name_or_path}.yaml"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RecipeError(
            f"no recipe {name_or_path!r}: {error.strerror}; give a YAML file or one of {', '.join(recipe_names())}"
        ) from error
    try:
        recipe = from_data(Recipe, yaml.load(text, _Loader), str(path))  # noqa: S506 - a safe loader
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no YAML: {error}") from error
    except ValueError as error:
        raise RecipeError(str(error)) from error
    lenses = (*recipe.lenses, *(Use(lens, "image") for lens in further))
    if not lenses:
        raise RecipeError(f"{path}: a recipe needs lenses")
    for use in lenses:
        if use.lens not in LENSES and not is_spec(use.lens):
            raise RecipeError(f"{path}: lens {use.lens!r} is none of {', '.join(LENSES)} and no spec kind:path-or-name")
    return replace(recipe, lenses=lenses)


def recipe_names() -> list[str]:
    """The names of the recipes in the package."""
    return sorted(file.stem for file in RECIPES.glob("*.yaml"))
