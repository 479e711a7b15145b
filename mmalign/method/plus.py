"""mm-align-plus: what complete pairs can teach when their labels are not known (chapter "When imputation pays").

With every label known, what is imagined from the visible sequence adds nothing to it. A complete pair without a
label still says something: what both modalities together would answer. Here that answer is the target of the path
that sees one modality only. One stage, one optimiser, and a switch for every term. This is ours, not the paper's.
"""

from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..batch import Batch, DataSpec, Samples
from ..config import AlignmentConfig
from ..errors import InputError
from ..settings import Chance, CountOr0, Positive, Weight, each
from ..system import Stage, Step
from .backbone import Attention, Backbone
from .denoising import temperature
from .model import Aligning

FITTED = {"weights": ("transport", "learnt", "random")}  # where there is a fitter
Weights = Literal["transport", "learnt", "identity", "random", "global"]
Teachers = Literal["complete", "shuffled", "self", "mean", "double"]


@dataclass(frozen=True, kw_only=True)
class MMAlignPlusConfig(AlignmentConfig):
    """The terms of mm-align-plus and its controls."""

    only_with: ClassVar = {
        **each("window", "fitter_width", "fitter_head", "impute_orientation", "impute_norm", **FITTED),
        **each("mu", "solver", "fit_reduction", weights="transport"),
        **each("tol", "max_sweeps", weights="transport", solver="sinkhorn"),
        "softening": {"consistency": True},
        "teacher_decay": {"teacher": "mean"},
    }

    warmup: Annotated[CountOr0, "epochs that only train the teacher; teacher=double needs some"] = 0
    imputed_label: Annotated[bool, "the label loss on the imputed path of complete samples too"] = True
    consistency: Annotated[Weight, "weight of the distance from the teacher's answer to the imputed one"] = 1.0
    softening: Annotated[Positive, "temperature of both answers of a classification in that distance"] = 2.0
    value: Annotated[Weight, "weight of the regression of imagined steps to the victim's; 0: no value projection"] = 1.0
    weights: Annotated[
        Weights,
        'step to step; "transport" fits plans; "learnt" from the losses; "random" as drawn; "global" is attention',
    ] = "identity"
    teacher: Annotated[
        Teachers,
        'both modalities; controls: "shuffled" victims, "self", "mean", "double"',
    ] = "complete"
    teacher_decay: Annotated[Chance, "of the moving average of teacher=mean"] = 0.99

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.teacher == "double") != (self.warmup > 0):
            raise InputError(f"a warm-up goes with teacher=double, found {self.teacher} and {self.warmup} epochs")
        if self.sees_no_victim and (self.weights != "identity" or self.value or self.lambda_con):
            raise InputError(
                f"teacher={self.teacher} sees no victim: it goes with weights=identity, value=0, lambda_con=0"
            )

    @property
    def sees_no_victim(self) -> bool:
        """Whether training never looks at the victim: the controls that any gain must beat."""
        return self.teacher in ("self", "mean")


class MMAlignPlus(Aligning[MMAlignPlusConfig]):
    """MM-Align whose imputed answer follows the complete one, labelled or not."""

    config_type = MMAlignPlusConfig

    def __init__(self, spec: DataSpec, config: MMAlignPlusConfig) -> None:
        super().__init__(spec, config)
        self.value = nn.Linear(config.width, config.width) if config.value else nn.Identity()
        self.attend = Attention(config.width, heads=1) if config.weights == "global" else None
        if config.teacher == "double":
            self.teacher = Backbone(spec, config)
        else:
            self.teacher = deepcopy(self.backbone) if config.teacher == "mean" else None

    def groups(self) -> dict[str, list[nn.Parameter]]:
        groups = super().groups()
        groups["backbone"] += self.value.parameters()
        if self.attend is not None:
            groups["backbone"] += self.attend.parameters()
        if self.teacher is not None:
            groups["teacher"] = [*self.teacher.parameters()]
        return groups

    def learn_scales(self, samples: Samples) -> None:
        super().learn_scales(samples)
        if self.teacher is not None:
            self.teacher.learn_scales(samples)

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """Everything at once over all samples; before that, if asked, a teacher that sees both modalities."""
        if epoch < self.warmup:
            return [Stage("complete", (Step("teach", self.teaching_loss, ("teacher",)),))]
        loss = partial(self.joint_loss, temperature(self.config, epoch, epochs))
        moves = ("backbone", "dynamics") if self.config.weights in ("transport", "learnt") else ("backbone",)
        return [Stage("all", (Step("joint", loss, moves),))]

    # ---- the losses ---------------------------------------------------------------------------------------

    def teaching_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss of the teacher that is trained beforehand, as `double` is."""
        return {"task": self.teacher.task_loss(_both(self.teacher, batch), batch.labels)}

    def joint_loss(self, tau: float, batch: Batch) -> dict[str, Tensor]:
        """Every term of one batch; samples without victim know the first only."""
        first = self.backbone.encode(batch, 0)
        imagined = self.imagine(first, batch)
        imputed = self.backbone.read(first, imagined, batch.real)
        told = torch.ones_like(batch.complete) if self.config.imputed_label else ~batch.complete
        parts = {"label": self.backbone.task_loss(imputed[told], batch.labels[told])}
        if self.config.sees_no_victim:
            return parts | self.consistency_loss(imputed, self._victimless(first, imagined, batch))
        here = batch.complete
        if not here.any():
            return parts
        pairs = batch.rows(here)
        if self.config.teacher == "shuffled":
            pairs = _shuffled(pairs)
            first = self.backbone.encode(pairs, 0)
            imagined = self.imagine(first, pairs)
        else:
            first, imagined = (states[here, : pairs.visible.shape[1] + 1] for states in (first, imagined))
        second = self.backbone.encode(pairs, 1)
        complete = self.backbone.read(first, second, pairs.real)
        parts["complete"] = self.backbone.task_loss(complete, pairs.labels)
        with torch.no_grad():
            target = complete if self.config.teacher != "double" else _both(self.teacher, pairs)
        parts |= self.consistency_loss(imputed[here], target)
        parts |= self.contrast(tau, first, second)
        if self.config.value:
            parts["value"] = self.config.value * value_loss(imagined, second.detach(), pairs.real)
        if self.config.weights == "transport":
            parts |= self.fitting(first.detach(), second.detach(), pairs)
        return parts

    def consistency_loss(self, answer: Tensor, target: Tensor) -> dict[str, Tensor]:
        """How far an answer is from a teacher's: squared error in label spreads, or softened KL divergence.

        The square of the temperature keeps the gradient's size (Hinton, Vinyals and Dean, arXiv 1503.02531).
        """
        if not self.config.consistency:
            return {}
        target = target.detach()
        if self.spec.task == "regression":
            distance = self.backbone.task_loss(answer, target)
        else:
            soft = self.config.softening
            ours, theirs = (F.log_softmax(logits / soft, dim=1) for logits in (answer, target))
            distance = soft**2 * F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
        return {"consistency": self.config.consistency * distance}

    @torch.no_grad()
    def after_step(self, step: Step, batch: Batch) -> None:
        """The teacher that is a moving average follows."""
        if self.config.teacher == "mean":
            for mine, theirs in zip(self.teacher.parameters(), self.backbone.parameters(), strict=True):
                mine.lerp_(theirs, 1 - self.config.teacher_decay)

    # ---- what stands in for the victim --------------------------------------------------------------------

    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        """(B, T+1, D) visible states -> (B, T+1, D): the alignment's weights applied to V(z1), head first."""
        steps, kind = first[:, 1:], self.config.weights
        if kind == "global":
            imagined = self.attend(steps, self.value(steps), batch.real)
        elif kind == "identity":
            imagined = self.value(steps)
        else:
            weights = self.dynamics.fitter(steps, batch.lengths)
            if kind != "learnt":  # fitted to plans, or left as they were drawn
                weights = weights.detach()
            imagined = self.dynamics.imagine(weights, self.value(steps), batch.real)
        return torch.cat([self.victim_head(first), imagined], dim=1)

    def _victimless(self, first: Tensor, imagined: Tensor, batch: Batch) -> Tensor:
        """The answer of a teacher that has seen no victim: the same network under other dropout, or its mean."""
        with torch.no_grad():
            if self.config.teacher == "self":
                return self.backbone.read(first, imagined, batch.real)
            states = self.teacher.encode(batch, 0)
            return self.teacher.read(states, torch.cat([self.victim_head(first), states[:, 1:]], dim=1), batch.real)


def value_loss(imagined: Tensor, second: Tensor, real: Tensor) -> Tensor:
    """Squared error of imagined states against the victim's, which are normalised: no scale can be gamed. ()

    imagined, second: (B, T+1, D), head first, which does not count; real: (B, T).
    """
    target = F.layer_norm(second[:, 1:], second.shape[2:])
    return F.mse_loss(imagined[:, 1:][real], target[real])


def _both(network: Backbone, batch: Batch) -> Tensor:
    """The answer from both modalities."""
    return network.read(network.encode(batch, 0), network.encode(batch, 1), batch.real)


def _shuffled(batch: Batch) -> Batch:
    """Each visible sequence beside somebody else's victim, both cut to the shorter: the control of the pairing."""
    partner = torch.randperm(len(batch), device=batch.lengths.device)
    lengths = torch.minimum(batch.lengths, batch.lengths[partner])
    return replace(batch, features=(batch.visible, batch.victim[partner]), lengths=lengths)
