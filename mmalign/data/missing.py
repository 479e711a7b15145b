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


def draw_each(count: int, modalities: int, share: float, seed: int) -> Tensor:
    """(count, M) bool: each modality of each sample stays with chance `share`; at least one stays.

    >>> draw_each(1000, 2, 0.1, seed=0).any(dim=1).all().item()
    True
    """
    generator = torch.Generator().manual_seed(seed)
    stays = torch.zeros(count, modalities, dtype=torch.bool)
    while not stays.any(dim=1).all():  # whoever lost everything draws again
        again = torch.rand(count, modalities, generator=generator, dtype=torch.float32) < share
        stays = torch.where(stays.any(dim=1, keepdim=True), stays, again)
    return stays


def draw_groups(groups: Tensor, share: float, seed: int) -> Tensor:
    """(N,) bool, True for the samples of floor(share * G) whole groups, at least one."""
    names = groups.unique()
    chosen = draw(len(names), max(share, 1 / len(names)), seed)
    return torch.isin(groups, names[chosen])
