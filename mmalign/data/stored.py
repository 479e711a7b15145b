"""Samples as they are kept: in their source, padded and hidden only in the batches that are asked for."""

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from ..batch import Batch, Samples, without_victim
from .ragged import Ragged


@dataclass(frozen=True, repr=False)
class Stored(Samples):
    """n samples of a source. A copy of 13 000 of them, padded, could take more memory than everything else."""

    features: tuple[Tensor | Ragged, ...]  # M, (N, T, D_m) each: every sample of the source
    lengths: Tensor  # (n,)
    labels: Tensor  # (n,)
    present: Tensor  # (n, M) bool
    ids: Tensor  # (n,) their places in the source

    def rows(self, chosen: Tensor) -> Batch:
        some = self.part(chosen)
        steps = int(some.lengths.max()) if len(some) else 0
        features = tuple(
            _padded(values, some.ids, steps).masked_fill_(~here[:, None, None], torch.nan)
            for values, here in zip(self.features, some.present.T, strict=True)
        )
        return Batch(features, some.lengths, some.labels, some.present, some.ids)

    def part(self, chosen: Tensor) -> Self:
        """Some of the samples, kept in the same way."""
        kept = {name: getattr(self, name)[chosen] for name in ("lengths", "labels", "present", "ids")}
        return replace(self, **kept)

    def hidden(self) -> Self:
        """The same samples, none with its victim."""
        return replace(self, present=without_victim(self.present))

    def seen(self, place: int) -> Tensor:
        some, values = self.part(self.present[:, place]), self.features[place]
        if isinstance(values, Ragged):
            return values.part(some.ids).all_steps()
        return some.rows(torch.arange(len(some))).seen(place)


def _padded(values: Tensor | Ragged, ids: Tensor, steps: int) -> Tensor:
    """(n, steps, D) a copy of some sequences."""
    return values.padded(ids, steps) if isinstance(values, Ragged) else values[ids, :steps]
