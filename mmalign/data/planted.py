"""Sequences whose true alignment is known.

Each step of the second modality is a step of the first, moved inside a block of W+1 steps and seen through
another mixing and noise, so that the true plan is a permutation that fits the band. (A constant lag would
not: chapter "The window cost".) The label depends partly on what only the second modality shows.
"""

from dataclasses import dataclass

import torch

from ..config import settings
from ..errors import AT_LEAST_0, SEED, SHARE_OR_0, check_fields, one_of, whole
from .source import Source


@dataclass(frozen=True, kw_only=True)
class PlantedConfig:
    """The knobs."""

    samples: int = 1000
    shortest: int = 10  # steps
    longest: int = 20  # steps
    content: int = 4  # features that both modalities carry
    private: int = 2  # features that only the second carries
    width: int = 8  # observed features of each modality
    window: int = 2  # W, steps move inside blocks of W+1
    first_noise: float = 0.3  # in units of the content's spread
    second_noise: float = 0.3
    third_noise: float = 1.0  # of a third modality, which shows the private features too; drawn when asked for
    victim_share: float = 0.5  # share of the label's variance that only the second modality shows
    label_noise: float = 0.1
    task: str = "regression"
    classes: int = 3  # of a classification, equally frequent
    draw: int = 0  # seed of the samples themselves

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("shortest", "longest", "content", "private", "width"), whole(1))
        noises = dict.fromkeys(("first_noise", "second_noise", "third_noise", "label_noise"), AT_LEAST_0)
        check_fields(self, **counts, **noises, samples=whole(5), window=whole(0), draw=SEED, classes=whole(2))
        check_fields(self, victim_share=SHARE_OR_0, longest=whole(self.shortest))
        one_of("task", self.task, ("regression", "classification"))


def read(third: bool = False, /, **knobs: object) -> Source:
    """Draw samples. `answers["match"]` (N, T) is the step of the first that each step of the second shows.

    With `third` there is one more modality, in step with the first: the private features, seen less well.
    """
    config = settings(PlantedConfig, {}, **knobs)
    draw = torch.Generator().manual_seed(config.draw)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    count, steps = config.samples, config.longest
    lengths = torch.randint(config.shortest, config.longest + 1, (count,), generator=draw)
    real = torch.arange(steps) < lengths[:, None]  # (N, T)

    content, private = noise(count, steps, config.content), noise(count, steps, config.private)
    block = (torch.arange(steps) // (config.window + 1)).expand(count, steps)
    place = (block + torch.rand(count, steps, generator=draw)).masked_fill(~real, float("inf"))
    match = place.argsort(dim=1, stable=True)  # (N, T): padding stays behind
    moved = content.gather(1, match[:, :, None].expand_as(content))

    first = content @ noise(config.content, config.width) + config.first_noise * noise(count, steps, config.width)
    both = torch.cat([moved, private], dim=2)
    second = both @ noise(both.shape[2], config.width) + config.second_noise * noise(count, steps, config.width)

    def mean(values: torch.Tensor) -> torch.Tensor:
        """One number a sample, of spread 1: a mean over the real steps."""
        total = (values * real).sum(1) / lengths
        return (total - total.mean()) / total.std()

    shared, own = mean(content[..., 0]), mean(private[..., 0])
    score = (1 - config.victim_share) ** 0.5 * shared + config.victim_share**0.5 * own
    score = score + config.label_noise * noise(count)
    labels = score
    if config.task == "classification":
        edges = score.quantile(torch.arange(1, config.classes) / config.classes)
        labels = torch.bucketize(score, edges)
    seen = {"first": first, "second": second}
    if third:  # drawn last, so that the other two are the same without it
        unmoved = private.scatter(1, match[:, :, None].expand_as(private), private)
        spoilt = config.third_noise * noise(count, steps, config.width)
        seen["third"] = unmoved @ noise(config.private, config.width) + spoilt
    return Source(
        name="planted",
        features={name: values * real[..., None] for name, values in seen.items()},
        lengths=lengths,
        labels=labels,
        task=config.task,
        classes=tuple(map(str, range(config.classes))) if config.task == "classification" else (),
        answers={"match": match},
        about="generated; the true alignment is known",
    )
