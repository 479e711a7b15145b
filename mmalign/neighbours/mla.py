"""MLA: one modality at a time, through one head that is kept from forgetting the others.

Zhang, Yoon, Bansal, Yao: Multimodal representation learning by alternating unimodal adaptation, CVPR 2024,
arXiv 2311.10707. Chapter "MLA". P (D, D) guards the head, h is a mean feature, O outputs of the head.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch, DataSpec, Samples
from ..errors import InputError, whole
from ..settings import Positive, each
from ..system import Part, Stage, Step
from .certainty import Bins, Classes, Gaussian
from .senses import Neighbour, NeighbourConfig, fuse


@dataclass(frozen=True, kw_only=True)
class MLAConfig(NeighbourConfig):
    """A switch for each part, and how a number is told by something that has an entropy."""

    only_with: ClassVar = {
        **each("lambda_start", "lambda_end", "p_norm", "p_scope", hgm=True),
        "bins": {"numbers": "binned"},
    }

    alternate: Annotated[bool, "False: one step on the sum of the modalities' losses"] = True
    shared_head: Annotated[bool, "False: each modality has its own"] = True
    hgm: Annotated[
        bool, "the gradient of the shared head is modified; code: False, what it tests for never matches"
    ] = True
    lambda_start: Annotated[Positive, "resistance to a new direction, first batch of an epoch; as in the code"] = 0.1
    lambda_end: Annotated[Positive, "the same at the epoch's end, geometrically between"] = 0.01
    p_norm: Annotated[Literal["none", "fro"], 'code: "fro", P is divided by its Frobenius norm after every update'] = (
        "none"
    )
    p_scope: Annotated[Literal["all", "other"], "\"other\": a modality's P is made of the others' features only"] = (
        "all"
    )
    fusion: Annotated[
        Literal["entropy", "equal", "official"], 'code: "official", one weight for all samples of a batch'
    ] = "entropy"
    numbers: Annotated[
        Literal["binned", "gaussian"], 'a regression: classes made of ranges, or "gaussian", a mean and a variance'
    ] = "binned"
    bins: Annotated[int, whole(2), 'of "binned"'] = 7

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hgm and not self.shared_head:
            raise InputError("hgm guards a head that modalities share: shared_head=False goes with hgm=False")


# What the released commands run (chapter "MLA").
OFFICIAL_MLA = {"hgm": False, "fusion": "official"}


def guard(before: Tensor, feature: Tensor, resistance: float) -> Tensor:
    """P after one more mean feature: recursive least squares (Haykin, "Adaptive filter theory", chapter 10).

    Over all steps, P = (I + sum of h h^T / lambda)^-1: the identity, but small along what was already used.

    Args:
        before: (D, D) symmetric.
        feature: (D,) h.
        resistance: lambda; the smaller, the closer the direction is to being blocked.

    >>> guard(torch.eye(2), torch.tensor([1.0, 0.0]), 0.1).diag()  # 1/11 and 1
    tensor([0.0909, 1.0000])
    """
    seen = before @ feature
    return before - torch.outer(seen, seen) / (resistance + feature @ seen)


def entropy_weights(entropies: Tensor, present: Tensor) -> Tensor:
    """(B, M), (B, M) bool -> (B, M): the surer, the more; 0 where absent, 1 in sum (test-time dynamic fusion).

    >>> entropy_weights(torch.tensor([[math.log(2), 0.0, 0.0]]), torch.tensor([[True, True, False]]))
    tensor([[0.3333, 0.6667, 0.0000]])
    """
    return (-entropies).masked_fill(~present, -torch.inf).softmax(1)


class MLA(Neighbour[MLAConfig]):
    """Alternating unimodal adaptation: never a joint loss; fusion by entropy, in prediction only."""

    config_type = MLAConfig

    def __init__(self, spec: DataSpec, config: MLAConfig) -> None:
        super().__init__(spec, config)
        count = len(spec.widths)
        if spec.task == "classification":
            self.meaning = Classes(spec.outputs)
        else:
            self.meaning = Bins(config.bins) if config.numbers == "binned" else Gaussian()
        heads = 1 if config.shared_head else count
        self.heads = nn.ModuleList(nn.Linear(config.width, self.meaning.outputs) for _ in range(heads))
        guards = count if config.p_scope == "other" else 1
        # In doubles: thousands of subtractions must leave P positive.
        self.register_buffer("guards", torch.eye(config.width, dtype=torch.float64).repeat(guards, 1, 1))
        self.plasticity: list[float] = []  # tr(P) / D before each epoch; near 0 the head no longer learns
        self._guards_next = self.guards
        self._samples, self._seen = math.inf, [0] * count  # of an epoch, and by each modality so far

    def learn_scales(self, samples: Samples) -> None:
        super().learn_scales(samples)
        self.meaning.learn_scale(samples)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        encoders = {name: self.senses.owned(place) for place, name in enumerate(self.spec.modalities)}
        return {**encoders, "head": [*self.heads.parameters()]}

    def prepare(self, epoch: int, train: Part) -> None:
        """Lambda starts again; the state of P is noted."""
        self._samples, self._seen = len(train), [0] * len(self._seen)
        self.plasticity.append(self.guards.diagonal(dim1=1, dim2=2).mean().item())

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """One step per modality in turn, or the ablation: all in one."""
        names = self.spec.modalities
        if not self.config.alternate:
            return [Stage("all", (Step("sum", self.sum_loss, (*names, "head")),))]
        steps = (Step(name, partial(self.loss_of, place), (name, "head")) for place, name in enumerate(names))
        return [Stage("all", tuple(steps))]

    def loss_of(self, place: int, batch: Batch) -> dict[str, Tensor]:
        """Task loss of one modality on the samples that have it; without any, no step."""
        return {"task": part for part in self._losses((place,), batch).values()}  # noqa: B035, one or none

    def sum_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The losses of all modalities at once."""
        return self._losses(range(len(self.spec.modalities)), batch)

    def _losses(self, places: Iterable[int], batch: Batch) -> dict[str, Tensor]:
        """The loss of each of some modalities, by name; its gradient on the head's weight is modified (HGM).

        A gradient is multiplied by the P of the earlier steps, and then the mean feature enters P. Within one step
        gradients come back last modality first. What P will be is only noted: `after_step` makes it so.
        """
        parts, turns = {}, []
        for place in places:
            some = batch.rows(batch.present[:, place] & batch.labelled)
            if len(some):
                feature, head = self.senses.pooled(some, place), self._head(place)  # (B', D)
                # A hook on the weight that this step uses: one that looks for a name may never find it (as released).
                weight = head.weight.view_as(head.weight)
                out = F.linear(feature, weight, head.bias)
                parts[self.spec.modalities[place]] = self.meaning.loss(out, some.labels)
                turns.append((place, weight, feature.detach().mean(0)))
        guards = self.guards
        for place, weight, mean in reversed(turns):
            if self.config.hgm and weight.requires_grad:
                mine = guards[0 if len(guards) == 1 else place].to(weight)
                weight.register_hook(lambda gradient, mine=mine: gradient @ mine)
                guards = self._guards_after(guards, place, mean)
        self._guards_next = guards
        return parts

    def _guards_after(self, guards: Tensor, place: int, mean: Tensor) -> Tensor:
        """(P, D, D), this step's mean feature (D,) included."""
        resistance = self.resistance(self._seen[place] / self._samples)
        after = guards.clone()
        for whose in range(len(guards)):
            if len(guards) == 1 or whose != place:
                after[whose] = guard(guards[whose], mean.to(guards), resistance)
                if (
                    self.config.p_norm == "fro"
                ):  # as released: at length 1, P cannot freeze the head however long it trains
                    after[whose] /= after[whose].norm()
        return after

    @torch.no_grad()
    def after_step(self, step: Step, batch: Batch) -> None:
        """P becomes what the step's loss found; its modalities have seen more of the epoch."""
        self.guards.copy_(self._guards_next)
        for place, name in enumerate(self.spec.modalities):
            self._seen[place] += len(batch) * (name in step.moves)

    def resistance(self, done: float) -> float:
        """Lambda when a share of an epoch is `done`; the code counts it in batches, here samples are counted."""
        return self.config.lambda_start * (self.config.lambda_end / self.config.lambda_start) ** done

    def _head(self, place: int) -> nn.Linear:
        return self.heads[place if len(self.heads) > 1 else 0]

    # ---- prediction -------------------------------------------------------------------------------------

    def outputs(self, batch: Batch) -> Tensor:
        """(B, M, O): what the head says of each modality; where it is absent, anything finite."""
        places = range(len(self.spec.widths))
        return torch.stack([self._head(place)(self.senses.pooled(batch, place)) for place in places], dim=1)

    def weigh(self, outputs: Tensor, present: Tensor) -> Tensor:
        """(B, M, O), (B, M) -> (B, M): how much each modality counts."""
        if self.config.fusion == "equal":
            return present / present.sum(1, keepdim=True)
        if self.config.fusion == "entropy":
            return entropy_weights(self.meaning.entropy(outputs), present)
        # As released: shares of the batch where shares of the classes are meant, and one sum over everything.
        among = outputs.masked_fill(~present[:, :, None], -torch.inf).softmax(0).clamp(min=1e-30)  # (B, M, O)
        whole_batch = -(among * among.log()).sum((0, 2)).expand(len(outputs), -1)
        return entropy_weights(whole_batch, present)

    def weights(self, batch: Batch) -> Tensor:
        """(B, M): how much each modality counts in each prediction; 0 where absent, 1 in sum."""
        return self.weigh(self.outputs(batch), batch.present)

    def predict(self, batch: Batch) -> Tensor:
        """(B,) scores in the units of the labels, or (B, K) logits: the weighted mean of outputs, read."""
        outputs = self.outputs(batch)
        return self.meaning.read(fuse(outputs, self.weigh(outputs, batch.present)))
