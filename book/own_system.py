"""A system of one's own: a linear map of the mean visible step. The page "How to contribute" shows it."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

import mmalign
from mmalign import losses, masks
from mmalign.batch import Batch, DataSpec, Samples
from mmalign.settings import Settings, Weight


@dataclass(frozen=True, kw_only=True)
class LinearConfig(Settings):
    """What can be set, with its rule and its meaning."""

    shrink: Annotated[Weight, "weight of the squared weights in the loss"] = 0.01


class Linear(mmalign.System[LinearConfig]):
    """The mean of the visible steps, standardised, times a vector."""

    config_type = LinearConfig

    def __init__(self, spec: DataSpec, config: LinearConfig) -> None:
        super().__init__(spec, config)
        self.map = nn.Linear(spec.widths[0], spec.outputs)
        self.register_buffer("scales", torch.ones(2, spec.widths[0]))  # mean and spread; saved with the weights

    def learn_scales(self, samples: Samples) -> None:  # before training, from what may be seen
        steps = samples.seen(0)  # (L, D1), every real step
        self.scales.copy_(torch.stack([steps.mean(0), steps.std(0).clamp(min=1e-6)]))

    def stages(self, epoch: int, epochs: int) -> list[mmalign.Stage]:  # what an epoch is made of
        return [mmalign.Stage("all", (mmalign.Step("task", self.loss),))]

    def loss(self, batch: Batch) -> dict[str, Tensor]:  # named parts; their sum is minimised
        parts = {"task": losses.task(self.predict(batch), batch.labels)}
        return parts | {"shrink": self.config.shrink * self.map.weight.square().sum()}

    def predict(self, batch: Batch) -> Tensor:  # (B,), or (B, K) logits
        visible = (batch.visible - self.scales[0]) / self.scales[1]
        visible = visible.masked_fill(~batch.real[:, :, None], 0)  # padding may hold anything
        answers = self.map(masks.mean_over(visible, batch.real))
        return answers if self.spec.task == "classification" else answers[:, 0]
