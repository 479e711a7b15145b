"""Windowed transport against POT, against plain loops, and against what must hold whatever the numbers."""

import math

import numpy as np
import oracles
import ot
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from mmalign import masks, transport
from mmalign.transport import checks, solver

BOTH = {torch.float32: 1e-5, torch.float64: 1e-10}  # rounding, as a share of 1/l
FAST = solver.COMPILED


@pytest.fixture(params=["compiled", "plain"])
def path(request, monkeypatch):
    """Every test that asks for it runs on both paths."""
    if request.param == "plain":
        monkeypatch.setattr(solver, "COMPILED", False)
    elif not FAST:
        pytest.skip("numba is not installed")


def costs(batch, steps, seed=0, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(batch, steps, steps, generator=draw, dtype=dtype)


def far(steps, window):
    place = torch.arange(steps)  # not `masks.outside_window`, which is what these tests check
    return (place[:, None] - place).abs() > window


def pot(cost, window=None, mu=0.2, threshold=1e-9, sweeps=20_000):
    """POT's log-domain solution of one (T, T) problem, -inf outside the window."""
    cost = cost if window is None else cost.masked_fill(far(len(cost), window), torch.inf)
    share = np.full(len(cost), 1 / len(cost))
    options = {"stopThr": threshold, "numItermax": sweeps, "warn": False}
    return torch.from_numpy(ot.bregman.sinkhorn_log(share, share, cost.numpy(), mu, **options))


@st.composite
def problems(draw, least_mu=1e-3):
    """(cost, lengths, window, mu), both precisions, windows beyond the sequence and lengths of 1 included."""
    batch, steps = draw(st.integers(1, 4)), draw(st.integers(1, 40))
    lengths = draw(st.lists(st.integers(1, steps), min_size=batch, max_size=batch))
    window = draw(st.one_of(st.none(), st.integers(0, steps + 3)))
    mu = 10 ** draw(st.floats(math.log10(least_mu), 3))
    dtype = draw(st.sampled_from(sorted(BOTH, key=str)))
    return costs(batch, steps, draw(st.integers(0, 99)), dtype), lengths, window, mu


# ---- the right plan ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mu", [1e-3, 0.02, 0.2, 5.0])
@pytest.mark.parametrize("window", [None, 0, 1, 4, 30])
def test_sweep_by_sweep_plans_are_those_of_pot_with_minus_infinity_outside(path, window, mu):
    cost = costs(2, 24)
    # POT updates columns first, we rows: what it does to a problem, we do to the transposed one.
    plan = transport.sinkhorn(cost.mT, window=window, mu=mu, tol=0, max_sweeps=60)
    for ours, problem in zip(plan.mass.mT, cost, strict=True):
        torch.testing.assert_close(ours, pot(problem, window, mu, 0, 60), rtol=0, atol=1e-10)


@pytest.mark.parametrize("window", [2, 4, 30])
def test_converged_plans_are_those_of_pot(path, window):
    cost = costs(2, 24)
    plan = transport.sinkhorn(cost, window=window, tol=1e-9, max_sweeps=20_000)
    for ours, problem in zip(plan.mass, cost, strict=True):
        torch.testing.assert_close(ours, pot(problem, window, 0.2, 1e-11), rtol=0, atol=1e-8)


def test_with_the_same_stopping_plans_without_a_window_are_those_of_pot(path):
    cost = costs(3, 30, seed=1)
    plan = transport.sinkhorn(cost, tol=1e-9)
    for ours, problem in zip(plan.mass, cost, strict=True):
        torch.testing.assert_close(ours, pot(problem), rtol=0, atol=1e-6)


@pytest.mark.parametrize("sweeps", [1, 2, 7])
def test_after_any_number_of_sweeps_the_plan_is_that_of_plain_sinkhorn(path, sweeps):
    cost, lengths = costs(3, 19, seed=2), [19, 1, 8]
    plan = transport.sinkhorn(cost, lengths, window=3, mu=0.1, tol=0, max_sweeps=sweeps)
    assert plan.sweeps == sweeps
    for b, length in enumerate(lengths):
        expected = torch.tensor(oracles.sinkhorn(cost[b].tolist(), length, 3, 0.1, sweeps), dtype=torch.float64)
        torch.testing.assert_close(plan.mass[b], expected, rtol=1e-11, atol=1e-15)
        torch.testing.assert_close(plan.cost[b], (expected * cost[b]).sum())


@pytest.mark.parametrize("window", [1, 3, 99])
def test_the_cost_exceeds_the_best_assignment_by_at_most_mu_log_l(path, window):
    length = 20
    cost = costs(1, length, seed=3)
    best = ot.emd2([], [], (cost[0] + 1e4 * far(length, window)).numpy())
    for mu in (0.1, 1.0):
        plan = transport.sinkhorn(cost, window=window, mu=mu, tol=1e-4, max_sweeps=20_000)
        assert plan.gap <= 1.01e-4
        assert -3e-4 <= float(plan.cost) - best <= mu * math.log(length) + 3e-4  # a plan this far off may cost so much


@given(problems(least_mu=0.05))
def test_the_compiled_path_is_the_plain_one_to_rounding(problem):
    cost, lengths, window, mu = problem
    fast = transport.sinkhorn(cost, lengths, None, window, mu, tol=0, max_sweeps=20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "COMPILED", False)
        plain = transport.sinkhorn(cost, lengths, None, window, mu, tol=0, max_sweeps=20)
    torch.testing.assert_close(fast.band, plain.band, rtol=2e3 * torch.finfo(cost.dtype).eps, atol=BOTH[cost.dtype])


@pytest.mark.parametrize("window", [0, 3, 150, None])
def test_what_is_longer_than_a_block_is_solved_like_what_is_not(window):
    cost = costs(2, 300, seed=4)
    fast = transport.sinkhorn(cost, [300, 131], None, window, tol=0, max_sweeps=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "COMPILED", False)
        plain = transport.sinkhorn(cost, [300, 131], None, window, tol=0, max_sweeps=5)
    torch.testing.assert_close(fast.band, plain.band, rtol=1e-10, atol=1e-14)
    torch.testing.assert_close(fast.gap, plain.gap)


def test_scalings_that_grow_beyond_the_range_of_floats_are_absorbed_without_a_trace(path):
    """A ramp of costs: after some sixty sweeps log v has passed 130, and a row sum would be lost."""
    cost = costs(1, 24, seed=5) + torch.linspace(0, 8, 24).double() * torch.linspace(0, 1, 24).double()[:, None]
    plan = transport.sinkhorn(cost.mT, window=3, mu=0.02, tol=0, max_sweeps=1000)
    torch.testing.assert_close(plan.mass[0].mT, pot(cost[0], 3, 0.02, 0, 1000), rtol=0, atol=1e-10)


@pytest.mark.parametrize(("dtype", "far", "close"), [(torch.float32, 80.0, 8.0), (torch.float64, 700.0, 9.0)])
def test_what_is_added_to_a_column_changes_no_plan_however_far_it_is_from_the_others(path, dtype, far, close):
    """Beside exp(-80) a float has no room for what is smaller by exp(-8), so that no sum so small may be kept."""
    near = torch.tensor([[[0.0, 0.0], [0.0, close]]], dtype=dtype)
    moved = near + far * (torch.arange(2) > 0)
    plans = [transport.sinkhorn(cost, mu=1.0, tol=1e-3, max_sweeps=10_000).mass for cost in (near, moved)]
    assert plans[0][0, 1, 1] > 1e-3
    torch.testing.assert_close(plans[1], plans[0], rtol=0.05, atol=1e-4)


def test_align_is_sinkhorn_on_the_cosine_cost(path):
    x, y = torch.randn(3, 17, 5).double(), torch.randn(3, 17, 5).double()
    cost = 1 - torch.nn.functional.cosine_similarity(x[:, :, None], y[:, None], dim=3)
    ours, theirs = transport.align(x, y, [17, 4, 1]), transport.sinkhorn(cost, [17, 4, 1], window=4)
    torch.testing.assert_close(ours.band, theirs.band)
    torch.testing.assert_close(ours.cost, theirs.cost)


def test_golden_cases(path):
    """A 2 x 2 plan by hand: with costs 0 and 1 off it, p / (1/2 - p) = exp(1/mu) for the entry p on the diagonal."""
    plan = transport.sinkhorn(torch.tensor([[[0.0, 1.0], [1.0, 0.0]]]).double(), mu=0.5, tol=1e-12)
    stays = 0.5 / (1 + math.exp(-2))
    torch.testing.assert_close(plan.mass[0], torch.tensor([[stays, 0.5 - stays], [0.5 - stays, stays]]).double())
    torch.testing.assert_close(plan.cost, torch.tensor([2 * (0.5 - stays)]).double())
    swaps = torch.tensor([1, 0, 3, 2, 5, 4])
    source = torch.eye(6)[None]
    assert transport.align(source, source[:, swaps], window=1, mu=0.05).mass[0].argmax(1).equal(swaps)


def test_without_a_tolerance_every_sweep_is_made_even_where_nothing_changes_any_more(path):
    assert transport.sinkhorn(torch.zeros(1, 1, 1), tol=0, max_sweeps=9).sweeps == 9


# ---- what must hold of any plan -----------------------------------------------------------------------


@given(problems())
@example((costs(1, 33, 5, torch.float32), [33], 1, 1e-3))
@example((costs(1, 33, 5), [33], None, 1e-3))
def test_ot1_the_gap_is_honest_nothing_is_negative_and_nothing_outside(problem):
    cost, lengths, window, mu = problem
    for compiled in (FAST, None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transport, "compiled", compiled)
            plan = transport.sinkhorn(cost, lengths, None, window, mu, max_sweeps=60)
        assert plan.band.isfinite().all() and (plan.band >= 0).all() and plan.cost.isfinite().all()
        reach = cost.shape[1] if window is None else window
        for b, length in enumerate(lengths):
            mass = plan.mass[b].double()
            true = oracles.marginal_gap(mass, length)
            assert true <= float(plan.gap[b]) <= true * (1 + 1e-5) + 1e-6
            assert not mass[far(len(mass), reach)].any() and not mass[length:].any() and not mass[:, length:].any()
        if plan.sweeps < 60:
            assert plan.gap.max() <= 1e-3 + BOTH[cost.dtype]


def test_ot2_potentials_swaps_and_reversals(path):
    cost, options = costs(2, 18, seed=6), {"window": 4, "tol": 1e-10, "max_sweeps": 20_000}
    mass = transport.sinkhorn(cost, **options).mass
    shifted = cost + torch.randn(2, 18, 1) + torch.randn(2, 1, 18)
    for changed, back in (
        (shifted, lambda plan: plan),
        (cost.mT, lambda plan: plan.mT),
        (cost.flip(1, 2), lambda plan: plan.flip(1, 2)),
    ):
        torch.testing.assert_close(back(transport.sinkhorn(changed, **options).mass), mass, rtol=0, atol=1e-9)


@pytest.mark.parametrize("length", [1, 2, 15])
def test_ot3_a_constant_cost_spreads_evenly(path, length):
    mass = transport.sinkhorn(torch.full((1, length, length), 0.7).double(), window=length + 1).mass
    torch.testing.assert_close(mass, torch.full_like(mass, 1 / length**2))


def test_ot4_no_plan_holds_a_lag_and_window_0_is_the_identity(path):
    cost = costs(2, 25, seed=7)
    plan = transport.sinkhorn(cost, window=5, tol=1e-9, max_sweeps=10_000)
    place = torch.arange(25)
    assert (plan.mass * (place - place[:, None])).sum((1, 2)).abs().max() < 1e-7
    torch.testing.assert_close(transport.sinkhorn(cost, window=0).mass, (torch.eye(25) / 25).double().expand(2, 25, 25))


def test_ot5_neighbours_padding_and_storage_change_nothing(path):
    x, y = torch.randn(4, 30, 6), torch.randn(4, 30, 6)
    lengths = [30, 1, 12, 21]
    batch = transport.align(x, y, lengths, window=3)
    torch.testing.assert_close(batch.mass, oracles.to_dense(batch.band), rtol=0, atol=0)
    for b, length in enumerate(lengths):
        alone = transport.align(x[b : b + 1, :length], y[b : b + 1, :length], window=3)
        torch.testing.assert_close(batch.mass[b, :length, :length], alone.mass[0], rtol=1e-5, atol=1e-7)
        x[b, length:], y[b, length:] = torch.nan, torch.inf
    assert transport.align(x, y, lengths, window=3).band.equal(batch.band)


def test_inputs_stay_as_they_are_and_their_storage_does_not_matter(path):
    x = torch.randn(6, 2, 9).transpose(0, 1).transpose(1, 2)  # not contiguous
    before = x.clone()
    plan = transport.align(x, x, window=2)
    assert before.equal(x)
    torch.testing.assert_close(plan.band, transport.align(before, before.contiguous(), window=2).band)
    negative = torch._neg_view(-before)
    assert transport.align(negative, before, window=2).band.equal(transport.align(before, before, window=2).band)


@pytest.mark.parametrize(("length", "window", "mu"), [(10, 1, 5.0), (17, 2, 5.0), (30, 8, 1.0)])
def test_ot6_official_is_the_released_loop_and_balances_nothing(length, window, mu):
    cost = costs(1, length, seed=8)
    band = transport.official(cost, torch.tensor([length]), window, mu, barrier=100.0)
    expected, passes = oracles.released(cost[0].tolist(), window, 1 / mu, 100.0)
    expected = torch.tensor(expected).double().masked_fill(far(length, window), 0)
    assert passes <= 2
    torch.testing.assert_close(masks.to_dense(band)[0], expected, rtol=0, atol=1e-6)
    assert (expected.sum(0) - 1).abs().max() > 0.02 and (expected.sum(1) - 1).abs().max() > 0.02  # no plan


def test_official_does_not_see_padding():
    cost = costs(1, 12, seed=9)
    alone = masks.to_dense(transport.official(cost[:, :7, :7], torch.tensor([7]), 2, 5.0, 100.0))
    padded = masks.to_dense(transport.official(cost, torch.tensor([7]), 2, 5.0, 100.0))
    torch.testing.assert_close(padded[:, :7, :7], alone)
    assert not padded[:, 7:].any() and not padded[:, :, 7:].any()


def test_the_released_loop_is_the_plain_one_and_its_closed_form():
    cost = 2 * torch.rand(11, 11)
    loop = transport.released(cost, 2, 0.2, 10)
    plain, _ = oracles.released(cost.tolist(), 2, 0.2, 100.0)
    torch.testing.assert_close(loop, torch.tensor(plain), rtol=0, atol=1e-6)
    closed = masks.to_dense(transport.official(cost[None], torch.tensor([11]), 2, 5.0, 100.0))[0]
    torch.testing.assert_close(loop, closed, rtol=0, atol=1e-6)


# ---- trouble -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", BOTH)
@pytest.mark.parametrize("scale", [1e4, -1e4, 1e10, 1e37])
def test_no_finite_cost_makes_a_nan(path, scale, dtype):
    cost = scale * (costs(2, 30, seed=10, dtype=dtype) - 0.5)
    for mu in (1e-3, 1e3):
        plan = transport.sinkhorn(cost, [30, 9], window=4, mu=mu, max_sweeps=30)
        assert plan.band.isfinite().all() and plan.cost.isfinite().all() and plan.gap.isfinite().all()


@pytest.mark.parametrize("size", [0.0, 1e-44, 1e-30, 1e30])
def test_only_the_direction_of_a_step_counts(path, size):
    x, y = torch.randn(1, 8, 4), torch.randn(1, 8, 4)
    plan = transport.align(size * x, y)
    assert plan.band.isfinite().all()
    if size > 1e-44:
        torch.testing.assert_close(plan.band, transport.align(x, y).band, rtol=1e-3, atol=1e-6)


def test_sweeps_run_to_the_cap_only_where_they_must(path):
    cost = costs(1, 20, seed=12)
    few = transport.sinkhorn(cost, window=6, mu=1.0, tol=1e-3)
    many = transport.sinkhorn(cost, window=6, mu=1.0, tol=1e-9)
    assert 0 < few.sweeps < many.sweeps < 400
    assert transport.sinkhorn(cost, window=6, mu=1.0, tol=0, max_sweeps=37).sweeps == 37


def test_two_threads_give_the_plans_of_one():
    x, y = torch.randn(9, 64, 4), torch.randn(9, 64, 4)
    alone = transport.align(x, y, tol=0)
    torch.set_num_threads(2)
    try:
        assert transport.align(x, y, tol=0).band.equal(alone.band)
    finally:
        torch.set_num_threads(1)


X = torch.randn(2, 5, 3)
LONG = torch.ones(1, 1_000_000, 1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: transport.align([1], X), "x must be a float32 or float64 tensor or array (B, T, D), found list"),
        (
            lambda: transport.align(X, X.long()),
            "y must be a float32 or float64 tensor or array (B, T, D), found torch.int64",
        ),
        (lambda: transport.align(X[0], X[0]), "x must have shape (B, T, D)"),
        (lambda: transport.align(X[:0], X[:0]), "x must have shape (B, T, D), none of them 0"),
        (lambda: transport.align(X, X[:, :, :2]), "x and y must agree in all but their steps, found (2, 5, 3)"),
        (lambda: transport.align(X, X[:1]), "x and y must agree in all but their steps, found (2, 5, 3)"),
        (
            lambda: transport.align(X.to_sparse(), X),
            "x must be a float32 or float64 tensor or array (B, T, D), found one",
        ),
        (
            lambda: transport.align(X, X.to("meta")),
            "y must be a float32 or float64 tensor or array (B, T, D), found one",
        ),
        (lambda: transport.align(np.ma.masked_equal(X.numpy(), 0), X), "found a masked array"),
        (
            lambda: transport.align(X, X, [5, 5], 4),
            "found int64 (); a window is given by name, window=4",
        ),
        (lambda: transport.align(X, X[:, :4], [5, 5]), "other_lengths are needed beside lengths: the sequences have 5"),
        (lambda: transport.align(X, X[:, :4], None, [5, 4]), "other_lengths must lie in 1..4, found 5 at sequence 0"),
        (lambda: transport.align(X, X, window=10**12), "2 plans of 5 x 2000000000001 entries need"),
        (lambda: transport.align(LONG, LONG, window=None), "1 plans of 1000000 x 1999999 entries need 32000 GB"),
        (lambda: transport.align(X, X, mu=10**400), "mu must be a number above 0"),
        (lambda: transport.align(X, X.double()), "x and y must agree"),
        (lambda: transport.align(X, X, mu=0), "mu must be a number above 0, found 0"),
        (lambda: transport.align(X, X, mu=math.nan), "mu must be a number above 0, found nan"),
        (lambda: transport.align(X, X, tol=-1), "tol must be a number of at least 0, found -1"),
        (lambda: transport.align(X, X, max_sweeps=0), "max_sweeps must be a whole number of at least 1, found 0"),
        (lambda: transport.align(X, X, window=-1), "window must be a whole number of at least 0, found -1"),
        (lambda: transport.align(X, X, window=1.5), "window must be a whole number of at least 0, found 1.5"),
        (lambda: transport.align(X, X, [5, 0]), "lengths must lie in 1..5, found 0 at sequence 1"),
        (lambda: transport.align(X, X, [6, 5]), "lengths must lie in 1..5, found 6 at sequence 0"),
        (lambda: transport.align(X, X, [5]), "lengths must be 2 whole numbers, one a sequence"),
        (lambda: transport.align(X, X, [5, None]), "lengths must be 2 whole numbers, one a sequence, found object"),
        (lambda: transport.align(X, X, "abc"), "lengths must be 2 whole numbers, one a sequence"),
        (lambda: transport.align(X, X, mu=1e39), "mu must lie in 1e-38..3e+38, which torch.float32 can hold"),
        (lambda: transport.align(X, X, mu=1e-40), "mu must lie in 1e-38..3e+38"),
        (lambda: transport.align(X, X, [5.0, 5.0]), "lengths must be 2 whole numbers, one a sequence"),
        (lambda: transport.align(X, X.log()), "y must be finite on real steps, found nan at sequence 0, step"),
        (lambda: transport.sinkhorn(X[:, :3] / 0), "cost must be finite on real steps, found "),
    ],
)
def test_bad_input_is_told_what_and_where(call, says):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(says) or says in str(caught.value)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int32", "uint64"])
def test_whole_numbers_of_any_width_are_lengths_and_any_number_of_sweeps_is_a_cap(kind):
    expected = transport.align(X, X, [5, 3]).band
    given = np.array([5, 3], kind)
    assert transport.align(X, X, given).band.equal(expected)
    assert transport.align(X, X, torch.from_numpy(given), max_sweeps=10**20).band.equal(expected)


def test_what_is_not_read_may_be_anything(path):
    cost = costs(2, 9, seed=13)
    clean = transport.sinkhorn(cost, [9, 5], window=2)
    dirty = cost.masked_fill(far(9, 2), torch.inf)
    dirty[1, 5:], dirty[1, :, 5:] = torch.nan, torch.nan
    assert transport.sinkhorn(dirty, [9, 5], window=2).band.equal(clean.band)


@pytest.mark.skipif(not FAST, reason="numba is not installed")
@pytest.mark.parametrize("columns", [5, 7])
def test_on_the_cpu_the_compiled_loops_do_the_work(monkeypatch, columns):
    ran, solve = [], solver._compiled
    monkeypatch.setattr(solver, "_compiled", lambda *given: ran.append(1) or solve(*given))
    transport.align(torch.randn(1, 5, 3), torch.randn(1, columns, 3))
    transport.sinkhorn(torch.rand(1, 5, columns))
    assert len(ran) == 2


@pytest.mark.parametrize("dtype", BOTH)
def test_the_least_and_the_largest_mu_of_a_precision_are_allowed(dtype):
    ends = torch.finfo(dtype)
    for mu in (ends.tiny, ends.max):
        checks.check_options(mu, 1e-3, 400, torch.zeros(1, dtype=dtype))


def test_what_torch_keeps_as_a_negative_is_read_as_its_values():
    negative = torch._neg_view(X)  # a view whose signs are turned only when it is read
    assert torch.equal(transport.align(negative, X).mass, transport.align(-X, X).mass)


@pytest.mark.parametrize("sign", [1, -1])
def test_costs_at_the_end_of_what_a_float_can_hold_are_solved_or_refused_never_nan(sign):
    cost = sign * 1.7e308 * torch.rand(1, 4, 4, dtype=torch.float64)
    plan = transport.sinkhorn(cost)
    assert plan.mass.isfinite().all() and plan.cost.isfinite().all() and plan.gap.isfinite().all()
