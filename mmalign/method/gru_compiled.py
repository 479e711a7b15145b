"""The compiled recurrence of `mmalign.method.gru`: both directions, each sequence to its own length.

Axes: B sequences, T time steps, 2 directions (forward, backward), H hidden features; 3H gates in PyTorch's
order: reset, update, candidate. What is kept of a step are 4H numbers: reset, update, recall (what the candidate gets
from the state before), candidate.

States have a step of zeros at each end: the state of step t stands at t + 1, the one before it at t for the forward
direction, at t + 2 for the other.

A first call waits while numba compiles, so these are loops over numbers: a slice that is assigned to takes seconds, an
array that is made a tenth of one.
"""

import numpy as np

from ..compiling import FAST_WITH_NAN, jit


@jit(FAST_WITH_NAN)
def _forward(inputs, across, lengths, states, gates):
    hidden = inputs.shape[3] // 3
    one = inputs.dtype.type(1)
    for b in range(len(lengths)):
        for d in range(len(across)):
            matrix = across[d]
            for place in range(lengths[b]):
                t = place if d == 0 else lengths[b] - 1 - place
                old, new = states[b, t + 2 * d, d], states[b, t + 1, d]
                gate, into = gates[b, t, d], inputs[b, t, d]
                # gate += old @ matrix, four rows at a time, so that sums are read and written a quarter as often.
                for j in range(0, len(matrix), 4):
                    for k in range(3 * hidden):
                        gate[k] += (
                            old[j] * matrix[j, k] + old[j + 1] * matrix[j + 1, k]
                            + old[j + 2] * matrix[j + 2, k] + old[j + 3] * matrix[j + 3, k]
                        )  # fmt: skip
                for j in range(2 * hidden):
                    gate[j] = one / (one + np.exp(-into[j] - gate[j]))
                for j in range(hidden):
                    candidate = into[2 * hidden + j] + gate[j] * gate[2 * hidden + j]
                    candidate = one - 2 * one / (np.exp(2 * one * candidate) + one)  # tanh
                    gate[3 * hidden + j] = candidate
                    new[j] = candidate + gate[hidden + j] * (old[j] - candidate)


@jit(FAST_WITH_NAN)
def _backward(upstream, states, gates, across, lengths, slopes, down):
    hidden = len(down)
    one = upstream.dtype.type(1)
    for b in range(len(lengths)):
        for d in range(len(across)):
            for j in range(hidden):
                down[j] = 0
            for place in range(lengths[b] - 1, -1, -1):
                t = place if d == 0 else lengths[b] - 1 - place
                old, gate, into = states[b, t + 2 * d, d], gates[b, t, d], slopes[b, t, d]
                for j in range(hidden):
                    reset = gate[j]
                    update = gate[hidden + j]
                    candidate = gate[3 * hidden + j]
                    slope = upstream[b, t, d, j] + down[j]
                    new = slope * (one - update) * (one - candidate * candidate)
                    into[j] = new * gate[2 * hidden + j] * reset * (one - reset)
                    into[hidden + j] = slope * (old[j] - candidate) * update * (one - update)
                    into[2 * hidden + j] = new * reset
                    into[3 * hidden + j] = new
                    down[j] = slope * update
                for j in range(hidden):
                    total = upstream.dtype.type(0)
                    for k in range(3 * hidden):
                        total += into[k] * across[d, j, k]
                    down[j] += total


def gru_forward(
    inputs: np.ndarray, across: np.ndarray, biases: np.ndarray, lengths: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Run both directions from zero states; padding stays 0.

    Args:
        inputs: (B, T, 2, 3H) what the gates get from the sequence.
        across: (2, H', 3H) what they get from the state of the step before; H' is H or more, a multiple of 4.
        biases: (2, 3H) of that; lengths: (B,).

    Returns:
        states (B, T + 2, 2, H') and what is kept of each step, (B, T, 2, 4H).
    """
    batch, steps, _, kept = inputs.shape
    states = np.zeros((batch, steps + 2, 2, across.shape[1]), inputs.dtype)
    gates = np.empty((batch, steps, 2, kept // 3 * 4), inputs.dtype)
    gates[..., :kept] = biases
    _forward(inputs, across, lengths, states, gates)
    return states, gates


def gru_backward(
    upstream: np.ndarray, states: np.ndarray, gates: np.ndarray, across: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Gradient of the states (B, T, 2, H) -> gradients of reset, update, recall, candidate (B, T, 2, 4H)."""
    slopes = np.zeros_like(gates)
    down = np.empty(upstream.shape[3], upstream.dtype)
    _backward(upstream, states, gates, across, lengths, slopes, down)
    return slopes
