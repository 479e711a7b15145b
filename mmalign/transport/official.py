"""What the released code of MM-Align does instead of Sinkhorn (chapter "Paper and code")."""

import torch
from torch import Tensor

from .. import masks


def released(cost: Tensor, window: int, lam: float, sweeps: int, barrier: float = 100.0, eps: float = 1e-7) -> Tensor:
    """What it does to one sample (T, T), step by step; `official` has the closed form, for a batch.

    cost: (T, T) float; lam: its 1 / mu; the other names are its own. Made for comparisons: one sample at a time.
    """
    steps = len(cost)
    plan = (-lam * (cost + barrier * masks.outside_window(steps, window))).exp()
    plan /= plan.sum()
    before = torch.zeros(steps, dtype=cost.dtype)
    for _ in range(sweeps):
        if (before - plan.sum(1)).abs().max() <= eps:  # it always ends after two passes
            break
        before = plan.sum(1)
        plan *= (1 / steps / before)[:, None]
        plan *= (1 / steps / plan.sum(0))[:, None]  # meant for columns, scales rows
    return plan / plan.sum(-1)  # without keepdim: column j by the sum of row j


def official(cost: Tensor, lengths: Tensor, window: int, mu: float, barrier: float) -> Tensor:
    """The same for a batch, in closed form.

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
    outside = masks.outside_window(cost.shape[1], window).to(cost.device)
    padding = ~(real[:, :, None] & real[:, None, :])
    rows = ((cost + barrier * outside) / -mu).masked_fill(padding, -torch.inf)
    rows = rows.softmax(2).masked_fill(padding, 0)  # S
    scale = rows.sum(1) / lengths[:, None]  # (B, T), the diagonal of D
    answer = rows * scale[:, None, :] / scale[:, :, None].masked_fill(~real[:, :, None], 1)
    return masks.to_band(answer, window)
