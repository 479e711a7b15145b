"""Pairs of sequences as people have them: ragged or padded, either side absent, rows that can be indexed.

Axes: N pairs, l true steps of one of them, T steps of the longest, D features.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, Self

import numpy as np
import torch
from torch import Tensor

from ..batch import UNNAMED, Batch
from ..errors import InputError, one_of
from .ragged import Ragged
from .source import Source, as_array, as_float32, categories, is_nothing, partial_labels

Gaps = Literal["refuse", "fill", "drop"]


class Pairs:
    """N pairs of a visible sequence and its victim, either of which may be absent (None, or NaN throughout).

    Rows are chosen as in NumPy, by place, slice, places or mask, so that any splitter of scikit-learn works.

    Args:
        visible: (N, T, D1) numbers, or N sequences (l, D1) of any lengths; None or NaN where absent.
        victim: the same with D2 features; None: it is absent everywhere.
        lengths: (N,) true lengths of padded arrays; all T by default. What lies behind them is not read.
        rates: "same", step t of one belongs beside step t of the other; "own", the two were recorded at two rates
            and keep their own lengths. Systems are then shown the victim at the visible sequence's steps.
        gaps: what to do with NaN inside a sequence. "refuse" says where they are; "fill" draws a straight line
            between the steps around; "drop" leaves those steps out, of both sequences where rates are the same.
        names: what the two are called. A model remembers names other than these. Sequences that are data frames bring
            the names of their columns, which then must be the same, in the same order, in all of them.
        groups: (N,) whom each pair belongs to (a person, a recording). Splits inside `fit` keep groups whole.

    Raises:
        ValueError: what cannot be understood, with its place.

    >>> import numpy as np
    >>> pairs = Pairs([np.ones((5, 3)), np.ones((7, 3))], [np.ones((5, 2)), None])
    >>> len(pairs), pairs.present.tolist(), pairs[1].lengths.tolist()
    (2, [[True, True], [True, False]], [7])
    """

    def __init__(
        self,
        visible: object,
        victim: object = None,
        lengths: object = None,
        *,
        rates: Literal["same", "own"] = "same",
        gaps: Gaps = "refuse",
        names: tuple[str, str] = UNNAMED,
        groups: object = None,
    ) -> None:
        one_of("rates", rates, ("same", "own"))
        one_of("gaps", gaps, ("refuse", "fill", "drop"))
        first, second = _listed("visible", visible), _listed("victim", victim)
        columns = _columns("visible", first), _columns("victim", second)
        count = len(first or second or ())
        if not count:
            raise InputError("pairs: no sequences")
        first, second = ([None] * count if side is None else side for side in (first, second))
        if len(second) != count:
            raise InputError(f"pairs: {count} visible sequences, {len(second)} victims")
        ends = _ends(lengths, count)
        first, second = ([*_cleaned(name, side, ends)] for name, side in (("visible", first), ("victim", second)))
        _mend(first, second, gaps, together=rates == "same")
        for place, (one, other) in enumerate(zip(first, second, strict=True)):
            if one is None and other is None:
                raise InputError(f"pairs: pair {place} holds neither a visible sequence nor a victim")
            if rates == "same" and one is not None and other is not None and len(one) != len(other):
                told = f"pair {place} has {len(one)} visible steps and {len(other)} of the victim"
                raise InputError(f"pairs: {told}; with two rates say rates='own'")
        if groups is not None:
            groups = as_array("pairs", "groups", groups)
            categories("pairs", "groups", groups)
            if groups.shape != (count,):
                raise InputError(f"pairs: groups must have shape ({count},), found {groups.shape}")
        self.names, self.groups, self.rates = columns if tuple(names) == UNNAMED else tuple(names), groups, rates
        self._sides = _ragged(first), _ragged(second)

    # ---- rows -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._sides[0])

    @property
    def shape(self) -> tuple[int]:
        """(N,), which is how scikit-learn asks for the number of samples."""
        return (len(self),)

    def __getitem__(self, rows: object) -> Self:
        """Some pairs, as Pairs; one place gives one pair."""
        if isinstance(rows, tuple):  # scikit-learn writes pairs[rows, ...]
            rows = rows[0]
        rows = np.atleast_1d(np.arange(len(self))[rows])
        few = object.__new__(type(self))
        few.names, few.rates = self.names, self.rates
        few.groups = None if self.groups is None else self.groups[rows]
        few._sides = tuple(side.part(torch.from_numpy(rows)) for side in self._sides)
        return few

    def __iter__(self) -> Iterator[Self]:
        return (self[place] for place in range(len(self)))

    def __repr__(self) -> str:
        parts = [f"{len(self)} pairs"]
        for name, side in zip(self.names, self._sides, strict=True):
            here = side.lengths[side.lengths > 0]
            steps = f"{here.min()} to {here.max()} steps" if len(here) else "no steps"
            absent = f", absent in {len(self) - len(here)}" if len(here) < len(self) else ""
            parts.append(f"{name} ({side.width} features, {steps}{absent})")
        return "; ".join(parts if self.groups is None else [*parts, f"{len(np.unique(self.groups))} groups"])

    # ---- what there is ----------------------------------------------------------------------------------

    @property
    def visible(self) -> list[np.ndarray | None]:
        """N sequences (l, D1), None where absent."""
        return _unragged(self._sides[0])

    @property
    def victim(self) -> list[np.ndarray | None]:
        """N sequences (l, D2), None where absent."""
        return _unragged(self._sides[1])

    @property
    def widths(self) -> tuple[int, int]:
        """D1 and D2; 0 for a side that is absent everywhere."""
        return tuple(side.width for side in self._sides)

    @property
    def present(self) -> Tensor:
        """(N, 2) bool."""
        return torch.stack([side.lengths > 0 for side in self._sides], dim=1)

    @property
    def lengths(self) -> Tensor:
        """(N,) the steps that systems are shown: the visible sequence's, or the victim's where that is absent."""
        first, second = (side.lengths for side in self._sides)
        return torch.where(first > 0, first, second)

    def without_victim(self) -> Self:
        """The same pairs, their victims hidden."""
        few = self[:]
        kept, width = few._sides[0], few.widths[1]
        nothing = torch.zeros(len(self), dtype=torch.long)
        few._sides = kept, Ragged(torch.zeros(0, width), nothing, nothing)
        return few

    # ---- what systems are handed --------------------------------------------------------------------------

    def batch(self, widths: tuple[int, int] | None = None) -> Batch:
        """All pairs as one batch without labels; `widths` is what stands in for a side that is absent everywhere."""
        lengths, present = self.lengths, self.present
        ids, longest = torch.arange(len(self)), int(lengths.max())
        features = []
        for place, side in enumerate(self._shown()):
            if not present[:, place].any():
                width = side.width or (widths or self.widths)[place]
                features.append(torch.full((len(self), longest, width), torch.nan))
                continue
            padded = side.padded(ids, longest)
            absent = ~present[:, place]
            features.append(padded.masked_fill_(absent[:, None, None], torch.nan) if absent.any() else padded)
        return Batch(tuple(features), lengths, torch.full((len(self),), torch.nan), present, ids)

    def source(self, labels: object, groups: object = None, task: str | None = None) -> Source:
        """The pairs with labels, not yet split; a label may be None or NaN where nobody knows it."""
        count, lengths, present = len(self), self.lengths, self.present
        unlabelled = np.array([is_nothing(one) for one in as_array("labels", "values", labels, object).ravel()])
        if len(unlabelled) != count:
            raise InputError(f"pairs: {count} pairs, {len(unlabelled)} labels")
        targets, classes, task = partial_labels("pairs", labels, unlabelled if unlabelled.any() else None, count, task)
        groups = self.groups if groups is None else groups
        if groups is not None:
            if len(groups) != count:
                raise InputError(f"pairs: {count} pairs, {len(groups)} groups")
            groups = torch.from_numpy(categories("pairs", "groups", groups)[1].ravel().astype(np.int64))
        features = {}
        for place, (name, side) in enumerate(zip(self.names, self._shown(), strict=True)):
            steps = side.all_steps()  # (L, D), those of absent ones not among them
            if len(steps):
                steps = as_float32("pairs", name, steps[None], torch.ones(1, len(steps), dtype=torch.bool))[0]
            every = torch.zeros(int(lengths.sum()), side.width or 1, dtype=steps.dtype)
            if len(steps):
                every[present[:, place].repeat_interleave(lengths)] = steps
            features[name] = Ragged.of_lengths(every, lengths)
        told = {"has_visible": present[:, 0], "has_victim": present[:, 1]}
        absent = {key: here for key, here in told.items() if not here.all()}
        about = "your own pairs"
        return Source("pairs", features, lengths, targets, task, about, classes, groups, **absent)

    def _shown(self) -> tuple[Ragged, Ragged]:
        """Both sides at the steps that systems are shown."""
        first, second = self._sides
        if self.rates == "same":
            return first, second
        lengths, moved = self.lengths.tolist(), []
        for steps, values in zip(lengths, _unragged(second), strict=True):
            moved.append(None if values is None else _resampled(values, steps))
        return first, _ragged(moved, second.width)


# ---- reading --------------------------------------------------------------------------------------------------


def _listed(name: str, values: object) -> list | None:
    """N sequences, None or an array each; None where there is nothing at all."""
    if values is None:
        return None
    if isinstance(values, Tensor | np.ndarray) and values.dtype != object:
        values = as_array("pairs", name, values)
        if values.ndim != 3:
            raise InputError(f"pairs: {name} must have shape (N, T, D) or be N sequences (l, D), found {values.shape}")
        return [*values]
    try:
        return [*values]
    except TypeError:
        raise InputError(f"pairs: {name} must be an array or N sequences, found {type(values).__name__}") from None


def _columns(name: str, values: list | None) -> str:
    """The name of a modality with the columns of its data frames; the name alone of arrays."""
    told = {place: [*one.columns] for place, one in enumerate(values or ()) if hasattr(one, "columns")}
    known = next(iter(told.values()), None)
    for place, columns in told.items():
        if columns != known:
            found = ", ".join(map(str, columns))
            raise InputError(
                f"pairs: {name} of pair {place} has the columns {found}, the ones before it "
                f"{', '.join(map(str, known))}"
            )
    return name if known is None else f"{name} {','.join(map(str, known))}"


def _ends(lengths: object, count: int) -> list[int | None]:
    """Where each sequence ends, None for at its end."""
    if lengths is None:
        return [None] * count
    lengths = as_array("pairs", "lengths", lengths)
    if lengths.shape != (count,) or lengths.dtype.kind not in "iu":
        raise InputError(f"pairs: lengths must be {count} whole numbers, found {lengths.dtype} {lengths.shape}")
    return lengths.tolist()


def _cleaned(name: str, values: Sequence, ends: Sequence[int | None]) -> Iterator[np.ndarray | None]:
    """Each sequence as numbers (l, D), None where it is absent; all of them must have one D."""
    width = None
    for place, (one, end) in enumerate(zip(values, ends, strict=True)):
        if one is None or (np.ndim(one) == 0 and is_nothing(one)):
            yield None
            continue
        where = f"{name} of pair {place}"
        one = as_array("pairs", where, one)
        one = one[:, None] if one.ndim == 1 else one
        if one.ndim != 2 or one.dtype.kind not in "fiu" or not one.shape[1]:
            raise InputError(f"pairs: {where} must be numbers of shape (l, D), found {one.dtype} {one.shape}")
        if end is not None and not 1 <= end <= len(one):
            raise InputError(f"pairs: lengths must lie in 1..{len(one)}, found {end} at pair {place}")
        width = width or one.shape[1]
        if one.shape[1] != width:
            raise InputError(f"pairs: {where} has {one.shape[1]} features, the ones before it {width}")
        one = one[:end] if one.dtype == np.float32 else one[:end].astype(np.float64)
        if np.isinf(one).any():
            raise InputError(f"pairs: {where} is infinite at step {np.isinf(one).any(axis=1).argmax()}")
        yield None if np.isnan(one).all() else one  # of no steps as well


def _mend(first: list, second: list, gaps: Gaps, together: bool) -> None:
    """Do what `gaps` says with NaN inside sequences, in place."""
    for place in range(len(first)):
        for name, side in (("visible", first), ("victim", second)):
            if side[place] is None or not np.isnan(side[place]).any():
                continue
            spoilt = np.isnan(side[place]).any(axis=1)
            if gaps == "refuse":
                told = f"{name} of pair {place} is NaN at step {spoilt.argmax()}"
                raise InputError(f"pairs: {told}; gaps='fill' or gaps='drop' mends that")
            if gaps == "drop":
                for other in (first, second) if together else (side,):
                    if other[place] is not None and len(other[place]) == len(spoilt):
                        other[place] = other[place][~spoilt] if not spoilt.all() else None
            else:
                side[place] = _filled(f"{name} of pair {place}", side[place])


def _filled(where: str, values: np.ndarray) -> np.ndarray:
    """(l, D) straight lines over what is NaN, the nearest value before the first and behind the last."""
    steps, values = np.arange(len(values)), values.copy()
    for feature in values.T:
        known = ~np.isnan(feature)
        if not known.any():
            raise InputError(f"pairs: {where} has a feature that is NaN throughout: nothing to fill it from")
        feature[~known] = np.interp(steps[~known], steps[known], feature[known])
    return values


def _resampled(values: np.ndarray, steps: int) -> np.ndarray:
    """(l, D) -> (steps, D): the same stretch of time in other steps, by straight lines."""
    wanted = np.arange(steps) * (len(values) / steps)
    known = np.arange(len(values))
    return np.stack([np.interp(wanted, known, feature) for feature in values.T], axis=1).astype(values.dtype)


def _ragged(values: Sequence[np.ndarray | None], width: int = 0) -> Ragged:
    """Sequences laid end to end; one that is absent has no steps."""
    here = [one for one in values if one is not None]
    lengths = torch.tensor([0 if one is None else len(one) for one in values])
    steps = torch.from_numpy(np.concatenate(here)) if here else torch.zeros(0, width)
    return Ragged.of_lengths(steps, lengths)


def _unragged(side: Ragged) -> list[np.ndarray | None]:
    ends = (side.starts + side.lengths).tolist()
    return [
        side.steps[start:end].numpy() if end > start else None
        for start, end in zip(side.starts.tolist(), ends, strict=True)
    ]
