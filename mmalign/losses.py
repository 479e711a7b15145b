"""What is minimised, each a function of tensors."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .batch import is_known


def task(prediction: Tensor, labels: Tensor, loss: str = "squared") -> Tensor:
    """Mean squared error of (B,) scores (the paper's Eq. 5), or cross entropy of (B, K) logits. ()

    With loss="absolute" it is the mean absolute error of scores, whose best answer is a median.
    A label that is not shown (NaN, or -1) does not count; without any, the loss is 0.
    """
    shown = is_known(labels)
    if not shown.any():
        return prediction.sum() * 0
    if labels.is_floating_point():
        measure = F.l1_loss if loss == "absolute" else F.mse_loss
        return measure(prediction[shown], labels[shown])
    return F.cross_entropy(prediction[shown], labels[shown])


def contrastive(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """How badly each sample's two vectors are told from the batch's others (Eqs. 15 and 16). ()

    Args:
        first: (B, D) the head of the first sequence.
        second: (B, D) the head of the second.
        temperature: tau; the smaller, the harder the negatives count.

    Directions are compared, both ways, and the batch is averaged over: the paper leaves these open.

    >>> round(contrastive(torch.eye(2), torch.eye(2), 1.0).item(), 4)  # log(1 + 1/e)
    0.3133
    """
    same = torch.arange(len(first), device=first.device)
    scores = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature  # (B, B)
    return (F.cross_entropy(scores, same) + F.cross_entropy(scores.T, same)) / 2


def fitting(weights: Tensor, target: Tensor, real: Tensor) -> Tensor:
    """Squared error of predicted alignment weights against the plan's (Eq. 12). ()

    Args:
        weights: (B, T, 2W+1) of the fitter; target: (B, T, 2W+1), l times the plan.
        real: (B, T) bool.

    The sum over a step's window, averaged over the real steps.
    """
    # Slots beyond the ends count: there the target is 0 (the paper's A* = 0 for j outside 1..l).
    return (weights - target).square().sum(2)[real].mean()
