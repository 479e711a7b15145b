"""Sinkhorn in the log domain, in plain torch: to read, for CUDA, and wherever numba is not.

All work is on the band, so that it grows with B * T1 * K, and safe at any mu.
"""

import torch
from torch import Tensor

from .. import masks

Solution = tuple[Tensor, Tensor, Tensor, int]  # plans (B, T1, K), their costs (B,), gaps (B,), sweeps


def log_domain(cost: Tensor, window: masks.Window, mu: float, tol: float, max_sweeps: int) -> Solution:
    """Sinkhorn (the paper's Eq. 10) on the band.

    Args:
        cost: (B, T1, K), finite, in the layout of `window`; the rest as in `transport.align`.

    Returns:
        the plans in the same layout, their costs (B,), gaps (B,), both float64, and the number of sweeps.
    """
    limit = torch.finfo(cost.dtype).max ** 0.5  # beyond any meaning; potentials must not overflow
    log_kernel = (-cost / mu).clamp(-limit, limit).masked_fill(~window.open, -torch.inf)  # Eq. 9, K = exp(-M / mu)
    columns_first = window.transposed
    log_kernel_t = window.transpose(log_kernel).masked_fill(~columns_first.open, -torch.inf)
    real, other_real = (masks.real_steps(one.lengths, one.steps) for one in (window, columns_first))
    log_share, other_log_share = (-one.lengths[:, None].to(cost).log() for one in (window, columns_first))

    rows = torch.zeros_like(cost[:, :, 0])  # log u, (B, T1)
    columns = torch.zeros_like(log_kernel_t[:, :, 0])  # log v, (B, T2)
    running = torch.ones_like(real[:, :1])
    sweeps = 0
    while sweeps < max_sweeps:
        # Each real row holds 1 / l1: log u = log(1 / l1) - log(K v). Then likewise the columns.
        new_rows = (log_share - (log_kernel + window.look(columns)).logsumexp(2)).masked_fill(~real, 0)
        if tol > 0 and sweeps > 0:
            # Row sums before this update are off by the factor exp(rows - new_rows). A finished sequence
            # stands still from then on: its plan must not depend on its neighbours in the batch.
            running = running & ((rows - new_rows).expm1().abs().amax(1, keepdim=True) > tol)
            if not running.any():
                break
        rows = torch.where(running, new_rows, rows)
        new_columns = other_log_share - (log_kernel_t + columns_first.look(rows)).logsumexp(2)
        columns = torch.where(running, new_columns.masked_fill(~other_real, 0), columns)
        sweeps += 1

    # At most 1: what rounding may add at small mu must not overflow.
    log_plan = log_kernel + rows[:, :, None] + window.look(columns)
    plan = log_plan.clamp(max=0).exp().masked_fill(~window.open, 0)
    return plan, (plan.double() * cost).sum((1, 2)), marginal_gap(plan, window), sweeps


def marginal_gap(band: Tensor, window: masks.Window) -> Tensor:
    """(B,) float64: how far the worst row is from 1 / l1, or the worst column from 1 / l2, as a share of that."""
    gaps = []
    for side, one in ((band.double(), window), (window.transpose(band.double()), window.transposed)):
        error = (side.sum(2) * one.lengths[:, None] - 1).abs()
        gaps.append(error.masked_fill(~masks.real_steps(one.lengths, one.steps), 0).amax(1))
    return torch.maximum(*gaps)
