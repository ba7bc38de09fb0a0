"""Training goes on after a kill as if nothing had happened, keeps its best epoch, and learns what its terms are for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file

from causalprint.models.bundles.manifest import AttributorKind, Fusion
from causalprint.models.labelled import LabelledImages
from causalprint.models.statistics.metrics import macro_recall
from causalprint.models.training.examples import Labelled
from causalprint.models.training.learning import Trained, learn
from causalprint.models.training.networks import Networks
from causalprint.models.training.objectives import batch_loss
from causalprint.models.training.progress import Progress
from causalprint.models.training.recipe import Objective, Optimiser, Recipe
from causalprint.models.training.sample import sample_of
from tests.models.training.worlds import CLASSES, EVERYTHING, OURS, a_world

HELD_OUT = np.arange(120) % 4 == 0
ROUGH = Optimiser(epochs=3, batch=32, rate=3e-3, patience=3)
LINEAR = replace(OURS, objective=EVERYTHING, optimiser=ROUGH)
ATTENTIVE = replace(LINEAR, fusion="f2", autoencoder=True, attributor="attention", closed_form=False)

PAPERS = replace(OURS, closed_form=False, objective=Objective(reconstruction=1.0, sparsity=0.1, divergence=0.1))


def same(one: Trained, other: Trained) -> bool:
    pairs = ((one.network.state_dict(), other.network.state_dict()), (one.attributor.state_dict(), other.attributor.state_dict()))
    return all(mine.keys() == its.keys() and all(torch.equal(mine[key], its[key]) for key in mine) for mine, its in pairs)


def recall(trained: Trained, labelled: Labelled) -> float:
    scores = trained.scores(trained.fingerprints(labelled.features[:, 0]))
    return macro_recall(labelled.labels, scores.argmax(axis=1))


@pytest.mark.parametrize(("recipe", "validation"), [(LINEAR, HELD_OUT), (ATTENTIVE, None)], ids=["linear", "attention"])
def test_a_training_that_was_stopped_gives_the_same_networks_bit_by_bit(
    recipe: Recipe, validation: npt.NDArray[np.bool_] | None, tmp_path: Path
) -> None:
    file, told = tmp_path / "checkpoints" / "networks.safetensors", list[str]()

    def stop(text: str) -> None:
        if text.startswith("epoch 2/"):
            raise KeyboardInterrupt

    whole = learn(a_world(1.0), CLASSES, recipe, validation, seed=1)
    with pytest.raises(KeyboardInterrupt):
        learn(a_world(1.0), CLASSES, recipe, validation, seed=1, checkpoint=file, report=stop)
    file.with_name(file.name + ".part").write_bytes(b"as a kill leaves it")
    resumed = learn(a_world(1.0), CLASSES, recipe, validation, seed=1, checkpoint=file, report=told.append)
    assert [line.partition(",")[0] for line in told] == ["epoch 2/3", "epoch 3/3"]
    assert same(resumed, whole)
    assert same(learn(a_world(1.0), CLASSES, recipe, validation, seed=1, checkpoint=file, report=told.append), whole)
    assert len(told) == 2, "a finished training was done again"


def test_another_seed_gives_other_networks() -> None:
    assert not same(learn(a_world(1.0), CLASSES, LINEAR, seed=1), learn(a_world(1.0), CLASSES, LINEAR, seed=2))


def test_the_best_epoch_is_kept_and_training_stops_when_none_is_better_for_long(tmp_path: Path) -> None:
    rough = replace(OURS, closed_form=False, optimiser=Optimiser(epochs=30, batch=32, rate=0.1, patience=3))
    told: list[str] = []
    labelled = a_world(2.0)
    trained = learn(labelled, CLASSES, rough, HELD_OUT, checkpoint=tmp_path / "last", report=told.append)
    kept = recall(trained, labelled.take(HELD_OUT))
    judged = [float(line.rpartition(" ")[2]) for line in told]
    assert kept == pytest.approx(max(judged), abs=1e-4)
    assert len(judged) == judged.index(max(judged)) + 1 + 3 < 30
    last = load_file(tmp_path / "last")["now.attributor.weight"]
    assert not torch.equal(trained.attributor.get_parameter("weight"), last), "the weights of the last epoch were kept"


def test_progress_waits_only_while_nothing_is_better() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    progress = Progress(0, 0.3, {key: value.clone() for key, value in model.state_dict().items()}, 0)
    found = []
    for number, score in enumerate((0.2, 0.5, 0.5, 0.4)):
        with torch.no_grad():
            model.weight.fill_(number)
        progress = progress.after(score, model)
        found.append((progress.epoch, progress.score, progress.waited, float(progress.best["weight"])))
    assert found[1:] == [(2, 0.5, 0, 1.0), (3, 0.5, 1, 1.0), (4, 0.5, 2, 1.0)]
    assert found[0][:3] == (1, 0.3, 1)


def test_validation_images_are_never_learned_from() -> None:
    labelled = a_world(1.0)
    noise = np.random.default_rng(5).normal(0, 9, labelled.features.shape).astype(np.float16)
    features = np.where(HELD_OUT[:, None, None], noise, labelled.features)
    losses = []
    for one in (labelled, labelled._replace(features=features, labels=np.where(HELD_OUT, 0, labelled.labels))):
        told: list[str] = []
        learn(one, CLASSES, LINEAR, HELD_OUT, report=told.append)
        losses.append([line.partition(", validation")[0] for line in told])
    assert losses[0] == losses[1]
    assert len(losses[0]) == 3


def test_f1_weighs_each_lens_by_its_recall_on_validation() -> None:
    weights = learn(a_world(6.0), CLASSES, replace(OURS, fusion="f1"), HELD_OUT).network.weights
    assert float(weights[0]) > 0.9, "the first lens tells the sources apart"
    assert float(weights[1]) < 0.6, "the second says nothing"


@pytest.mark.parametrize("fusion", ["f0", "f1", "f2"])
@pytest.mark.parametrize("attributor", ["linear", "attention"])
def test_every_network_learns_from_nothing(fusion: Fusion, attributor: AttributorKind) -> None:
    labelled = a_world(8.0)
    recipe = replace(
        PAPERS, fusion=fusion, attributor=attributor, autoencoder=fusion == "f2", optimiser=Optimiser(15, 32, 2e-3, 1e-2, 15)
    )
    assert recall(learn(labelled, CLASSES, recipe, HELD_OUT), labelled.take(HELD_OUT)) > 0.85


def test_decay_goes_back_to_the_closed_form() -> None:
    ours = replace(OURS, optimiser=Optimiser(epochs=2, batch=32, rate=1e-2, decay=100.0))
    begun = learn(a_world(2.0), CLASSES, replace(ours, optimiser=Optimiser(epochs=0)))
    held = learn(a_world(2.0), CLASSES, ours)
    free = learn(a_world(2.0), CLASSES, replace(ours, optimiser=replace(ours.optimiser, decay=0.0)))

    def distance(trained: Trained) -> float:
        pairs = zip(trained.network.parameters(), begun.network.parameters(), strict=True)
        return sum(float((one - other).detach().square().sum()) for one, other in pairs)

    assert distance(held) < 0.1 * distance(free)


def test_the_decoder_learns_to_swap() -> None:
    """What an image shows, with the fingerprint of another source, gives that source's rendering of it."""
    draw = np.random.default_rng(0)
    contents, labels = np.repeat(np.arange(24), 2), np.tile([0, 1], 24)
    thumbnails = draw.integers(0, 256, (24, 768), np.uint8)[contents]
    drawn, made = draw.normal(size=(24, 10))[contents], 2 * draw.normal(size=(2, 10))[labels]
    lenses = [torch.from_numpy((drawn + made).astype(np.float32))[:, None]]
    images = LabelledImages.known(labels.astype(str), origin=np.array(["here"] * 48), content=contents.astype(str))
    style = np.zeros((48, 1, 9), np.float32)
    sample = sample_of(
        lenses, Labelled(images, np.zeros((48, 1, 10), np.float16), style, thumbnails, labels, (False, True), (10,))
    )
    recipe = replace(OURS, objective=Objective(swap=1.0))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = Networks([10], 2, 1, 1, recipe)
    optimizer = torch.optim.Adam(networks.parameters(), 3e-3)
    for _ in range(120):
        optimizer.zero_grad()
        batch_loss(networks, sample, recipe, torch.zeros(48, 64)).backward()
        optimizer.step()
    with torch.no_grad():
        fingerprints = networks.fingerprint([lens[:, 0] for lens in sample.lenses]).fingerprint
        sibling = torch.arange(48) ^ 1
        swapped = networks.critics.decode(fingerprints[sibling], sample.content)
    components = sample.lenses[0][:, 0]
    spread = components.var(dim=0).sum()
    assert float((swapped - components[sibling]).square().sum(dim=1).mean() / spread) < 0.05
    assert float((swapped - components).square().sum(dim=1).mean() / spread) > 0.5


def test_the_adversary_takes_the_origin_out_of_the_fingerprint() -> None:
    """Its gradient on the fingerprint is that of a guess turned round, within a source only."""
    labelled = a_world(1.0)
    lens = torch.from_numpy(labelled.features.astype(np.float32))
    sample = sample_of([lens], labelled)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = Networks([lens.shape[2]], CLASSES, 1, 6, OURS)
    recipe = replace(OURS, objective=Objective(cross_entropy=0.0, detection=0.0, adversary=1.0))
    optimizer = torch.optim.Adam(networks.critics.adversary.parameters(), 1e-2)
    losses = []
    for _ in range(60):
        networks.zero_grad()
        loss = batch_loss(networks, sample, recipe, torch.zeros(240, 64))
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] == pytest.approx(np.log(2), abs=0.3), "of two origins a source, not of six"
    assert losses[-1] < 0.3, "the adversary finds the origin"
    step = networks.fingerprint.tokens[0].get_parameter("weight")
    assert step.grad is not None
    with torch.no_grad():
        step.sub_(0.5 * step.grad / step.grad.norm())
    assert float(batch_loss(networks, sample, recipe, torch.zeros(240, 64)).detach()) > losses[-1]
