"""From a vector to an answer in the units of the labels, and how wrong that answer is.

A regression is learnt in standard deviations of the training labels, so that its loss has the same weight beside
other losses whatever unit the labels have; answers come back in the labels' own unit.
"""

import torch
from torch import Tensor, nn

from .. import losses
from ..batch import DataSpec, Samples


def label_scale(samples: Samples) -> tuple[Tensor, Tensor]:
    """Mean and spread of the labels that are shown; a spread of 0 counts as 1. (), ()"""
    labels = samples.labels[samples.labelled]
    spread = labels.std(correction=0)
    return labels.mean(), spread if spread > 0 else torch.ones(())


class Readout(nn.Module):
    """A head with the labels' scale around it."""

    label_mean: Tensor
    label_spread: Tensor

    def __init__(self, head: nn.Module, spec: DataSpec) -> None:
        super().__init__()
        self.head, self.task, self.loss_name = head, spec.task, spec.loss
        self.register_buffer("label_mean", torch.zeros(()))
        self.register_buffer("label_spread", torch.ones(()))

    def learn_scale(self, samples: Samples) -> None:
        """Take mean and spread of the labels that are shown."""
        if self.task == "regression":
            mean, spread = label_scale(samples)
            self.label_mean.copy_(mean)
            self.label_spread.copy_(spread)

    def forward(self, vector: Tensor) -> Tensor:
        """(B, F) -> (B,) in the units of the labels, or (B, K) logits."""
        out = self.head(vector)
        return out if self.task == "classification" else self.label_mean + self.label_spread * out[:, 0]

    def loss(self, prediction: Tensor, labels: Tensor) -> Tensor:
        """The task loss, in units of the labels' spread for a regression. ()"""
        if self.task == "classification":
            return losses.task(prediction, labels)
        return losses.task(prediction / self.label_spread, labels / self.label_spread, self.loss_name)
