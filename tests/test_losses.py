"""What is minimised: against loops, against symmetries, and zero exactly where it should be."""

import math

import oracles
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from mmalign import losses, masks
from mmalign.method import official

NAN = float("nan")


def test_the_task_loss_of_scores_is_their_mean_squared_error():
    assert losses.task(torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])).item() == pytest.approx(2.5)


def test_the_task_loss_of_logits_is_the_cross_entropy():
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    by_hand = -sum(logits[i].log_softmax(0)[c] for i, c in enumerate(labels.tolist())) / 5
    torch.testing.assert_close(losses.task(logits, labels), by_hand)


@pytest.mark.parametrize(
    ("prediction", "labels", "same"),
    [
        (torch.tensor([1.0, 9.0, 2.0]), torch.tensor([0.0, NAN, 4.0]), torch.tensor(2.5)),
        (torch.eye(3), torch.tensor([0, -1, -1]), F.cross_entropy(torch.eye(3)[:1], torch.tensor([0]))),
    ],
)
def test_a_hidden_label_does_not_count(prediction, labels, same):
    torch.testing.assert_close(losses.task(prediction, labels), same)


@pytest.mark.parametrize("labels", [torch.full((2,), NAN), torch.full((2,), -1)])
def test_without_any_label_the_task_loss_is_zero_and_so_is_its_gradient(labels):
    prediction = torch.randn(2 if labels.is_floating_point() else (2, 3), requires_grad=True)
    loss = losses.task(prediction, labels)
    loss.backward()
    assert loss.item() == 0 and not prediction.grad.any()


@given(st.integers(1, 6), st.floats(0.1, 5))
def test_the_contrastive_loss_equals_two_loops(batch, temperature):
    first, second = torch.randn(batch, 4), torch.randn(batch, 4)
    ours = losses.contrastive(first, second, temperature).item()
    assert ours == pytest.approx(oracles.contrastive(first, second, temperature), abs=1e-4)


def test_the_contrastive_loss_treats_both_directions_alike_and_ignores_lengths():
    first, second = torch.randn(5, 4), torch.randn(5, 4)
    loss = losses.contrastive(first, second, 0.5)
    torch.testing.assert_close(losses.contrastive(second, first, 0.5), loss)
    torch.testing.assert_close(losses.contrastive(7 * first, second, 0.5), loss)


def test_the_released_contrastive_loss_is_a_sum_of_raw_products_in_one_direction():
    first, second = torch.randn(5, 4), torch.randn(5, 4)
    by_hand = -sum((first @ second.T)[i].log_softmax(0)[i] for i in range(5))
    torch.testing.assert_close(official.raw_products(first, second, 123.0), by_hand)


def test_matched_pairs_cost_less_than_shuffled_ones():
    first = torch.eye(4)
    assert losses.contrastive(first, first, 0.1) < losses.contrastive(first, first.roll(1, 0), 0.1)
    assert losses.contrastive(first, first, 0.1).item() == pytest.approx(math.log(1 + 3 * math.exp(-10)), rel=1e-3)


# ---- the fitting loss --------------------------------------------------------------------------------

lengths = torch.tensor([5, 3])
real = masks.real_steps(lengths, 5)


@given(st.data())
def test_the_fitting_loss_is_zero_if_and_only_if_the_window_agrees(data):
    target = torch.rand(2, 5, 5) * masks.open_band(real, 2)
    assert losses.fitting(target.clone(), target, real).item() == 0
    sequence = data.draw(st.integers(0, 1))
    step, slot = data.draw(st.integers(0, int(lengths[sequence]) - 1)), data.draw(st.integers(0, 4))
    weights = target.clone()
    weights[sequence, step, slot] += 0.5
    assert losses.fitting(weights, target, real).item() == pytest.approx(0.25 / 8)  # 8 real steps


def test_targets_outside_the_window_or_on_padding_do_not_matter():
    plan, elsewhere = torch.rand(2, 5, 5), torch.rand(2, 5, 5) * 100
    place = torch.arange(5)
    far = (place[:, None] - place).abs() > 1
    weights = torch.rand(2, 5, 3)
    targets = [masks.to_band(plan.where(~far, values), 1) for values in (plan, elsewhere)]
    loss = losses.fitting(weights, targets[0], real)
    assert losses.fitting(weights, targets[1], real).equal(loss)
    targets[1][1, 3:] = 99.0
    assert losses.fitting(weights, targets[1], real).equal(loss)


def test_the_released_fitting_loss_averages_over_all_cells_and_sums_over_the_batch():
    weights, target = torch.rand(2, 5, 3), torch.rand(2, 5, 3)
    squares = oracles.to_dense((weights - target).square())
    by_hand = sum(squares[b, :l, :l].mean() for b, l in enumerate(lengths.tolist()))
    torch.testing.assert_close(official.over_all_cells(weights, target, real), by_hand)


def test_absolute_errors_can_be_the_loss_of_scores_and_change_nothing_for_classes():
    scores, labels = torch.tensor([1.0, 2.0, 5.0]), torch.tensor([0.0, 4.0, NAN])
    assert losses.task(scores, labels, "absolute").item() == pytest.approx(1.5)
    logits, classes = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert losses.task(logits, classes, "absolute").equal(losses.task(logits, classes))
