"""Whose victim a sample is shown with: its own, or somebody else's. What true pairs teach is what is lost then."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ..batch import Batch


def anyone(batch: Batch) -> Tensor:
    """(B,) the place of each sample's partner: an order drawn at random."""
    return torch.randperm(len(batch), device=batch.lengths.device)


def of_like_label(batch: Batch) -> Tensor:
    """The same, but labelled samples go with others of their class, or of the nearest score; unlabelled with any.

    Who is alone in a class of the batch keeps its own victim.
    """
    shown, place = batch.labelled, torch.arange(len(batch), device=batch.lengths.device)
    apart = (batch.labels[:, None] - batch.labels).abs().double()  # (B, B)
    if batch.labels.is_floating_point():
        apart = apart.fill_diagonal_(torch.inf)
    else:
        apart = (apart + torch.rand_like(apart) / 2).fill_diagonal_(0.75)  # ties are broken by chance
    apart = apart.masked_fill(~(shown[:, None] & shown), torch.inf)
    partner = torch.where(apart.isfinite().any(1), apart.argmin(1), place)
    partner[~shown] = place[~shown][torch.randperm(int((~shown).sum()), device=place.device)]
    return partner


PARTNERS: dict[str, Callable[[Batch], Tensor]] = {"shuffled": anyone, "shuffled-within": of_like_label}


def beside(batch: Batch, partner: Tensor) -> Batch:
    """Each visible sequence beside its partner's victim, both cut to the shorter."""
    lengths = torch.minimum(batch.lengths, batch.lengths[partner])
    return replace(batch, features=(batch.visible, batch.victim[partner]), lengths=lengths)
