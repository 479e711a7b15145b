"""The compiled recurrence of `mmalign.method.gru`: both directions, each sequence to its own length.

Axes: B sequences, T time steps, 2 directions (forward, backward), H hidden features; 3H gates in PyTorch's
order: reset, update, candidate.

A first call waits while numba compiles, so these are loops over numbers: a slice that is assigned to takes seconds, an
array that is made a tenth of one.
"""

import numpy as np

from ..compiling import FAST_WITH_NAN, jit


@jit(FAST_WITH_NAN)
def _forward(inputs, across, biases, lengths, states, before, gates, recalls, within):
    batch, hidden = len(inputs), across.shape[1]
    one = inputs.dtype.type(1)
    fours = hidden // 4 * 4
    for b in range(batch):
        for d in range(2):
            matrix = across[d]
            for place in range(lengths[b]):
                t = place if d == 0 else lengths[b] - 1 - place
                old, new, gate, into = before[b, t, d], states[b, t, d], gates[b, t, d], inputs[b, t, d]
                if place > 0:
                    last = t - 1 if d == 0 else t + 1
                    for j in range(hidden):
                        old[j] = states[b, last, d, j]
                for k in range(3 * hidden):
                    within[k] = biases[d, k]
                # within += old @ matrix, four rows at a time, so that sums are read and written a quarter as often.
                for j in range(0, fours, 4):
                    for k in range(3 * hidden):
                        within[k] += (
                            old[j] * matrix[j, k] + old[j + 1] * matrix[j + 1, k]
                            + old[j + 2] * matrix[j + 2, k] + old[j + 3] * matrix[j + 3, k]
                        )  # fmt: skip
                for j in range(fours, hidden):
                    for k in range(3 * hidden):
                        within[k] += old[j] * matrix[j, k]
                for j in range(2 * hidden):
                    gate[j] = one / (one + np.exp(-into[j] - within[j]))
                for j in range(hidden):
                    recalls[b, t, d, j] = within[2 * hidden + j]
                    candidate = into[2 * hidden + j] + gate[j] * within[2 * hidden + j]
                    candidate = one - 2 * one / (np.exp(2 * one * candidate) + one)  # tanh
                    gate[2 * hidden + j] = candidate
                    new[j] = candidate + gate[hidden + j] * (old[j] - candidate)


@jit(FAST_WITH_NAN)
def _backward(upstream, before, gates, recalls, across, lengths, into, within, down):
    batch, hidden = len(upstream), across.shape[1]
    one = upstream.dtype.type(1)
    for b in range(batch):
        for d in range(len(across)):
            for j in range(hidden):
                down[j] = 0
            for place in range(lengths[b] - 1, -1, -1):
                t = place if d == 0 else lengths[b] - 1 - place
                old, gate, left, right = before[b, t, d], gates[b, t, d], into[b, t, d], within[b, t, d]
                for j in range(hidden):
                    reset, update, candidate = gate[j], gate[hidden + j], gate[2 * hidden + j]
                    slope = upstream[b, t, d, j] + down[j]
                    new = slope * (one - update) * (one - candidate * candidate)
                    left[j] = new * recalls[b, t, d, j] * reset * (one - reset)
                    left[hidden + j] = slope * (old[j] - candidate) * update * (one - update)
                    left[2 * hidden + j] = new
                    right[j] = left[j]
                    right[hidden + j] = left[hidden + j]
                    right[2 * hidden + j] = new * reset
                    down[j] = slope * update
                for j in range(hidden):
                    total = upstream.dtype.type(0)
                    for k in range(3 * hidden):
                        total += right[k] * across[d, j, k]
                    down[j] += total


def gru_forward(
    inputs: np.ndarray, across: np.ndarray, biases: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Run both directions from zero states; padding stays 0.

    Args:
        inputs: (B, T, 2, 3H) what the gates get from the sequence.
        across: (2, H, 3H) what they get from the state of the step before.
        biases: (2, 3H) of that; lengths: (B,).

    Returns:
        states (B, T, 2, H), the states before them (same), gates (B, T, 2, 3H), recalls (B, T, 2, H).
    """
    shape = (*inputs.shape[:3], across.shape[1])
    states, before, recalls = (np.zeros(shape, inputs.dtype) for _ in range(3))
    gates = np.zeros_like(inputs)
    within = np.empty(across.shape[2], inputs.dtype)
    _forward(inputs, across, biases, lengths, states, before, gates, recalls, within)
    return states, before, gates, recalls


def gru_backward(
    upstream: np.ndarray,
    before: np.ndarray,
    gates: np.ndarray,
    recalls: np.ndarray,
    across: np.ndarray,
    lengths: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of the states (B, T, 2, H) -> gradients of `inputs` and of what came across, (B, T, 2, 3H)."""
    into, within = np.zeros_like(gates), np.zeros_like(gates)
    down = np.empty(across.shape[1], upstream.dtype)
    _backward(upstream, before, gates, recalls, across, lengths, into, within, down)
    return into, within
