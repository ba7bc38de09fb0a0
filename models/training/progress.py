"""How far a training of networks has come, and its checkpoint: after ``kill -9`` it goes on from the last whole epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class Progress(NamedTuple):
    """After ``epoch`` epochs: the best validation so far (NaN: none is judged), its weights, and epochs waited since."""

    epoch: int
    score: float
    best: dict[str, Tensor]
    waited: int
    last: float = float("nan")

    def after(self, score: float, networks: nn.Module) -> Progress:
        """One epoch later; without validation the latest weights are the best."""
        better = math.isnan(score) or score > self.score
        best = {key: value.clone() for key, value in networks.state_dict().items()} if better else self.best
        return Progress(self.epoch + 1, score if better else self.score, best, 0 if better else self.waited + 1, score)


def save(path: Path, progress: Progress, networks: nn.Module, optimizer: torch.optim.Optimizer, run: str = "") -> None:
    """Writes all that the next epoch depends on; a kill leaves the old file or the new one.

    ``run`` says what must be the same when the training goes on: a digest of its choices and its data.
    """
    tensors = {f"now.{key}": value for key, value in networks.state_dict().items()}
    tensors |= {f"best.{key}": value for key, value in progress.best.items()} | optimizer_tensors(optimizer)
    metadata = {"epoch": str(progress.epoch), "score": repr(progress.score), "waited": str(progress.waited), "run": run}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(path, tensors, metadata)


def resume(path: Path, networks: nn.Module, optimizer: torch.optim.Optimizer, run: str = "") -> Progress:
    """Brings ``networks`` and ``optimizer`` to where :func:`save` left them.

    Raises:
        ValueError: the checkpoint is of another run.
    """
    metadata, tensors = read_checkpoint(path, run, "images, another seed or another recipe", "train without --resume")
    networks.load_state_dict(part_of(tensors, "now."))
    restore_optimizer(optimizer, tensors)
    return Progress(int(metadata["epoch"]), float(metadata["score"]), part_of(tensors, "best."), int(metadata["waited"]))


def write_checkpoint(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> None:
    """Writes ``path`` beside its place and puts it there: a kill at any moment leaves the old file or the new one."""
    part = path.with_name(path.name + ".part")
    save_file({key: value.contiguous().clone() for key, value in tensors.items()}, part, metadata)
    part.replace(path)


def read_checkpoint(path: Path, run: str, choices: str, remedy: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The metadata and the tensors that :func:`write_checkpoint` was given.

    Raises:
        ValueError: its ``run`` is another one, and so are some of the ``choices``.
    """
    with safe_open(path, "pt") as opened:
        metadata: dict[str, str] = opened.metadata()
    if metadata.get("run", "") != run:
        raise ValueError(f"{path} was written with other {choices}; resume with the same ones, or {remedy}")
    return metadata, load_file(path)


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those tensors whose names begin with ``prefix``, by the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What an optimizer of the Adam family remembers, by names that begin with ``optimizer.``."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{index}.{name}": value for index, moments in state.items() for name, value in moments.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Gives ``optimizer`` back what :func:`optimizer_tensors` took; other tensors are passed over."""
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, index, key = name.split(".")
            moments.setdefault(int(index), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": moments})
