"""Who lacks what: drawn once from a seed, stored, never redrawn."""

import torch
from torch import Tensor


def draw(count: int, share: float, seed: int) -> Tensor:
    """(count,) bool, True for exactly floor(share * count) of them.

    With one seed the chosen of a smaller share are among those of a larger one, so that curves over
    the share compare like with like.

    >>> draw(10, 0.35, seed=0).sum().item()
    3
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[order[: int(share * count + 1e-9)]] = True  # 1e-9: 0.29 * 100 is 28.999...
    return chosen


def draw_groups(groups: Tensor, share: float, seed: int) -> Tensor:
    """(N,) bool, True for the samples of floor(share * G) whole groups, at least one."""
    names = groups.unique()
    chosen = draw(len(names), max(share, 1 / len(names)), seed)
    return torch.isin(groups, names[chosen])
