"""Sequences of unequal length, without their padding.

Axes: N sequences, L steps of all of them, T steps of the longest, D features, V words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Ragged:
    """N sequences laid end to end; indexing pads them with zeros to the longest of all.

    23 000 sentences of 20 words, padded to the longest, would take several times the memory. A text may be
    kept as words, rows of a table, and takes its vectors only when it is asked for.
    """

    steps: Tensor  # (L, D) float32; with a table: (L,) rows of it
    starts: Tensor  # (N,) where each sequence begins in `steps`
    lengths: Tensor  # (N,) at least 1
    table: Tensor | None = None  # (V, D) what each word stands for

    @classmethod
    def of_lengths(cls, steps: Tensor, lengths: Tensor, table: Tensor | None = None) -> Self:
        """Sequences that follow one another without gaps."""
        return cls(steps, lengths.cumsum(0) - lengths, lengths, table)

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """The sequences of several, in their order; the table is that of the first."""
        steps, lengths = (torch.cat([getattr(part, name) for part in parts]) for name in ("steps", "lengths"))
        return cls.of_lengths(steps, lengths, parts[0].table)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(N, T, D) of the padded tensor."""
        return len(self), int(self.lengths.max()), self.width

    @property
    def width(self) -> int:
        """D."""
        return (self.steps if self.table is None else self.table).shape[1]

    def __getitem__(self, ids: Tensor) -> Tensor:
        """(n, T, D) the sequences that `ids` names, by place or by mask, zeros behind each."""
        return self.padded(ids, self.shape[1])

    def padded(self, ids: Tensor, longest: int) -> Tensor:
        """(n, longest, D) the same; none of them may be longer."""
        starts, lengths = self.starts[ids], self.lengths[ids]
        place = torch.arange(longest)
        real = place < lengths[:, None]  # (n, T)
        padded = torch.zeros(*real.shape, self.width, dtype=(self.steps if self.table is None else self.table).dtype)
        padded[real] = self._vectors((starts[:, None] + place)[real])
        return padded

    def _vectors(self, places: Tensor) -> Tensor:
        return self.steps[places] if self.table is None else self.table[self.steps[places].long()]

    def all_steps(self) -> Tensor:
        """(L, D) every step of every sequence."""
        return self._vectors(self.starts.repeat_interleave(self.lengths) + _places(self.lengths))

    def part(self, ids: Tensor) -> Self:
        """Some of the sequences; their steps stay where they are."""
        return replace(self, starts=self.starts[ids], lengths=self.lengths[ids])

    def cut(self, longest: int) -> Self:
        """The first `longest` steps of each."""
        return replace(self, lengths=self.lengths.clamp(max=longest))

    def where(self, step: int) -> tuple[int, int]:
        """The sequence that a place in `steps` belongs to, and its step there."""
        sample = int(torch.searchsorted(self.starts, step, right=True)) - 1
        return sample, step - int(self.starts[sample])


def _places(lengths: Tensor) -> Tensor:
    """(L,) 0, 1, ... within each sequence."""
    return torch.arange(int(lengths.sum())) - (lengths.cumsum(0) - lengths).repeat_interleave(lengths)


def unpad(features: dict[str, np.ndarray], trimmed: bool = True) -> tuple[dict[str, Ragged], int]:
    """Padded modalities (N, T, D) without padding, and how many sequences hold nothing but zeros.

    Public files pad in front, behind, or both. Padding is what is zero in every modality, from either end; a
    modality alone is often zero where the others are not (a frame without a face). A sequence of nothing but
    zeros keeps one step of them, so that every sample is still predicted.
    """
    filled = np.logical_or.reduce([values.any(axis=2) for values in features.values()])  # (N, T)
    first, behind = filled.argmax(1), filled[:, ::-1].argmax(1)
    empty = ~filled.any(1)
    if not trimmed:
        first, behind, empty = np.zeros_like(first), np.zeros_like(behind), np.zeros_like(empty)
    lengths = np.where(empty, 1, filled.shape[1] - first - behind)
    place = np.arange(filled.shape[1])
    real = (place >= first[:, None]) & (place < (first + lengths)[:, None])  # (N, T)
    ragged = {
        name: Ragged.of_lengths(torch.from_numpy(values[real]), torch.from_numpy(lengths))
        for name, values in features.items()
    }
    return ragged, int(empty.sum())
