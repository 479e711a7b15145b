"""The one thing that systems are handed, and the axis legend of the package.

Axes: B sequences, T padded time steps, D features, W half-window, M modalities, K classes.
The victim's features of a sample that lacks it are NaN from the loader on, so that a system that
reads them shows it.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from . import masks
from .errors import InputError

VISIBLE, VICTIM = 0, 1  # the first two modalities; others may follow


@dataclass(frozen=True)
class DataSpec:
    """What a system must know of a data set before it can be built, and what it may be used on afterwards."""

    modalities: tuple[str, ...]  # the visible one first, the victim second
    widths: tuple[int, ...]  # raw features of each
    task: str  # "regression" or "classification"
    classes: int = 1  # K; 1 for regression
    class_names: tuple[str, ...] = ()  # K, in the order of the logits; () in files of the first release
    loss: str = "squared"  # of a regression, whose best answer is the mean; "absolute": the median

    def __str__(self) -> str:
        kinds = f"classes {', '.join(self.class_names) or self.classes}" if self.task == "classification" else "scores"
        return f"{_told(self.modalities, self.widths)}, {kinds}"

    @property
    def outputs(self) -> int:
        return self.classes if self.task == "classification" else 1

    def check_features(self, modalities: tuple[str, ...], widths: tuple[int, ...]) -> None:
        """Raise `InputError` unless these are the modalities a system of this kind was built for.

        Arrays in memory are called `visible` and `victim` and go with any names; else names count, not only widths.
        """
        other_names = modalities != self.modalities and UNNAMED not in (modalities, self.modalities)
        if widths != self.widths or other_names:
            built, found = (_told(*one) for one in ((self.modalities, self.widths), (modalities, widths)))
            raise InputError(f"the model was built for {built}; found {found}")

    def check_labels(self, task: str, classes: int, class_names: tuple[str, ...]) -> None:
        """Raise `InputError` unless labels of this kind can be the answers of such a system."""
        if task != self.task:
            raise InputError(f"the model was built for a {self.task}; found labels of a {task}")
        if not (self.class_names and class_names) and classes != self.classes:
            raise InputError(f"the model was built for {self.classes} classes; found {classes}")


UNNAMED = ("visible", "victim")  # what modalities are called that nobody gave a name


def _told(modalities: tuple[str, ...], widths: tuple[int, ...]) -> str:
    """What modalities there are, for people: acc (6 features), gyro (6 features)."""
    names = modalities if len(modalities) == len(widths) else [f"modality {place}" for place in range(len(widths))]
    return ", ".join(f"{name} ({width} features)" for name, width in zip(names, widths, strict=True))


def is_known(labels: Tensor) -> Tensor:
    """(B,) bool, False where a label is NaN or -1, as labels that are not shown are."""
    return ~labels.isnan() if labels.is_floating_point() else labels >= 0


def without_victim(present: Tensor) -> Tensor:
    """(B, M) bool, the second modality absent everywhere."""
    return present & (torch.arange(present.shape[1], device=present.device) != 1)


class Samples:
    """What is known of samples, padded (`Batch`) or not yet (`data.Stored`)."""

    features: tuple[Any, ...]  # of M modalities
    labels: Tensor  # (B,) float, NaN if not labelled; or (B,) long, -1 if not labelled
    present: Tensor  # (B, M) bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def complete(self) -> Tensor:
        """(B,) bool, True where no modality is absent."""
        return self.present.all(dim=1)

    @property
    def labelled(self) -> Tensor:
        """(B,) bool, True where the label is shown."""
        return is_known(self.labels)

    def __repr__(self) -> str:
        widths = ", ".join(f"{values.shape[2]} features" for values in self.features)
        here, known = int(self.complete.sum()), int(self.labelled.sum())
        return f"{type(self).__name__}: {len(self)} samples ({widths}), {here} complete, {known} labelled"

    @abstractmethod
    def seen(self, place: int) -> Tensor:
        """(L, D_m) all real steps of one modality where it is present."""

    @abstractmethod
    def rows(self, chosen: Tensor) -> "Batch":
        """The samples that `chosen` names, by place or by mask, padded to the longest of them."""


@dataclass(frozen=True, repr=False)
class Batch(Samples):
    """Some samples, padded to a common number of steps."""

    features: tuple[Tensor, ...]  # M tensors (B, T, D_m); NaN where the modality is absent
    lengths: Tensor  # (B,) true number of steps
    labels: Tensor
    present: Tensor
    ids: Tensor  # (B,) place of each sample in its source

    @property
    def visible(self) -> Tensor:
        """(B, T, D1) the modality that is always there."""
        return self.features[0]

    @property
    def victim(self) -> Tensor:
        """(B, T, D2) the modality that may be absent, then NaN."""
        return self.features[1]

    @cached_property
    def real(self) -> Tensor:
        """(B, T) bool, False on padding."""
        return masks.real_steps(self.lengths, self.visible.shape[1])

    def seen(self, place: int) -> Tensor:
        return self.features[place][self.real & self.present[:, place, None]]

    @classmethod
    def join(cls, batches: Sequence[Self]) -> Self:
        """Some batches as one, padded to the longest."""
        steps = max(one.visible.shape[1] for one in batches)
        features = tuple(
            torch.cat([F.pad(values, (0, 0, 0, steps - values.shape[1])) for values in modality])
            for modality in zip(*(one.features for one in batches), strict=True)
        )
        rest = zip(*((one.lengths, one.labels, one.present, one.ids) for one in batches), strict=True)
        return cls(features, *map(torch.cat, rest))

    def rows(self, chosen: Tensor) -> "Batch":
        lengths = self.lengths[chosen]
        steps = int(lengths.max()) if len(lengths) else 0
        features = tuple(values[chosen][:, :steps] for values in self.features)
        return Batch(features, lengths, self.labels[chosen], self.present[chosen], self.ids[chosen])

    def hidden(self) -> Self:
        """The same samples, none with its victim."""
        features = tuple(
            torch.full_like(values, torch.nan) if place == 1 else values for place, values in enumerate(self.features)
        )
        return replace(self, features=features, present=without_victim(self.present))

    part = rows  # what `data.Stored`, which is padded later, calls a selection

    def to(self, device: torch.device | str) -> "Batch":
        """The same samples on another device."""
        features = tuple(values.to(device) for values in self.features)
        rest = (self.lengths, self.labels, self.present, self.ids)
        return Batch(features, *(values.to(device) for values in rest))
