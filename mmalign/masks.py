"""Which steps are real, which pairs of steps lie in the window, and the two ways to store it: dense and band.

For sequences of one length dense is (B, T, T) and a band (B, T, 2W+1), whose entry [b, t, k] speaks of step t of the
first sequence and step s = t + k - W of the second. `Window` is the same for two lengths.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor


def real_steps(lengths: Tensor, steps: int) -> Tensor:
    """(B,) true lengths -> (B, T) bool, False on padding.

    >>> real_steps(torch.tensor([1, 3]), 3).int().tolist()
    [[1, 0, 0], [1, 1, 1]]
    """
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def zero_padding(values: Tensor, lengths: Tensor) -> Tensor:
    """(B, T, D), (B,) true lengths -> the same, 0 on padding, whatever it held."""
    return values.masked_fill(~real_steps(lengths, values.shape[1])[:, :, None], 0)


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


def to_mixing(band: Tensor) -> Tensor:
    """(B, T, 2W+1) -> (B, T, T): each column of a band as weights of the rows; they sum to 1, or are 0 throughout.

    >>> to_mixing(torch.tensor([[[9.0, 1.0, 1.0], [3.0, 1.0, 9.0]]])).tolist()
    [[[0.25, 0.75], [0.5, 0.5]]]
    """
    mixing = to_dense(band).transpose(1, 2)
    return mixing / mixing.sum(2, keepdim=True).clamp(min=torch.finfo(mixing.dtype).tiny)


def transpose_band(band: Tensor) -> Tensor:
    """The band of the transposed matrix: [b, s, k] of the answer is [b, s + k - W, 2W - k] of `band`.

    >>> transpose_band(torch.tensor([[[0.0, 1.0, 2.0], [3.0, 4.0, 0.0]]]))[0].tolist()
    [[0.0, 1.0, 3.0], [2.0, 4.0, 0.0]]
    """
    steps, window = band.shape[1], band.shape[2] // 2
    padded = F.pad(band.flip(2), (0, 0, window, window))  # (B, T+2W, 2W+1)
    return torch.stack([padded[:, k : k + steps, k] for k in range(2 * window + 1)], dim=2)


# ---- two lengths -------------------------------------------------------------------------------------------


def window_ends(lengths: Tensor, other_lengths: Tensor, steps: int, window: int) -> tuple[Tensor, Tensor]:
    """The first and the last step of the other sequence inside the window of each step; some do not exist.

    Step t of a sequence of l1 steps covers the stretch from t / l1 to (t + 1) / l1 of the whole, step s of l2 steps
    likewise. Both may be matched if their stretches overlap, once one is made longer at both ends by W of the
    coarser steps. In whole numbers, with u = max(l1, l2):

        t * l2 - W * u < (s + 1) * l1    and    s * l1 < (t + 1) * l2 + W * u.

    Equal lengths give |t - s| <= W. The rule is the same from either sequence, and from either end. W = 0 holds just
    what is needed: the overlaps of the stretches, l1 + l2 - gcd(l1, l2) cells, are themselves a plan whose rows sum
    to 1 / l1 and whose columns sum to 1 / l2. So some plan fits every window (chapter "The window cost").

    Args:
        lengths, other_lengths: (B,) or () l1 and l2; steps: T1; window: W.

    Returns:
        two of (B, T1) or (T1,), whole numbers from -T2 to 2 * T2 or so.

    >>> first, last = window_ends(torch.tensor(4), torch.tensor(2), 4, 0)
    >>> first.tolist(), last.tolist()
    ([0, 0, 1, 1], [0, 0, 1, 1])
    """
    rows, columns = lengths[..., None], other_lengths[..., None]
    step = torch.arange(steps, device=lengths.device)
    margin = window * torch.maximum(rows, columns)
    first = (step * columns - margin).div(rows, rounding_mode="floor")
    last = -(-(step + 1) * columns - margin).div(rows, rounding_mode="floor") - 1
    return first, last


def outside_window(steps: int, window: int, other_steps: int | None = None) -> Tensor:
    """(T1, T2) bool, True where two steps are too far apart to be matched; T2 is T1 by default.

    >>> outside_window(3, 1).int().tolist()
    [[0, 0, 1], [0, 0, 0], [1, 0, 0]]
    """
    columns = steps if other_steps is None else other_steps
    first, last = window_ends(torch.tensor(steps), torch.tensor(columns), steps, min(window, steps, columns))
    step = torch.arange(columns)
    return (step < first[:, None]) | (step > last[:, None])


@dataclass(frozen=True)
class Window:
    """Which steps of two padded sequences may be matched, and how a band of them is stored: (B, T1, K).

    Entry [b, t, k] speaks of step t of the first sequence and step first[b, t] + k of the second.
    """

    lengths: Tensor  # (B,) l1
    other_lengths: Tensor  # (B,) l2
    steps: int  # T1
    other_steps: int  # T2
    reach: int  # W, less where nothing is so far apart
    straight: bool  # both lengths are one everywhere: then first[b, t] = t - W, and K = 2W + 1

    @classmethod
    def between(
        cls, lengths: Tensor, other_lengths: Tensor, steps: int, other_steps: int, window: int | None
    ) -> "Window":
        """The window of half-width W, or none."""
        most = min(steps, other_steps) - 1  # in coarser steps; so far apart are the first step and the last
        reach = most if window is None else min(window, most)
        straight = steps == other_steps and (other_lengths is lengths or bool((lengths == other_lengths).all()))
        return cls(lengths, other_lengths, steps, other_steps, reach, straight)

    @cached_property
    def first(self) -> Tensor:
        """(B, T1) the step of the second sequence that slot 0 speaks of; below 0 only where lengths are equal."""
        if self.straight:
            place = torch.arange(self.steps, device=self.lengths.device) - self.reach
            return place.expand(len(self.lengths), self.steps)
        return self._ends[0]

    @cached_property
    def width(self) -> int:
        """K, the slots of a row: as many as the most crowded row needs."""
        return 2 * self.reach + 1 if self.straight else int(self.count.max())

    @cached_property
    def _ends(self) -> tuple[Tensor, Tensor]:
        """(B, T1) twice: the first and the last open step of each row; (0, -1) on padding."""
        first, last = window_ends(self.lengths, self.other_lengths, self.steps, self.reach)
        real = real_steps(self.lengths, self.steps)
        last = torch.minimum(last, self.other_lengths[:, None] - 1)
        return first.clamp(min=0).masked_fill(~real, 0), last.masked_fill(~real, -1)

    @cached_property
    def open(self) -> Tensor:
        """(B, T1, K) bool, True where an entry speaks of two real steps inside the window."""
        if self.straight:
            return open_band(real_steps(self.lengths, self.steps), self.reach)
        return torch.arange(self.width, device=self.lengths.device) < self.count[:, :, None]

    @cached_property
    def count(self) -> Tensor:
        """(B, T1) how many entries of each row are open; where the lengths differ, they are its first ones."""
        return self.open.sum(2) if self.straight else self._ends[1] - self._ends[0] + 1

    @cached_property
    def transposed(self) -> "Window":
        """The same window, seen from the second sequence."""
        return Window(
            self.other_lengths, self.lengths, self.other_steps, self.steps, self.reach, self.straight
        )  # the rule is symmetric

    def look(self, values: Tensor) -> Tensor:
        """(B, T2) -> (B, T1, K): at each entry, the value of its step of y; anything where the entry is not open."""
        if self.straight:
            return F.pad(values, (self.reach, self.reach)).unfold(1, self.width, 1)
        return values.gather(1, self._places.flatten(1)).view(self._places.shape)

    def look_at(self, values: Tensor, slot: int) -> Tensor:
        """(B, T2, D) -> (B, T1, D): the same for one slot of every row."""
        if self.straight:
            return F.pad(values, (0, 0, self.reach, self.reach))[:, slot : slot + self.steps]
        return values.gather(1, self._places[:, :, slot, None].expand(-1, -1, values.shape[2]))

    @cached_property
    def _places(self) -> Tensor:
        """(B, T1, K) the step of the second sequence that each entry speaks of; some other where it is not open."""
        slots = torch.arange(self.width, device=self.lengths.device)
        return (self.first[:, :, None] + slots).clamp(max=self.other_steps - 1)

    def to_dense(self, band: Tensor) -> Tensor:
        """(B, T1, K) -> (B, T1, T2), 0 outside the window."""
        if self.straight:
            return to_dense(band)
        dense = band.new_zeros(len(band), self.steps, self.other_steps)
        return dense.scatter_add(2, self._places, band * self.open)

    def to_band(self, dense: Tensor) -> Tensor:
        """(B, T1, T2) -> (B, T1, K), 0 where nothing may be matched."""
        if self.straight:
            return to_band(dense, self.reach)
        return dense.gather(2, self._places).masked_fill(~self.open, 0)

    def transpose(self, band: Tensor) -> Tensor:
        """The band (B, T2, K') of the transposed matrix, for `transposed`; 0 where nothing may be matched."""
        if self.straight:
            return transpose_band(band)
        other = self.transposed
        rows = other._places  # (B, T2, K'): t
        place = torch.arange(self.other_steps, device=band.device)[:, None] - other.look(self.first)  # k = s - first
        entries = rows * self.width + place.clamp(0, self.width - 1)
        return band.flatten(1).gather(1, entries.flatten(1)).view(entries.shape).masked_fill(~other.open, 0)
