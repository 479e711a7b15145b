"""Entropic optimal transport between two sequences of equal length, inside a window.

Minimises <A, M> + mu * sum(A log A) over plans A whose rows and columns each spread mass 1 evenly
over the real steps, with A[t, s] = 0 where |t - s| > W (the paper's Eqs. 6-10; chapters "Optimal
transport" and "The window cost"). The window is an infinite barrier, so it is exact: whatever lies
outside is never stored, let alone computed.

All work is on the band, so that it grows with B * T * (2W+1), and safe at any mu: compiled on the CPU
(`mmalign.transport.compiled`), in the log domain in plain torch elsewhere. Inside, bands are (B, 2W+1, T), time last,
so that each sweep reads memory in order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import masks
from ..errors import ABOVE_0, AT_LEAST_0, InputError, check, whole

try:
    from . import compiled
except ModuleNotFoundError as error:
    if error.name != "numba":  # what is missing is ours
        raise
    compiled = None


@dataclass(frozen=True)
class TransportPlan:
    """A batch of solved alignments. Read `gap` before trusting `band`."""

    band: Tensor  # (B, T, 2W+1) mass from step t of x to step t+k-W of y; 0 where that is outside
    cost: Tensor  # (B,) sum of mass * cost, in units of the cost
    gap: Tensor  # (B,) largest relative error over both marginals, measured after the last sweep
    sweeps: int  # row-and-column updates until the last sequence of the batch had converged

    @cached_property
    def mass(self) -> Tensor:
        """(B, T, T) the same plan, dense, made when asked for."""
        return masks.to_dense(self.band)


@torch.no_grad()
def align(
    x: Tensor,
    y: Tensor,
    lengths: Tensor | Sequence[int] | None = None,
    window: int | None = 4,
    mu: float = 0.2,
    tol: float = 1e-3,
    max_sweeps: int = 400,
) -> TransportPlan:
    """Align two batches of sequences by the cost 1 - cos(x_t, y_s) (the paper's Eq. 7).

    Args:
        x: (B, T, D) float32 or float64.
        y: (B, T, D) like x. A step of zeros is at cost 1 from everything.
        lengths: (B,) true lengths, 1 to T; all T by default.
        window: W, steps further apart than this are never matched; None: no window.
        mu: entropy strength, in units of the cost.
        tol: stop a sequence when its marginals are off by at most this share; 0 runs every sweep.
        max_sweeps: row-and-column updates at most.

    Raises:
        ValueError: a shape, a type or a value does not fit; the message says which and where.

    >>> x = torch.eye(3)[None]
    >>> align(x, x, window=1, mu=0.01).mass[0].mul(3).round().tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """
    for name, value in {"x": x, "y": y}.items():
        _check_tensor(name, value, "(B, T, D)")
    if x.shape != y.shape or x.dtype != y.dtype:
        raise InputError(f"x and y must agree, found {tuple(x.shape)} {x.dtype} and {tuple(y.shape)} {y.dtype}")
    lengths = _check_lengths(lengths, x)
    reach = _check_options(window, mu, tol, max_sweeps, x)
    for name, value in {"x": x, "y": y}.items():
        _check_finite(name, value, lengths)
    if compiled and x.device.type == "cpu":
        return _plan(_compiled((x, y), lengths, reach, mu, tol, max_sweeps), window)
    real = masks.real_steps(lengths, x.shape[1])[:, :, None]
    cost = _cosine_costs(x.masked_fill(~real, 0), y.masked_fill(~real, 0), reach)
    return _plan(log_domain(cost, lengths, mu, tol, max_sweeps), window)


def _cosine_costs(x: Tensor, y: Tensor, reach: int) -> Tensor:
    """(B, T, D) twice -> (B, 2W+1, T) of 1 - cos."""
    tiny = torch.finfo(x.dtype).tiny
    # Divided by the largest feature first, so that no square overflows.
    x, y = (F.normalize(value / value.abs().amax(2, keepdim=True).clamp(min=tiny), dim=2) for value in (x, y))
    y = F.pad(y, (0, 0, reach, reach))
    return torch.stack([1 - (x * y[:, k : k + x.shape[1]]).sum(2) for k in range(2 * reach + 1)], dim=1)


@torch.no_grad()
def sinkhorn(
    cost: Tensor,
    lengths: Tensor | Sequence[int] | None = None,
    window: int | None = None,
    mu: float = 0.2,
    tol: float = 1e-3,
    max_sweeps: int = 400,
) -> TransportPlan:
    """Solve for a cost of your own; the other arguments are those of `align`.

    Args:
        cost: (B, T, T) float32 or float64; what lies outside the window or on padding is not read. Beyond `mu`
            times the square root of the largest float it is cut.

    Raises:
        ValueError: a shape, a type or a value does not fit; the message says which and where.

    >>> plan = sinkhorn(torch.zeros(1, 2, 2))
    >>> plan.mass.tolist(), plan.sweeps
    ([[[0.25, 0.25], [0.25, 0.25]]], 1)
    """
    _check_tensor("cost", cost, "(B, T, T)")
    if cost.shape[1] != cost.shape[2]:
        raise InputError(f"cost must be square, (B, T, T), found shape {tuple(cost.shape)}")
    lengths = _check_lengths(lengths, cost)
    reach = _check_options(window, mu, tol, max_sweeps, cost)
    _check_finite("cost", cost, lengths, reach)
    if compiled and cost.device.type == "cpu":
        return _plan(_compiled((cost,), lengths, reach, mu, tol, max_sweeps), window)
    real = masks.real_steps(lengths, cost.shape[1])
    band = masks.to_band(cost, reach).masked_fill(~masks.open_band(real, reach), 0)
    return _plan(log_domain(band.transpose(1, 2), lengths, mu, tol, max_sweeps), window)


Solution = tuple[Tensor, Tensor, Tensor, int]  # plans (B, 2W+1, T), costs (B,), gaps (B,), sweeps


def _compiled(
    inputs: tuple[Tensor, ...], lengths: Tensor, reach: int, mu: float, tol: float, max_sweeps: int
) -> Solution:
    arrays = tuple(value.contiguous().numpy() for value in inputs)
    *tensors, sweeps = compiled.solve(
        arrays, lengths.contiguous().numpy(), reach, mu, tol, min(max_sweeps, 2**31), torch.get_num_threads()
    )
    plan, total, gap = map(torch.from_numpy, tensors)
    return plan, total, gap, sweeps


def _plan(solution: Solution, window: int | None) -> TransportPlan:
    band, total, gap, sweeps = solution
    kind, offsets = band.dtype, band.shape[1]
    band = band.transpose(1, 2)
    if window is not None and window > offsets // 2:  # beyond the longest sequence there is nothing but zeros
        band = F.pad(band, (window - offsets // 2, window - offsets // 2))
    # Neither the rounding of the sums nor that of the gap itself may understate it.
    gap = (gap + offsets * torch.finfo(torch.float64).eps).to(kind)
    gap = gap.nextafter(torch.full_like(gap, torch.inf))
    return TransportPlan(band, total.to(kind), gap, sweeps)


def log_domain(cost: Tensor, lengths: Tensor, mu: float, tol: float, max_sweeps: int) -> Solution:
    """Sinkhorn (the paper's Eq. 10) on the band in plain torch: for CUDA, and wherever numba is not.

    Args:
        cost: (B, 2W+1, T), finite; lengths: (B,); the rest as in `align`.

    Returns:
        the plans in the layout of `cost`, their costs (B,), gaps (B,) and the number of sweeps.
    """
    real = masks.real_steps(lengths, cost.shape[2])
    reach = cost.shape[1] // 2
    blocked = ~masks.open_band(real, reach).transpose(1, 2)  # (B, 2W+1, T), the same for the transposed band
    limit = torch.finfo(cost.dtype).max ** 0.5  # beyond any meaning; potentials must not overflow
    log_kernel = (-cost / mu).clamp(-limit, limit).masked_fill(blocked, -torch.inf)  # Eq. 9, K = exp(-M / mu)
    log_kernel_t = masks.transpose_band(log_kernel.transpose(1, 2)).transpose(1, 2).masked_fill(blocked, -torch.inf)
    log_share = -lengths[:, None].to(cost).log()  # each real step holds 1/l

    def windows(potential: Tensor) -> Tensor:
        """(B, T) -> (B, 2W+1, T): entry [b, k, t] is the potential of step t + k - W."""
        return F.pad(potential, (reach, reach)).unfold(1, cost.shape[1], 1).transpose(1, 2)

    def update(kernel: Tensor, other: Tensor) -> Tensor:
        """One side's potential, given the other's: log(1/l) - log(K exp(other)). (B, T)"""
        return (log_share - (kernel + windows(other)).logsumexp(1)).masked_fill(~real, 0)

    rows = torch.zeros_like(cost[:, 0])  # log u
    columns = torch.zeros_like(rows)  # log v
    running = torch.ones_like(real[:, :1])
    sweeps = 0
    while sweeps < max_sweeps:
        new_rows = update(log_kernel, columns)
        if tol > 0 and sweeps > 0:
            # Row sums before this update are off by the factor exp(rows - new_rows). A finished sequence
            # stands still from then on: its plan must not depend on its neighbours in the batch.
            running = running & ((rows - new_rows).expm1().abs().amax(1, keepdim=True) > tol)
            if not running.any():
                break
        rows = torch.where(running, new_rows, rows)
        columns = torch.where(running, update(log_kernel_t, rows), columns)
        sweeps += 1

    # At most 1: what rounding may add at small mu must not overflow.
    plan = (log_kernel + rows[:, None] + windows(columns)).clamp(max=0).exp().masked_fill(blocked, 0)
    total = (plan.double() * cost).sum((1, 2))
    return plan, total, marginal_gap(plan.transpose(1, 2), real), sweeps


def marginal_gap(band: Tensor, real: Tensor) -> Tensor:
    """(B,) float64: how far the worst row or column sum is from 1/l, as a share of 1/l.

    band: (B, T, 2W+1) a plan; real: (B, T) bool.
    """
    band, length = band.double(), real.sum(1, keepdim=True)
    errors = [(length * side.sum(2) - 1).abs().masked_fill(~real, 0) for side in (band, masks.transpose_band(band))]
    return torch.stack(errors).amax((0, 2))


def official(cost: Tensor, lengths: Tensor, window: int, mu: float, barrier: float) -> Tensor:
    """What the released code of MM-Align computes instead (chapter "Paper and code").

    Its column update scales rows by mistake and its last division is broadcast along the wrong axis, so
    that the loop stands still after one pass and the answer has a closed form: D^-1 S D, with S the row
    softmax of -cost/mu and D the column means of S. Neither its rows nor its columns sum to 1/l.

    Args:
        cost: (B, T, T) float; lengths: (B,); window: W; mu: 1 / the code's `lam`.
        barrier: added to the cost outside the window, where the paper has infinity.

    Returns:
        (B, T, 2W+1) band of that matrix; what leaks outside the window is cut off.
    """
    real = masks.real_steps(lengths, cost.shape[1])
    place = torch.arange(cost.shape[1], device=cost.device)
    outside = (place[:, None] - place).abs() > window
    padding = ~(real[:, :, None] & real[:, None, :])
    rows = ((cost + barrier * outside) / -mu).masked_fill(padding, -torch.inf)
    rows = rows.softmax(2).masked_fill(padding, 0)  # S
    scale = rows.sum(1) / lengths[:, None]  # (B, T), the diagonal of D
    answer = rows * scale[:, None, :] / scale[:, :, None].masked_fill(~real[:, :, None], 1)
    return masks.to_band(answer, window)


def _check_tensor(name: str, value: object, shape: str) -> None:
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64):
        found = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{name} must be a float32 or float64 tensor {shape}, found {found}")
    if value.dim() != 3 or 0 in value.shape:
        raise InputError(f"{name} must have shape {shape}, none of them 0, found {tuple(value.shape)}")


def _check_lengths(lengths: Tensor | Sequence[int] | None, like: Tensor) -> Tensor:
    batch, steps = like.shape[:2]
    if lengths is None:
        return torch.full((batch,), steps, device=like.device)
    found = np.asarray(lengths.cpu() if isinstance(lengths, Tensor) else lengths)
    if found.shape != (batch,) or found.dtype.kind not in "iu":
        raise InputError(f"lengths must be {batch} whole numbers, one a sequence, found {found.dtype} {found.shape}")
    lengths = torch.from_numpy(found.astype(np.int64))
    for place in ((lengths < 1) | (lengths > steps)).nonzero()[:1, 0].tolist():
        raise InputError(f"lengths must lie in 1..{steps}, found {int(lengths[place])} at sequence {place}")
    return lengths.to(like.device)


def _check_options(window: int | None, mu: float, tol: float, max_sweeps: int, like: Tensor) -> int:
    """The window that is worth storing: nothing is further apart than T - 1 steps."""
    check("mu", mu, ABOVE_0)
    kind, steps = torch.finfo(like.dtype), like.shape[1]
    if not kind.tiny <= mu <= kind.max:
        raise InputError(f"mu must lie in {kind.tiny:.0e}..{kind.max:.0e}, which {like.dtype} can hold, found {mu}")
    check("tol", tol, AT_LEAST_0)
    check("max_sweeps", max_sweeps, whole(1))
    if window is not None:
        check("window", window, whole(0))
    return steps - 1 if window is None else min(window, steps - 1)


def _is_sum_finite(value: Tensor) -> bool:
    if value.device.type != "cpu":
        return bool(value.sum().isfinite())
    with np.errstate(all="ignore"):  # by NumPy: torch would wake its threads, which takes longer than the sum
        return bool(np.isfinite(value.detach().numpy().sum()))


def _check_finite(name: str, value: Tensor, lengths: Tensor, reach: int | None = None) -> None:
    """What is read must be finite: real steps and, of a cost (B, T, T), what lies inside the window."""
    if _is_sum_finite(value):  # fast, and nearly always so
        return
    real = masks.real_steps(lengths, value.shape[1])
    bad = ~value.isfinite() & real[:, :, None]
    if reach is not None:
        place = torch.arange(value.shape[1], device=value.device)
        bad &= real[:, None, :] & ((place[:, None] - place).abs() <= reach)
    for where in bad.nonzero()[:1].tolist():
        sequence, step, place = where
        at = f"sequence {sequence}, step {step}, " + ("feature" if reach is None else "against step") + f" {place}"
        raise InputError(f"{name} must be finite on real steps, found {float(value[tuple(where)])} at {at}")
