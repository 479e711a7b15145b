"""The alignment dynamics learner: the fitter, its target, and what is imagined by its weights."""

from dataclasses import replace

import oracles
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmalign import MMAlignConfig, masks
from mmalign.method.dynamics import AlignmentDynamics, Fitter

shapes = st.tuples(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.integers(0, 7), st.integers(0, 2))


def learner(**changes):
    return AlignmentDynamics(MMAlignConfig(width=4, fitter_width=3, **changes))


def identity(batch, steps, window):
    weights = torch.zeros(batch, steps, 2 * window + 1)
    weights[:, :, window] = 1
    return weights


# ---- the fitter --------------------------------------------------------------------------------------


@given(shapes)
def test_fitted_rows_sum_to_one_over_the_steps_that_exist_and_are_zero_elsewhere(shape):
    lengths, window, extra = shape
    lengths, steps = torch.tensor(lengths), max(lengths) + extra
    weights = Fitter(4, 3, window, "softmax")(torch.randn(len(lengths), steps, 4), lengths)
    real = masks.real_steps(lengths, steps)
    assert weights.shape == (len(lengths), steps, 2 * window + 1)
    assert (weights >= 0).all() and not weights[~masks.open_band(real, window)].any()
    torch.testing.assert_close(weights.sum(2), real.float())


@given(shapes)
def test_the_gradient_of_the_masked_softmax_is_finite(shape):
    lengths, window, extra = shape
    fitter = Fitter(4, 3, window, "softmax")
    weights = fitter(torch.randn(len(lengths), max(lengths) + extra, 4), torch.tensor(lengths))
    weights.square().sum().backward()
    assert all(one.grad.isfinite().all() for one in fitter.parameters())


def test_the_released_softmax_loses_mass_at_the_ends():
    fitter = Fitter(4, 3, 2, "softmax_unmasked")
    weights = fitter(torch.randn(1, 8, 4), torch.tensor([8]))
    kept = (weights * masks.open_band(torch.ones(1, 8, dtype=torch.bool), 2)).sum(2)[0]
    assert kept[0] < 0.8 and kept[1] < 0.95 and kept[4].item() == pytest.approx(1)


def test_the_linear_head_may_be_negative():
    torch.manual_seed(1)
    assert (Fitter(4, 3, 2, "linear")(torch.randn(3, 8, 4), torch.tensor([8, 8, 8])) < 0).any()


# ---- the target --------------------------------------------------------------------------------------


def test_rows_and_columns_of_the_target_sum_to_one():
    lengths = torch.tensor([6, 4, 1])
    target = learner(mu=0.5, tol=1e-4).target(torch.randn(3, 6, 4), torch.randn(3, 6, 4), lengths)
    real = masks.real_steps(lengths, 6).float()
    for side in (target, masks.transpose_band(target)):
        torch.testing.assert_close(side.sum(2), real, atol=1e-3, rtol=0)


def test_no_gradient_reaches_the_sequences_through_the_target():
    first, second = (torch.randn(2, 5, 4, requires_grad=True) for _ in range(2))
    official = {"solver": "official", "barrier": 100.0, "mu": 5.0}
    for changes in ({}, official):
        assert not learner(**changes).target(first, second, torch.tensor([5, 3])).requires_grad


def test_a_sequence_that_was_locally_shuffled_is_found_again():
    order = torch.tensor([1, 0, 2, 4, 3, 5])
    first = torch.eye(6)[None]
    target = learner(mu=0.02, window=1).target(first, first[:, order], torch.tensor([6]))
    assert masks.to_dense(target)[0].argmax(0).equal(order)


# ---- imputation --------------------------------------------------------------------------------------


@given(shapes)
def test_imagining_equals_the_papers_sum_step_by_step(shape):
    lengths, window, extra = shape
    lengths, steps = torch.tensor(lengths), max(lengths) + extra
    weights, first = torch.rand(len(lengths), steps, 2 * window + 1), torch.randn(len(lengths), steps, 4)
    found = learner(window=window).imagine(weights, first, masks.real_steps(lengths, steps))
    torch.testing.assert_close(found, oracles.imagine(weights, first, lengths), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("orientation", ["transposed", "official"])
def test_the_identity_plan_copies_the_visible_sequence(orientation):
    dynamics, first, real = learner(), torch.randn(2, 5, 4), masks.real_steps(torch.tensor([5, 3]), 5)
    dynamics.config = replace(dynamics.config, impute_orientation=orientation)
    torch.testing.assert_close(dynamics.imagine(identity(2, 5, 2), first, real), first * real[..., None])


@given(st.integers(0, 3), st.integers(0, 6))
def test_a_visible_step_reaches_imagined_steps_inside_the_window_only(window, step):
    dynamics, weights, first = learner(window=window), torch.rand(1, 7, 2 * window + 1) + 0.1, torch.randn(1, 7, 4)
    real = torch.ones(1, 7, dtype=torch.bool)
    before = dynamics.imagine(weights, first, real)
    first[0, step] += 1
    moved = (dynamics.imagine(weights, first, real) - before).abs().amax(2)[0] > 1e-6
    assert moved.tolist() == [abs(step - j) <= window for j in range(7)]


@pytest.mark.parametrize(("orientation", "shift"), [("transposed", 1), ("official", -1)])
def test_a_plan_that_delays_by_one_step_delays_the_imagined_sequence(orientation, shift):
    """A[i, i+1] = 1 means z_(i+1) = z_i; the released code mirrors it in time."""
    dynamics, first, real = learner(window=1), torch.randn(1, 6, 4), torch.ones(1, 6, dtype=torch.bool)
    dynamics.config = replace(dynamics.config, impute_orientation=orientation)
    weights = torch.zeros(1, 6, 3)
    weights[:, :, 2] = 1
    imagined, inner = dynamics.imagine(weights, first, real), slice(1, 5)
    assert imagined[:, inner].equal(first.roll(shift, 1)[:, inner])


def test_normalised_columns_keep_imagined_steps_among_the_visible_ones():
    real = masks.real_steps(torch.tensor([6, 3]), 6)
    imagined = learner(impute_norm="column").imagine(torch.rand(2, 6, 5) + 0.1, torch.ones(2, 6, 4), real)
    torch.testing.assert_close(imagined, real[..., None].expand(-1, -1, 4).float())
