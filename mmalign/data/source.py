"""A data set as it was read: complete, checked, not yet split."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from typing import Self

import numpy as np
import torch
from torch import Tensor

from .. import masks
from ..batch import is_known
from ..errors import InputError, line_of
from .ragged import Ragged

TRAIN, VALID, TEST, LEFT_OUT = 0, 1, 2, 3
TINIEST = 1e-37  # below it float32 loses digits
FINE_ENOUGH = 1e-4  # spread / offset that float32 still holds to a thousandth of the spread


@dataclass(frozen=True, repr=False)
class Source:
    """N samples of some modalities. `make_splits` turns it into what systems are handed."""

    name: str
    features: dict[str, Tensor | Ragged]  # modality -> (N, T, D) float32, 0 on padding
    lengths: Tensor  # (N,) true number of steps
    labels: Tensor  # (N,) float32, or long 0..K-1; NaN or -1 where nobody knows it
    task: str  # "regression" or "classification"
    about: str  # one line: what, from where
    classes: tuple[str, ...] = ()  # names, for classification
    groups: Tensor | None = None  # (N,) samples of one group never stand on two sides of a split
    loss: str = "squared"  # of a regression; or "absolute"
    folds: int = 5  # that many consecutive seeds test every group once
    parts: Tensor | None = None  # (N,) TRAIN, VALID or TEST where the data set comes split
    has_victim: Tensor | None = None  # (N,) bool, False where the source itself lacks its second modality
    has_visible: Tensor | None = None  # the same of its first
    answers: dict[str, Tensor] = field(default_factory=dict)  # what only a test may know (planted data)
    foretold: Callable[[], Tensor] | None = None  # (N, T, T) what the visible sequence tells of them at best
    notes: tuple[str, ...] = ()  # what the reader changed or left out, for people

    def __post_init__(self) -> None:
        count = len(self.lengths)
        if count == 0:
            raise InputError(f"{self.name}: no samples")
        for name, values in {**self.features, "labels": self.labels}.items():
            if len(values) != count:
                raise InputError(f"{self.name}: {name} holds {len(values)} samples, lengths {count}")
        steps = {name: values.shape[1] for name, values in self.features.items()}
        if len(set(steps.values())) > 1:
            raise InputError(f"{self.name}: modalities must have the same number of steps, found {steps}")
        longest, bad = next(iter(steps.values())), (self.lengths < 1) | (self.lengths > next(iter(steps.values())))
        for place in bad.nonzero()[:1, 0].tolist():
            raise InputError(
                f"{self.name}: lengths must lie in 1..{longest}, found {int(self.lengths[place])} at sample {place}"
            )

    def __repr__(self) -> str:
        widths = ", ".join(f"{name} ({values.shape[2]} features)" for name, values in self.features.items())
        return f"{self.name}: {len(self.lengths)} samples, {widths}, {self.task}"

    @property
    def labelled(self) -> Tensor:
        """(N,) bool, True where the label is known."""
        return is_known(self.labels)

    @cached_property
    def digest(self) -> str:
        """A short hash of the samples themselves."""
        every, content = hashlib.sha256(), [*self.features.values(), self.lengths, self.labels]
        if self.has_victim is not None:  # somebody's own arrays; elsewhere groups and parts go with the name
            content += [self.has_victim] if self.groups is None else [self.has_victim, self.groups]
        if self.has_visible is not None:
            content += [self.has_visible]
        for values in content:
            for piece in (values.steps, values.table) if isinstance(values, Ragged) else (values,):
                every.update(b"" if piece is None else np.ascontiguousarray(piece.numpy()).data)
        return every.hexdigest()[:16]

    def describe(self) -> dict[str, str]:
        """What is in it, for people."""
        facts = {"samples": str(len(self.lengths)), "lengths": _spread(self.lengths)}
        for name, values in self.features.items():
            steps = self._real_steps(values)  # (L, D)
            zeros = (steps == 0).all(1).float().mean().item()
            facts[name] = f"{steps.shape[1]} features, {_spread(steps)}, {zeros:.1%} of the steps all zero"
        if self.task == "classification":
            counts = torch.bincount(self.labels[self.labelled], minlength=len(self.classes)).tolist()
            facts["labels"] = ", ".join(f"{name} {n}" for name, n in zip(self.classes, counts, strict=True))
        else:
            facts["labels"] = f"{_spread(self.labels[self.labelled])}, {(self.labels == 0).sum().item()} exactly 0"
        if not self.labelled.all():
            facts["labels"] += f"; {(~self.labelled).sum().item()} without"
        if self.groups is not None:
            facts["groups"] = str(len(self.groups.unique()))
        if self.parts is not None:
            facts["parts"] = "train {}, valid {}, test {}".format(*torch.bincount(self.parts, minlength=3).tolist())
        if self.has_victim is not None:
            facts["victim missing"] = str((~self.has_victim).sum().item())
        if self.has_visible is not None:
            facts["visible missing"] = str((~self.has_visible).sum().item())
        if self.notes:
            facts["notes"] = "; ".join(self.notes)
        return facts

    def _real_steps(self, values: Tensor | Ragged) -> Tensor:
        """(L, D) the steps of a modality that are no padding."""
        if isinstance(values, Ragged):
            return values.all_steps()
        return values[masks.real_steps(self.lengths, values.shape[1])]

    def part(self, ids: Tensor) -> Self:
        """Some of the samples, which all have their victim, as a source that nobody has split."""
        features = {
            name: values.part(ids) if isinstance(values, Ragged) else values[ids]
            for name, values in self.features.items()
        }
        groups = None if self.groups is None else self.groups[ids]
        few = {"lengths": self.lengths[ids], "labels": self.labels[ids], "groups": groups}
        return replace(self, features=features, **few, parts=None, has_victim=None, has_visible=None, answers={})

    def cut(self, longest: int) -> Self:
        """The same samples, none longer than the first `longest` steps, and a note of how many that changed."""
        longer = int((self.lengths > longest).sum())
        if not longer:
            return self
        note = f"{longer} sequences cut to their first {longest} steps"
        features = {name: values.cut(longest) for name, values in self.features.items()}
        lengths = self.lengths.clamp(max=longest)
        return replace(self, features=features, lengths=lengths, notes=(*self.notes, note))


def _spread(values: Tensor) -> str:
    return f"from {values.min().item():.4g} to {values.max().item():.4g}"


def as_array(name: str, what: str, values: object, kind: type | None = None) -> np.ndarray:
    """`values` as one array of NumPy, or an error that says why they are none."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
    if np.ma.is_masked(values):  # np.asarray would read what the mask hides
        numbers = values.dtype.kind in "fiu"
        values = values.astype(float if numbers else object).filled(np.nan if numbers else None)
    try:
        return np.asarray(values, kind)
    except (ValueError, TypeError, RuntimeError) as error:
        found = line_of(error)
        raise InputError(f"{name}: {what} must be one array, padded where lengths differ; found {found}") from None


def is_nothing(value: object) -> bool:
    """Whether a label or a group says nothing: None, NaN, pandas' NA and NaT."""
    return value is None or (isinstance(value, Real) and math.isnan(value)) or str(value) in ("<NA>", "NaT")


def categories(name: str, what: str, values: object) -> tuple[np.ndarray, np.ndarray]:
    """The different names among (N,) values in order, and (N,) the place of each sample's name."""
    for place, one in enumerate(as_array(name, what, values, object).ravel()):
        if is_nothing(one) or (isinstance(one, Real) and math.isinf(one)):
            raise InputError(f"{name}: {what} must name something for every sample, found {one} at sample {place}")
    try:
        return np.unique(as_array(name, what, values), return_inverse=True)
    except TypeError as error:
        raise InputError(f"{name}: {what} must be whole numbers or strings, found a mixture: {error}") from None


def sequences(name: str, modality: str, values: object) -> Tensor:
    """(N, T, D) float32 from an array; what does not fit becomes infinite."""
    return exact_sequences(name, modality, values).float()


def exact_sequences(name: str, modality: str, values: object) -> Tensor:
    """(N, T, D) from an array: float32 as it is, any other number as float64."""
    values = as_array(name, modality, values)
    if values.ndim != 3 or values.dtype.kind not in "fiu" or 0 in values.shape:
        raise InputError(f"{name}: {modality} must be numbers of shape (N, T, D), found {values.dtype} {values.shape}")
    kind = np.float32 if values.dtype == np.float32 else np.float64
    return torch.from_numpy(np.require(values, kind, "CW"))


def as_float32(name: str, modality: str, values: Tensor, real: Tensor) -> Tensor:
    """`values` (N, T, D) in float32, or in float64 where float32 would round away what a feature says.

    A clock that counts milliseconds since 1970, say: it moves by less than float32 can tell apart there. `Standardise`
    centres it before anything else is done.

    Args:
        real: (N, T) bool, the steps that count.

    Raises:
        ValueError: a value is not finite in float32, or a feature is too small for it.
    """
    narrow = check_finite(name, modality, values, values.float())
    if values.dtype == torch.float32 or not real.any():
        return narrow
    steps = values[real]  # (L, D)
    spread, largest = steps.std(0, correction=0), steps.abs().amax(0)
    for feature in ((largest > 0) & (largest < TINIEST)).nonzero()[:1, 0].tolist():
        found = f"found none above {largest[feature].item():.3g} in feature {feature}"
        raise InputError(f"{name}: {modality} must hold numbers of {TINIEST:g} or more, {found}: take a smaller unit")
    rounded = (spread > 0) & (spread < FINE_ENOUGH * largest)
    return values if rounded.any() else narrow


def check_finite(name: str, modality: str, values: Tensor, narrow: Tensor) -> Tensor:
    """`narrow`, which are `values` (N, T, D) in float32, or an error that says where they are not finite."""
    for sample, step, feature in (~narrow.isfinite()).nonzero()[:1].tolist():
        found, where = values[sample, step, feature].item(), f"at sample {sample}, step {step}"
        if math.isfinite(found):
            raise InputError(f"{name}: {modality} must fit into float32, found {found:g} {where}: take a larger unit")
        raise InputError(f"{name}: {modality} must be finite, found NaN or infinity {where}")
    return narrow


def infer_task(name: str, values: object) -> str:
    """The task that labels are for: names are classes, fractions are scores, whole numbers could be either."""
    kind = as_array(name, "labels", values).dtype.kind
    if kind in "iu":
        raise InputError(f"{name}: labels are whole numbers: say task='classification' or task='regression'")
    if kind in "cmM":
        raise InputError(f"{name}: labels must be numbers or names, found complex numbers or times")
    return "regression" if kind == "f" else "classification"


def partial_labels(
    name: str, values: object, unlabelled: np.ndarray | None, count: int, task: str | None
) -> tuple[Tensor, tuple[str, ...], str]:
    """(N,) labels, NaN or -1 where `unlabelled`, whose values are not read; the names of the classes; the task."""
    if unlabelled is None:
        task = task or infer_task(name, values)
        return *task_labels(name, values, task), task
    known, values = ~unlabelled, as_array(name, "labels", values, object)
    if not known.any() or values.shape[:1] != (count,):
        raise InputError(f"{name}: {known.sum()} samples have a label, of {count}; found labels of {values.shape}")
    shown = values[known].tolist()
    task = task or infer_task(name, shown)
    told, classes = task_labels(name, shown, task)
    labels = torch.full((count,), torch.nan if told.is_floating_point() else -1, dtype=told.dtype)
    labels[torch.from_numpy(known)] = told
    return labels, classes, task


def task_labels(name: str, values: object, task: str) -> tuple[Tensor, tuple[str, ...]]:
    """(N,) labels of a task and the names of the classes."""
    given, values = values, as_array(name, "labels", values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise InputError(f"{name}: labels must have shape (N,), found {values.shape}")
    if task == "regression":
        if values.dtype.kind not in "fiu":
            asked = "for classes say task='classification'"
            raise InputError(f"{name}: labels of a regression must be finite numbers, found {values.dtype}; {asked}")
        for place in np.flatnonzero(~np.isfinite(values))[:1]:
            asked = "mark samples that have no label in unlabelled="
            found = f"found {values[place]} at sample {place}"
            raise InputError(f"{name}: labels of a regression must be finite numbers, {found}; {asked}")
        with np.errstate(over="ignore"):  # what does not fit becomes infinite
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"{name}: labels of a regression must fit into float32, found more than it can hold")
        return torch.from_numpy(values), ()
    if task == "classification":
        names, places = categories(name, "labels", given)
        if names.dtype.kind == "f" and not np.array_equal(names, np.floor(names)):
            raise InputError(f"{name}: labels of a classification must be whole numbers or strings")
        if len(names) < 2:
            raise InputError(f"{name}: a classification needs at least 2 classes, found {len(names)}")
        return torch.from_numpy(places.ravel().astype(np.int64)), tuple(str(one) for one in names)
    raise InputError(f"unknown task {task!r}; known: regression, classification")
