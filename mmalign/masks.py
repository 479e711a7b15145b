"""Which steps are real, and the two ways to store a window: dense (B, T, T) and band (B, T, 2W+1).

Band entry [b, t, k] speaks of step t of the first sequence and step s = t + k - W of the second.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def real_steps(lengths: Tensor, steps: int) -> Tensor:
    """(B,) true lengths -> (B, T) bool, False on padding.

    >>> real_steps(torch.tensor([1, 3]), 3).int().tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def with_head(real: Tensor) -> Tensor:
    """(B, T) -> (B, T+1): the head in front is always real."""
    return F.pad(real, (1, 0), value=True)


def mean_over(states: Tensor, real: Tensor) -> Tensor:
    """(B, T, D), (B, T) bool -> (B, D), the mean over the real steps.

    >>> mean_over(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]])).tolist()
    [[2.0]]
    """
    return (states * real[:, :, None]).sum(1) / real.sum(1, keepdim=True)


def open_band(real: Tensor, window: int) -> Tensor:
    """(B, T) bool -> (B, T, 2W+1) bool, True where both steps of an entry are real."""
    inside = F.pad(real, (window, window)).unfold(1, 2 * window + 1, 1)  # (B, T, 2W+1)
    return inside & real[:, :, None]


def to_band(dense: Tensor, window: int) -> Tensor:
    """(B, T, T) -> (B, T, 2W+1), 0 where s = t + k - W is outside the sequence.

    >>> to_band(torch.eye(2)[None], 1)[0].tolist()
    [[0.0, 1.0, 0.0], [0.0, 1.0, 0.0]]
    """
    batch, steps, _ = dense.shape
    padded = F.pad(dense, (window, window)).flatten(1)  # (B, T*(T+2W)); rows one longer are shifted by one each
    return F.pad(padded, (0, steps)).view(batch, steps, steps + 2 * window + 1)[:, :, : 2 * window + 1]


def to_dense(band: Tensor) -> Tensor:
    """(B, T, 2W+1) -> (B, T, T), 0 outside the window; what pointed outside the sequence is dropped.

    >>> to_dense(torch.tensor([[[9.0, 1.0, 2.0], [3.0, 4.0, 9.0]]])).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """
    batch, steps, offsets = band.shape
    window = offsets // 2
    skewed = F.pad(band, (0, steps)).flatten(1)[:, : steps * (steps + offsets - 1)]
    return skewed.view(batch, steps, steps + offsets - 1)[:, :, window : window + steps]


def transpose_band(band: Tensor) -> Tensor:
    """The band of the transposed matrix: [b, s, k] of the answer is [b, s + k - W, 2W - k] of `band`.

    >>> transpose_band(torch.tensor([[[0.0, 1.0, 2.0], [3.0, 4.0, 0.0]]]))[0].tolist()
    [[0.0, 1.0, 3.0], [2.0, 4.0, 0.0]]
    """
    steps, window = band.shape[1], band.shape[2] // 2
    padded = F.pad(band.flip(2), (0, 0, window, window))  # (B, T+2W, 2W+1)
    return torch.stack([padded[:, k : k + steps, k] for k in range(2 * window + 1)], dim=2)
