"""Trains the networks of a recipe on the features of labelled images. Plain torch; nothing random but from the seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from causalprint.models.network.fusion import CODE_DIM, FingerprintNetwork
from causalprint.models.network.reduction import Reduction, learn_reduction
from causalprint.models.statistics.discriminant import WithinMetric, learn_metric
from causalprint.models.statistics.metrics import macro_recall
from causalprint.models.statistics.origins import balance
from causalprint.models.training.closed_form import Penalty, closed_form, start_from
from causalprint.models.training.examples import Labelled
from causalprint.models.training.networks import Networks
from causalprint.models.training.objectives import batch_loss
from causalprint.models.training.progress import Progress, resume, save
from causalprint.models.training.recipe import Recipe
from causalprint.models.training.sample import Batches, Sample, sample_of
from causalprint.schemas.arrays import Labels
from causalprint.schemas.elements import digest
from causalprint.schemas.tables import FINGERPRINT_DIM

Report = Callable[[str], None]


class Trained(NamedTuple):
    """What was learned: features to components, to a fingerprint, to scores. All on the CPU, in evaluation mode."""

    reduction: Reduction
    network: FingerprintNetwork
    attributor: nn.Module
    detector: nn.Linear
    classes: int

    def fingerprints(self, features: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """Fingerprints (M, 128) of features (M, D)."""
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self.network(self.reduction(features)).fingerprint.numpy()
        return found

    def scores(self, fingerprints: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Scores (M, K) of fingerprints (M, 128)."""
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self.attributor(torch.from_numpy(fingerprints)).numpy()
        return found

    def detection(self, fingerprints: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Larger for generated images, (M,), of fingerprints (M, 128): the least of the detector's scores."""
        with torch.inference_mode():
            found: npt.NDArray[np.float32] = self.detector(torch.from_numpy(fingerprints)).amin(dim=1).numpy()
        return found

    def metric(self, labelled: Labelled) -> WithinMetric:
        """Where the fingerprints of each source's images lie, as they are, in no version but the first."""
        rows = self.fingerprints(labelled.features[:, 0])
        weights = balance(labelled.labels, labelled.images.origin).astype(np.float64)
        return learn_metric(rows, labelled.labels, weights, self.classes)


def learn(
    labelled: Labelled,
    classes: int,
    recipe: Recipe,
    validation: npt.NDArray[np.bool_] | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    checkpoint: Path | None = None,
    report: Report = lambda _: None,
    reduction: Reduction | None = None,
) -> Trained:
    """Trains what ``recipe`` says.

    Args:
        labelled: what from.
        classes: K.
        recipe: all choices.
        validation: images (N,) never learned from: the epoch with the best macro recall on them is kept, and F1 weighs lenses by
            them. ``None`` trains for all of the recipe's epochs.
        seed: of first weights, batches and the autoencoder's noise.
        device: what trains; a CPU by default. On a GPU in bfloat16.
        checkpoint: file that is written after every epoch, and gone on from where it is there.
        report: told after every epoch.
        reduction: where several trainings share one; else it is learned from the same images.
    """
    learned = labelled if validation is None else labelled.take(~validation)
    count, versions, width = learned.features.shape
    rows = learned.features.reshape(count * versions, width)
    reduction = reduction or learn_reduction(rows, learned.sizes, *recipe.reduction, seed)
    sample = sample_of([values.view(count, versions, -1) for values in reduction(rows)], learned)
    held_out = None if validation is None else labelled.take(validation)
    judged = [] if held_out is None else reduction(held_out.features[:, 0])
    sizes = [basis.shape[1] for basis in reduction.basis]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        networks = Networks(sizes, classes, sample.rivals, int(sample.origins.max()) + 1, recipe)
    if recipe.closed_form:
        _start(networks, sample, classes, recipe, sizes, seed)
    if recipe.fusion == "f1":
        found = _lens_recalls(sample, classes, recipe, judged, held_out.labels if held_out else None)
        networks.fingerprint.weights.copy_(found)
    device = device or torch.device("cpu")
    networks.to(device)
    sample = sample.to(device)

    def judge() -> float:
        if held_out is None:
            return float("nan")
        networks.eval()
        with torch.inference_mode():
            scores = networks.scores([lens.to(device) for lens in judged])
        networks.train()
        return macro_recall(held_out.labels, scores.argmax(dim=1).cpu().numpy())

    total = float(learned.features.sum(axis=2, dtype=np.float32).sum())
    run = digest(recipe, seed, classes, learned.sizes, learned.labels.tolist(), total)
    _run(networks, sample, recipe, seed, judge, checkpoint, run, report)
    networks.to("cpu").eval()
    return Trained(reduction, networks.fingerprint, networks.attributor, networks.detector, classes)


def _run(
    networks: Networks,
    sample: Sample,
    recipe: Recipe,
    seed: int,
    judge: Callable[[], float],
    checkpoint: Path | None,
    run: str,
    report: Report,
) -> None:
    """Epochs until there are enough or none has been better for long; leaves the best weights in ``networks``."""
    chosen = recipe.optimiser
    optimizer = torch.optim.Adam(networks.parameters(), lr=chosen.rate)
    anchors = {name: value.detach().clone() for name, value in networks.named_parameters()} if recipe.closed_form else {}
    progress = Progress(0, judge(), {key: value.clone() for key, value in networks.state_dict().items()}, 0)
    if checkpoint is not None and checkpoint.exists():
        progress = resume(checkpoint, networks, optimizer, run)
    device = sample.labels.device
    batches = Batches(sample)
    steps = batches.steps(chosen.batch)
    while progress.epoch < chosen.epochs and progress.waited < chosen.patience:
        draw = np.random.default_rng((seed, progress.epoch))
        generator = torch.Generator().manual_seed(int(draw.integers(2**62)))
        total = 0.0
        for step, rows in enumerate(batches.epoch(chosen.batch, draw)):
            done = (progress.epoch + step / steps) / chosen.epochs
            for group in optimizer.param_groups:
                group["lr"] = chosen.rate * (1 + np.cos(np.pi * done)) / 2
            batch = sample.take(rows.to(device))
            noise = torch.randn((batch.style.shape[0] * batch.style.shape[1], CODE_DIM), generator=generator).to(device)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                loss = batch_loss(networks, batch, recipe, noise)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(networks.parameters(), 1.0)
            optimizer.step()
            _decay(networks, anchors, optimizer.param_groups[0]["lr"] * chosen.decay)
            total += float(loss.detach()) / steps
        progress = progress.after(judge(), networks)
        judged = "" if math.isnan(progress.last) else f", validation {progress.last:.4f}"
        report(f"epoch {progress.epoch}/{chosen.epochs}, loss {total:.4f}{judged}")
        if checkpoint is not None:
            save(checkpoint, progress, networks, optimizer, run)
    networks.load_state_dict(progress.best)


def _decay(networks: Networks, anchors: Mapping[str, Tensor], share: float) -> None:
    """Decoupled weight decay: towards the closed form where training began there, else towards nought."""
    with torch.no_grad():
        for name, value in networks.named_parameters():
            value.lerp_(anchors[name] if name in anchors else torch.zeros_like(value), min(share, 1.0))


def _start(networks: Networks, sample: Sample, classes: int, recipe: Recipe, sizes: list[int], seed: int) -> None:
    """Begins from the closed form: scores pass a linear attributor as they are."""
    penalty = Penalty(recipe.ridge, recipe.objective.invariance, recipe.between, recipe.detector_ridge)
    form = closed_form(sample, classes, penalty, seed)
    start_from(networks.fingerprint, form, sizes)
    attributor = networks.attributor
    if isinstance(attributor, nn.Linear):
        with torch.no_grad():
            attributor.weight.copy_(torch.eye(classes, FINGERPRINT_DIM))
            attributor.bias.zero_()
    with torch.no_grad():
        networks.detector.weight.copy_(torch.eye(FINGERPRINT_DIM)[classes : classes + sample.rivals])
        networks.detector.bias.zero_()


def _lens_recalls(sample: Sample, classes: int, recipe: Recipe, judged: list[Tensor], labels: Labels | None) -> Tensor:
    """Macro recall of each lens alone, by ridge regression: on validation where there is any."""
    recalls = []
    for index, lens in enumerate(sample.lenses):
        alone = replace(sample, lenses=(lens,))
        form = closed_form(alone, classes, Penalty(recipe.ridge))
        values, truth = (lens[:, 0], sample.labels.numpy()) if labels is None else (judged[index], labels)
        scores = values @ form.directions[:classes].T + form.offset[:classes]
        recalls.append(macro_recall(truth, scores.argmax(dim=1).numpy()))
    return torch.tensor(recalls)
