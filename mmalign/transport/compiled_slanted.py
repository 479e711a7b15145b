"""The compiled CPU path for two sequences of different lengths: `compiled` tells the method, here rows lie in a row.

Where the window slants, no offset is the same for all steps; so entries are stored as in the plan, row after row:
[t, k] speaks of step t of x and step first[t] + k of y, and only the first `count[t]` of them exist. A row sum reads
along its row, and what the row sends to columns is added along it too.
"""

import numpy as np

from ..compiling import EXACT, FAST, jit
from .compiled import _exp, _place, normalised, run_all

_GROUP = 1 << 16  # entries of the sequences that a kernel is called for
_WORTH_A_THREAD = 1_000_000  # multiplications
_F, _U, _NEW_U, _G, _V, _NEW_V, _SUMS, _TOPS = range(8)  # vectors over steps: of x, then of y, then of either
_NEW, _RUNS, _LOST, _DONE = range(4)  # what a sequence is: not begun, swept, about to lose a sum, finished


@jit(FAST)
def _cosine_costs(x, y, lengths, first, count, mu, cost):
    """cost = (1 - cos) / mu, at least 0; x, y: (B, T, D), of length 1 or 0 at every step."""
    for b in range(len(lengths)):
        for t in range(lengths[b]):
            for k in range(count[b, t]):
                product = x.dtype.type(0)
                for d in range(x.shape[2]):
                    product += x[b, t, d] * y[b, _place(first[b, t] + k), d]
                value = 1 - product
                cost[b, t, k] = (value if value > 0 else 0) / mu


@jit(EXACT)
def _given_costs(dense, lengths, first, count, mu, cost):
    """cost = dense / mu; beyond any meaning, where mu is tiny, cut off."""
    limit = np.sqrt(np.finfo(cost.dtype).max)
    for b in range(len(lengths)):
        for t in range(lengths[b]):
            for k in range(count[b, t]):
                value = dense[b, t, _place(first[b, t] + k)] / mu
                value = value if value < limit else limit
                cost[b, t, k] = value if value > -limit else -limit


@jit(EXACT)
def _build_kernel(cost, lengths, other_lengths, first, count, vectors, states, kernel):
    """kernel = exp(f_t + g_s - cost), at most 1: what rounding may add at small mu must not overflow.

    A new sequence begins with v = 1 and potentials 0, those of rows moved such that the best entry of each is 1.
    """
    zero = cost.dtype.type(0)
    for b in range(len(lengths)):
        if states[b] == _NEW:
            for s in range(other_lengths[b]):
                vectors[b, _G, s], vectors[b, _V, s] = 0, 1
            for t in range(lengths[b]):
                best = cost[b, t, 0]
                for k in range(count[b, t]):
                    best = cost[b, t, k] if cost[b, t, k] < best else best
                vectors[b, _F, t] = best  # u is what the first sweep makes it
            states[b] = _RUNS
        for t in range(lengths[b] if states[b] == _RUNS else 0):
            start = first[b, t]
            for k in range(count[b, t]):
                value = vectors[b, _F, t] - cost[b, t, k] + vectors[b, _G, _place(start + k)]
                kernel[b, t, k] = _exp(value if value < zero else zero)


@jit(FAST)
def _sweep(kernel, lengths, other_lengths, first, count, tol, max_sweeps, vectors, states, sweeps):
    """Sweep (Eq. 10) until rows are off by at most the tolerance, or a sum is too small to divide by."""
    least = kernel.dtype.type(1e-10 if kernel.itemsize == 4 else 1e-60)  # what multiplies it stays a float
    for b in range(len(lengths)):
        u, v, new_u, new_v = vectors[b, _U], vectors[b, _V], vectors[b, _NEW_U], vectors[b, _NEW_V]
        rows, columns, sums = lengths[b], other_lengths[b], vectors[b, _SUMS]
        share, other_share = kernel.dtype.type(1 / rows), kernel.dtype.type(1 / columns)
        while states[b] == _RUNS:
            if sweeps[b] >= max_sweeps:
                states[b] = _DONE
                break
            lost, off = 0, 0
            for s in range(columns):
                sums[_place(s)] = 0
            for t in range(rows):
                total, start, entries = kernel.dtype.type(0), first[b, t], kernel[b, t]
                for k in range(count[b, t]):
                    total += entries[_place(k)] * v[_place(start + k)]
                off += abs(u[_place(t)] * total - share) > tol * share
                lost += total < least
                scale = share / (total if total > least else least)
                new_u[_place(t)] = scale
                for k in range(count[b, t]):
                    sums[_place(start + k)] += entries[_place(k)] * scale
            for s in range(columns):
                total = sums[_place(s)]
                new_v[_place(s)] = other_share / (total if total > least else least)
                lost += total < least
            if tol > 0 and sweeps[b] > 0 and off == 0:
                states[b] = _DONE
            elif lost > 0:
                states[b] = _LOST
            else:
                for t in range(rows):
                    u[_place(t)] = new_u[_place(t)]
                for s in range(columns):
                    v[_place(s)] = new_v[_place(s)]
                sweeps[b] += 1


@jit(EXACT)
def _log_sweep(cost, lengths, other_lengths, first, count, vectors, states, sweeps):
    """One sweep in the log domain, where a sum would have been lost; what u and v held goes into potentials."""
    for b in range(len(lengths)):
        if states[b] != _LOST:
            continue
        rows, columns, f, g = lengths[b], other_lengths[b], vectors[b, _F], vectors[b, _G]
        tops, sums, lowest = vectors[b, _TOPS], vectors[b, _SUMS], -np.finfo(cost.dtype).max
        for s in range(columns):
            g[s] += np.log(vectors[b, _V, s])
            vectors[b, _V, s], tops[s], sums[s] = 1, lowest, 0
        for t in range(rows):
            top, total, start = lowest, cost.dtype.type(0), first[b, t]
            for k in range(count[b, t]):
                value = g[_place(start + k)] - cost[b, t, k]
                top = value if value > top else top
            for k in range(count[b, t]):
                total += _exp(g[_place(start + k)] - cost[b, t, k] - top)
            f[t] = -np.log(cost.dtype.type(rows)) - top - np.log(total)
            vectors[b, _U, t] = 1
            for k in range(count[b, t]):
                value = f[t] - cost[b, t, k]
                tops[_place(start + k)] = value if value > tops[_place(start + k)] else tops[_place(start + k)]
        for t in range(rows):
            for k in range(count[b, t]):
                place = _place(first[b, t] + k)
                sums[place] += _exp(f[t] - cost[b, t, k] - tops[place])
        for s in range(columns):
            g[s] = -np.log(cost.dtype.type(columns)) - tops[s] - np.log(sums[s])
        sweeps[b] += 1
        states[b] = _RUNS


@jit(FAST)
def _finish(cost, kernel, lengths, other_lengths, first, count, mu, vectors, sums, plan, totals, gaps):
    """Turn kernels into plans (B, T1, K) and measure them, in double precision."""
    for b in range(len(lengths)):
        rows, columns, total, gap = lengths[b], other_lengths[b], 0.0, 0.0
        for s in range(columns):
            sums[s] = 0
        for t in range(rows):
            row = 0.0
            for k in range(count[b, t]):
                place = _place(first[b, t] + k)
                mass = kernel[b, t, k] * (vectors[b, _U, t] * vectors[b, _V, place])
                plan[b, t, k] = mass
                total += np.float64(mass) * np.float64(cost[b, t, k])
                row += np.float64(mass)
                sums[place] += np.float64(mass)
            gap = abs(row * rows - 1) if abs(row * rows - 1) > gap else gap
        for s in range(columns):
            gap = abs(sums[s] * columns - 1) if abs(sums[s] * columns - 1) > gap else gap
        totals[b], gaps[b] = total * mu, gap


def _solve_group(
    inputs: tuple[np.ndarray, ...],
    where: tuple[np.ndarray, ...],
    mu: float,
    tol: float,
    max_sweeps: int,
    answers: tuple[np.ndarray, ...],
) -> None:
    """Solve a few sequences; `answers` are filled. where: as in `solve`."""
    plan, totals, gaps, sweeps = answers
    kind, lengths = plan.dtype.type, where[0]
    places = max(inputs[0].shape[1], inputs[-1].shape[-2 if len(inputs) == 2 else -1])
    cost, kernel = np.zeros((2, *plan.shape), kind)
    vectors = np.zeros((len(lengths), 8, places), kind)
    states = np.full(len(lengths), _NEW)
    if len(inputs) == 2:
        x, y = map(normalised, inputs, where)
        _cosine_costs(x, y, lengths, *where[2:], kind(mu), cost)
    else:
        _given_costs(*inputs, lengths, *where[2:], kind(mu), cost)
    _build_kernel(cost, *where, vectors, states, kernel)
    _sweep(kernel, *where, kind(tol), max_sweeps, vectors, states, sweeps)
    while (states == _LOST).any():
        _log_sweep(cost, *where, vectors, states, sweeps)
        _build_kernel(cost, *where, vectors, states, kernel)
        _sweep(kernel, *where, kind(tol), max_sweeps, vectors, states, sweeps)
    _finish(cost, kernel, *where, kind(mu), vectors, np.empty(places), plan, totals, gaps)


def solve(
    inputs: tuple[np.ndarray, ...],
    where: tuple[np.ndarray, ...],
    width: int,
    mu: float,
    tol: float,
    max_sweeps: int,
    threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Align (B, T1, D) and (B, T2, D), or solve for given costs (B, T1, T2), on as many threads as are worth it.

    Args:
        where: l1 and l2 (B,); the first open step of each row, and how many there are (B, T1).
        width: K, the most of them.

    Returns:
        plans (B, T1, K), their total costs (B,), their gaps (B,) and the number of sweeps.
    """
    batch, steps = where[2].shape
    plan = np.zeros((batch, steps, width), inputs[0].dtype)
    totals, gaps, sweeps = np.empty(batch), np.empty(batch), np.zeros(batch, np.int64)
    threads = max(1, min(threads, batch, plan.size * max_sweeps // _WORTH_A_THREAD))
    size = min(-(-batch // threads), max(1, _GROUP // plan[0].size))

    def share(start: int) -> None:
        inside = slice(start, start + size)
        answers = (plan[inside], totals[inside], gaps[inside], sweeps[inside])
        given, places = (tuple(np.ascontiguousarray(one[inside]) for one in arrays) for arrays in (inputs, where))
        _solve_group(given, places, mu, tol, max_sweeps, answers)

    run_all(share, range(0, batch, size), threads)
    return plan, totals, gaps, int(sweeps.max())
