"""The best possible answers on planted sequences: how low an error can be, from one modality and from both.

Everything that was drawn is Gaussian, so that what is hidden has a known distribution, given what is seen. A room
between two systems is no room if no predictor can reach it. Axes: N samples, T steps, C content, P private features.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError
from ..settings import settings
from . import planted
from .planted import Made, PlantedConfig


class Best(NamedTuple):
    """(N,) answers with the least squared error, in the units of the labels."""

    visible: Tensor  # from the first modality alone
    both: Tensor  # from both and the true match


def best(draws: int = 100, **knobs: object) -> Best:
    """What no predictor can beat on the samples that `planted.read` gives for these knobs.

    From the visible modality: the label averaged over `draws` of the content, given what is seen of it, each moved as
    its order says. From both, the match known: a linear formula. (Where the order follows the content the match says a
    little more of it, which the formula leaves out.)

    Raises:
        ValueError: a knob does not fit, or the task is no regression.
    """
    config = settings(PlantedConfig, {}, **knobs)
    if config.task != "regression":
        raise InputError(f"the best answers are known for task=regression, found {config.task}")
    made = planted.make(config)
    exact = {"first": made.first.double(), "second": made.second.double()}  # a small noise makes for large numbers
    made = made._replace(**exact, mixing=tuple(mixing.double() for mixing in made.mixing))
    return Best(_from_first(made, config, draws).float(), _from_both(made, config).float())


def _from_first(made: Made, config: PlantedConfig, draws: int) -> Tensor:
    draw = torch.Generator().manual_seed(config.draw)
    private = torch.zeros_like(made.private)  # nothing is known of it
    total = torch.zeros(config.samples)
    for content in planted.contents(made, config, draws, draw):
        match = planted.match_of(content, made.lengths, config, draw)
        total += planted.score(content, match, private, made, config)
    return total / draws


def _from_both(made: Made, config: PlantedConfig) -> Tensor:
    """Information adds up: of its prior, of the first, and of each step of the second that shows it."""
    (first, second), shown = made.mixing, made.second
    if config.tells_order:
        second, mark = second[:-1], second[-1]
        shown = shown - planted.marks(config)[:, None] * mark
    of_content, of_private = second[: config.content], second[config.content :]  # (C, width), (P, width)
    noise = config.first_noise**2 + planted.EXACT**2, config.second_noise**2 + planted.EXACT**2
    blur = torch.linalg.inv(of_private.T @ of_private + noise[1] * torch.eye(config.width))  # private is noise, too
    count = len(made.match), config.longest
    told = shown @ blur @ of_content.T * planted.real_steps(made.lengths, config)[..., None]  # (N, T, C)
    told = torch.zeros_like(told).scatter_add(1, made.match[..., None].expand_as(told), told)
    times = torch.zeros(count).scatter_add(1, made.match, planted.real_steps(made.lengths, config).float())
    information = torch.eye(config.content) + first @ first.T / noise[0]
    information = information + times[..., None, None] * (of_content @ blur @ of_content.T)  # (N, T, C, C)
    content = torch.linalg.solve(information, made.first @ first.T / noise[0] + told)
    moved = content.gather(1, made.match[..., None].expand_as(content))
    private = (shown - moved @ of_content) @ blur @ of_private.T
    return planted.score(content, made.match, private, made, config)
