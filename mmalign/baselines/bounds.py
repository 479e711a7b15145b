"""The lower and the upper bound: one modality for every sample, or both for every sample."""

import torch
from torch import Tensor

from ..batch import VISIBLE, Batch, DataSpec
from ..config import BackboneConfig, BoundConfig
from ..method.backbone import Backbone, OnBackbone, Pair
from ..system import Stage, Step


class _Supervised(OnBackbone[Pair]):
    """The backbone, trained on the label of every sample."""

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        return [Stage("all", (Step("task", self.loss),))]

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss of any samples; those without a label are not even read."""
        if not batch.labelled.all():
            batch = batch.rows(batch.labelled)
        if not len(batch):
            return {}
        return {"task": self.backbone.task_loss(self.predict(batch), batch.labels)}


class Single(_Supervised[BoundConfig]):
    """Supervised-Single, the lower bound: never reads the victim, sees every label.

    With fusion="self" the visible sequence is fused with itself, so that the network is the one that
    the others have; with fusion="none" the head of its encoder is read.
    """

    config_type = BoundConfig

    def __init__(self, spec: DataSpec, config: BoundConfig) -> None:
        super().__init__(spec, config)
        self.backbone = Backbone(spec, config, encoders=1)

    def predict(self, batch: Batch) -> Tensor:
        """(B,) or (B, K), from the visible modality alone."""
        if self.config.fusion == "none":
            return self.backbone.answer(torch.cat([self.backbone.encode(batch, VISIBLE)[:, 0]] * 2, dim=1))
        return self.backbone.from_visible(batch)


class Double(_Supervised[BackboneConfig]):
    """Supervised-Double, the upper bound: both modalities, for training and for testing."""

    config_type = BackboneConfig
    needs_every_victim = True

    def __init__(self, spec: DataSpec, config: BackboneConfig) -> None:
        super().__init__(spec, config)
        self.backbone = Backbone(spec, config)

    def predict(self, batch: Batch) -> Tensor:
        """(B,) or (B, K), from both modalities."""
        return self.backbone.from_both(batch)
