"""A training that was killed goes on where it stood: its state after an epoch, in one safetensors file.

Everything that the next epoch depends on is in it, the states of the random numbers included, so that a training
that was interrupted ends with the same bits as one that was not. Nothing in the file is run.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from .config import TrainConfig
from .data import Splits
from .errors import InputError
from .files import write_whole
from .system import System

Optimisers = Mapping[str, torch.optim.Optimizer]


def about(system: System, config: TrainConfig, data: Splits) -> list[str]:
    """What a state belongs to: the system, how it is trained, and every sample as the system is shown it."""
    shown = hashlib.sha256(data.source.digest.encode())
    for samples in (data.train.samples, data.valid.samples):
        for values in (samples.ids, samples.present, samples.labels):
            shown.update(values.numpy().tobytes())
    return [type(system).__name__, repr(system.spec), repr(system.config), repr(config), shown.hexdigest()]


def write(
    path: str | Path,
    about: list[str],
    system: System,
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
    path: str | Path, about: list[str], system: System, optimisers: Optimisers, order: torch.Generator
) -> tuple[dict[str, Tensor], dict[str, object]]:
    """Put everything back as it was; returns `best` and `progress`.

    Raises:
        ValueError: not such a file, or not `about` the same.
    """
    try:
        with safe_open(str(path), "pt") as file:
            told = json.loads((file.metadata() or {})["mmalign"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
        if told["about"] != about:
            found = f"the state of {told['about'][0]} with other settings, other samples or another seed"
            raise InputError(f"{path} is {found}; remove it to start again")
        system.load_state_dict(_under("system/", tensors))
        gradients = _under("gradient/", tensors)
        for name, one in system.named_parameters():
            one.grad = gradients[name].to(one.device) if name in gradients else None
        for group, optimiser in optimisers.items():
            states: dict[int, dict[str, Tensor]] = {}
            for name, value in _under(f"optimiser/{group}/", tensors).items():
                place, key = name.split("/")
                states.setdefault(int(place), {})[key] = value
            optimiser.load_state_dict({**optimiser.state_dict(), "state": states})
        torch.set_rng_state(tensors["random/torch"])
        order.set_state(tensors["random/order"])
    except InputError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RuntimeError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path} is not the state of a training: {line}; remove it to start again") from None
    return _under("best/", tensors), told["progress"]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
