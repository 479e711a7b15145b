"""Late fusion: a model of its own for every modality, and the mean of what those that are there say.

The control that work on fusion most often leaves out, with as many updates of every encoder as the others
have (averaging: Zhou 2012, "Ensemble Methods: Foundations and Algorithms", section 4.2). Chapter "MLA".
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from ..batch import Batch, DataSpec
from ..method.readout import Readout
from ..system import Stage, Step
from .senses import Neighbour, NeighbourConfig, fuse


@dataclass(frozen=True, kw_only=True)
class LateFusionConfig(NeighbourConfig):
    """Whether the models know of one another while they are trained."""

    training: Annotated[
        Literal["separate", "joint"], '"joint": the loss is that of the mean, so that one modality can rest on another'
    ] = "separate"


class LateFusion(Neighbour[LateFusionConfig]):
    """One encoder and one linear head per modality; equal weights over what is present.

    All stop at the same epoch, the one where their mean did best on validation.
    """

    config_type = LateFusionConfig

    def __init__(self, spec: DataSpec, config: LateFusionConfig) -> None:
        super().__init__(spec, config)
        self.heads = nn.ModuleList(Readout(nn.Linear(config.width, spec.outputs), spec) for _ in spec.widths)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            name: [*self.senses.owned(place), *self.heads[place].parameters()]
            for place, name in enumerate(self.spec.modalities)
        }

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """A step per modality, each with its own loss; or one step for all, with the loss of the mean."""
        names = self.spec.modalities
        if self.config.training == "joint":
            return [Stage("all", (Step("joint", self.joint_loss, names),))]
        return [Stage("all", tuple(Step(name, partial(self.loss_of, m), (name,)) for m, name in enumerate(names)))]

    def answer(self, batch: Batch, place: int) -> Tensor:
        """(B,) or (B, K): what one modality says; where it is absent, anything finite."""
        return self.heads[place](self.senses.pooled(batch, place))

    def loss_of(self, place: int, batch: Batch) -> dict[str, Tensor]:
        """Task loss of one modality on the samples that have it; without any, no step."""
        some = batch.rows(batch.present[:, place] & batch.labelled)
        return {"task": self.heads[place].loss(self.answer(some, place), some.labels)} if len(some) else {}

    def joint_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss of the mean."""
        return {"task": self.heads[0].loss(self.predict(batch), batch.labels)}

    def weights(self, batch: Batch) -> Tensor:
        """(B, M): the same for all that are present, 0 for the others, 1 in sum."""
        return batch.present / batch.present.sum(1, keepdim=True)

    def predict(self, batch: Batch) -> Tensor:
        """(B,) scores in the units of the labels, or (B, K) logits: the mean over what is present."""
        answers = torch.stack([self.answer(batch, place) for place in range(len(self.heads))], dim=1)
        return fuse(answers, self.weights(batch))
