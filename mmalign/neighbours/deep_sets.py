"""Deep multi-modal sets: what is there is a set, and what is absent is not in it.

Reiter, Jia, Yang, Lim: Deep multi-modal sets, arXiv 2003.01607. Chapter "Deep sets". N elements of a set.
"""

import math
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch, DataSpec
from ..errors import InputError
from ..method.backbone import CrossStack
from ..method.encoders import Standardise
from ..method.readout import Readout
from ..settings import Chance, each
from ..system import Stage, Step
from .senses import Neighbour, NeighbourConfig, Scaled, Senses

ENCODED = {"elements": ("modality", "hierarchical")}  # where there are encoders
WAVES = 4  # sines and cosines that tell an element its place in the sequence


@dataclass(frozen=True, kw_only=True)
class DeepSetsConfig(NeighbourConfig):
    """What an element is and how elements become one vector."""

    only_with: ClassVar = {
        **each("kernel", "encoder_layers", "encoder_dropout", "positional", "cls", **ENCODED),
        "heads": (ENCODED, {"pooling": "transformer"}),
        "balance": {"pooling": "sum"},
    }

    elements: Annotated[
        Literal["steps", "modality", "hierarchical"],
        'every step is one; "modality", one each; "hierarchical", one each that has read the others',
    ] = "steps"
    pooling: Annotated[
        Literal["sum", "mean", "max", "min", "attention", "transformer", "concat"],
        '"concat" is no set: zeros for what is absent',
    ] = "sum"
    balance: Annotated[bool, "sum: each element counts 1 / (elements of its modality), else the longest rules"] = True
    modality_dropout: Annotated[Chance, "chance to hide a modality of a training sample"] = 0.0
    dropout: Annotated[Chance, "between the elements, where they read one another, and in the head"] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pooling == "concat" and self.elements != "modality":
            raise InputError(f"pooling=concat goes with elements=modality, found {self.elements}")


# ---- sets of vectors ----------------------------------------------------------------------------------


class Elements(NamedTuple):
    """A set for every sample, in N slots."""

    values: Tensor  # (B, N, D)
    inside: Tensor  # (B, N) bool, False: an empty slot
    owner: Tensor  # (N,) the modality of each slot


def pool(values: Tensor, inside: Tensor, how: str) -> Tensor:
    """(B, N, D), (B, N) bool -> (B, D): one vector for each set that is not empty, whatever its order.

    >>> two = torch.tensor([[[1.0, 4.0], [3.0, 2.0], [9.0, 9.0]]]), torch.tensor([[True, True, False]])
    >>> [pool(*two, how).tolist() for how in ("max", "min", "sum", "mean")]
    [[[3.0, 4.0]], [[1.0, 2.0]], [[4.0, 6.0]], [[2.0, 3.0]]]
    """
    slots = inside[:, :, None]
    if how == "max":
        return values.masked_fill(~slots, -torch.inf).amax(1)
    if how == "min":
        return values.masked_fill(~slots, torch.inf).amin(1)
    total = values.masked_fill(~slots, 0).sum(1)
    return total / inside.sum(1, keepdim=True).clamp(min=1) if how == "mean" else total


def importance(values: Tensor, inside: Tensor, how: str = "max") -> Tensor:
    """(B, N, D), (B, N) bool -> (B, N): share of the features that an element wins; ties are split.

    >>> importance(torch.tensor([[[1.0, 4.0], [3.0, 2.0], [0.0, 0.0]]]), torch.ones(1, 3, dtype=torch.bool))
    tensor([[0.5000, 0.5000, 0.0000]])
    """
    wins = (values == pool(values, inside, how)[:, None]) & inside[:, :, None]  # (B, N, D)
    return (wins / wins.sum(1, keepdim=True).clamp(min=1)).mean(2)


def readable(inside: Tensor) -> Tensor:
    """(B, N) bool: the set, or everything where it is empty, since attention to nothing is NaN."""
    return inside | ~inside.any(1, keepdim=True)


class SetAttention(nn.Module):
    """softmax over the set of w . tanh(V e): (B, N, D), (B, N) -> (B, N) weights, 0 in empty slots."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(width, width // 2, bias=False), nn.Tanh(), nn.Linear(width // 2, 1, False))

    def forward(self, values: Tensor, inside: Tensor) -> Tensor:
        return self.score(values)[:, :, 0].masked_fill(~readable(inside), -torch.inf).softmax(1) * inside


# ---- from samples to elements -------------------------------------------------------------------------


def mlp(features: int, width: int, outputs: int, dropout: float = 0.0) -> nn.Sequential:
    """Two layers. The last is linear: after a ReLU a forgotten zero would be invisible to a max or a sum."""
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))


def places(real: Tensor) -> Tensor:
    """(B, T) bool -> (B, T, 2 WAVES): where in its own sequence a step stands, from 0 at the first to 1 at the last."""
    steps = torch.arange(real.shape[1], device=real.device)
    share = steps / (real.sum(1, keepdim=True) - 1).clamp(min=1)  # (B, T)
    angles = math.pi * share[:, :, None] * torch.arange(1, WAVES + 1, device=real.device)
    return torch.cat([angles.sin(), angles.cos()], dim=2)


class StepElement(nn.Module):
    """phi_m of a step: its features and its place -> (D,). Order is a feature, so that the set can forget it."""

    def __init__(self, features: int, config: DeepSetsConfig) -> None:
        super().__init__()
        self.standardise = Standardise(features, config.clip_features)
        self.map = mlp(features + 2 * WAVES, config.width, config.width)


class StepSets(Scaled):
    """Every real step of every present modality is an element."""

    def __init__(self, spec: DataSpec, config: DeepSetsConfig) -> None:
        super().__init__()
        self.embed = nn.ModuleList(StepElement(features, config) for features in spec.widths)

    def elements(self, batch: Batch) -> Elements:
        """N = M T slots."""
        told = places(batch.real)
        values = [
            embed.map(torch.cat([self.clean(batch, place), told], dim=2)) for place, embed in enumerate(self.embed)
        ]
        inside = (batch.present[:, :, None] & batch.real[:, None]).flatten(1)
        owner = torch.arange(len(self.embed), device=inside.device).repeat_interleave(batch.real.shape[1])
        return Elements(torch.cat(values, dim=1), inside, owner)


class ModalitySets(Senses):
    """Every present modality is one element: phi_m of the mean of its encoder's states."""

    def __init__(self, spec: DataSpec, config: DeepSetsConfig) -> None:
        super().__init__(spec, config)
        self.map = nn.ModuleList(mlp(config.width, config.width, config.width) for _ in spec.widths)

    def elements(self, batch: Batch) -> Elements:
        """N = M slots."""
        values = [phi(self.pooled(batch, place)) for place, phi in enumerate(self.map)]
        return Elements(torch.stack(values, dim=1), batch.present, torch.arange(len(values), device=values[0].device))


def drop_modalities(batch: Batch, chance: float) -> Batch:
    """Hide each modality of each sample with a chance; a sample that would lose all keeps what it has."""
    kept = batch.present & (torch.rand(batch.present.shape, device=batch.present.device) >= chance)
    return replace(batch, present=kept.where(kept.any(1, keepdim=True), batch.present))


class DeepSets(Neighbour[DeepSetsConfig]):
    """Encode into a common space, pool, predict; nothing is imputed, nothing else is learnt.

    A learned embedding of the modality, which some add to the elements, is already there: phi_m ends with a bias.
    """

    config_type = DeepSetsConfig

    def __init__(self, spec: DataSpec, config: DeepSetsConfig) -> None:
        super().__init__(spec, config, (StepSets if config.elements == "steps" else ModalitySets)(spec, config))
        width = config.width
        reads_others = config.elements == "hierarchical" or config.pooling == "transformer"
        self.mix = CrossStack(width, config.heads, 1, config.dropout) if reads_others else None
        self.attention = SetAttention(width) if config.pooling == "attention" else None
        pooled = len(spec.widths) * width if config.pooling == "concat" else width
        self.nothing = nn.Parameter(torch.zeros(pooled))  # stands for the empty set
        self.answer = Readout(mlp(pooled, width, spec.outputs, config.dropout), spec)  # rho

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """The task, on all samples."""
        return [Stage("all", (Step("task", self.loss),))]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss, with some modalities hidden if asked."""
        if self.config.modality_dropout:
            batch = drop_modalities(batch, self.config.modality_dropout)
        return {"task": self.answer.loss(self.predict(batch), batch.labels)}

    def predict(self, batch: Batch) -> Tensor:
        """(B,) scores in the units of the labels, or (B, K) logits, from whatever is present."""
        return self.answer(self.pooled(self.elements(batch)))

    def elements(self, batch: Batch) -> Elements:
        """The set of every sample; "hierarchical" and "transformer" let its elements read one another."""
        found = self.senses.elements(batch)
        if self.mix is None:
            return found
        return found._replace(values=self.mix(found.values, found.values, readable(found.inside)))

    def pooled(self, found: Elements) -> Tensor:
        """(B, D) z, or (B, M D) of "concat"; a learned vector for the empty set."""
        return torch.where(found.inside.any(1, keepdim=True), self._pool(*found), self.nothing)

    def _pool(self, values: Tensor, inside: Tensor, owner: Tensor) -> Tensor:
        how = self.config.pooling
        if how == "concat":
            return values.masked_fill(~inside[:, :, None], 0).flatten(1)
        if how == "attention":
            values = self.attention(values, inside)[:, :, None] * values
        if how == "sum" and self.config.balance:
            counts = self._by_modality(inside, owner)[:, owner].clamp(min=1)  # (B, N)
            values = values / counts[:, :, None]
        return pool(values, inside, {"attention": "sum", "transformer": "mean"}.get(how, how))

    def _by_modality(self, numbers: Tensor, owner: Tensor) -> Tensor:
        """(B, N), (N,) -> (B, M) sums."""
        return numbers.float() @ F.one_hot(owner, len(self.spec.modalities)).float()

    def weights(self, batch: Batch) -> Tensor:
        """(B, M): each modality's share in the pooled vector, 0 where absent; all 0 for the empty set.

        The sum over its elements of the features they win (max, min), or of their attention.

        Raises:
            ValueError: this pooling has no such share.
        """
        values, inside, owner = self.elements(batch)
        if self.attention is not None:
            return self._by_modality(self.attention(values, inside), owner)
        if self.config.pooling not in ("max", "min"):
            raise InputError(f"importance is read from pooling max, min or attention, found {self.config.pooling}")
        return self._by_modality(importance(values, inside, self.config.pooling), owner)
