"""Entropic optimal transport between two sequences, inside a window.

Minimises <A, M> + mu * sum(A log A) over plans A whose rows spread mass 1 evenly over the l1 real steps of one
sequence, whose columns spread it over the l2 of the other, with A[t, s] = 0 outside the window (the paper's Eqs. 6-10;
chapters "Optimal transport" and "The window cost"). The window is an infinite barrier, so it is exact: whatever lies
outside is never stored, let alone computed.

On the CPU compiled loops do the work, for sequences of one length (`compiled`) or of two (`compiled_slanted`);
elsewhere plain torch (`log_domain`).
"""

from typing import overload

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import masks
from ..errors import InputError
from .checks import Given, Lengths, check_finite, check_options, check_window, to_tensor
from .log_domain import Solution, log_domain
from .plan import TransportPlan, directions, with_gradient

try:
    from . import compiled, compiled_slanted

    COMPILED = True
except ModuleNotFoundError as error:
    if error.name != "numba":  # what is missing is ours
        raise
    COMPILED = False


@overload
def align(
    x: Tensor, y: Tensor, lengths: Lengths = None, other_lengths: Lengths = None, window: int | None = 4,
    mu: float = 0.2, tol: float = 1e-3, max_sweeps: int = 400,
) -> TransportPlan[Tensor]: ...  # fmt: skip
@overload
def align(
    x: np.ndarray, y: np.ndarray, lengths: Lengths = None, other_lengths: Lengths = None, window: int | None = 4,
    mu: float = 0.2, tol: float = 1e-3, max_sweeps: int = 400,
) -> TransportPlan[np.ndarray]: ...  # fmt: skip
def align(
    x: Given,
    y: Given,
    lengths: Lengths = None,
    other_lengths: Lengths = None,
    window: int | None = 4,
    mu: float = 0.2,
    tol: float = 1e-3,
    max_sweeps: int = 400,
) -> TransportPlan[Tensor] | TransportPlan[np.ndarray]:
    """Align two batches of sequences by the cost 1 - cos(x_t, y_s) (the paper's Eq. 7).

    Args:
        x: (B, T1, D) float32 or float64, tensor or NumPy array; the plan's arrays are of the same kind.
        y: (B, T2, D) likewise. A step of zeros is at cost 1 from everything.
        lengths: (B,) true lengths l1 of x, 1 to T1; all T1 by default.
        other_lengths: (B,) true lengths l2 of y; by default those of x if T1 = T2, else all T2.
        window: W; None: no window. Steps further apart than W are never matched. Where the lengths differ the window
            slants from the first steps to the last, W counts the coarser steps, and W = 0 leaves the overlaps of
            steps (`masks.window_ends`).
        mu: entropy strength, in units of the cost.
        tol: stop a sequence when its marginals are off by at most this share; 0 runs every sweep.
        max_sweeps: row-and-column updates at most.

    Returns:
        A plan. Gradients flow to x and y from its `value`, and from its `cost` as if the plan were given.

    Raises:
        ValueError: a shape, a type or a value does not fit; the message says which and where.

    >>> x = torch.eye(3)[None]
    >>> align(x, x, window=1, mu=0.01).mass[0].mul(3).round().tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    >>> align(x, x[:, [0, 0, 1, 1, 2, 2]], mu=0.01).mass[0].mul(6).round().tolist()[0]
    [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """
    given = x
    x, y = to_tensor("x", x, "(B, T, D)"), to_tensor("y", y, "(B, T, D)")
    (batch, steps, features), other_steps = x.shape, y.shape[1]
    if y.shape != (batch, other_steps, features) or x.dtype != y.dtype or x.device != y.device:
        found = " and ".join(f"{tuple(value.shape)} {value.dtype} on {value.device}" for value in (x, y))
        raise InputError(f"x and y must agree in all but their steps, found {found}")
    check_options(mu, tol, max_sweeps, x)
    inside = check_window(lengths, other_lengths, (batch, steps, other_steps), window, x)
    check_finite("x", x, inside.lengths)
    check_finite("y", y, inside.other_lengths)
    with torch.no_grad():
        if COMPILED and x.device.type == "cpu":
            solution = _compiled((x, y), inside, mu, tol, max_sweeps)
        else:
            solution = log_domain(cosine_costs(x, y, inside), inside, mu, tol, max_sweeps)
    return _plan(solution, inside, window, mu, given, x, y)


def cosine_costs(x: Tensor, y: Tensor, window: masks.Window) -> Tensor:
    """(B, T1, D), (B, T2, D) -> (B, T1, K) of 1 - cos, at least 0; never (B, T1, T2)."""
    x = directions(masks.zero_padding(x, window.lengths))
    y = directions(masks.zero_padding(y, window.other_lengths))
    products = [(x * window.look_at(y, k)).sum(2) for k in range(window.width)]
    return (1 - torch.stack(products, dim=2)).clamp(min=0)


@overload
def sinkhorn(
    cost: Tensor, lengths: Lengths = None, other_lengths: Lengths = None, window: int | None = None,
    mu: float = 0.2, tol: float = 1e-3, max_sweeps: int = 400,
) -> TransportPlan[Tensor]: ...  # fmt: skip
@overload
def sinkhorn(
    cost: np.ndarray, lengths: Lengths = None, other_lengths: Lengths = None, window: int | None = None,
    mu: float = 0.2, tol: float = 1e-3, max_sweeps: int = 400,
) -> TransportPlan[np.ndarray]: ...  # fmt: skip
def sinkhorn(
    cost: Given,
    lengths: Lengths = None,
    other_lengths: Lengths = None,
    window: int | None = None,
    mu: float = 0.2,
    tol: float = 1e-3,
    max_sweeps: int = 400,
) -> TransportPlan[Tensor] | TransportPlan[np.ndarray]:
    """Solve for a cost of your own; the other arguments are those of `align`.

    Args:
        cost: (B, T1, T2) float32 or float64; what lies outside the window or on padding is not read. Beyond `mu`
            times the square root of the largest float it is cut, in the plan's `cost` and `value` too.

    Raises:
        ValueError: a shape, a type or a value does not fit; the message says which and where.

    >>> plan = sinkhorn(torch.zeros(1, 2, 2))
    >>> plan.mass.tolist(), plan.sweeps
    ([[[0.25, 0.25], [0.25, 0.25]]], 1)
    """
    given, cost = cost, to_tensor("cost", cost, "(B, T1, T2)")
    check_options(mu, tol, max_sweeps, cost)
    batch, steps, other_steps = cost.shape
    inside = check_window(lengths, other_lengths, (batch, steps, other_steps), window, cost)
    check_finite("cost", cost, inside.lengths, inside)
    with torch.no_grad():
        if COMPILED and cost.device.type == "cpu":
            solution = _compiled((cost,), inside, mu, tol, max_sweeps)
        else:
            band = inside.to_band(cost).masked_fill(~inside.open, 0)
            solution = log_domain(band, inside, mu, tol, max_sweeps)
    return _plan(solution, inside, window, mu, given, cost)


def _compiled(inputs: tuple[Tensor, ...], window: masks.Window, mu: float, tol: float, max_sweeps: int) -> Solution:
    arrays = tuple(value.detach().contiguous().numpy() for value in inputs)
    lengths, sweeps, threads = window.lengths.numpy(), min(max_sweeps, 2**31), torch.get_num_threads()
    if window.straight:
        plan, total, gap, done = compiled.solve(arrays, lengths, window.reach, mu, tol, sweeps, threads)
        return torch.from_numpy(plan).transpose(1, 2), torch.from_numpy(total), torch.from_numpy(gap), done
    first, count = window.first.numpy(), window.count.numpy()
    where = (lengths, window.other_lengths.numpy(), first, count)
    plan, total, gap, done = compiled_slanted.solve(arrays, where, window.width, mu, tol, sweeps, threads)
    return torch.from_numpy(plan), torch.from_numpy(total), torch.from_numpy(gap), done


def _plan(
    solution: Solution, inside: masks.Window, window: int | None, mu: float, given: Given, *inputs: Tensor
) -> TransportPlan[Tensor] | TransportPlan[np.ndarray]:
    band, total, gap, sweeps = solution
    # Neither the rounding of the sums nor that of the gap itself may understate it.
    gap = (gap + max(inside.steps, inside.other_steps) * torch.finfo(torch.float64).eps).to(band.dtype)
    gap = gap.nextafter(torch.full_like(gap, torch.inf))
    cost = with_gradient(total.to(band.dtype), band, inside, *inputs)
    if inside.straight and window is not None and window > inside.reach:  # beyond the sequence there is nothing but 0
        band = F.pad(band, (window - inside.reach, window - inside.reach))
    if isinstance(given, Tensor):
        return TransportPlan(band, cost, gap, sweeps, mu, inside)
    return TransportPlan(band.numpy(), cost.numpy(), gap.numpy(), sweeps, mu, inside)
