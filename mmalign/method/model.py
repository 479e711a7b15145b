"""MM-Align: the backbone and the alignment dynamics learner, composed. A newcomer's first file.

Han, Chen, Kan, Poria: MM-Align, EMNLP 2022, arXiv 2210.12798.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from .. import losses
from ..batch import VICTIM, VISIBLE, Batch, DataSpec
from ..config import AlignmentConfig, MMAlignConfig
from ..system import Stage, Step
from . import official
from .denoising import Imputing
from .dynamics import AlignmentDynamics


def all_but_head(states: Tensor) -> Tensor:
    """(B, T+1, D) -> (B, T, D): the head is no step, and takes no part in an alignment."""
    return states[:, 1:]


Learning = TypeVar("Learning", bound=AlignmentConfig)


class Aligning(Imputing[Learning]):
    """A system around a backbone and an alignment dynamics learner, each with an optimiser of its own."""

    def __init__(self, spec: DataSpec, config: Learning) -> None:
        super().__init__(spec, config)
        self.dynamics = AlignmentDynamics(config)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {"backbone": [*self.backbone.parameters()], "dynamics": [*self.dynamics.parameters()]}

    def fitting(self, first: Tensor, second: Tensor, batch: Batch) -> dict[str, Tensor]:
        """How far the fitter is from the plan between two hidden sequences, (B, T+1, D) each (Eq. 12)."""
        first, second = self.aligned_steps(first), self.aligned_steps(second)
        target = self.dynamics.target(first, second, batch.lengths)
        weights = self.dynamics.fitter(first, batch.lengths)
        return {"fit": FITTING[self.config.fit_reduction](weights, target, batch.real)}

    def alignment(self, batch: Batch) -> Tensor:
        """(B, T, 2W+1): the fitter's alignment weights, read from the visible sequence alone."""
        return self.dynamics.fitter(self.aligned_steps(self.backbone.encode(batch, VISIBLE)), batch.lengths)

    def transport_target(self, batch: Batch) -> Tensor:
        """(B, T, 2W+1): what the fitter is to learn, l times the plan of complete samples."""
        first, second = (self.aligned_steps(self.backbone.encode(batch, modality)) for modality in (VISIBLE, VICTIM))
        return self.dynamics.target(first, second, batch.lengths)

    def aligned_steps(self, states: Tensor) -> Tensor:
        """(B, T+1, D) -> (B, T, D): the steps that transport sees."""
        return all_but_head(states)


class MMAlign(Aligning[MMAlignConfig]):
    """The paper's method.

    >>> import mmalign
    >>> data = mmalign.load("planted", survival=0.5, setting="A", seed=0)
    >>> model = mmalign.MMAlign.from_data(data, mmalign.MMAlignConfig(window=4, mu=0.2))
    >>> batch = data.valid.batch
    >>> model.predict(batch).shape == batch.labels.shape, model.impute(batch).shape[1] - batch.visible.shape[1]
    (True, 1)
    """

    config_type = MMAlignConfig

    def on_complete(self, task: Step, tau: float) -> list[Stage]:
        """Algorithm 1, lines 8-14: fitter (9-11) and backbone (12-13) on each complete batch; and the ablations."""
        fit = Step("fit", self.fitting_loss, ("dynamics",))
        if not self.config.fitting_loss:  # ablation 2
            return [Stage("complete", (task,))]
        if not self.config.merged_loop:  # ablation 3
            return [Stage("complete", (fit,)), Stage("complete", (task,))]
        if self.config.encoder_dropout:  # the two losses need hidden states of their own, as released
            return [Stage("complete", (fit, task))]
        merged = Step("task", partial(self.merged_loss, tau), ("backbone", "dynamics"))
        return [Stage("complete", (merged,))]

    def merged_loss(self, tau: float, batch: Batch) -> dict[str, Tensor]:
        """Both losses of a complete batch from one encoding (Algorithm 1, lines 8-14).

        The two share no parameters, so that one pass does what one after the other would: the fitting
        loss sees detached states and moves the fitter only; the task never uses the fitter here.
        """
        first, second = self.backbone.encode(batch, VISIBLE), self.backbone.encode(batch, VICTIM)
        return self.pair_loss(tau, first, second, batch) | self.fitting(first.detach(), second.detach(), batch)

    def fitting_loss(self, batch: Batch) -> dict[str, Tensor]:
        """How far the fitter is from the transport plan (Eq. 12; Algorithm 1, lines 9-11)."""
        with torch.no_grad(), _dropout(self.backbone, on=self.config.target_dropout):
            first, second = self.backbone.encode(batch, VISIBLE), self.backbone.encode(batch, VICTIM)
        return self.fitting(first, second, batch)

    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        """(B, T+1, D) visible states -> (B, T+1, D) imagined victim states (decoding mode).

        Gradient flows through the visible states. The fitter's own parameters stand still, because the
        step that calls this moves the backbone only.
        """
        steps = self.aligned_steps(first)
        weights = self.dynamics.fitter(steps, batch.lengths)
        if self.config.decode_stopgrad:
            weights = weights.detach()
        imagined = self.dynamics.imagine(weights, steps, batch.real)
        return PUT_BACK[self.config.ot_positions](imagined, self.victim_head(first), self.config.impute_head)

    def aligned_steps(self, states: Tensor) -> Tensor:
        """(B, T+1, D) -> (B, T, D): the steps that transport sees."""
        return TAKEN[self.config.ot_positions](states)


def behind_head(imagined: Tensor, head: Tensor, impute_head: str) -> Tensor:
    """(B, T, D), (B, 1, D) -> (B, T+1, D): the imagined steps behind the victim's head (Eq. 14)."""
    return torch.cat([head, imagined], dim=1)


# The paper's body and the released code's, by the name of the option.
TAKEN = {"steps": all_but_head, "official": official.head_in_last_out}
FITTING = {"window": losses.fitting, "full": official.over_all_cells}
PUT_BACK = {"steps": behind_head, "official": official.last_step_empty}


@contextmanager
def _dropout(module: nn.Module, on: bool) -> Iterator[None]:
    """Compute with dropout only if `on` says so, then go back to the mode of before."""
    before = module.training
    module.train(on and before)
    try:
        yield
    finally:
        module.train(before)
