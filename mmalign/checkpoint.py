"""A training that was killed goes on where it stood: its state after an epoch, in one safetensors file.

Everything that the next epoch depends on is in it, the states of the random numbers included, so that a training
that was interrupted ends with the same bits as one that was not. Nothing in the file is run.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from .config import TrainConfig
from .data import Splits
from .errors import InputError, line_of
from .files import write_whole
from .gate.tensors import read_tensors
from .system import System

Optimisers = Mapping[str, torch.optim.Optimizer]
States = dict[str, dict[int, dict[str, Tensor]]]  # group -> place of a parameter -> "exp_avg", ...


def about(system: System[Any], config: TrainConfig, data: Splits) -> list[str]:
    """What a state belongs to: the system, how it is trained, and every sample as the system is shown it."""
    shown = hashlib.sha256(data.source.digest.encode())
    for samples in (data.train.samples, data.valid.samples):
        for values in (samples.ids, samples.present, samples.labels):
            shown.update(values.numpy().tobytes())
    return [type(system).__name__, repr(system.spec), repr(system.config), repr(config), shown.hexdigest()]


def write(
    path: str | Path,
    about: list[str],
    system: System[Any],
    optimisers: Optimisers,
    order: torch.Generator,
    best: dict[str, Tensor],
    progress: dict[str, object],
) -> None:
    """Write the state after an epoch, whole or not at all.

    Args:
        path: the file.
        about: what the state belongs to.
        system: what is being trained.
        optimisers: one for each of its groups.
        order: draws the order of the samples.
        best: the weights that did best on validation, or nothing yet.
        progress: what else the loop knows: numbers, strings, lists and mappings of them.
    """
    tensors = {"random/torch": torch.get_rng_state(), "random/order": order.get_state()}
    device = next(system.parameters()).device
    if device.type == "cuda":  # which draws its own
        tensors["random/cuda"] = torch.cuda.get_rng_state(device)
    tensors |= {f"system/{name}": value for name, value in system.state_dict().items()}
    tensors |= {f"best/{name}": value for name, value in best.items()}
    # Old gradients count too: with clip_scope=all they enter the next step's norm.
    tensors |= {f"gradient/{name}": one.grad for name, one in system.named_parameters() if one.grad is not None}
    for group, optimiser in optimisers.items():
        for place, state in optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser/{group}/{place}/{key}": value for key, value in state.items() if value is not None}
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    write_whole(path, save(tensors, {"mmalign": json.dumps({"about": about, "progress": progress})}))


def read(
    path: str | Path, about: list[str], system: System[Any], optimisers: Optimisers, order: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Put everything back as it was; returns `best` and `progress`.

    Raises:
        ValueError: not such a file, or not `about` the same.
    """
    told, tensors = read_tensors(path, "the state of a training")
    try:
        if told["about"] != about:
            found = f"the state of {told['about'][0]} with other settings, other samples or another seed"
            raise InputError(f"{path} is {found}; remove it to start again")
        states = _states(tensors, optimisers)
        _check_tensors(tensors, system, optimisers, states)
        _check_progress(told["progress"], chosen=bool(_under("best/", tensors)))
        torch.Generator().set_state(tensors["random/torch"])  # raises where it is none, and before anything moves
        order.set_state(tensors["random/order"])
    except InputError:
        raise
    except Exception as error:  # a file that is no state can raise anything
        raise InputError(f"{path} is not the state of a training: {line_of(error)}; remove it to start again") from None
    system.load_state_dict(_under("system/", tensors))
    gradients = _under("gradient/", tensors)
    for name, one in system.named_parameters():
        one.grad = gradients[name].to(one.device) if name in gradients else None
    for group, optimiser in optimisers.items():
        optimiser.load_state_dict({**optimiser.state_dict(), "state": states[group]})
    torch.set_rng_state(tensors["random/torch"])
    device = next(system.parameters()).device
    if device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random/cuda"], device)
    return _under("best/", tensors), told["progress"]


def _states(tensors: dict[str, Tensor], optimisers: Optimisers) -> States:
    """What each optimiser knows of each of its parameters."""
    states: States = {group: {} for group in optimisers}
    for name, value in _under("optimiser/", tensors).items():
        group, place, key = name.rsplit("/", 2)
        states[group].setdefault(int(place), {})[key] = value
    return states


def _check_tensors(tensors: dict[str, Tensor], system: System[Any], optimisers: Optimisers, states: States) -> None:
    """Raise `ValueError` unless every tensor is one that a training of this system has, and of its shape and kind."""
    weights, parameters = system.state_dict(), dict(system.named_parameters())
    _check_like(_under("system/", tensors), weights, whole=True, grown=system.grown)
    _check_like(best := _under("best/", tensors), weights, whole=bool(best), grown=system.grown)
    _check_like(_under("gradient/", tensors), parameters, whole=False)
    for group, optimiser in optimisers.items():
        moved = [one for settings in optimiser.param_groups for one in settings["params"]]
        for place, state in states[group].items():
            for key, value in state.items():
                if value.shape not in ((), moved[place].shape) or (
                    key != "step" and value.shape == () != moved[place].shape
                ):
                    raise ValueError(f"{key} of parameter {place} has shape {tuple(value.shape)}")
    known = ("system/", "best/", "gradient/", "optimiser/", "random/")
    for name in tensors:
        if not name.startswith(known):
            raise ValueError(f"it has a tensor {name!r}, which no training has")


def _check_like(
    found: dict[str, Tensor], known: Mapping[str, Tensor], whole: bool, grown: tuple[str, ...] = ()
) -> None:
    """Raise `ValueError` unless these are tensors of known names, shapes and dtypes, and, if `whole`, all of them."""
    if whole and found.keys() != known.keys():
        raise ValueError(f"its weights are not those of the system: {', '.join(sorted({*found} ^ {*known}))[:200]}")
    for name, value in found.items():
        skipped = int(name in grown)  # axes whose length training decides
        like = known.get(name)
        if like is None or (value.shape[skipped:], value.dtype) != (like.shape[skipped:], like.dtype):
            raise ValueError(f"{name} is {value.dtype} of shape {tuple(value.shape)}")


def _check_progress(told: dict[str, Any], chosen: bool) -> None:
    """Raise `ValueError` unless this is what the loop knows after an epoch: its history, its best, its patience.

    chosen: whether there are best weights, which are those of the best epoch.
    """
    history = told["history"]
    if {*told} != {"history", "best", "since"} or {*history} != {"rows", "best_epoch", "steps"}:
        raise ValueError("its progress has other entries than a training's")
    counts = (history["best_epoch"], history["steps"], told["since"])
    best = told["best"]
    sound = all(type(one) is int for one in counts) and -1 <= history["best_epoch"] < len(history["rows"])
    if not sound or not isinstance(best, list) or not best or not all(_is_number(one) for one in best):
        raise ValueError("its progress is not that of a training")
    for place, row in enumerate(history["rows"]):
        measured = [one for one in row.values() if isinstance(one, dict)]  # on validation, or by a callback
        plain = {key: one for key, one in row.items() if not isinstance(one, dict)}
        if row["epoch"] != place or "seconds" not in plain or not all(map(_are_numbers, [plain, *measured])):
            raise ValueError(f"row {place} of its history is none")
    if chosen != (history["best_epoch"] >= 0):
        raise ValueError("its best epoch has no weights, or its best weights no epoch")
    if chosen:
        row = history["rows"][history["best_epoch"]]
        if not (_is_number(row.get("valid_loss")) and isinstance(row.get("valid"), dict)):
            raise ValueError(f"its best epoch, {history['best_epoch']}, was never validated")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _are_numbers(values: object) -> bool:
    return isinstance(values, dict) and all(_is_number(one) for one in values.values())


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
