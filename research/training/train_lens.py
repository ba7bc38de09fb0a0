"""``causalprint lab train-lens``: a convolutional lens, learned at native resolution from labelled shards that are streamed."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from causalprint.models.bundles.bundle import load_bundle
from causalprint.models.features import pick_device
from causalprint.models.lenses import parse_lens
from causalprint.models.lenses.convolutional import Trunk, TrunkConfig, open_trunk, save_trunk
from causalprint.models.residuals import load_residual
from causalprint.models.training.interventions import Interventions
from causalprint.models.training.recipe import load_recipe
from causalprint.pipelines.labelled.reader import Report
from causalprint.research.training.config import IMAGE, LensConfig
from causalprint.research.training.lens import (
    TRUNKS,
    CropBatch,
    LensTraining,
    Show,
    build_network,
    learn_trunk,
    show_residual,
)
from causalprint.research.training.lens_data import LensTrainingError, lens_crops, lens_shards
from causalprint.research.training.stream_crops import as_batch, balanced, central_crops, changed_crops, in_order, shares
from causalprint.schemas.elements import digest
from causalprint.schemas.rendering import render

CARD = "card.md"


class TrainedLens(NamedTuple):
    """What ``train-lens --json`` prints.

    Attributes:
        output, card: the lens's folder, and its card in it.
        lens: its spec, for a recipe.
        epochs, steps: done in all.
        recall: macro recall on what was held out, of a linear classifier on the lens, in the best epoch.
    """

    output: str
    card: str
    lens: str
    epochs: int
    steps: int
    recall: float


def train_lens(
    config: LensConfig,
    report: Report = lambda _: None,
    shape: TrunkConfig | None = None,
    training: LensTraining | None = None,
    interventions: Sequence[Interventions] = (),
) -> TrainedLens:
    """Learns a lens and writes it with its card, whole or not at all.

    Args:
        config: what was asked for.
        report: told in words how far it is.
        shape: of the trunk, in place of ``config.channels``.
        training: how; its epochs and seed give way to those of ``config``.
        interventions: on content and style, in turn; by default those of the default recipe.

    Raises:
        LensTrainingError: too few sources or images, or options that contradict each other.
        FileExistsError: the output is there, or a checkpoint and ``resume`` was not asked for.
        InputError: an input matches nothing.
        LabelError: an image has no label.
        LensError: what ``init`` names cannot be loaded.
        ResidualError: the residual cannot be loaded.
        ValueError: the device is missing; the checkpoint is of another run.
    """
    _check_options(config)
    device = pick_device(config.device)
    how = replace(training or LensTraining(), epochs=config.epochs, seed=config.seed)
    changes = interventions or load_recipe("default").interventions
    first, first_id = _first_trunk(config, shape)
    show, show_id = _show(config, device)
    learned, held_out = lens_shards(config)
    run = digest(how, tuple(changes), first_id, show_id, config.label_field, bool(config.val), learned, held_out)
    checkpoint = _checkpoint(config, run)

    report("reading all images once")
    ours, theirs = lens_crops(config, how.crop, learned, held_out)
    sources = tuple(ours.by_source)
    named = (("learned from", ours), ("held out", theirs))
    lost = [f"of the images {name}, {found.losses}" for name, found in named if str(found.losses)]
    for text in lost:
        report(text)
    often = shares(ours)
    crops = sum(often[source, origin] * count for (source, origin, _), count in ours.counts.items())

    def epoch(number: int) -> Iterator[CropBatch]:
        shown = changed_crops(ours.stream, often, changes, (how.seed, number))
        batches = balanced(shown, how.batch, how.buffer, np.random.default_rng((how.seed, number, 1)))
        return (as_batch(batch, sources) for batch in batches)

    def judged() -> Iterator[CropBatch]:
        return (as_batch(batch, sources) for batch in in_order(central_crops(theirs.stream), how.batch))

    report(f"learning {len(sources)} sources from {sum(ours.counts.values())} images")
    network = build_network(first, len(sources), config.seed)
    steps = max(1, round(crops / how.batch))
    found = learn_trunk(network, show, epoch, judged, steps, how, device, checkpoint, report)
    card = render(
        "research/training/lens_card.md.j2",
        name=Path(config.output).name,
        config=config,
        how=how,
        residual=show_id.partition(" ")[0],
        learned=found,
        parameters=sum(value.numel() for value in found.trunk.parameters()),
        classes=len(sources),
        kinds=sorted(ours.counts.keys() | theirs.counts.keys()),
        counts=ours.counts,
        held_out=theirs.counts,
        losses=lost,
        command=shlex.join(config.argv()),
        device=device.type,
        torch=torch.__version__,
    )
    output = Path(config.output)
    part = output.with_name(output.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    save_trunk(found.trunk, part)
    (part / CARD).write_text(card, encoding="utf-8")
    part.replace(output)
    shutil.rmtree(checkpoint.parent, ignore_errors=True)
    lens = f"convolutional:{output}"
    return TrainedLens(str(output), str(output / CARD), lens, found.epochs, found.steps, round(found.recall, 4))


def _check_options(config: LensConfig) -> None:
    output = Path(config.output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} is there; give another --output or remove it")
    if config.reading == IMAGE and config.residual:
        raise LensTrainingError("with --reading image no residual is computed; leave --residual out")
    if config.init and config.channels:
        raise LensTrainingError(f"the trunk has the shape of {config.init}; leave --channels out")


def _first_trunk(config: LensConfig, shape: TrunkConfig | None) -> tuple[Trunk | TrunkConfig, str]:
    """What is begun from, and what tells it from any other."""
    if not config.init:
        chosen = shape or TRUNKS[config.channels or "small"]
        return chosen, repr(chosen)
    spec = parse_lens(config.init)
    if spec.kind != "convolutional":
        raise LensTrainingError(f"--init {config.init!r} is no convolutional lens; give convolutional:FOLDER")
    trunk, _ = open_trunk(spec)
    return trunk, digest(*(value.numpy().tobytes() for value in trunk.state_dict().values()))


def _show(config: LensConfig, device: torch.device) -> tuple[Show, str]:
    """What the trunk sees, and what tells it from anything else: empty for the image as it is."""
    if config.reading == IMAGE:
        return lambda x: x, ""
    residual = load_residual(config.residual or load_bundle().residual, device)
    return show_residual(residual), f"{residual.spec} {sorted(residual.digests.items())}"


def _checkpoint(config: LensConfig, run: str) -> Path:
    """Where this run's is. Its name tells the run, so that no other goes on from it."""
    output = Path(config.output)
    folder = output.with_name(output.name + ".checkpoints")
    path = folder / f"{run[:32]}.safetensors"
    found = sorted(folder.glob("*.safetensors"))
    if found and not config.resume:
        raise FileExistsError(
            f"{folder} holds an interrupted training: go on with --resume, remove it or choose another --output"
        )
    if found and path not in found:
        raise LensTrainingError(
            f"{found[0]} was written with other images, another seed or other options; resume with the same ones, or train "
            "into another folder"
        )
    return path
