"""From a source to what systems are handed: training, validation and test samples, victims hidden.

Two draws, independent of one another: who lacks the victim (`survival`), and whose label is shown (`labelled`). With
every label shown a sample trains the path that it has the data for, as in the paper: complete ones both modalities,
missing ones the imputation. With few labels each serves both paths: a complete, labelled sample is shown as it is and
once more with its victim hidden (`Split.imputed`), batches join labelled and unlabelled samples, and validation shows
no more labels than training.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from ..batch import Batch, DataSpec, is_known
from ..config import Condition
from ..errors import InputError, one_of
from . import missing
from .source import LEFT_OUT, TEST, TRAIN, VALID, Source
from .stored import Stored

UNKNOWN = -2  # a label whose class a model does not know


@dataclass(frozen=True, repr=False)
class Split:
    """Some samples: all of them, those whose victim is present, those whose victim is absent."""

    samples: Stored | Batch
    spec: DataSpec | None = None  # what they are; None: nobody says
    _seals: list = field(default_factory=list, repr=False)
    alike: bool = False  # batches take no heed of who has a label

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        return f"{len(self)} samples, {int(self.samples.complete.sum())} complete"

    @cached_property
    def batch(self) -> Batch:
        """All samples as one batch: for looking at them, where memory allows."""
        return self.samples if isinstance(self.samples, Batch) else self.samples.rows(torch.arange(len(self)))

    @cached_property
    def complete(self) -> Self:
        return replace(self, samples=self.samples.part(self.samples.complete))

    @cached_property
    def missing(self) -> Self:
        return replace(self, samples=self.samples.part(~self.samples.complete))

    @cached_property
    def mingled(self) -> Self:
        """All samples, those with a label drawn no more often than the others."""
        return replace(self, alike=True)

    @cached_property
    def pairs(self) -> Self:
        """The complete ones among them, for losses that ask for no label."""
        return self.complete.mingled

    @cached_property
    def labelled(self) -> Self:
        """The samples whose label is shown, with or without their victim."""
        return replace(self, samples=self.samples.part(self.samples.labelled))

    def as_seen_by(self, spec: DataSpec) -> Self:
        """The same samples, their labels counted in the order of the classes that `spec` names.

        Raises:
            ValueError: they are not what a system of `spec` was built for: modalities, widths, task or classes.
        """
        widths = tuple(values.shape[2] for values in self.samples.features)
        task = "regression" if self.samples.labels.is_floating_point() else "classification"
        own = self.spec or replace(spec, widths=widths, task=task)
        spec.check_features(own.modalities, widths)
        spec.check_labels(task, own.classes, own.class_names)
        if own.class_names == spec.class_names or not (own.class_names and spec.class_names):
            return self
        places = {name: place for place, name in enumerate(spec.class_names)}
        order = torch.tensor([places.get(name, UNKNOWN) for name in own.class_names])
        labels = self.samples.labels.clone()
        labels[self.samples.labelled] = order[labels[self.samples.labelled]]
        for place in (labels == UNKNOWN).nonzero()[:1, 0]:
            unknown = own.class_names[self.samples.labels[place]]
            raise InputError(f"the model knows the classes {', '.join(spec.class_names)}; found {unknown!r}")
        return replace(self, samples=replace(self.samples, labels=labels), spec=spec)

    @cached_property
    def imputed(self) -> Self:
        """What a path that never has the victim learns from: the samples without it.

        Where some labels are hidden, also the others that have one, with their victim hidden: few labels must serve
        both paths, and where every victim is present (survival 1) this one would otherwise see none.
        """
        if self.samples.labelled.all():
            return self.missing
        return replace(self, samples=self.samples.part(~self.samples.complete | self.samples.labelled).hidden())

    def part(self, name: str) -> "Self | Joined":
        """The part that a `Stage` names: complete, pairs, labelled, missing, imputed, paired or all."""
        return self if name == "all" else getattr(self, name)

    @property
    def paired(self) -> "Joined":
        return Joined(self.complete, self.imputed)

    def batches(self, size: int, shuffle: torch.Generator | None = None) -> Iterator[Batch]:
        """Every sample exactly once, `size` at a time, each batch cut to its longest sequence.

        Shuffled samples of which some have no label come as `size` with and `size` without one in each batch; the
        fewer start again. Drawn from all, a batch would show hardly any of a few labels.
        """
        if self._seals:
            raise RuntimeError(f"this split is sealed: {self._seals[-1]}")
        if shuffle is not None and self._by_label:
            yield from self._by_label.batches(size, shuffle)
            return
        order = torch.arange(len(self)) if shuffle is None else torch.randperm(len(self), generator=shuffle)
        for rows in order.split(size):
            if len(rows):
                yield self.samples.rows(rows)

    def count(self, size: int) -> int:
        """How many shuffled batches there are."""
        return self._by_label.count(size) if self._by_label else math.ceil(len(self) / size)

    @cached_property
    def _by_label(self) -> "Joined | None":
        shown = self.samples.labelled
        if self.alike or shown.all() or not shown.any():
            return None
        return Joined(*(replace(self, samples=self.samples.part(which)) for which in (shown, ~shown)))

    @contextmanager
    def sealed(self, why: str) -> Iterator[None]:
        """Nobody can iterate the split inside."""
        self._seals.append(why)
        try:
            yield
        finally:
            self._seals.pop()


@dataclass(frozen=True)
class Joined:
    """Two parts whose batches are drawn side by side."""

    first: Split
    second: Split

    def batches(self, size: int, shuffle: torch.Generator) -> Iterator[Batch]:
        """A batch of each part as one, the first part's samples first; the shorter part starts again."""
        sides = [
            itertools.islice(_forever(part, size, shuffle), self.count(size))
            for part in (self.first, self.second)
            if len(part)
        ]
        for side in zip(*sides, strict=True):
            yield Batch.join(side)

    def count(self, size: int) -> int:
        """How many batches there are."""
        return max(self.first.count(size), self.second.count(size))


def _forever(part: Split, size: int, shuffle: torch.Generator) -> Iterator[Batch]:
    while True:
        yield from part.batches(size, shuffle)


@dataclass(frozen=True, repr=False)
class Splits:
    """The data of one experiment."""

    train: Split
    valid: Split
    test: Split
    spec: DataSpec
    source: Source

    def __repr__(self) -> str:
        parts = "; ".join(f"{name}: {getattr(self, name)!r}" for name in ("train", "valid", "test"))
        return f"{self.source.name}: {self.spec}; {parts}"

    def as_seen_by(self, spec: DataSpec) -> Self:
        """`Split.as_seen_by` of what a training reads."""
        return replace(self, train=self.train.as_seen_by(spec), valid=self.valid.as_seen_by(spec))

    def answer(self, name: str, batch: Batch) -> Tensor:
        """What planted data know of the samples of a batch, for tests and figures."""
        return self.source.answers[name][batch.ids]


def make_splits(source: Source, condition: Condition) -> Splits:
    """Split, draw who lacks the victim, and hide it.

    Raises:
        ValueError: the samples cannot be split like that; the message says why.
    """
    pair = condition.pair
    for name in pair:
        one_of(f"modality of {source.name}", name, tuple(source.features))
    second = [*source.features][1]
    if source.has_victim is not None and not source.has_victim.all() and pair[1] != second:
        lacking = int((~source.has_victim).sum())
        raise InputError(f"{lacking} samples lack {second!r}, which must be the victim then, found {':'.join(pair)}")

    parts = source.parts if source.parts is not None else _draw_parts(source, condition.seed)
    chosen = []
    for part in (TRAIN, VALID, TEST):
        ids = (parts == part).nonzero()[:, 0]
        share = condition.survival if part == TRAIN or condition.setting != "A" else 0.0
        draw = _keep_any if condition.setting == "R" else _keep_victims
        chosen.append(_take(source, pair, ids, draw(source, ids, len(pair), share, condition.seed * 3 + part)))
    train, valid, test = chosen
    if condition.setting != "R" and not train.complete.any():
        having = len(train) if source.has_victim is None else int(source.has_victim[train.ids].sum())
        if not having:
            raise InputError(f"{source.name}: none of the {len(train)} training samples has its victim")
        raise InputError(
            f"survival {condition.survival} of {having} training samples leaves none with its victim; "
            f"{math.ceil(1000 / having) / 1000} is enough"
        )
    train = _hide_labels(train, source, condition.labelled, condition.seed)
    if condition.labelled < 1:  # labels are scarce: validation gets no more of them than training
        share = min(1.0, int(train.labelled.sum()) / len(valid))
        valid = valid.part(missing.draw(len(valid), share, condition.seed))
    widths = tuple(source.features[name].shape[2] for name in pair)
    spec = DataSpec(pair, widths, source.task, len(source.classes) or 1, source.classes, source.loss)
    return Splits(Split(train, spec), Split(valid, spec), Split(test, spec), spec, source)


def _draw_parts(source: Source, seed: int) -> Tensor:
    """(N,) TRAIN, VALID or TEST. Groups go to one side whole; seeds 0-4 are five folds over the groups.

    Where a source asks for other folds than five, as many seeds are. Samples without a label can only train: they are
    left out where their group is on another side.
    """
    count = source.folds
    groups = source.groups if source.groups is not None else torch.arange(len(source.lengths))
    names = groups[source.labelled].unique()
    if len(names) < count:
        told = f"{'five' if count == 5 else count} folds need at least {count} labelled samples or groups"
        raise InputError(f"{source.name}: {told}, found {len(names)}")
    order = names[torch.randperm(len(names), generator=torch.Generator().manual_seed(seed // count))]
    folds = [order[place::count] for place in range(count)]
    parts = torch.full_like(groups, TRAIN)
    parts[torch.isin(groups, folds[seed % count])] = TEST
    parts[torch.isin(groups, folds[(seed + 1) % count])] = VALID
    parts[(parts != TRAIN) & ~source.labelled] = LEFT_OUT
    return parts


def _keep_victims(source: Source, ids: Tensor, modalities: int, share: float, seed: int) -> Tensor:
    """(N, M) bool: a victim for `share` of the samples that have one, everything else for all."""
    candidates = ids if source.has_victim is None else ids[source.has_victim[ids]]
    present = torch.ones(len(ids), modalities, dtype=torch.bool)
    present[:, 1] = torch.isin(ids, candidates[missing.draw(len(candidates), share, seed)])
    if source.has_visible is not None:
        present[:, 0] = source.has_visible[ids]
        present[:, 1] |= ~present[:, 0]  # it has nothing else
    return present


def _keep_any(source: Source, ids: Tensor, modalities: int, share: float, seed: int) -> Tensor:
    """(N, M) bool: each modality on its own; a sample that is left with nothing keeps the visible one."""
    present = missing.draw_each(len(ids), modalities, share, seed)
    if source.has_visible is not None:
        present[:, 0] &= source.has_visible[ids]
        present[:, 1] |= ~source.has_visible[ids]  # it has nothing else
    if source.has_victim is not None:
        present[:, 1] &= source.has_victim[ids]
        present[:, 0] |= ~present.any(dim=1)
    return present


def _take(source: Source, pair: tuple[str, ...], ids: Tensor, present: Tensor) -> Stored:
    """The samples `ids`; what is not `present` (N, M) is hidden from now on."""
    features = tuple(source.features[name] for name in pair)
    return Stored(features, source.lengths[ids], source.labels[ids], present, ids)


def _hide_labels(train: Stored, source: Source, share: float, seed: int) -> Stored:
    groups = source.groups[train.ids] if source.groups is not None else train.ids
    shown, known = torch.zeros(len(train), dtype=torch.bool), is_known(train.labels)
    shown[known] = missing.draw_groups(groups[known], share, seed)
    hidden = torch.nan if source.task == "regression" else -1
    return replace(train, labels=train.labels.masked_fill(~shown, hidden))
