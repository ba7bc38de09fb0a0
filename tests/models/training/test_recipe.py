"""Recipes of the package load and say what they are; a mistake in one's own is told in one sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from causalprint.models.lenses import parse_lens
from causalprint.models.training.interventions import Interventions
from causalprint.models.training.recipe import Objective, Optimiser, RecipeError, Use, load_recipe, recipe_names
from causalprint.schemas.model_spec import READINGS

LENSES = "lenses: [{lens: rgb, reading: residual}]"


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_of_the_package_loads_and_says_what_it_is(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert len(recipe.about) > 20
    assert {use.reading for use in recipe.lenses} <= set(READINGS)


def test_the_package_has_ours_and_the_papers() -> None:
    assert {"default", "causal-2509.15406"} <= set(recipe_names())


def test_the_papers_recipe_is_what_the_paper_says() -> None:
    recipe = load_recipe("causal-2509.15406")
    assert recipe.interventions == (), "no image goes through an intervention"
    assert (recipe.fusion, recipe.autoencoder, recipe.attributor, recipe.closed_form) == ("f2", True, "attention", False)
    assert recipe.objective == Objective(cross_entropy=1.0, reconstruction=1.0, sparsity=0.1, divergence=0.1)
    assert {use.lens for use in recipe.lenses} >= {"rgb", "dft", "qft"}
    assert {use.reading for use in recipe.lenses} == {"residual", "difference"}


def test_our_recipe_intervenes_and_asks_for_independence() -> None:
    recipe = load_recipe("default")
    restyled, recompressed, smaller, saved_again = recipe.interventions
    assert restyled.scale > recompressed.scale
    assert recompressed.jpeg == saved_again.jpeg == 1
    assert saved_again.qualities[0] > recompressed.qualities[0]
    assert smaller.scale == 1
    assert smaller.scales[1] < 1
    assert recipe.objective.independence > 0
    assert recipe.objective.invariance > 0


def test_our_recipe_reads_an_encoder_and_a_residual_and_knows_families() -> None:
    recipe = load_recipe("default")
    assert {use.reading for use in recipe.lenses} == {"image", "residual"}
    assert any(use.lens.startswith("onnx:") for use in recipe.lenses)
    members = [name for family in recipe.families for name in family.members]
    assert len(set(members)) == len(members)
    assert all(len(family.members) > 1 for family in recipe.families)


def test_a_lens_may_weigh_more_and_keep_more_components(tmp_path: Path) -> None:
    lenses = "lenses: [{lens: rgb, reading: residual, weight: 2.5}, {lens: dct, reading: image, components: 7}]"
    recipe = load_recipe(written(tmp_path, f"{{name: own, about: mine, {lenses}, components: 99}}"))
    assert recipe.reduction == ([99, 7], [2.5, 1.0])


def test_an_own_recipe_says_only_what_differs(tmp_path: Path) -> None:
    text = f"{{name: own, about: mine, {LENSES}, ridge: 1, objective: {{swap: 1}}, interventions: [{{scales: [0.5, 2]}}]}}"
    recipe = load_recipe(written(tmp_path, text))
    assert recipe.lenses == (Use("rgb", "residual"),)
    assert recipe.objective == Objective(swap=1.0)
    assert recipe.interventions == (Interventions(scales=(0.5, 2)),)
    assert recipe.optimiser == Optimiser()
    assert isinstance(recipe.ridge, float)
    assert hash(recipe) == hash(load_recipe(written(tmp_path, text)))


def test_a_further_lens_is_read_on_the_image_after_the_recipes_own() -> None:
    usual, more = load_recipe("default"), load_recipe("default", ["transformers:openai/clip-vit-base-patch16"])
    assert more.lenses == (*usual.lenses, Use("transformers:openai/clip-vit-base-patch16", "image"))
    with pytest.raises(RecipeError, match="lens 'clip' is none of"):
        load_recipe("default", ["clip"])


def test_the_large_recipe_is_the_default_with_another_encoder() -> None:
    usual, large = load_recipe("default"), load_recipe("large")
    assert replace(large, name=usual.name, about=usual.about, lenses=usual.lenses) == usual
    assert large.lenses[1:] == usual.lenses[1:]
    assert parse_lens(large.lenses[0].lens).kind == "transformers"


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    text = f"{{name: own, about: mine, {LENSES}, ridge: 1.5e3, optimiser: {{rate: 1e-4}}}}"
    recipe = load_recipe(written(tmp_path, text))
    assert (recipe.ridge, recipe.optimiser.rate) == (1500, 1e-4)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{{name: a, about: b, {LENSES}, fushion: f2}}", r"own\.yaml: 'fushion' is unknown; Recipe has name, about.*fusion"),
        (
            f"{{name: a, about: b, {LENSES}, objective: {{swop: 1}}}}",
            r"own\.yaml: objective: 'swop' is unknown;.* swap",
        ),
        (f"{{name: a, about: b, {LENSES}, optimiser: 3}}", r"own\.yaml: optimiser must be a mapping.*not 3"),
        (f"{{name: a, about: b, {LENSES}, fusion: f3}}", r"own\.yaml: fusion 'f3' is none of f0, f1, f2"),
        (f"{{name: a, about: b, {LENSES}, attributor: clip}}", r"own\.yaml: attributor 'clip' is none of linear, attention"),
        (f"{{about: b, {LENSES}}}", r"own\.yaml.*'name'"),
        ("{name: a, about: b}", r"own\.yaml: a recipe needs lenses"),
        ("{name: a, about: b, lenses: [{lens: rgb, reading: sideways}]}", r"reading 'sideways' is none of residual, difference"),
        ("{name: a, about: b, lenses: [{lens: rbg, reading: image}]}", r"lens 'rbg' is none of rgb, dft.* kind:path-or-name"),
        ("{name: a, about: b, lenses: [{lens: rgb}]}", r"own\.yaml: lenses\[0\]: 'reading' is missing"),
        ("{name: a, about: b, lenses: [rgb]}", r"own\.yaml: lenses\[0\] must be a mapping.*not 'rgb'"),
        ("{name: a, about: b, lenses: rgb}", r"own\.yaml: lenses must be a list, not 'rgb'"),
        (f"{{name: a, about: b, {LENSES}, ridge: strong}}", r"own\.yaml: ridge must be a number, not 'strong'"),
        (
            f"{{name: a, about: b, {LENSES}, optimiser: {{epochs: many}}}}",
            r"optimiser\.epochs must be a whole number, not 'ma",
        ),
        (f"{{name: a, about: b, {LENSES}, closed_form: 1}}", r"closed_form must be true or false, not 1"),
        (
            f"{{name: a, about: b, {LENSES}, interventions: [{{blurs: [1]}}]}}",
            r"\[0\]\.blurs must have 2 values, not \[1\]",
        ),
        (f"{{name: a, about: b, {LENSES}, interventions: {{jpeg: 1}}}}", r"interventions must be a list, not \{'jpeg': 1\}"),
        ("name: [unclosed", r"own\.yaml is no YAML"),
        ("just words", r"own\.yaml must be a mapping.*'just words'"),
        ("", r"own\.yaml must be a mapping.*not None"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe(written(tmp_path, text))


def test_a_recipe_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    for name in ("defualt", str(tmp_path / "none.yaml")):
        with pytest.raises(RecipeError, match=r"no recipe .*No such file.*causal-2509\.15406, default"):
            load_recipe(name)
