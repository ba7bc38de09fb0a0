"""A bundle says what its figures are worth, and its card is made of what is true of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from causalprint.models.bundles.bundle import DEFAULT, load_bundle
from causalprint.models.bundles.card import card
from causalprint.models.bundles.manifest import Figure, Manifest, Origin
from causalprint.models.bundles.trust import AUDIT, of_known_origins, voiding_audits, warnings
from tests.models.bundles.test_bundle import MANIFEST_OF_TWO

AT_CHANCE = Figure(f"{AUDIT}16x16 thumbnail", 0.52, 0.48, 0.56, "macro recall; chance 0.50")
SHORTCUT = Figure(f"{AUDIT}file size alone", 0.95, 0.89, 0.99, "macro recall; chance 0.50")


def trained(*data: tuple[str, str, int, int], figures: tuple[Figure, ...] = ()) -> Manifest:
    given = MANIFEST_OF_TWO.figures + figures
    return replace(MANIFEST_OF_TWO, data=tuple(Origin(*one, "CC0") for one in data), figures=given)


def test_a_shortcut_above_chance_voids_and_is_said() -> None:
    sound = trained(("real", "a", 4, 0), ("real", "b", 4, 0), ("alpha", "a", 4, 0), ("alpha", "b", 4, 0), figures=(AT_CHANCE,))
    assert (voiding_audits(sound), warnings(sound)) == ((), ())
    assert "No shortcut audit is above chance by three standard errors." in card(sound)
    void = replace(sound, figures=(*sound.figures, SHORTCUT))
    assert voiding_audits(void) == (SHORTCUT,)
    (said,) = warnings(void)
    assert said.startswith("The figures are void as evidence of fingerprints: ")
    assert "file size alone 0.950" in said
    assert (
        "| shortcut audit: file size alone | 0.950 | 0.890 to 0.990 | macro recall; chance 0.50; **voids the figures** |"
        in card(void)
    )
    assert "No shortcut audit is above" not in card(void)
    assert warnings(replace(sound, figures=MANIFEST_OF_TWO.figures))[0].startswith("No shortcut audit was made")


@pytest.mark.parametrize(
    ("data", "known"),
    [
        ([("real", "a", 4, 0), ("alpha", "b", 4, 0)], ("real", "alpha")),
        ([("real", "a", 4, 0), ("real", "c", 4, 0), ("alpha", "b", 4, 0)], ("alpha",)),
        ([("real", "a", 4, 4), ("real", "c", 4, 0), ("alpha", "b", 4, 0), ("alpha", "d", 0, 4)], ("real",)),
    ],
    ids=["one each", "one of several", "validation of an origin that was learned from"],
)
def test_one_origin_is_said_to_prove_nothing(data: list[tuple[str, str, int, int]], known: tuple[str, ...]) -> None:
    manifest = trained(*data, figures=(AT_CHANCE,))
    assert of_known_origins(manifest) == known
    (said,) = warnings(manifest)
    assert said.startswith(f"No other origin was held out of {'any source' if len(known) == 2 else known[0]}: ")
    assert "nothing is proved about new origins" in said


def test_a_card_says_what_the_bundle_was_learned_from() -> None:
    text = card(trained(("real", "a", 400, 0), ("real", "b", 600, 0), ("alpha", "c", 500, 0), ("alpha", "d", 0, 9)))
    assert "It analyses up to 2 crops of 64 x 64 pixels" in text
    assert "crops of 64 pixels of 1,500 images, each in the encoding of its file, from 1 to 2 origins a source" in text
    assert "On images given for validation" in text
    assert "JPEG" not in text


def test_the_card_in_the_package_is_true() -> None:
    bundle = load_bundle()
    assert bundle.bundle_id == "default-753d46aee4a4"
    voiding = [audit.name.removeprefix(AUDIT) for audit in voiding_audits(bundle.manifest)]
    assert voiding == ["16x16 thumbnail"]
    written = (DEFAULT / "card.md").read_text(encoding="utf-8")
    preface = written.removeprefix("# default\n\n").partition("\n\nA causalprint bundle:")[0]
    assert "may be used for anything" in preface
    assert bundle.manifest.licence == "CC BY 4.0"
    assert written == card(bundle.manifest, preface)
