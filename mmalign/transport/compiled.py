"""The compiled CPU path of `mmalign.transport`: one sequence at a time, in cache, no tensor per operation.

Sinkhorn in the kernel domain costs a multiplication and an addition per entry and half sweep, against an
exponential in the log domain, but over- and underflows at small mu. Here the kernel always holds the
potentials found so far (Schmitzer 2019, "Stabilized sparse scaling algorithms"): the scalings u and v stay
near 1, and where a sum nears the end of what a float can hold, that sweep is done in the log domain.

The entries of one sequence lie in a flat array, offset after offset: entry k * n + t speaks of step t of x and
step s = t + k - W of y; n is the true length l, rounded up to whole vectors. Vectors over steps have W more
places in front and behind. Nothing is masked: where there is no step, scalings are 0 and potentials -inf, so
that entries which point there may hold anything finite.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit, types
from numba.extending import overload

# There is no NaN; infinity keeps its meaning. Sums may be reordered, so that they vectorise, but where large
# potentials cancel every rounding counts.
_exact = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "nnan"})
_fast = njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nsz", "nnan", "reassoc"})
_inline = njit(error_model="numpy", forceinline=True, fastmath={"contract", "nsz", "nnan", "reassoc"})
_place = np.uint64  # an index that does not count from the end: numba would check each, and not vectorise

_VECTOR = 8  # lengths are rounded up to a multiple of this
_BLOCK = 128  # steps worked on at a time: what rows have read is still in the cache when columns need it
_WORTH_A_THREAD = 1_000_000  # multiplications


def _exp(x):
    """e^x for x <= 0, to rounding; numba's own does not vectorise. 0 where the answer is not a normal float."""


@overload(_exp, jit_options={"fastmath": {"contract"}})
def _(x):
    if x == types.float32:
        kind, whole, mantissa, bias, terms, least = np.float32, np.int32, 23, 127, 7, -87.3
        ln2, rest = 0.693359375, -2.12194440e-4
    else:
        kind, whole, mantissa, bias, terms, least = np.float64, np.int64, 52, 1023, 13, -708.3
        ln2, rest = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # ln 2, in two parts

    def exp(x):
        power = np.floor(max(x, kind(least)) * kind(1 / np.log(2)) + kind(0.5))
        rest_of_x = max(x, kind(least)) - power * kind(ln2) - power * kind(rest)  # at most ln(2) / 2
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
# (2W - k) * n + (s + k - W). A `side` is where offset 0 begins and how far the next offset is.


@_inline
def _row_side(steps, window):
    return 0, steps


@_inline
def _column_side(steps, window):
    return 2 * window * steps - window, 1 - steps


@_inline
def _offsets(begin, end, length, window):
    """The offsets that lead from any of these steps to a real one: all of them, unless the window is wide."""
    return max(0, window - end + 1), min(2 * window + 1, window + length - begin)


@_inline
def _copy(source, begin, end, target):
    for i in range(begin, end):
        target[_place(i)] = source[_place(i)]


@_inline
def _add_sums(kernel, weights, side, window, length, begin, end, sums):
    """sums_i += sum over k of kernel * weights; four offsets at a time, so that sums are touched less often."""
    start, stride = side
    k, last = _offsets(begin, end, length, window)
    while k < last:
        if k + 4 <= last:
            for i in range(begin, end):
                total = sums[_place(i)]
                for j in range(4):
                    total += kernel[_place(start + (k + j) * stride + i)] * weights[_place(k + j + i)]
                sums[_place(i)] = total
            k += 4
        else:
            for i in range(begin, end):
                sums[_place(i)] += kernel[_place(start + k * stride + i)] * weights[_place(k + i)]
            k += 1


@_exact
def _find_tops(cost, potential, side, window, length, begin, end, tops):
    """tops_i = max over k of potential - cost"""
    start, stride = side
    first, last = _offsets(begin, end, length, window)
    for i in range(begin, end):
        tops[_place(i)] = -np.finfo(cost.dtype).max
    for k in range(first, last):
        for i in range(begin, end):
            value = potential[_place(k + i)] - cost[_place(start + k * stride + i)]
            tops[_place(i)] = max(tops[_place(i)], value)


@_exact
def _add_exps(cost, potential, side, window, length, begin, end, tops, sums):
    """sums_i += sum over k of exp(potential - cost - tops_i)"""
    start, stride = side
    first, last = _offsets(begin, end, length, window)
    for k in range(first, last):
        for i in range(begin, end):
            value = potential[_place(k + i)] - cost[_place(start + k * stride + i)]
            sums[_place(i)] += _exp(value - tops[_place(i)])


# ---- the sweeps --------------------------------------------------------------------------------------------


@_exact
def _build_kernel(cost, f, g, steps, window, kernel):
    """kernel = exp(f_t + g_s - cost), at most 1: what rounding may add at small mu must not overflow."""
    zero = cost.dtype.type(0)
    for k in range(2 * window + 1):
        for t in range(steps):
            entry = _place(k * steps + t)
            value = f[_place(window + t)] - cost[entry] + g[_place(t + k)]
            kernel[entry] = _exp(min(value, zero))


@_fast
def _log_update(cost, potential, side, steps, length, window, tops, sums, other):
    """other_i = log(1/l) - log of the sum over k of exp(potential - cost), of real steps."""
    share = -np.log(cost.dtype.type(length))
    for begin in range(0, steps, _BLOCK):
        end = min(begin + _BLOCK, steps)
        for i in range(begin, end):
            sums[_place(i)] = 0
        _find_tops(cost, potential, side, window, length, begin, end, tops)
        _add_exps(cost, potential, side, window, length, begin, end, tops, sums)
        for i in range(begin, min(end, length)):
            other[_place(window + i)] = share - tops[_place(i)] - np.log(sums[_place(i)])


@_inline
def _balance(share, sums, least, window, begin, end, scaling):
    """scaling = share / sums. Counts the sums that are too small for that."""
    lost = np.int32(0)  # counted, not the smallest taken: that does not vectorise
    for i in range(begin, end):
        scaling[_place(window + i)] = share[_place(i)] / max(sums[_place(i)], least)
        lost += np.int32(sums[_place(i)] < least)
    return lost


@_inline
def _count_off(share, sums, tol, window, begin, end, scaling):
    """How many of the sums, scaled, are further from their share than the tolerance."""
    off = np.int32(0)
    for i in range(begin, end):
        off += np.int32(abs(scaling[_place(window + i)] * sums[_place(i)] - share[_place(i)]) > tol * share[_place(i)])
    return off


@_fast
def _sweep(kernel, share, padding, u, v, new_u, new_v, steps, length, window, least, tol, sums):
    """One sweep (Eq. 10) from u, v to new_u, new_v. Returns how many sums were lost and how many rows were off.

    Columns follow rows block by block, W steps behind, so that a long kernel passes through the cache once.
    """
    lost, off, behind = np.int32(0), np.int32(0), 0
    for begin in range(0, steps, _BLOCK):
        end = min(begin + _BLOCK, steps)
        _copy(padding, begin, end, sums)  # there the sum is 1 and the share 0
        _add_sums(kernel, v, _row_side(steps, window), window, length, begin, end, sums)
        off += _count_off(share, sums, tol, window, begin, end, u)
        lost += _balance(share, sums, least, window, begin, end, new_u)
        ready = steps if end == steps else max(behind, end - window)
        _copy(padding, behind, ready, sums)
        _add_sums(kernel, new_u, _column_side(steps, window), window, length, behind, ready, sums)
        lost += _balance(share, sums, least, window, behind, ready, new_v)
        behind = ready
    return lost, off


@_fast
def _solve_one(cost, length, window, mu, tol, max_sweeps, kernel, vectors, plan):
    """Solve one sequence, its cost in units of mu. Writes the plan (2W+1, T); returns total cost, gap and sweeps."""
    steps = -(-length // _VECTOR) * _VECTOR
    share, padding, sums, tops = vectors[0], vectors[1], vectors[2], vectors[3]
    f, g, u, v, new_u, new_v = vectors[4], vectors[5], vectors[6], vectors[7], vectors[8], vectors[9]
    inside = slice(window, window + length)
    # Below this, what multiplies the kernel could leave the range of floats.
    least = cost.dtype.type(1e-10 if cost.itemsize == 4 else 1e-60)

    share[:length], share[length:steps] = 1 / length, 0
    padding[:length], padding[length:steps] = 0, 1
    for potential in (f, g):
        potential[: steps + 2 * window], potential[inside] = -np.inf, 0
    for scaling in (u, v, new_u, new_v):
        scaling[: steps + 2 * window], scaling[inside] = 0, 1
    # From v = 1, rows moved such that the best entry of each is 1.
    for begin in range(0, steps, _BLOCK):
        end = min(begin + _BLOCK, steps)
        _find_tops(cost, g, _row_side(steps, window), window, length, begin, end, tops)
    for t in range(length):
        f[_place(window + t)] = -tops[t]
    _build_kernel(cost, f, g, steps, window, kernel)

    sweeps = 0
    while sweeps < max_sweeps:
        lost, off = _sweep(kernel, share, padding, u, v, new_u, new_v, steps, length, window, least, tol, sums)
        if tol > 0 and sweeps > 0 and off == 0:
            break
        if lost == 0:
            _copy(new_u, window, window + length, u)
            _copy(new_v, window, window + length, v)
        else:  # a row or a column is about to be lost
            for place in range(window, window + length):
                g[_place(place)] += np.log(v[_place(place)])
                u[_place(place)], v[_place(place)] = 1, 1
            _log_update(cost, g, _row_side(steps, window), steps, length, window, tops, sums, f)
            _log_update(cost, f, _column_side(steps, window), steps, length, window, tops, sums, g)
            _build_kernel(cost, f, g, steps, window, kernel)
        sweeps += 1
    total, gap = _finish(cost, kernel, u, v, steps, length, window, plan)
    return total * mu, gap, sweeps


@_fast
def _finish(cost, kernel, u, v, steps, length, window, plan):
    """Turn the kernel into the plan and measure it, in double precision."""
    total = 0.0
    for k in range(2 * window + 1):
        for t in range(steps):
            entry = _place(k * steps + t)
            kernel[entry] *= u[_place(window + t)] * v[_place(t + k)]
            total += np.float64(kernel[entry]) * np.float64(cost[entry])
    wider = plan.shape[0] // 2 - window  # how much wider the window is than this sequence
    plan[:wider], plan[wider + 2 * window + 1 :] = 0, 0
    for k in range(2 * window + 1):
        plan[wider + k, :length] = kernel[k * steps : k * steps + length]
        plan[wider + k, length:] = 0

    ones, sums = np.zeros(steps + 2 * window), np.empty(steps)
    ones[window : window + length] = 1
    gap = 0.0
    for side in (_row_side(steps, window), _column_side(steps, window)):
        sums[:] = 0
        for begin in range(0, steps, _BLOCK):
            end = min(begin + _BLOCK, steps)
            _add_sums(kernel, ones, side, window, length, begin, end, sums)
        for i in range(length):
            gap = max(gap, abs(sums[i] * length - 1))
    return total, gap


# ---- costs -------------------------------------------------------------------------------------------------


@_fast
def _normalise(x, length, unit):
    """unit = x / |x| for every step, 0 where x is."""
    info = np.finfo(x.dtype)
    for t in range(length):
        square = x.dtype.type(0)
        for d in range(x.shape[1]):
            unit[t, d] = x[t, d]
            square += x[t, d] * x[t, d]
        if not info.tiny / info.eps < square < info.max:  # the squares over- or underflow: start from x / max |x|
            top = x.dtype.type(0)
            for d in range(x.shape[1]):
                top = max(top, abs(x[t, d]))
            square = x.dtype.type(0)
            for d in range(x.shape[1]):
                unit[t, d] = x[t, d] / max(top, info.tiny)
                square += unit[t, d] * unit[t, d]
        scale = 1 / np.sqrt(square) if square > 0 else x.dtype.type(0)
        for d in range(x.shape[1]):
            unit[t, d] *= scale


@_fast
def _cosine_costs(x, y, length, window, mu, cost):
    """cost = (1 - cos) / mu inside the sequence; x, y: (T, D), of length 1 or 0 at every step."""
    steps = -(-length // _VECTOR) * _VECTOR
    for t in range(length):
        for k in range(max(0, window - t), min(2 * window + 1, length - t + window)):
            s, product = t + k - window, x.dtype.type(0)
            for d in range(x.shape[1]):
                product += x[t, d] * y[_place(s), d]
            cost[_place(k * steps + t)] = (1 - product) / mu


@_fast
def _given_costs(dense, length, window, mu, cost):
    """cost = dense / mu inside the sequence. dense: (T, T). Beyond any meaning, where mu is tiny, cut off."""
    steps = -(-length // _VECTOR) * _VECTOR
    limit = np.sqrt(np.finfo(cost.dtype).max)
    for t in range(length):
        for k in range(max(0, window - t), min(2 * window + 1, length - t + window)):
            cost[_place(k * steps + t)] = min(max(dense[t, _place(t + k - window)] / mu, -limit), limit)


# ---- a batch -----------------------------------------------------------------------------------------------


@_fast
def _work(like, longest, window):
    """Room for the entries of the longest sequence, twice, and for the vectors of `_solve_one`."""
    steps = -(-longest // _VECTOR) * _VECTOR
    window = min(window, longest - 1)
    entries = np.zeros((2, (2 * window + 1) * steps), like.dtype)
    vectors = np.zeros((10, steps + 2 * window), like.dtype)
    return entries[0], entries[1], vectors


@_fast
def _align(x, y, lengths, window, mu, tol, max_sweeps, first, stride, plan, totals, gaps, sweeps):
    """Solve sequences first, first + stride, ..."""
    cost, kernel, vectors = _work(x, lengths.max(), window)
    units = np.empty((2, *x.shape[1:]), x.dtype)
    for b in range(first, len(x), stride):
        length, reach = lengths[b], min(window, lengths[b] - 1)
        _normalise(x[b], length, units[0])
        _normalise(y[b], length, units[1])
        _cosine_costs(units[0], units[1], length, reach, mu, cost)
        totals[b], gaps[b], sweeps[b] = _solve_one(cost, length, reach, mu, tol, max_sweeps, kernel, vectors, plan[b])


@_fast
def _sinkhorn(dense, lengths, window, mu, tol, max_sweeps, first, stride, plan, totals, gaps, sweeps):
    """Solve sequences first, first + stride, ..."""
    cost, kernel, vectors = _work(dense, lengths.max(), window)
    for b in range(first, len(dense), stride):
        length, reach = lengths[b], min(window, lengths[b] - 1)
        _given_costs(dense[b], length, reach, mu, cost)
        totals[b], gaps[b], sweeps[b] = _solve_one(cost, length, reach, mu, tol, max_sweeps, kernel, vectors, plan[b])


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
    kind = inputs[0].dtype.type
    plan = np.empty((batch, 2 * window + 1, steps), kind)
    totals, gaps, sweeps = np.empty(batch), np.empty(batch), np.empty(batch, np.int64)
    work = _align if len(inputs) == 2 else _sinkhorn
    threads = max(1, min(threads, batch, plan.size * max_sweeps // _WORTH_A_THREAD))

    def share(first: int) -> None:
        work(*inputs, lengths, window, kind(mu), kind(tol), max_sweeps, first, threads, plan, totals, gaps, sweeps)

    if threads == 1:
        share(0)
    else:
        with ThreadPoolExecutor(threads - 1) as pool:
            others = [pool.submit(share, first) for first in range(1, threads)]
            share(0)
        for other in others:
            other.result()
    return plan, totals, gaps, int(sweeps.max())
