"""Two lengths: the slanted window, and plans inside it against dense oracles, POT and what must hold anyway."""

import itertools
import math

import numpy as np
import oracles
import ot
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmalign import masks, transport
from mmalign.transport import solver


@pytest.fixture(params=["compiled", "plain"])
def path(request, monkeypatch):
    """Every test that asks for it runs on both paths."""
    if request.param == "plain":
        monkeypatch.setattr(solver, "COMPILED", False)
    elif not solver.COMPILED:
        pytest.skip("numba is not installed")


def costs(batch, rows, columns, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(batch, rows, columns, generator=draw, dtype=dtype)


def overlaps(l1, l2):
    """(l1, l2): how long the stretches of two steps are together, as shares of the whole."""
    edges = [[(step / l, (step + 1) / l) for step in range(l)] for l in (l1, l2)]
    return torch.tensor([[max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for b in edges[1]] for a in edges[0]]).double()


# ---- the window --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("l1", range(1, 9))
@pytest.mark.parametrize("l2", range(1, 9))
def test_the_window_is_what_its_rule_says_and_every_one_holds_a_plan(l1, l2):
    fits = overlaps(l1, l2).where(overlaps(l1, l2) > 1e-12, 0)
    assert torch.allclose(fits.sum(1), torch.full((l1,), 1 / l1).double())
    assert torch.allclose(fits.sum(0), torch.full((l2,), 1 / l2).double())
    for window in range(10):
        inside = ~masks.outside_window(l1, window, l2)
        assert inside.equal(torch.tensor(oracles.window(l1, l2, window)))
        assert not (fits > 0)[~inside].any()
        assert inside.equal(~masks.outside_window(l2, window, l1).T)
        assert inside.equal(inside.flip(0, 1))
        if window == 0:
            assert inside.equal(fits > 0) and inside.sum() == l1 + l2 - math.gcd(l1, l2)
        if l1 == l2:
            assert inside.equal((torch.arange(l1)[:, None] - torch.arange(l2)).abs() <= window)
        if window >= min(l1, l2) - 1:
            assert inside.all()


@pytest.mark.parametrize(("l1", "l2"), [(2, 3), (3, 5), (4, 6), (1, 4), (5, 5), (6, 4)])
def test_every_cell_of_a_window_is_used_by_some_plan_and_from_width_1_the_window_is_connected(l1, l2):
    for window in range(4):
        inside = ~masks.outside_window(l1, window, l2)
        plan = transport.sinkhorn(torch.zeros(1, l1, l2).double(), window=window, tol=1e-9, max_sweeps=20_000)
        assert plan.gap < 1e-8  # Sinkhorn converges fast only where every cell is used
        assert (plan.mass[0] > 1e-4).equal(inside)
        reached, steps = inside[:1].any(0), l1 + l2
        for _ in range(steps):
            reached = inside[(inside & reached).any(1)].any(0)
        assert bool(reached.all()) == (window > 0 or math.gcd(l1, l2) == 1)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=3), st.integers(0, 9))
def test_a_band_of_two_lengths_is_the_matrix_inside_the_window_whichever_way_it_is_read(lengths, W):
    rows, columns = torch.tensor(lengths).T
    window = masks.Window.between(rows, columns, 9, 10, W)
    dense = torch.randn(len(lengths), 9, 10)
    inside = torch.zeros(len(lengths), 9, 10, dtype=torch.bool)
    for b, (l1, l2) in enumerate(lengths):
        inside[b, :l1, :l2] = torch.tensor(oracles.window(l1, l2, W))
    assert window.to_dense(window.open).equal(inside)
    assert window.to_dense(window.to_band(dense)).equal(dense * inside)
    other = window.transposed
    assert other.to_dense(window.transpose(window.to_band(dense))).equal((dense * inside).mT)
    values = torch.randn(len(lengths), 10)
    assert (window.look(values) * window.open).equal(window.to_band(values[:, None].expand(-1, 9, -1)))
    for k in range(window.width):
        assert window.look_at(values[:, :, None], k)[:, :, 0].equal(window.look(values)[:, :, k])


# ---- the right plan ----------------------------------------------------------------------------------------


LARGER = [pytest.param(*lengths, marks=pytest.mark.slow) for lengths in ((12, 4), (10, 11))]


@pytest.mark.parametrize(("l1", "l2"), [(5, 9), (9, 5), (1, 7), (7, 1), *LARGER])
@pytest.mark.parametrize("window", [0, 1, 3, None])
def test_plans_are_those_of_pot_and_of_plain_loops(path, l1, l2, window):
    cost = costs(1, l1, l2, seed=l1)
    reach = l1 + l2 if window is None else window
    for mu in (0.05, 0.5):
        plan = transport.sinkhorn(cost, window=window, mu=mu, tol=1e-9, max_sweeps=5000)
        barred = cost[0].masked_fill(masks.outside_window(l1, reach, l2), torch.inf).numpy()
        shares = np.full(l1, 1 / l1), np.full(l2, 1 / l2)
        expected = ot.bregman.sinkhorn_log(*shares, barred, mu, stopThr=1e-11, numItermax=5000, warn=False)
        torch.testing.assert_close(plan.mass[0], torch.from_numpy(expected), rtol=0, atol=1e-6)
        dense = torch.tensor(oracles.sinkhorn_between(cost[0].tolist(), reach, mu, plan.sweeps), dtype=torch.float64)
        torch.testing.assert_close(plan.mass[0], dense, rtol=0, atol=1e-9)
        torch.testing.assert_close(plan.cost[0], (dense * cost[0]).sum(), rtol=0, atol=1e-8)


@pytest.mark.parametrize("window", [1, 4, None])
def test_pots_kernel_domain_with_a_finite_barrier_agrees(window):
    cost = costs(1, 18, 30, seed=1)
    far = masks.outside_window(18, 99 if window is None else window, 30)
    plan = transport.sinkhorn(cost, window=window, mu=0.3, tol=1e-10, max_sweeps=5000)
    shares = np.full(18, 1 / 18), np.full(30, 1 / 30)
    theirs = ot.sinkhorn(*shares, (cost[0] + 1e3 * far).numpy(), 0.3, stopThr=1e-12, numItermax=5000, warn=False)
    torch.testing.assert_close(plan.mass[0], torch.from_numpy(theirs), rtol=0, atol=1e-6)


def test_the_value_meets_the_dual_from_above_and_no_other_plan_is_better(path):
    cost, mu = costs(1, 7, 12, seed=2), 0.3
    plan = transport.sinkhorn(cost, window=2, mu=mu, tol=1e-10, max_sweeps=20_000)
    inside, mass = ~masks.outside_window(7, 2, 12), plan.mass[0]
    # log A + M / mu = (f_t + g_s) / mu on the window: solved for f and g, they give the dual value.
    equations, goal = [], []
    for t, s in inside.nonzero().tolist():
        row = torch.zeros(19).double()
        row[t] = row[7 + s] = 1
        equations.append(row)
        goal.append(mu * mass[t, s].log() + cost[0, t, s])
    prices = torch.linalg.lstsq(torch.stack(equations), torch.stack(goal)[:, None]).solution[:, 0]
    dual = prices[:7].mean() + prices[7:].mean()  # mu * sum A, which is mu, comes with f + g = mu log A + M, not + mu
    torch.testing.assert_close(plan.value[0], dual, rtol=0, atol=1e-8)
    for other in (overlaps(7, 12), overlaps(7, 12) / 2 + mass / 2):
        assert (other * cost[0]).sum() + mu * torch.xlogy(other, other).sum() > plan.value[0]


def test_changing_roles_transposes_the_plan_and_reversal_reverses_it(path):
    cost, options = costs(2, 11, 17, seed=6), {"window": 2, "tol": 1e-10, "max_sweeps": 20_000}
    mass = transport.sinkhorn(cost, **options).mass
    for changed, back in ((cost.mT, lambda plan: plan.mT), (cost.flip(1, 2), lambda plan: plan.flip(1, 2))):
        torch.testing.assert_close(back(transport.sinkhorn(changed, **options).mass), mass, rtol=0, atol=1e-8)


def test_no_plan_holds_a_lag_whatever_the_lengths(path):
    plan = transport.sinkhorn(costs(1, 12, 20, seed=7), window=3, tol=1e-10, max_sweeps=20_000)
    rows, columns = (torch.arange(12) + 0.5) / 12, (torch.arange(20) + 0.5) / 20
    assert (plan.mass[0] * (columns - rows[:, None])).sum().abs() < 1e-8


def test_window_0_leaves_the_overlaps(path):
    plan = transport.sinkhorn(costs(1, 6, 10, seed=3), window=0, tol=1e-12, max_sweeps=20_000)
    torch.testing.assert_close(plan.mass[0], overlaps(6, 10), rtol=0, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mu", [1e-3, 0.02, 1e3])
def test_both_paths_agree_sweep_by_sweep_and_the_gap_is_honest(dtype, mu, monkeypatch):
    cost = costs(3, 20, 13, seed=8, dtype=dtype)
    arguments = {"lengths": [20, 7, 1], "other_lengths": [13, 12, 5], "window": 2, "mu": mu, "tol": 0, "max_sweeps": 9}
    fast = transport.sinkhorn(cost, **arguments)
    monkeypatch.setattr(solver, "COMPILED", False)
    plain = transport.sinkhorn(cost, **arguments)
    close = {torch.float32: 1e-3, torch.float64: 1e-9}[dtype]
    torch.testing.assert_close(fast.mass, plain.mass, rtol=0, atol=close / 13)
    for plan in (fast, plain):
        for b, (l1, l2) in enumerate([(20, 13), (7, 12), (1, 5)]):
            mass = plan.mass[b].double()
            true = max((mass.sum(1)[:l1] * l1 - 1).abs().max(), (mass.sum(0)[:l2] * l2 - 1).abs().max())
            assert true <= float(plan.gap[b]) <= true * (1 + 1e-5) + 1e-6


def test_neighbours_and_padding_change_nothing(path):
    x, y = torch.randn(4, 30, 6), torch.randn(4, 22, 6)
    lengths, others = [30, 1, 12, 21], [22, 9, 3, 21]
    batch = transport.align(x, y, lengths, others, window=2)
    for b, (l1, l2) in enumerate(zip(lengths, others, strict=True)):
        alone = transport.align(x[b : b + 1, :l1], y[b : b + 1, :l2], window=2)
        torch.testing.assert_close(batch.mass[b, :l1, :l2], alone.mass[0], rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(batch.value[b], alone.value[0])
        x[b, l1:], y[b, l2:] = torch.nan, torch.inf
    again = transport.align(x, y, lengths, others, window=2)
    assert again.band.equal(batch.band) and again.cost.equal(batch.cost)
    for b, (l1, l2) in enumerate(zip(lengths, others, strict=True)):
        assert not batch.mass[b, l1:].any() and not batch.mass[b, :, l2:].any()


def test_align_is_sinkhorn_on_the_cosine_cost(path):
    x, y = torch.randn(3, 17, 5).double(), torch.randn(3, 11, 5).double()
    cost = 1 - torch.nn.functional.cosine_similarity(x[:, :, None], y[:, None], dim=3)
    lengths = {"lengths": [17, 4, 1], "other_lengths": [11, 7, 3]}
    ours, theirs = transport.align(x, y, **lengths), transport.sinkhorn(cost, **lengths, window=4)
    torch.testing.assert_close(ours.band, theirs.band)
    torch.testing.assert_close(ours.cost, theirs.cost)


def test_equal_lengths_named_twice_give_the_same_bits_as_named_once(path):
    x, y = torch.randn(3, 9, 4), torch.randn(3, 9, 4)
    once, twice = transport.align(x, y, [9, 5, 1]), transport.align(x, y, [9, 5, 1], torch.tensor([9, 5, 1]))
    assert once.band.equal(twice.band) and once.cost.equal(twice.cost) and once.first.equal(twice.first)
    assert once.band.shape == (3, 9, 9) and once.first[0].equal(torch.arange(9) - 4)


def test_where_lengths_differ_inside_a_batch_first_says_what_a_slot_speaks_of(path):
    plan = transport.align(torch.randn(2, 8, 4), torch.randn(2, 8, 4), [8, 4], [8, 6], window=1)
    for b, t, k in itertools.product(range(2), range(8), range(plan.band.shape[2])):
        s = int(plan.first[b, t]) + k
        assert plan.band[b, t, k] == (plan.mass[b, t, s] if 0 <= s < 8 else 0)


def test_two_threads_give_the_plans_of_one():
    x, y = torch.randn(9, 128, 4), torch.randn(9, 80, 4)
    alone = transport.align(x, y, tol=0, max_sweeps=40)
    torch.set_num_threads(2)
    try:
        assert transport.align(x, y, tol=0, max_sweeps=40).band.equal(alone.band)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(("dtype", "far", "close"), [(torch.float32, 80.0, 8.0), (torch.float64, 700.0, 9.0)])
def test_what_is_added_to_a_column_changes_no_plan_however_far_it_is_from_the_others(path, dtype, far, close):
    """Beside exp(-80) a float has no room for what is smaller by exp(-8), so that no sum so small may be kept."""
    near = torch.tensor([[[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, close, close]]], dtype=dtype)
    moved = near + far * (torch.arange(4) > 1)
    plans = [transport.sinkhorn(cost, mu=1.0, tol=1e-3, max_sweeps=10_000).mass for cost in (near, moved)]
    assert plans[0][0, 1, 3] > 1e-3
    torch.testing.assert_close(plans[1], plans[0], rtol=0.05, atol=1e-4)


def test_no_finite_cost_makes_a_nan(path):
    for scale, dtype in ((1e37, torch.float32), (1e300, torch.float64), (-1e37, torch.float32)):
        plan = transport.sinkhorn(
            scale * (costs(2, 9, 14, seed=10, dtype=dtype) - 0.5), window=2, mu=1e-3, max_sweeps=30
        )
        assert plan.band.isfinite().all() and plan.cost.isfinite().all() and plan.gap.isfinite().all()
