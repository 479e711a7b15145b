"""Slow, obvious answers that the package's fast ones are held against."""

import math


def to_dense(band):
    """(B, T, 2W+1) -> (B, T, T) entry by entry."""
    batch, steps, offsets = band.shape
    dense = band.new_zeros(batch, steps, steps)
    for b in range(batch):
        for t in range(steps):
            for k in range(offsets):
                s = t + k - offsets // 2
                if 0 <= s < steps:
                    dense[b, t, s] = band[b, t, k]
    return dense


def imagine(weights, first, lengths):
    """z_j = sum over i of A_ij z_i, one step at a time (the paper's Eq. 13)."""
    answer = first.new_zeros(first.shape)
    window = weights.shape[2] // 2
    for b, length in enumerate(lengths.tolist()):
        for j in range(length):
            for i in range(max(0, j - window), min(length, j + window + 1)):
                answer[b, j] += weights[b, i, j - i + window] * first[b, i]
    return answer


def contrastive(first, second, temperature):
    """Eqs. 15 and 16 on directions, both ways, by two loops."""
    first, second = first / first.norm(dim=1, keepdim=True), second / second.norm(dim=1, keepdim=True)
    count, total = len(first), 0.0
    for ours, theirs in ((first, second), (second, first)):
        for i in range(count):
            scores = [math.exp(float(ours[i] @ theirs[j]) / temperature) for j in range(count)]
            total -= math.log(scores[i] / sum(scores)) / count / 2
    return total


def f1(truth, guess):
    """(macro, weighted) F1 over the classes that occur, by counting."""
    scores, sizes = [], []
    for one in sorted({*truth, *guess}):
        hits = sum(a == b == one for a, b in zip(truth, guess, strict=True))
        scores.append(2 * hits / (truth.count(one) + guess.count(one)))
        sizes.append(truth.count(one))
    return sum(scores) / len(scores), sum(a * b for a, b in zip(scores, sizes, strict=True)) / len(truth)


def attention(query, key, value, real):
    """Softmax attention of (T, D) to (S, D), one target step at a time."""
    rows = []
    for one in query:
        scores = [float(one @ other) / math.sqrt(len(one)) for other in key]
        weights = [math.exp(score) if there else 0.0 for score, there in zip(scores, real.tolist(), strict=True)]
        rows.append(sum(weight / sum(weights) * row for weight, row in zip(weights, value, strict=True)))
    return rows


def sinkhorn(cost, length, window, mu, sweeps):
    """Eq. 10 on one sequence from v = 1, kernel entry by entry, in plain floats; rows of the plan, 0 on padding."""
    inside = [[abs(t - s) <= window for s in range(length)] for t in range(length)]
    kernel = [[math.exp(-cost[t][s] / mu) if inside[t][s] else 0.0 for s in range(length)] for t in range(length)]
    v = [1.0] * length
    for _ in range(sweeps):
        u = [1 / length / sum(kernel[t][s] * v[s] for s in range(length)) for t in range(length)]
        v = [1 / length / sum(kernel[t][s] * u[t] for t in range(length)) for s in range(length)]
    plan = [[0.0] * len(cost) for _ in cost]
    for t in range(length):
        for s in range(length):
            plan[t][s] = u[t] * kernel[t][s] * v[s]
    return plan


def marginal_gap(plan, length):
    """The largest relative error over both marginals of (T, T), each sum rounded once."""
    rows = [math.fsum(row) for row in plan.tolist()[:length]]
    columns = [math.fsum(column) for column in plan.T.tolist()[:length]]
    return max(abs(length * total - 1) for total in rows + columns)


def released(cost, window, lam, barrier, most=10, eps=1e-7):
    """The released solver on one sample (T, T), loop by loop, its two slips included; also the passes it made."""
    length = len(cost)
    plan = [
        [math.exp(-lam * (cost[t][s] + barrier * (abs(t - s) > window))) for s in range(length)] for t in range(length)
    ]
    before, passes = [0.0] * length, 0
    while passes < most and max(abs(sum(row) - old) for row, old in zip(plan, before, strict=True)) > eps:
        passes += 1
        before = [sum(row) for row in plan]
        plan = [[entry / length / before[t] for entry in row] for t, row in enumerate(plan)]
        columns = [sum(row[s] for row in plan) for s in range(length)]
        plan = [[entry / length / columns[t] for entry in row] for t, row in enumerate(plan)]  # S1: rows, not columns
    rows = [sum(row) for row in plan]
    return [[row[s] / rows[s] for s in range(length)] for row in plan], passes  # S3: column s by row s


def window(l1, l2, half):
    """Which of l1 x l2 pairs of steps overlap, one of them made longer at both ends by so many coarser steps."""
    u = max(l1, l2)
    return [
        [t * l2 - half * u < (s + 1) * l1 and s * l1 < (t + 1) * l2 + half * u for s in range(l2)] for t in range(l1)
    ]


def sinkhorn_between(cost, half, mu, sweeps):
    """Eq. 10 for l1 x l2 steps from v = 1, in plain floats, inside the slanted window."""
    l1, l2 = len(cost), len(cost[0])
    inside = window(l1, l2, half)
    kernel = [[math.exp(-cost[t][s] / mu) if inside[t][s] else 0.0 for s in range(l2)] for t in range(l1)]
    v = [1.0] * l2
    for _ in range(sweeps):
        u = [1 / l1 / math.fsum(kernel[t][s] * v[s] for s in range(l2)) for t in range(l1)]
        v = [1 / l2 / math.fsum(kernel[t][s] * u[t] for t in range(l1)) for s in range(l2)]
    return [[u[t] * kernel[t][s] * v[s] for s in range(l2)] for t in range(l1)]
