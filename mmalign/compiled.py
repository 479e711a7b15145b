"""The compiled CPU path of `mmalign.transport`: one sequence at a time, in cache, no tensor per operation.

Sinkhorn in the kernel domain costs a multiplication and an addition per entry and half sweep, against an
exponential in the log domain, but over- and underflows at small mu. Here the kernel always holds the
potentials found so far (Schmitzer 2019, "Stabilized sparse scaling algorithms"): the scalings u and v stay
near 1, and when they leave a safe range they are absorbed. Where even that could lose a row, one sweep is
done in the log domain. Arrays are per sequence and time last, (2W+1, T), so that inner loops run over time
in order; v is padded by W on both sides.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

# Sums may be reordered, so that they vectorise; NaN and infinity keep their meaning, the checks need them.
_fast = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})

_BLOCK = 512  # steps worked on at a time, so that what a sweep touches stays in the first-level cache


@_fast
def _cosine_costs(x, y, lengths, cost):
    """x, y: (B, T, D); cost: (B, 2W+1, T), filled with 1 - cos; left alone outside the sequence."""
    batch, _, features = x.shape
    window = cost.shape[1] // 2
    tiny = x.dtype.type(1e-12)
    for b in range(batch):
        length = lengths[b]
        scale = np.empty((2, length), x.dtype)
        for t in range(length):
            across, down = x.dtype.type(0), x.dtype.type(0)
            for d in range(features):
                across += x[b, t, d] * x[b, t, d]
                down += y[b, t, d] * y[b, t, d]
            scale[0, t] = 1 / max(np.sqrt(across), tiny)
            scale[1, t] = 1 / max(np.sqrt(down), tiny)
        for t in range(length):
            for k in range(max(0, window - t), min(2 * window + 1, length - t + window)):
                s = t + k - window
                product = x.dtype.type(0)
                for d in range(features):
                    product += x[b, t, d] * y[b, s, d]
                cost[b, k, t] = 1 - product * scale[0, t] * scale[1, s]


@_fast
def _build_kernel(cost, mu, f, g, length, kernel):
    """kernel = exp(f_t + g_s - cost / mu) inside the sequence, 0 outside. f: (T,), g: (T+2W,)."""
    window = kernel.shape[0] // 2
    kernel[:] = 0
    for k in range(kernel.shape[0]):
        for t in range(max(0, window - k), min(length, length + window - k)):
            kernel[k, t] = np.exp(f[t] + g[t + k] - cost[k, t] / mu)


@_fast
def _add_product(sums, left, right):
    """sums += left * right. Counting from 0 over whole slices is what lets the compiler vectorise."""
    for t in range(len(sums)):
        sums[t] += left[t] * right[t]


@_fast
def _row_sums(kernel, v, length, sums):
    """sums_t = sum over k of kernel[k, t] * v[t + k]"""
    for start in range(0, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        sums[start:stop] = 0
        for k in range(kernel.shape[0]):
            _add_product(sums[start:stop], kernel[k, start:stop], v[start + k : stop + k])


@_fast
def _column_sums(kernel, u, length, sums):
    """sums_{t+k} += kernel[k, t] * u[t]; sums: (T+2W,)"""
    sums[:] = 0
    for start in range(0, length, _BLOCK):
        stop = min(start + _BLOCK, length)
        for k in range(kernel.shape[0]):
            _add_product(sums[start + k : stop + k], kernel[k, start:stop], u[start:stop])


@_fast
def _log_sweep(cost, mu, f, g, length):
    """One sweep in the log domain: f, then g, so that both marginals are approached and columns are exact."""
    window = cost.shape[0] // 2
    share = -np.log(f.dtype.type(length))
    offsets = cost.shape[0]
    for t in range(length):
        first, last = max(0, window - t), min(offsets, length - t + window)
        top = f.dtype.type(-np.inf)
        for k in range(first, last):
            top = max(top, g[t + k] - cost[k, t] / mu)
        total = f.dtype.type(0)
        for k in range(first, last):
            total += np.exp(g[t + k] - cost[k, t] / mu - top)
        f[t] = share - top - np.log(total)
    for s in range(length):
        first, last = max(0, s + window - length + 1), min(offsets, s + window + 1)
        top = f.dtype.type(-np.inf)
        for k in range(first, last):
            t = s + window - k
            top = max(top, f[t] - cost[k, t] / mu)
        total = f.dtype.type(0)
        for k in range(first, last):
            t = s + window - k
            total += np.exp(f[t] - cost[k, t] / mu - top)
        g[s + window] = share - top - np.log(total)


@_fast
def _solve_one(cost, length, mu, tol, max_sweeps, kernel):
    """Solve one sequence; leaves the plan in `kernel` (2W+1, T) and returns cost, gap and sweeps."""
    kind = cost.dtype.type
    offsets, steps = cost.shape
    window = offsets // 2
    share = kind(1) / kind(length)
    # Beyond these, products of kernel and scaling leave what a float can hold.
    high = kind(1e10) if cost.itemsize == 4 else kind(1e60)
    low = kind(1) / high

    f, g = np.zeros(steps, cost.dtype), np.zeros(steps + 2 * window, cost.dtype)
    # Row minima, then column minima: every row and every column has an entry of exactly 1 to start with.
    for t in range(length):
        best = kind(np.inf)
        for k in range(max(0, window - t), min(offsets, length - t + window)):
            best = min(best, cost[k, t] / mu)
        f[t] = best
    for s in range(length):
        best = kind(np.inf)
        for k in range(max(0, s + window - length + 1), min(offsets, s + window + 1)):
            best = min(best, cost[k, s + window - k] / mu - f[s + window - k])
        g[s + window] = best
    _build_kernel(cost, mu, f, g, length, kernel)

    u, v = np.ones(steps, cost.dtype), np.zeros(steps + 2 * window, cost.dtype)
    v[window : window + length] = 1
    sums, column_sums = np.empty(steps, cost.dtype), np.empty(steps + 2 * window, cost.dtype)
    sweeps = 0
    while sweeps < max_sweeps:
        _row_sums(kernel, v, length, sums)
        error, top, bottom = kind(0), kind(0), kind(np.inf)
        for t in range(length):
            error = max(error, abs(u[t] * sums[t] * length - 1))
            top, bottom = max(top, sums[t]), min(bottom, sums[t])
        if sweeps > 0 and tol > 0 and error <= tol:
            break
        safe = bottom > low and top < high
        if safe:
            for t in range(length):
                u[t] = share / sums[t]
            _column_sums(kernel, u, length, column_sums)
            top, bottom = kind(0), kind(np.inf)
            for s in range(window, window + length):
                top, bottom = max(top, column_sums[s]), min(bottom, column_sums[s])
            safe = bottom > low and top < high
        if safe:
            for s in range(window, window + length):
                v[s] = share / column_sums[s]
        else:  # a row or a column is about to be lost: put the last sound v into g, sweep in the log domain
            for s in range(window, window + length):
                g[s] += np.log(v[s])
            _log_sweep(cost, mu, f, g, length)
            u[:length], v[window : window + length] = 1, 1
            _build_kernel(cost, mu, f, g, length, kernel)
        sweeps += 1

    total = 0.0
    rows, columns = np.zeros(steps), np.zeros(steps + 2 * window)
    for k in range(offsets):
        for t in range(max(0, window - k), min(length, length + window - k)):
            kernel[k, t] = u[t] * kernel[k, t] * v[t + k]
            total += np.float64(kernel[k, t]) * cost[k, t]
            rows[t] += kernel[k, t]
            columns[t + k] += kernel[k, t]
    gap = 0.0
    for t in range(length):
        gap = max(gap, abs(rows[t] * length - 1), abs(columns[t + window] * length - 1))
    return total, gap, sweeps


@_fast
def _solve_some(cost, lengths, mu, tol, max_sweeps, plan, totals, gaps, sweeps):
    for b in range(len(cost)):
        totals[b], gaps[b], sweeps[b] = _solve_one(cost[b], lengths[b], mu, tol, max_sweeps, plan[b])


def _in_threads(threads, work, batch):
    """`work(rows)` for slices of the batch, on as many threads as torch may use."""
    threads = min(threads, batch)
    if threads == 1:
        return work(slice(None))
    edges = np.linspace(0, batch, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [slice(*edge) for edge in itertools.pairwise(edges)]))


def cosine_costs(x: np.ndarray, y: np.ndarray, lengths: np.ndarray, window: int, threads: int) -> np.ndarray:
    """(B, T, D) twice -> (B, 2W+1, T) of 1 - cos, 0 outside the sequence."""
    cost = np.zeros((len(x), 2 * window + 1, x.shape[1]), x.dtype)
    _in_threads(threads, lambda rows: _cosine_costs(x[rows], y[rows], lengths[rows], cost[rows]), len(x))
    return cost


def solve(
    cost: np.ndarray, lengths: np.ndarray, mu: float, tol: float, max_sweeps: int, threads: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(B, 2W+1, T) costs -> the plans in the same layout, their costs (B,), gaps (B,) and the sweeps."""
    kind = cost.dtype.type
    plan = np.empty_like(cost)
    totals, gaps, sweeps = np.empty(len(cost)), np.empty(len(cost)), np.empty(len(cost), np.int64)

    def work(rows: slice) -> None:
        _solve_some(
            cost[rows], lengths[rows], kind(mu), kind(tol), max_sweeps,
            plan[rows], totals[rows], gaps[rows], sweeps[rows],
        )  # fmt: skip

    _in_threads(threads, work, len(cost))
    return plan, totals, gaps, int(sweeps.max())


# ---- the recurrence of `mmalign.recurrent` -----------------------------------------------------------


@_fast
def _gru_forward(inputs, across, biases, states, gates, recalls):
    """One direction. inputs: (T, B, 3H) in PyTorch's order r, z, n; across: (H, 3H); states: (T+1, B, H)."""
    steps, batch, _ = inputs.shape
    hidden = across.shape[0]
    one = inputs.dtype.type(1)
    within = np.empty(3 * hidden, inputs.dtype)
    for t in range(steps):
        for b in range(batch):
            before, after, gate = states[t, b], states[t + 1, b], gates[t, b]
            within[:] = biases
            for j in range(hidden):
                _add_multiple(within, before[j], across[j])
            for j in range(2 * hidden):
                gate[j] = one / (one + np.exp(-inputs[t, b, j] - within[j]))
            for j in range(hidden):
                recalls[t, b, j] = within[2 * hidden + j]
                candidate = inputs[t, b, 2 * hidden + j] + gate[j] * within[2 * hidden + j]
                candidate = one - 2 * one / (np.exp(2 * one * candidate) + one)  # tanh
                gate[2 * hidden + j] = candidate
                after[j] = candidate + gate[hidden + j] * (before[j] - candidate)


@_fast
def _add_multiple(sums, factor, row):
    """sums += factor * row"""
    for k in range(len(sums)):
        sums[k] += factor * row[k]


@_fast
def _gru_backward(upstream, states, gates, recalls, across, into, within):
    """Gradients of the gate inputs (`into`) and of the recurrent products (`within`), both (T, B, 3H)."""
    steps, batch, hidden = upstream.shape
    one = upstream.dtype.type(1)
    down = np.zeros((batch, hidden), upstream.dtype)
    for t in range(steps - 1, -1, -1):
        for b in range(batch):
            gate, before = gates[t, b], states[t, b]
            for j in range(hidden):
                reset, update, candidate = gate[j], gate[hidden + j], gate[2 * hidden + j]
                slope = upstream[t, b, j] + down[b, j]
                new = slope * (one - update) * (one - candidate * candidate)
                into[t, b, j] = new * recalls[t, b, j] * reset * (one - reset)
                into[t, b, hidden + j] = slope * (before[j] - candidate) * update * (one - update)
                into[t, b, 2 * hidden + j] = new
                within[t, b, j] = into[t, b, j]
                within[t, b, hidden + j] = into[t, b, hidden + j]
                within[t, b, 2 * hidden + j] = new * reset
                down[b, j] = slope * update
            for j in range(hidden):
                total = upstream.dtype.type(0)
                for k in range(3 * hidden):
                    total += within[t, b, k] * across[j, k]
                down[b, j] += total


def gru_forward(
    inputs: np.ndarray, across: np.ndarray, biases: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(2, T, B, 3H), (2, H, 3H), (2, 3H) -> states (2, T+1, B, H), gates (2, T, B, 3H), recalls (2, T, B, H)."""
    directions, steps, batch, _ = inputs.shape
    hidden = across.shape[1]
    states = np.zeros((directions, steps + 1, batch, hidden), inputs.dtype)
    gates, recalls = np.empty_like(inputs), np.empty((directions, steps, batch, hidden), inputs.dtype)
    for d in range(directions):
        _gru_forward(inputs[d], across[d], biases[d], states[d], gates[d], recalls[d])
    return states, gates, recalls


def gru_backward(
    upstream: np.ndarray, states: np.ndarray, gates: np.ndarray, recalls: np.ndarray, across: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the states (2, T, B, H) -> gradients of the gate inputs and of the recurrent products."""
    into, within = np.empty_like(gates), np.empty_like(gates)
    for d in range(len(gates)):
        _gru_backward(upstream[d], states[d], gates[d], recalls[d], across[d], into[d], within[d])
    return into, within
