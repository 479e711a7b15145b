"""What any answer must be better than: the same one for everybody. Row `constant` of every table."""

from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..batch import Batch, DataSpec
from ..settings import Settings
from ..system import Part, Stage, System


@dataclass(frozen=True, kw_only=True)
class ConstantConfig(Settings):
    """Nothing can be set."""


Fitted = TypeVar("Fitted", bound=Settings)


class InOneGo(System[Fitted]):
    """What is fitted to the labelled samples at once, before the first epoch: an epoch has no gradient steps."""

    in_one_go = True

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        return []

    def learn_scales(self, samples: object) -> None:
        """It has none."""

    def prepare(self, epoch: int, train: Part) -> None:
        """Fit, once."""
        if epoch == 0:
            batches = (batch.rows(batch.labelled) for batch in train.batches(1024))
            self.fit_to([batch for batch in batches if len(batch)])

    def fit_to(self, batches: list[Batch]) -> None:
        """Learn from labelled samples."""
        raise NotImplementedError


class Constant(InOneGo[ConstantConfig]):
    """The median of the training labels, or the majority class (as the logarithms of the classes' shares)."""

    config_type = ConstantConfig

    def __init__(self, spec: DataSpec, config: ConstantConfig) -> None:
        super().__init__(spec, config)
        self.answer = nn.Parameter(torch.zeros(spec.outputs), requires_grad=False)

    def fit_to(self, batches: list[Batch]) -> None:
        labels = torch.cat([batch.labels for batch in batches])
        if self.spec.task == "regression":
            self.answer.copy_(labels.quantile(0.5))  # `median` would take the lower of two middle ones
        else:
            shares = torch.bincount(labels, minlength=self.spec.classes) / len(labels)
            self.answer.copy_(shares.clamp(min=1e-6).log())

    def predict(self, batch: Batch) -> Tensor:
        """(B,) or (B, K), nothing read."""
        answers = self.answer.expand(len(batch), -1)
        return answers if self.spec.task == "classification" else answers[:, 0]
