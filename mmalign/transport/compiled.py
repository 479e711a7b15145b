"""The compiled CPU path for two sequences of one length: no tensor per operation, everything in cache.

Sinkhorn in the kernel domain costs a multiplication and an addition per entry and half sweep, against an
exponential in the log domain, but over- and underflows at small mu. Here the kernel always holds the
potentials found so far (Schmitzer 2019, "Stabilized sparse scaling algorithms"): the scalings u and v stay
near 1, and where a sum nears the end of what a float can hold, that sweep is done in the log domain.

The entries of one sequence lie in a flat array, offset after offset: entry k * n + t speaks of step t of x and
step s = t + k - W of y; n is the true length l, rounded up to whole vectors. Vectors over steps have W more
places in front and behind. Nothing is masked: where there is no step, potentials are -inf, so that entries which
point there are 0. Columns also meet entries of others there, which count for nothing: in front and behind, the
new u is 0.

A first call waits while numba compiles. So kernels are few, loops over numbers, and called from Python, each for
a group of sequences: a slice that is assigned to, a call of `max` or `np.finfo`, an array that is made, a kernel within
a kernel would each add to it. So would a loop that is known to run twice: it would be written out twice, and is told
how often by the length of an array.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..compiling import EXACT, FAST, inlined, jit, overload, types

_place = np.uint64  # an index that does not count from the end: numba would check each, and not vectorise

_LINE = 64  # bytes of a cache line
_VECTOR = 8  # lengths are rounded up to a multiple of this
_BLOCK = 128  # steps worked on at a time: what rows have read is still in the cache when columns need it
_GROUP = 1 << 16  # entries of the sequences that a kernel is called for
_WORTH_A_THREAD = 1_000_000  # multiplications
_F, _G, _U, _V, _NEW_U, _NEW_V, _SUMS, _TOPS = range(8)  # vectors over the steps of a sequence
_WAYS = np.array([[_V, _U, _NEW_U], [_NEW_U, _V, _NEW_V]])  # rows, then columns: what is read, renewed, and written
_NEW, _RUNS, _LOST, _DONE = range(4)  # what a sequence is: not begun, swept, about to lose a sum, finished


def _exp(x):
    """e^x for x <= 0, to rounding; numba's own does not vectorise. 0 where the answer is not a normal float."""


@overload(_exp, jit_options={"fastmath": {"contract"}})
def _(x):
    kind: Any
    whole: Any
    if x == types.float32:
        kind, whole, mantissa, bias, terms, least = np.float32, np.int32, 23, 127, 7, -87.3
        ln2, rest = 0.693359375, -2.12194440e-4
    else:
        kind, whole, mantissa, bias, terms, least = np.float64, np.int64, 52, 1023, 13, -708.3
        ln2, rest = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # ln 2, in two parts

    def exp(x):
        inside = x if x > kind(least) else kind(least)
        power = np.floor(inside * kind(1 / np.log(2)) + kind(0.5))
        rest_of_x = inside - power * kind(ln2) - power * kind(rest)  # at most ln(2) / 2
        series = kind(1)
        for i in range(terms, 0, -1):
            series = kind(1) + series * rest_of_x * kind(1 / i)
        two_to_power = whole((whole(power) + whole(bias)) << whole(mantissa)).view(kind)
        return series * two_to_power if x > kind(least) else kind(0)

    return exp


# ---- what rows and columns have in common ------------------------------------------------------------------
#
# Row t reads, at offset k, entry k * n + t, which leads to step t + k - W of y: place t + k of a vector over y.
# Column s reads, at offset k, what leads to step s + k - W of x: place s + k of a vector over x, and the entry
# (2W - k) * n + (s + k - W). For both, entry i of offset k is start + k * stride + i:
#
#     rows      start = 0           stride = n
#     columns   start = 2W * n - W  stride = 1 - n


@inlined(FAST)
def _add_sums(entries, weights, start, stride, reach, length, first, end, sums):
    """sums_i += sum over k of entry * weight; four offsets at a time, so that sums are touched less often."""
    # The offsets that lead from any of these steps to a real one: all of them, unless the window is wide.
    k = reach - end + 1 if reach - end + 1 > 0 else 0
    last = 2 * reach + 1 if reach + 1 < length - first else reach + length - first
    while k < last:
        if k + 4 <= last:
            for i in range(first, end):
                total = sums[_place(i)]
                for j in range(4):
                    total += entries[_place(start + (k + j) * stride + i)] * weights[_place(k + j + i)]
                sums[_place(i)] = total
            k += 4
        else:
            for i in range(first, end):
                sums[_place(i)] += entries[_place(start + k * stride + i)] * weights[_place(k + i)]
            k += 1


# ---- the kernels: each for all sequences of a group --------------------------------------------------------


@jit(FAST)
def _normalise(x, lengths, tiny, least, most):
    """Every step divided by its length, in place; 0 stays 0.

    A square that is not between `least` and `most` has over- or underflown; `tiny` stands for a largest entry of 0.
    """
    for b in range(len(lengths)):
        for t in range(lengths[b]):
            step, square = x[b, t], x.dtype.type(0)
            for d in range(len(step)):
                square += step[d] * step[d]
            if not (least < square and square < most):
                top = tiny
                for d in range(len(step)):
                    top = abs(step[d]) if abs(step[d]) > top else top
                square = x.dtype.type(0)
                for d in range(len(step)):
                    step[d] /= top
                    square += step[d] * step[d]
            scale = 1 / np.sqrt(square) if square > 0 else x.dtype.type(0)
            for d in range(len(step)):
                step[d] *= scale


def normalised(x: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """(B, T, D) with every step inside its sequence divided by its length; 0 stays 0."""
    info, units = np.finfo(x.dtype), x.copy()
    _normalise(units, lengths, info.tiny, info.tiny / info.eps, info.max)
    return units


@jit(FAST)
def _cosine_costs(x, y, lengths, window, mu, cost):
    """cost = (1 - cos) / mu inside the sequence, at least 0; x, y: (B, T, D), of length 1 or 0 at every step."""
    for b in range(len(lengths)):
        length = lengths[b]
        steps, reach = (length + _VECTOR - 1) & -_VECTOR, window if window < length else length - 1
        for t in range(length):
            for k in range(2 * reach + 1):
                s, product = t + k - reach, x.dtype.type(0)
                if s >= 0 and s < length:
                    for d in range(x.shape[2]):
                        product += x[b, t, d] * y[b, _place(s), d]
                    value = 1 - product
                    cost[b, _place(k * steps + t)] = (value if value > 0 else 0) / mu


@jit(FAST)
def _given_costs(dense, lengths, window, mu, cost):
    """cost = dense / mu inside the sequence. dense: (B, T, T). Beyond any meaning, where mu is tiny, cut off."""
    limit = np.sqrt(np.finfo(cost.dtype).max)
    for b in range(len(lengths)):
        length = lengths[b]
        steps, reach = (length + _VECTOR - 1) & -_VECTOR, window if window < length else length - 1
        for t in range(length):
            for k in range(2 * reach + 1):
                s = t + k - reach
                if s >= 0 and s < length:
                    value = dense[b, t, _place(s)] / mu
                    value = value if value < limit else limit
                    cost[b, _place(k * steps + t)] = value if value > -limit else -limit


@jit(EXACT)
def _build_kernel(cost, lengths, window, vectors, states, kernel):
    """kernel = exp(f_t + g_s - cost), at most 1: what rounding may add at small mu must not overflow.

    A new sequence begins with potentials 0, those of rows moved such that the best entry of each is 1.
    """
    zero = cost.dtype.type(0)
    for b in range(len(lengths)):
        length = lengths[b]
        steps, reach = (length + _VECTOR - 1) & -_VECTOR, window if window < length else length - 1
        f, g = vectors[b, _F], vectors[b, _G]
        if states[b] == _NEW:
            for place in range(reach, reach + length):
                vectors[b, _F, place] = np.inf
                vectors[b, _G, place] = 0
            for k in range(2 * reach + 1):
                for t in range(steps):
                    value, row = cost[b, _place(k * steps + t)] - g[_place(t + k)], _place(reach + t)
                    f[row] = value if value < f[row] else f[row]
            states[b] = _RUNS
        for k in range(2 * reach + 1 if states[b] == _RUNS else 0):
            for t in range(steps):
                entry = _place(k * steps + t)
                value = f[_place(reach + t)] - cost[b, entry] + g[_place(t + k)]
                kernel[b, entry] = _exp(value if value < zero else zero)


@jit(FAST)
def _sweep(kernel, lengths, window, tol, max_sweeps, ways, vectors, states, sweeps):
    """Sweep (Eq. 10) until rows are off by at most the tolerance, or a sum is too small to divide by.

    Columns follow rows block by block, W steps behind, so that a long kernel passes through the cache once.
    """
    least = kernel.dtype.type(1e-10 if kernel.itemsize == 4 else 1e-60)  # what multiplies it stays a float
    for b in range(len(lengths)):
        length, entries = lengths[b], kernel[b]
        steps, reach = (length + _VECTOR - 1) & -_VECTOR, window if window < length else length - 1
        sums, share = vectors[b, _SUMS], kernel.dtype.type(1 / length)
        nothing = length < 0  # False, but not a constant: that would be typed in three more rounds
        while states[b] == _RUNS:
            if sweeps[b] >= max_sweeps:
                states[b] = _DONE
                break
            lost, off, behind = nothing, nothing, 0 * steps
            for begin in range(0, steps, _BLOCK):
                end = begin + _BLOCK if begin + _BLOCK < steps else steps
                for side in range(len(ways)):  # said once for both: less to compile
                    weights, old, new = vectors[b, ways[side, 0]], vectors[b, ways[side, 1]], vectors[b, ways[side, 2]]
                    if side == 0:
                        start, stride, first, last = 0 * steps, steps, begin, end
                    else:
                        start, stride = 2 * reach * steps - reach, 1 - steps
                        ready = end - reach if end - reach > behind else behind
                        first, last = behind, ready if end < steps else steps
                        behind = last
                    for i in range(_place(first), _place(last)):
                        sums[i] = 0 if i < _place(length) else 1  # nothing is lost where there is no step
                    _add_sums(entries, weights, start, stride, reach, length, first, last, sums)
                    wrong = nothing
                    for i in range(_place(first), _place(last)):
                        wrong |= abs(old[_place(reach) + i] * sums[i] - share) > tol * share
                        new[_place(reach) + i] = share / (sums[i] if sums[i] > least else least)
                        lost |= sums[i] < least
                    off |= wrong and side == 0  # columns were right after the last sweep
            if tol > 0 and sweeps[b] > 0 and not off:
                states[b] = _DONE
            elif lost:
                states[b] = _LOST
            else:
                for side in range(len(ways)):
                    old, new = vectors[b, ways[side, 1]], vectors[b, ways[side, 2]]
                    for place in range(_place(reach), _place(reach + length)):
                        old[place] = new[place]
                sweeps[b] += 1


@jit(EXACT)
def _log_sweep(cost, lengths, window, vectors, states, sweeps):
    """One sweep in the log domain, where a sum would have been lost; what u and v held goes into potentials."""
    for b in range(len(lengths)):
        if states[b] != _LOST:
            continue
        length = lengths[b]
        steps, reach = (length + _VECTOR - 1) & -_VECTOR, window if window < length else length - 1
        share, tops, sums = -np.log(cost.dtype.type(length)), vectors[b, _TOPS], vectors[b, _SUMS]
        for place in range(reach, reach + length):
            vectors[b, _G, place] += np.log(vectors[b, _V, place])
            vectors[b, _U, place] = vectors[b, _V, place] = 1
        for side in range(2):
            given, other = vectors[b, _G if side == 0 else _F], vectors[b, _F if side == 0 else _G]
            start = 0 if side == 0 else 2 * reach * steps - reach
            stride = steps if side == 0 else 1 - steps
            for i in range(steps):
                tops[_place(i)], sums[_place(i)] = -np.finfo(cost.dtype).max, 0
            for k in range(2 * reach + 1):
                for i in range(steps):
                    value = given[_place(k + i)] - cost[b, _place(start + k * stride + i)]
                    tops[_place(i)] = value if value > tops[_place(i)] else tops[_place(i)]
            for k in range(2 * reach + 1):
                for i in range(steps):
                    value = given[_place(k + i)] - cost[b, _place(start + k * stride + i)]
                    sums[_place(i)] += _exp(value - tops[_place(i)])
            for i in range(length):
                other[_place(reach + i)] = share - tops[_place(i)] - np.log(sums[_place(i)])
        sweeps[b] += 1
        states[b] = _RUNS


@jit(FAST)
def _finish(cost, kernel, lengths, window, mu, vectors, sums, plan, totals, gaps):
    """Turn kernels into plans (B, 2W+1, T) and measure them, in double precision. sums: zeros to work in."""
    for b in range(len(lengths)):
        length = lengths[b]
        steps, reach = (length + _VECTOR - 1) & -_VECTOR, window if window < length else length - 1
        u, v, total, gap = vectors[b, _U], vectors[b, _V], 0.0, 0.0
        for k in range(2 * reach + 1):
            for t in range(length):
                entry = _place(k * steps + t)
                mass = kernel[b, entry] * (u[_place(reach + t)] * v[_place(t + k)])
                plan[b, _place(window - reach + k), _place(t)] = mass
                total += np.float64(mass) * np.float64(cost[b, entry])
                sums[b, 0, _place(reach + t)] += np.float64(mass)
                sums[b, 1, _place(t + k)] += np.float64(mass)
        for place in range(reach, reach + length):
            for side in range(2):
                error = abs(sums[b, side, place] * length - 1)
                gap = error if error > gap else gap
        totals[b], gaps[b] = total * mu, gap


# ---- a batch -----------------------------------------------------------------------------------------------


def _aligned_zeros(shape: tuple[int, ...], kind: type) -> np.ndarray:
    """Zeros that begin on a cache line: vectors that lie across two lines are slower to read."""
    count = math.prod(shape) * np.dtype(kind).itemsize
    memory = np.zeros(count + _LINE, np.uint8)
    start = -memory.ctypes.data % _LINE
    return memory[start : start + count].view(kind).reshape(shape)


def _solve_group(
    inputs: tuple[np.ndarray, ...],
    lengths: np.ndarray,
    window: int,
    mu: float,
    tol: float,
    max_sweeps: int,
    answers: tuple[np.ndarray, ...],
) -> None:
    """Solve a few sequences; `answers` are filled."""
    plan, totals, gaps, sweeps = answers
    kind, steps = plan.dtype.type, plan.shape[2]
    places = -(-steps // _VECTOR) * _VECTOR
    cost, kernel = _aligned_zeros((2, len(lengths), (2 * window + 1) * places), kind)
    vectors = _aligned_zeros((len(lengths), 8, -(-(places + 2 * window) // _VECTOR) * _VECTOR), kind)
    states = np.full(len(lengths), _NEW)
    vectors[:, [_F, _G]], vectors[:, _V] = -np.inf, 1
    vectors[:, _U] = 1 / lengths[:, None]  # where there is no step, rows are right
    if len(inputs) == 2:
        x, y = (normalised(value, lengths) for value in inputs)
        _cosine_costs(x, y, lengths, window, kind(mu), cost)
    else:
        _given_costs(*inputs, lengths, window, kind(mu), cost)
    _build_kernel(cost, lengths, window, vectors, states, kernel)
    _sweep(kernel, lengths, window, kind(tol), max_sweeps, _WAYS, vectors, states, sweeps)
    while (states == _LOST).any():
        _log_sweep(cost, lengths, window, vectors, states, sweeps)
        _build_kernel(cost, lengths, window, vectors, states, kernel)
        _sweep(kernel, lengths, window, kind(tol), max_sweeps, _WAYS, vectors, states, sweeps)
    sums = np.zeros((len(lengths), 2, places + 2 * window))
    _finish(cost, kernel, lengths, window, kind(mu), vectors, sums, plan, totals, gaps)


def solve(
    inputs: tuple[np.ndarray, ...],
    lengths: np.ndarray,
    window: int,
    mu: float,
    tol: float,
    max_sweeps: int,
    threads: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """Align two sequences (B, T, D), or solve for given costs (B, T, T), on as many threads as are worth it.

    Returns:
        plans (B, 2W+1, T), their total costs (B,), their gaps (B,) and the number of sweeps.
    """
    batch, steps = inputs[0].shape[:2]
    plan = np.zeros((batch, 2 * window + 1, steps), inputs[0].dtype)
    totals, gaps, sweeps = np.empty(batch), np.empty(batch), np.zeros(batch, np.int64)
    threads = max(1, min(threads, batch, plan.size * max_sweeps // _WORTH_A_THREAD))
    size = min(-(-batch // threads), max(1, _GROUP // plan[0].size))

    def share(first: int) -> None:
        inside = slice(first, first + size)
        answers = (plan[inside], totals[inside], gaps[inside], sweeps[inside])
        _solve_group(tuple(one[inside] for one in inputs), lengths[inside], window, mu, tol, max_sweeps, answers)

    run_all(share, range(0, batch, size), threads)
    return plan, totals, gaps, int(sweeps.max())


def run_all(work: Callable[[int], None], places: range, threads: int) -> None:
    """`work` on each of the places, on this thread alone or on so many others."""
    if threads == 1:
        for place in places:
            work(place)
    else:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(work, places):
                pass
