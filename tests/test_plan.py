"""What a plan knows of itself: its value and gradient, its kind of arrays."""

import numpy as np
import pytest
import torch

from mmalign import transport
from mmalign.transport import solver

TIGHT = {"mu": 1.0, "tol": 1e-11, "max_sweeps": 50_000}


@pytest.fixture(params=["compiled", "plain"])
def path(request, monkeypatch):
    """Every test that asks for it runs on both paths."""
    if request.param == "plain":
        monkeypatch.setattr(solver, "COMPILED", False)
    elif not solver.COMPILED:
        pytest.skip("numba is not installed")


def differences(function, x, step=1e-5):
    """The gradient of a number by x, from two values for every entry."""
    gradient = torch.zeros_like(x)
    for place in range(x.numel()):
        move = torch.zeros_like(x).flatten()
        move[place] = step
        up, down = (function(x + sign * move.view_as(x)) for sign in (1, -1))
        gradient.flatten()[place] = (up - down) / (2 * step)
    return gradient


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (4, 6), (6, 3)])
@pytest.mark.parametrize("window", [1, None])
def test_the_gradient_of_the_value_is_that_of_finite_differences(path, rows, columns, window):
    x, y = torch.randn(2, rows, 3).double(), torch.randn(2, columns, 3).double()
    lengths = {"lengths": [rows, rows - 1], "other_lengths": [columns, columns - 1], "window": window}
    weight = torch.tensor([1.0, -2.0]).double()  # each sequence has a gradient of its own

    def total(x, y):
        return (transport.align(x, y, **lengths, **TIGHT).value * weight).sum()

    x.requires_grad_(), y.requires_grad_()
    total(x, y).backward()
    with torch.no_grad():
        torch.testing.assert_close(x.grad, differences(lambda x: total(x, y), x), rtol=0, atol=1e-8)
        torch.testing.assert_close(y.grad, differences(lambda y: total(x, y), y), rtol=0, atol=1e-8)


@pytest.mark.parametrize(("rows", "columns"), [(5, 5), (4, 6)])
def test_the_gradient_by_a_given_cost_is_the_plan(path, rows, columns):
    cost = torch.rand(2, rows, columns).double().requires_grad_()
    plan = transport.sinkhorn(cost, [rows, 2], [columns, 3], window=2, **TIGHT)
    plan.value.sum().backward()
    assert cost.grad.equal(plan.mass)

    def total(cost):
        return transport.sinkhorn(cost, [rows, 2], [columns, 3], window=2, **TIGHT).value.sum()

    with torch.no_grad():
        torch.testing.assert_close(cost.grad, differences(total, cost), rtol=0, atol=1e-8)


def test_the_cost_in_a_loss_has_the_gradient_of_the_value(path):
    x, y = torch.randn(2, 6, 3).requires_grad_(), torch.randn(2, 6, 3)
    plan = transport.align(x, y, window=2)
    (by_cost,) = torch.autograd.grad(plan.cost.sum(), x, retain_graph=True)
    (by_value,) = torch.autograd.grad(plan.value.sum(), x)
    assert by_cost.any() and by_cost.equal(by_value)


def test_the_value_is_cost_minus_entropy(path):
    plan = transport.sinkhorn(torch.rand(2, 6, 9).double(), window=3, mu=0.4)
    entropy = -torch.xlogy(plan.mass, plan.mass).sum((1, 2))
    torch.testing.assert_close(plan.value, plan.cost - 0.4 * entropy)


def test_gradients_flow_only_where_they_are_asked_for(path):
    x, y = torch.randn(2, 6, 3), torch.randn(2, 6, 3)
    plain = transport.align(x, y)
    assert not plain.cost.requires_grad and not plain.value.requires_grad
    plan = transport.align(x.requires_grad_(), y)
    assert plan.cost.requires_grad and plan.value.requires_grad
    assert not plan.band.requires_grad and not plan.mass.requires_grad and not plan.gap.requires_grad
    assert plan.cost.equal(plain.cost) and plan.band.equal(plain.band)
    with torch.no_grad():
        assert not transport.align(x, y).cost.requires_grad
    plan.value.sum().backward()
    assert y.grad is None


@pytest.mark.parametrize("window", [2, 9])
def test_the_first_step_of_a_row_is_w_steps_back_however_wide_the_window_is(path, window):
    x = torch.randn(1, 4, 3)
    assert transport.align(x, x, window=window).first.tolist() == [[t - window for t in range(4)]]


def test_a_second_derivative_is_refused():
    x = torch.randn(1, 4, 2, requires_grad=True)
    with pytest.raises(RuntimeError, match="can be differentiated once"):
        torch.autograd.grad(transport.align(x, torch.randn(1, 4, 2)).value.sum(), x, create_graph=True)


def test_padding_of_any_kind_and_steps_of_zeros_get_no_gradient(path):
    x, y = torch.randn(1, 6, 3), torch.randn(1, 5, 3)
    x[:, 1], x[:, 4:], y[:, 4:] = 0, torch.nan, torch.inf
    x.requires_grad_()
    y.requires_grad_()
    transport.align(x, y, [4], [4]).value.sum().backward()
    assert x.grad.isfinite().all() and y.grad.isfinite().all()
    assert not x.grad[:, 1].any() and not x.grad[:, 4:].any() and not y.grad[:, 4:].any() and x.grad.any()


@pytest.mark.parametrize("size", [1e-30, 1e30])
def test_the_gradient_of_a_larger_step_is_smaller_in_proportion(path, size):
    x, y = torch.randn(1, 5, 3), torch.randn(1, 5, 3)
    gradients = []
    for scale in (1.0, size):
        scaled = (scale * x).requires_grad_()
        transport.align(scaled, y, tol=1e-6).value.sum().backward()
        gradients.append(scale * scaled.grad)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_sequence_is_at_less_than_no_distance_from_itself(path, dtype):
    for seed in range(20):
        x = torch.randn(4, 9, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)
        assert (transport.align(x, x, mu=1e-3, window=seed % 3).cost >= 0).all()
        assert (transport.align(x, 3 * x, window=0).cost.sqrt() >= 0).all()


@pytest.mark.parametrize("columns", [7, 5])
def test_numpy_in_numpy_out_and_the_same_numbers(path, columns):
    x, y = np.random.default_rng(0).standard_normal((2, 2, 7, 4))
    y = y[:, :columns]
    x.flags.writeable = False
    ours, theirs = transport.align(x, y, window=2), transport.align(torch.tensor(x), torch.tensor(y), window=2)
    for name in ("band", "mass", "cost", "value", "gap", "first"):
        array = getattr(ours, name)
        assert isinstance(array, np.ndarray) and (array == getattr(theirs, name).numpy()).all(), name
    cost = np.random.default_rng(1).random((1, 4, columns), dtype=np.float32)[:, ::-1]
    plan = transport.sinkhorn(cost, np.array([3]), np.array([columns]))
    assert plan.mass.dtype == np.float32 and plan.mass.shape == cost.shape


def test_the_plain_path_makes_every_tensor_where_its_inputs_are():
    """On the device that holds no numbers: a tensor made elsewhere would not mix with them."""
    from mmalign import masks

    lengths = torch.full((2,), 5, device="meta")
    window = masks.Window(lengths, lengths, 5, 5, 2, True)
    x = torch.empty(2, 5, 3, device="meta")
    plan, cost, gap, sweeps = transport.log_domain(solver.cosine_costs(x, x, window), window, 0.2, 0, 3)
    assert {value.device.type for value in (plan, cost, gap)} == {"meta"} and sweeps == 3
    assert plan.shape == (2, 5, 5) and cost.shape == gap.shape == (2,)
