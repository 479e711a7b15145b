"""The compiled recurrence of `mmalign.recurrent`, forward and backward. D inputs, H hidden, both directions."""

import numpy as np
from numba import njit

# Sums may be reordered, so that they vectorise; NaN and infinity keep their meaning.
_fast = njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "contract", "arcp", "nsz"})


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
