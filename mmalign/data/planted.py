"""Sequences whose true alignment is known.

Each step of the second modality is a step of the first, moved, and seen through another mixing and noise. How it
moves is the knob `order`. With "random" a step goes anywhere inside its block of W+1 steps: the plan is a
permutation that fits the band, and nobody can foretell it. With the others the visible sequence foretells it. The
label depends partly on what only the second modality shows. (Chapters "The window cost" and "Results".)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import SEED, SHARE_OR_0, check_fields, whole
from ..settings import Count, CountOr0, Settings, Weight, settings
from .source import Source

ORDERS = ("random", "rule", "lag", "drift", "repeat")
EXACT = 1e-4  # where the best guess is asked for a noise of 0 counts as this, so that nothing is divided by it


@dataclass(frozen=True, kw_only=True)
class PlantedConfig(Settings):
    """The knobs."""

    samples: Annotated[int, whole(5, 10**6)] = 1000
    shortest: Annotated[Count, "steps"] = 10
    longest: Annotated[Count, "steps"] = 20
    content: Annotated[Count, "features that both modalities carry"] = 4
    private: Annotated[Count, "features that only the second carries"] = 2
    width: Annotated[Count, "observed features of each modality"] = 8
    window: Annotated[CountOr0, "W, steps move inside blocks of W+1"] = 2
    order: Annotated[
        Literal["random", "rule", "lag", "drift", "repeat"],
        "how they move: as nobody can foretell, or in one of four ways that the visible content tells",
    ] = "random"
    label: Annotated[
        Literal["mean", "order"] | None,
        "a mean over all steps, or over those that come last in their blocks; by default the first where order=random",
    ] = None
    first_noise: Annotated[Weight, "in units of the content's spread"] = 0.3
    second_noise: Weight = 0.3
    third_noise: Annotated[Weight, "of a third modality, which shows the private features too"] = 1.0
    victim_share: Annotated[float, SHARE_OR_0, "share of the label's variance that only the second shows"] = 0.5
    label_noise: Weight = 0.1
    task: Literal["regression", "classification"] = "regression"
    classes: Annotated[int, whole(2, 1000), "of a classification, equally frequent"] = 3
    draw: Annotated[int, SEED, "seed of the samples themselves"] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, longest=whole(self.shortest))

    @property
    def tells_order(self) -> bool:
        """Whether the label depends on the order of the steps: where nothing is said, wherever it can be foretold."""
        return self.label == "order" or (self.label is None and self.order != "random")


class Made(NamedTuple):
    """All that was drawn. `best` reads what nobody is shown."""

    lengths: Tensor  # (N,)
    content: Tensor  # (N, T, content)
    private: Tensor  # (N, T, private)
    match: Tensor  # (N, T) the step of the first that each step of the second shows
    mixing: tuple[Tensor, Tensor]  # (content, width), (content + private [+ 1], width)
    first: Tensor  # (N, T, width)
    second: Tensor  # (N, T, width)
    scale: tuple[tuple[Tensor, Tensor], ...]  # mean and spread of the two parts of the label
    label: Tensor = torch.empty(0)  # (N,) a number, also where it becomes a class


def read(third: bool = False, /, **knobs: object) -> Source:
    """Draw samples. `answers["match"]` (N, T) is the step of the first that each step of the second shows.

    With `third` there is one more modality, in step with the first: the private features, seen less well.
    """
    config = settings(PlantedConfig, {}, **knobs)
    draw = torch.Generator().manual_seed(config.draw)
    made = make(config, draw)
    real = real_steps(made.lengths, config)
    labels = made.label
    if config.task == "classification":
        edges = made.label.quantile(torch.arange(1, config.classes).float() / config.classes)
        labels = torch.bucketize(made.label, edges)
    seen = {"first": made.first, "second": made.second}
    if third:  # drawn last, so that the other two are the same without it
        unmoved = made.private.scatter(1, _spread(made.match, made.private), made.private)
        spoilt = config.third_noise * _noise(draw, *made.first.shape)
        seen["third"] = unmoved @ _noise(draw, config.private, config.width) + spoilt
    return Source(
        name="planted",
        features={name: values * real[..., None] for name, values in seen.items()},
        lengths=made.lengths,
        labels=labels,
        task=config.task,
        classes=tuple(map(str, range(config.classes))) if config.task == "classification" else (),
        answers={"match": made.match},
        foretold=partial(foretold, config),
        about="generated; the true alignment is known",
    )


def make(config: PlantedConfig, draw: torch.Generator | None = None) -> Made:
    """Everything that the knobs lead to, by random numbers from `config.draw` or from those that `draw` gives next."""
    draw = draw or torch.Generator().manual_seed(config.draw)
    count, steps = config.samples, config.longest
    lengths = torch.randint(config.shortest, config.longest + 1, (count,), generator=draw)
    content = _noise(draw, count, steps, config.content)
    private = _noise(draw, count, steps, config.private)
    match = match_of(content, lengths, config, draw)
    hidden = torch.cat([content.gather(1, _spread(match, content)), private], dim=2)
    if config.tells_order:  # the second shows which steps count, as a mark of 0 or 1
        hidden = torch.cat([hidden, marks(config).expand(count, steps)[..., None]], dim=2)

    def seen(values: Tensor, noise: float) -> tuple[Tensor, Tensor]:
        mixing = _noise(draw, values.shape[2], config.width)
        return mixing, values @ mixing + noise * _noise(draw, count, steps, config.width)

    first_mixing, first = seen(content, config.first_noise)
    second_mixing, second = seen(hidden, config.second_noise)
    parts = _parts(content, match, private, lengths, config)
    scale = tuple((part.mean(), part.std()) for part in parts)
    made = Made(lengths, content, private, match, (first_mixing, second_mixing), first, second, scale)
    return made._replace(label=score(content, match, private, made, config) + config.label_noise * _noise(draw, count))


def match_of(content: Tensor, lengths: Tensor, config: PlantedConfig, draw: torch.Generator) -> Tensor:
    """(N, T): the step of the first that each step of the second shows; padding stays behind.

    content: (N, T, content), whose first feature c decides. In blocks of W+1 steps: "random", any permutation;
    "rule", from the smallest c to the largest; "repeat", a step whose c is above 0 is shown twice, and the last ones
    of the block not at all. Over the whole sequence: "lag", W steps late; "drift", ahead or behind by up to W steps at
    the end, as the mean of c says.
    """
    count, steps = content.shape[:2]
    real, place, tells = real_steps(lengths, config), torch.arange(steps).expand(count, steps), content[..., 0]
    block = place // (config.window + 1)
    if config.order in ("random", "rule"):
        random = config.order == "random"
        inside = torch.rand(count, steps, generator=draw, dtype=torch.float32) if random else torch.special.ndtr(tells)
        return (block + inside).masked_fill(~real, float("inf")).argsort(dim=1, stable=True)
    last = lengths[:, None] - 1
    if config.order == "lag":
        match = (place - config.window).clamp(min=0)
    elif config.order == "drift":
        speed = (tells * real).sum(1) / lengths.float().sqrt()  # standard normal
        ahead = (2 * torch.special.ndtr(speed) - 1)[:, None] * config.window * place / last.clamp(min=1)
        match = (place + ahead.round().long()).clamp(min=0)
    else:
        match = _repeated(tells > 0, block, config.window + 1)
    return torch.where(real, match.minimum(last), place)


def _repeated(twice: Tensor, block: Tensor, size: int) -> Tensor:
    """(N, T) steps of which some are shown twice, block by block: the places that they take, cut to the block."""
    match = block * size
    for offset in range(1, size):  # one step on, unless this one is still due a second time
        inside = torch.arange(match.shape[1]) % size == offset
        before = match.roll(1, dims=1)
        shown = (before == before.roll(1, dims=1)) & (offset > 1)  # twice already
        stays = twice.gather(1, before) & ~shown
        match = torch.where(inside, before + (~stays).long(), match)
    return match


# ---- what the first modality tells --------------------------------------------------------------------------


def contents(made: Made, config: PlantedConfig, count: int, draw: torch.Generator) -> Iterator[Tensor]:
    """(N, T, content) float64, `count` times: what the content may have been, given what is seen of the first.

    All is Gaussian, so that given the first modality the content is so, too.
    """
    mixing, noise = made.mixing[0].double(), config.first_noise**2 + EXACT**2
    spread = torch.linalg.inv(torch.eye(config.content) + mixing @ mixing.T / noise)  # (C, C) covariance
    middle = made.first.double() @ mixing.T @ spread / noise  # (N, T, C)
    root = torch.linalg.cholesky(spread)
    for _ in range(count):
        yield middle + _noise(draw, *middle.shape).double() @ root.T


def foretold(config: PlantedConfig, draws: int = 200) -> Tensor:
    """(N, T, T): how likely each step of the second shows each step of the first, given all of the first.

    Nobody who sees the first alone can foretell the alignment better. Row j belongs to step j of the second.
    """
    made, draw = make(config), torch.Generator().manual_seed(config.draw)
    moved = (match_of(content, made.lengths, config, draw) for content in contents(made, config, draws, draw))
    return sum((F.one_hot(match, config.longest).float() for match in moved), torch.zeros(())) / draws


# ---- the label ---------------------------------------------------------------------------------------------


def _parts(content: Tensor, match: Tensor, private: Tensor, lengths: Tensor, config: PlantedConfig) -> tuple:
    """(N,) what both modalities show of the label, and what only the second shows, in no unit yet."""
    real = real_steps(lengths, config)
    shared = (content[..., 0] * real).sum(1) / lengths
    if config.tells_order:  # of the second feature: the first decides the order, and would give itself away
        value = content[..., min(1, config.content - 1)].gather(1, match)
        counts = real & (marks(config) > 0)
        shared = (value * counts).sum(1) / counts.sum(1).clamp(min=1)
    return shared, (private[..., 0] * real).sum(1) / lengths


def score(content: Tensor, match: Tensor, private: Tensor, made: Made, config: PlantedConfig) -> Tensor:
    """(N,) the label without its noise: both parts, in spreads of `made`, by their shares of the variance."""
    parts = _parts(content, match, private, made.lengths, config)
    shared, own = ((part - mean) / spread for part, (mean, spread) in zip(parts, made.scale, strict=True))
    return (1 - config.victim_share) ** 0.5 * shared + config.victim_share**0.5 * own


def marks(config: PlantedConfig) -> Tensor:
    """(T,) 1 where a block of the second modality ends, else 0."""
    return (torch.arange(config.longest) % (config.window + 1) == config.window).float()


def real_steps(lengths: Tensor, config: PlantedConfig) -> Tensor:
    """(N, T) bool, False on padding."""
    return torch.arange(config.longest) < lengths[:, None]


def _spread(match: Tensor, values: Tensor) -> Tensor:
    """(N, T) -> (N, T, D), to gather whole steps."""
    return match[:, :, None].expand_as(values)


def _noise(draw: torch.Generator, *shape: int) -> Tensor:
    """Standard normal, and the same whatever torch takes a new number to be."""
    return torch.randn(*shape, generator=draw, dtype=torch.float32)
