"""What every system shares that stands something in for the victim: two paths and the loop over both.

A subclass says what it imagines. `Imputing.stages` is Algorithm 1 of the paper; `copy` and `zero-fill` run it as it
stands, and MM-Align (`method/model.py`) puts its alignment into lines 8-14.
"""

from abc import abstractmethod
from functools import partial
from typing import TypeVar

from torch import Tensor

from .. import losses
from ..batch import VICTIM, VISIBLE, Batch, DataSpec
from ..config import FillConfig
from ..system import Stage, Step, by_presence
from . import official
from .backbone import Backbone, OnBackbone, Pair

Filling = TypeVar("Filling", bound=FillConfig)

# The paper's body and the released code's, by the name of the option.
CONTRASTIVE = {"normalised": losses.contrastive, "official": official.raw_products}


def temperature(config: FillConfig, epoch: int, epochs: int) -> float:
    """tau of Eq. 16, falling geometrically from the first epoch to the last (the schedule is ours).

    >>> [round(temperature(FillConfig(), epoch, 3), 3) for epoch in range(3)]
    [1.0, 0.316, 0.1]
    """
    done = epoch / max(epochs - 1, 1)
    return config.tau_start * (config.tau_end / config.tau_start) ** done


class TwoPaths(OnBackbone[Pair]):
    """Real pairs go through the backbone as they are; without the victim, a sample takes a path of its own."""

    def predict(self, batch: Batch) -> Tensor:
        """(B,) scores in the units of the labels, or (B, K) logits; absent victims are imagined."""
        return by_presence(batch, self.predict_complete, self.predict_missing)

    def predict_complete(self, batch: Batch) -> Tensor:
        """Predict from both modalities; every victim must be present."""
        return self.backbone.from_both(batch)

    @abstractmethod
    def predict_missing(self, batch: Batch) -> Tensor:
        """Predict from the visible modality alone; the victim is not read, present or not."""


class Imputing(TwoPaths[Filling]):
    """Where the victim is absent, the sequence that `imagine` makes stands in for it."""

    config_type: type[Filling]

    def __init__(self, spec: DataSpec, config: Filling) -> None:
        super().__init__(spec, config)
        self.warmup = config.warmup
        self.backbone = Backbone(spec, config)

    @abstractmethod
    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        """(B, T+1, D) hidden visible states -> (B, T+1, D) stand-in for the victim's, head first."""

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """Algorithm 1 of the paper."""
        tau = temperature(self.config, epoch, epochs)
        task = Step("task", partial(self.complete_loss, tau))
        if epoch < self.warmup:  # lines 1-6, warm-up: the backbone alone, on complete samples
            return [Stage("complete", (task,))]
        denoise = Step("denoise", self.missing_loss)
        return [
            *self.on_complete(task, tau),  # lines 8-14: the fitter learns the plan, the backbone the task
            Stage("imputed", (denoise,)),  # lines 15-17: the victim is imagined, and the backbone learns to bear it
        ]

    def on_complete(self, task: Step, tau: float) -> list[Stage]:
        """Lines 8-14 where nothing is aligned: the task alone."""
        return [Stage("complete", (task,))]

    def complete_loss(self, tau: float, batch: Batch) -> dict[str, Tensor]:
        """Task and contrastive loss of complete samples (Algorithm 1, lines 2-5 and 12-13)."""
        return self.pair_loss(tau, self.backbone.encode(batch, VISIBLE), self.backbone.encode(batch, VICTIM), batch)

    def pair_loss(self, tau: float, first: Tensor, second: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The same from the two hidden sequences, (B, T+1, D) each."""
        parts = {"task": self.backbone.task_loss(self.backbone.read(first, second, batch.real), batch.labels)}
        return parts | self.contrast(tau, first, second)

    def contrast(self, tau: float, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        """The contrastive term of two hidden sequences, (B, T+1, D) each, from their heads; nothing at weight 0."""
        if not self.config.lambda_con:
            return {}
        score = CONTRASTIVE[self.config.contrastive](first[:, 0], second[:, 0], tau)
        return {"contrast": self.config.lambda_con * score}

    def missing_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss on imputed pairs (Algorithm 1, lines 15-17)."""
        return {"task": self.backbone.task_loss(self.predict_missing(batch), batch.labels)}

    def predict_missing(self, batch: Batch) -> Tensor:
        """Predict from the visible modality alone; the victim is not read, present or not."""
        first = self.backbone.encode(batch, VISIBLE)
        return self.backbone.read(first, self.imagine(first, batch), batch.real)

    def impute(self, batch: Batch) -> Tensor:
        """(B, T+1, D): what the missing sequence is imagined to be, head first (Eqs. 13 and 14).

        Hidden states of the backbone, not raw features.
        """
        return self.imagine(self.backbone.encode(batch, VISIBLE), batch)

    def victim_head(self, like: Tensor) -> Tensor:
        """(B, 1, D) the embedding of the victim's [CLS], in front of whatever is imagined (Eq. 14)."""
        return self.backbone.embed[1].head().expand(len(like), 1, -1)
