"""Classes, ranges and Gaussians: what is read, and how sure it is."""

import math
from dataclasses import replace

import small
import torch
import torch.nn.functional as F

from mmalign.neighbours.certainty import Bins, Classes, Gaussian
from mmalign.neighbours.mla import entropy_weights


def shown(labels):
    """A batch of which only the labels matter."""
    return replace(small.planted().train.batch, labels=labels)


def test_ranges_hold_equally_many_labels_and_are_told_by_their_means():
    bins = Bins(4)
    bins.learn_scale(shown(torch.tensor([1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0, torch.nan])))
    torch.testing.assert_close(bins.centres, torch.tensor([1.5, 3.5, 15.0, 35.0]))
    sure = torch.full((1, 4), -1e4)
    sure[0, 2] = 1e4
    assert bins.read(sure).item() == 15 and bins.loss(sure, torch.tensor([10.0])).item() == 0
    torch.testing.assert_close(bins.loss(torch.zeros(1, 4), torch.tensor([10.0])).item(), math.log(4))


def test_labels_that_are_all_alike_leave_every_range_finite():
    bins = Bins(7)
    bins.learn_scale(shown(torch.ones(9)))
    assert bins.centres.tolist() == [1.0] * 7


def test_a_gaussian_answer_is_a_mean_and_as_sure_as_its_variance_is_small():
    gauss = Gaussian()
    gauss.learn_scale(shown(torch.tensor([0.0, 4.0])))
    out = torch.tensor([[0.5, 0.0], [0.5, math.log(0.25)]])
    assert gauss.read(out).tolist() == [3.0, 3.0]  # mean 2, spread 2
    weights = entropy_weights(gauss.entropy(out)[None], torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(weights, torch.tensor([[1 / 3, 2 / 3]]))  # as one over the standard deviations
    exact = torch.distributions.Normal(0.5, 0.5)
    torch.testing.assert_close(gauss.entropy(out[1]), exact.entropy())
    mean_too_low = F.gaussian_nll_loss(torch.tensor([0.5]), torch.tensor([1.0]), torch.tensor([0.25]))
    torch.testing.assert_close(gauss.loss(out[1:], torch.tensor([4.0])), mean_too_low)


def test_no_probability_that_underflows_makes_a_nan():
    logits = torch.tensor([[[1e4, -1e4, 0.0]]], requires_grad=True)
    entropy = Classes(3).entropy(logits)
    entropy.sum().backward()
    assert entropy.item() == 0 and logits.grad.isfinite().all()
