"""What the outputs of a head mean, where an answer must also say how sure it is (MLA, arXiv 2311.10707).

Three meanings with the same four methods: a loss, an entropy, a way to be read, a scale. O outputs of the head.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Samples
from ..method.readout import label_scale


class Classes(nn.Module):
    """(B, K) logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def learn_scale(self, samples: Samples) -> None:
        """Nothing: classes have no unit."""

    def loss(self, out: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy. ()"""
        return F.cross_entropy(out, labels)

    def entropy(self, out: Tensor) -> Tensor:
        """(..., K) -> (...), in nats; finite where a probability is 0."""
        return -(out.softmax(-1) * out.log_softmax(-1)).sum(-1)

    def read(self, out: Tensor) -> Tensor:
        """(B, K) -> (B, K), as they are."""
        return out


class Bins(Classes):
    """Numbers as classes: ranges that hold equally many training labels, each told by the mean of its labels.

    Not from the paper, which knows classes only. Who knows nothing says that all ranges are equally likely,
    so that the entropy is largest exactly then.
    """

    def __init__(self, outputs: int) -> None:
        super().__init__(outputs)
        self.register_buffer("edges", torch.zeros(outputs - 1))
        self.register_buffer("centres", torch.zeros(outputs))

    def learn_scale(self, samples: Samples) -> None:
        """Take the ranges from the labels that are shown; a range without any stands at its lower edge."""
        labels = samples.labels[samples.labelled]
        self.edges.copy_(labels.quantile(torch.arange(1, self.outputs, device=labels.device) / self.outputs))
        inside = F.one_hot(torch.bucketize(labels, self.edges), self.outputs).float()  # (N, O)
        lower = torch.cat([self.edges[:1], self.edges])
        self.centres.copy_(torch.where(inside.any(0), labels @ inside / inside.sum(0).clamp(min=1), lower))

    def loss(self, out: Tensor, labels: Tensor) -> Tensor:
        """Cross entropy of the range that holds the label. ()"""
        return super().loss(out, torch.bucketize(labels, self.edges))

    def read(self, out: Tensor) -> Tensor:
        """(B, O) -> (B,) the expected centre."""
        return out.softmax(-1) @ self.centres


class Gaussian(nn.Module):
    """Numbers as a mean and a log variance, in standard deviations of the training labels. Not from the paper."""

    outputs = 2

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("spread", torch.ones(()))

    def learn_scale(self, samples: Samples) -> None:
        """Take mean and spread of the labels that are shown."""
        mean, spread = label_scale(samples)
        self.mean.copy_(mean)
        self.spread.copy_(spread)

    def loss(self, out: Tensor, labels: Tensor) -> Tensor:
        """Negative log likelihood. ()"""
        return F.gaussian_nll_loss(out[:, 0], (labels - self.mean) / self.spread, out[:, 1].exp())

    def entropy(self, out: Tensor) -> Tensor:
        """(..., 2) -> (...): log(2 pi e variance) / 2."""
        return (math.log(2 * math.pi * math.e) + out[..., 1]) / 2

    def read(self, out: Tensor) -> Tensor:
        """(B, 2) -> (B,) the mean."""
        return self.mean + self.spread * out[:, 0]
