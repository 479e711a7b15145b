"""The one loop that trains every system, and the one way to measure it. A newcomer's second file."""

import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from tqdm import tqdm

from . import checkpoint as checkpoints
from . import losses, metrics
from .batch import Batch
from .config import TrainConfig
from .data import Split, Splits
from .errors import Diverged, InputError
from .method import official
from .system import Step, System, seeded

ASTRAY = 10  # times a constant's error


@dataclass
class History:
    """What happened, epoch by epoch."""

    rows: list[dict[str, Any]] = field(default_factory=list)  # one an epoch: losses, validation, seconds
    best_epoch: int = -1  # from 0
    steps: int = 0  # optimiser steps taken

    @property
    def train_seconds(self) -> float:
        """Seconds in training steps; validation is not counted."""
        return sum(row["seconds"] for row in self.rows)

    def column(self, name: str) -> list[float]:
        """One quantity over the epochs, NaN where it was not measured.

        >>> History(rows=[{"task/task": 2.0}, {}]).column("task/task")
        [2.0, nan]
        """
        return [row.get(name, float("nan")) for row in self.rows]


Callback = Callable[[System[Any], History], None]
"""Called after each epoch, before its state is written: the epoch's row is `history.rows[-1]`, and it is the best so
far where `history.best_epoch` is its number. What a callback adds to the row (numbers, or a mapping of them) is kept,
and comes back on resuming."""


def fit(
    system: System[Any],
    data: Splits,
    config: TrainConfig | None = None,
    progress: bool | None = None,
    checkpoint: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train `system`, then leave it with the weights that did best on validation.

    The test split is sealed meanwhile.

    Args:
        system: any system built for `data`.
        data: what `mmalign.load` or `mmalign.from_arrays` gave.
        config: epochs, batch size, learning rate, seed.
        progress: show a bar; by default where someone watches.
        checkpoint: a file for the state after each epoch. Where it is there already, training goes on from it
            and ends with the same bits as if it had never stopped. It stays when training is over.
        callbacks: called in turn after each epoch with `system` and the history; see `Callback`.

    Raises:
        ValueError: the epochs do not outlast the system's warm-up, the data lack what it needs, or the
            checkpoint is of something else.

    >>> import mmalign
    >>> data = mmalign.load("planted", samples=50)
    >>> told = lambda system, history: print(len(history.rows), history.rows[-1]["epoch"] == history.best_epoch)
    >>> _ = fit(mmalign.Single.from_data(data), data, mmalign.TrainConfig(epochs=2), callbacks=[told])
    1 True
    2 True
    """
    config = config or TrainConfig()
    warmup = system.preparing(config.epochs)
    if config.epochs <= warmup:
        raise InputError(f"epochs must exceed the warm-up of {warmup}, found {config.epochs}")
    data = data.as_seen_by(system.spec)
    for part in (data.train, data.valid):
        system.check_samples(part.samples)
    turns, groups = system.turns(config.epochs), system.groups()
    optimisers = {name: optimiser_of(group, config) for name, group in groups.items()}
    order = torch.Generator().manual_seed(config.seed)
    about = checkpoints.about(system, config, data) if checkpoint else []
    history, best_weights = History(), dict[str, Tensor]()
    best: tuple[float, ...] = (float("inf"),)
    since = 0
    hidden = sys.stderr is None or not sys.stderr.isatty() if progress is None else not progress
    with (
        data.test.sealed("it is read once, after training"),
        seeded(config.seed),
        tqdm(total=config.epochs, disable=hidden, unit="epoch") as bar,
    ):
        if checkpoint and Path(checkpoint).exists():
            best_weights, told = checkpoints.read(checkpoint, about, system, optimisers, order)
            history, best, since = History(**told["history"]), tuple(told["best"]), told["since"]
            bar.update(len(history.rows))
        for epoch in range(len(history.rows), config.epochs):
            if since >= config.patience and epoch > max(turns, default=0):
                break
            if epoch in turns:
                best, since = (float("inf"),), 0
                back = {name: value for name, value in best_weights.items() if name.split(".")[0] in turns[epoch]}
                system.load_state_dict(back, strict=False)
            row: dict[str, Any] = {"epoch": epoch} | _train_epoch(
                system, data, config, epoch, groups, optimisers, order, history
            )
            history.rows.append(row)
            if epoch >= warmup:  # a method that is still warming up is not yet itself
                row["valid_loss"], row["valid"] = validate(system, data.valid)
                bar.set_postfix(valid_loss=f"{row['valid_loss']:.4f}")
                standing = _standing(row, config)
                since += 1
                if math.isfinite(row["valid_loss"]) and standing < best:
                    best, since, history.best_epoch = standing, 0, epoch
                    best_weights = {name: value.clone() for name, value in system.state_dict().items()}
            for callback in callbacks:
                callback(system, history)
            bar.update()
            if checkpoint:
                told = {"history": asdict(history), "best": best, "since": since}
                checkpoints.write(checkpoint, about, system, optimisers, order, best_weights, told)
    if history.best_epoch < 0:
        losses_found = history.column("valid_loss")
        raise Diverged(f"the validation loss was never finite, {losses_found}: labels or features may be too large")
    _warn_if_astray(history, data, config)
    system.load_state_dict(best_weights)
    system.eval()
    return history


def _warn_if_astray(history: History, data: Splits, config: TrainConfig) -> None:
    """Say so where even the best epoch of a regression is far worse than one answer for everybody."""
    found = history.rows[history.best_epoch]["valid"].get("mae")
    if found is None:
        return
    known = data.train.samples.labels[data.train.samples.labelled]
    constant = (data.valid.samples.labels - known.median()).abs().nanmean().item()
    if constant > 0 and found > ASTRAY * constant:
        told = f"validation error {found:.3g} is {found / constant:.0f} times that of a constant"
        warnings.warn(f"{told}: training went astray, lower lr, {config.lr:g}", stacklevel=3)


def _train_epoch(
    system: System[Any],
    data: Splits,
    config: TrainConfig,
    epoch: int,
    groups: dict[str, list[nn.Parameter]],
    optimisers: dict[str, torch.optim.Optimizer],
    order: torch.Generator,
    history: History,
) -> dict[str, float]:
    """Every stage of an epoch, every batch of a stage, every step of a batch; the losses and the seconds."""
    device = next(system.parameters()).device
    system.train()
    system.prepare(epoch, data.train)
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}
    started = time.perf_counter() - _seconds_compiling()
    for stage in system.stages(epoch, config.epochs):
        for batch in data.train.part(stage.split).batches(config.batch_size, order):
            batch = batch.to(device)
            for step in stage.steps:
                parts = take_step(system, step, groups, optimisers, batch, config)
                history.steps += bool(parts)
                for name, value in parts.items():
                    key = f"{step.name}/{name}"
                    sums[key] = sums.get(key, 0.0) + value.detach() * len(batch)
                    counts[key] = counts.get(key, 0) + len(batch)
    seconds = time.perf_counter() - _seconds_compiling() - started
    return {"seconds": seconds} | {key: (sums[key] / counts[key]).item() for key in sums}


def optimiser_of(group: list[nn.Parameter], config: TrainConfig) -> torch.optim.Optimizer:
    """The optimiser of one group of parameters."""
    common: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": True}
    if config.optimiser == "sgd":
        return torch.optim.SGD(group, momentum=config.momentum, **common)
    return torch.optim.Adam(group, **common)


def take_step(
    system: System[Any],
    step: Step,
    groups: dict[str, list[nn.Parameter]],
    optimisers: dict[str, torch.optim.Optimizer],
    batch: Batch,
    config: TrainConfig,
) -> dict[str, Tensor]:
    """One optimiser step on one batch; returns the parts of its loss. Without any, nothing moves."""
    try:
        parts = step.loss(batch)
    except InputError as error:  # transport refuses what is not finite
        raise Diverged(f"step {step.name!r}: {error}: training diverged with lr {config.lr}; lower it") from None
    if parts:
        loss = cast(Tensor, sum(parts.values()))
        if not loss.isfinite():
            raise Diverged(
                f"the loss of step {step.name!r} is {loss.item()}: training diverged with lr {config.lr}; lower it"
            )
        CLIPPED[config.clip_scope](system, loss, groups, step.moves, config.clip)
        for name in step.moves:
            for group in optimisers[name].param_groups:
                group["lr"] = config.lr * step.pace
            optimisers[name].step()
    system.after_step(step, batch)
    return parts


def _clipped_by_group(
    system: nn.Module, loss: Tensor, groups: dict[str, list[nn.Parameter]], moves: Sequence[str], clip: float
) -> None:
    """Gradients of the groups that move, each cut to its own norm. Everything else is frozen."""
    system.zero_grad()
    loss.backward(inputs=[parameter for name in moves for parameter in groups[name]])  # may pass through the others
    for name in moves:
        nn.utils.clip_grad_norm_(groups[name], clip)


CLIPPED = {"group": _clipped_by_group, "all": official.clipped_with_leftovers}


def _standing(row: dict[str, Any], config: TrainConfig) -> tuple[float, ...]:
    """How an epoch stands on validation, lower is better: by loss, or by accuracy where there are classes.

    A classifier's loss soon rises because it is sure of its mistakes, long before it makes more of them. The
    released code goes by the loss all the same.
    """
    if config.select == "official" or "accuracy" not in row["valid"]:
        return (row["valid_loss"],)
    return (-row["valid"]["accuracy"], row["valid_loss"])


@torch.no_grad()
def predictions(system: System[Any], split: Split, batch_size: int = 256) -> tuple[Tensor, Tensor]:
    """(N,) scores or (N, K) logits of every sample of a split, and its (N,) labels, on the CPU."""
    system.eval()
    device = next(system.parameters()).device
    batches = [*split.batches(batch_size)]
    answers = torch.cat([system.predict(batch.to(device)).cpu() for batch in batches])
    return answers, torch.cat([batch.labels for batch in batches])


def validate(system: System[Any], split: Split) -> tuple[float, dict[str, float]]:
    """The task loss averaged over samples, and the metrics."""
    answers, labels = predictions(system, split)
    return losses.task(answers, labels, system.spec.loss).item(), metrics.of_task(system.spec.task, answers, labels)


def evaluate(system: System[Any], split: Split) -> dict[str, float]:
    """The metrics of a split: mae, acc2, f1 for a regression; accuracy, f1_macro, f1_weighted for classes.

    Raises:
        ValueError: the split holds no samples, or lacks what this system needs.
    """
    if not len(split):
        raise InputError("there are no samples to evaluate on")
    split = split.as_seen_by(system.spec)
    system.check_samples(split.samples)
    return metrics.of_task(system.spec.task, *predictions(system, split))


def _seconds_compiling() -> float:
    """How long this process has waited for the compiler, which is no training; 0 where nothing has been compiled."""
    compiler = sys.modules.get("mmalign.compiling")
    return compiler.seconds_compiling() if compiler else 0.0
