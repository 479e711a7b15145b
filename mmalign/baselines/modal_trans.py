"""Modal-Trans: translate the visible sequence into the victim's, and back again to see what got lost.

After TransModality (Wang et al. 2020, arXiv 2009.02902), MCTN (Pham et al. 2019, arXiv 1812.07809) and CTFN
(Tang et al., ACL 2021), re-implemented in their spirit on this package's backbone, between its hidden
states. Chapter "Results". Sequences are (B, T, D), without the head, which nobody translates.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks
from ..batch import VICTIM, VISIBLE, Batch, DataSpec
from ..config import FillConfig
from ..errors import InputError, whole
from ..method.backbone import CrossStack
from ..method.denoising import Imputing
from ..method.gru import BidirectionalGRU
from ..settings import Count, Weight, each
from ..system import Stage


@dataclass(frozen=True, kw_only=True)
class ModalTransConfig(FillConfig):
    """The two translators and the weights of their losses."""

    only_with: ClassVar = {
        **each("translator_width", "cycle_input", decoder="seq2seq"),
        "translator_layers": {"decoder": "coupled"},
    }

    lambda_con: Annotated[Weight, "weight of the contrastive loss; none of the three has one"] = 0.0
    decoder: Annotated[
        Literal["seq2seq", "coupled"], 'step by step; "coupled" translates all steps at once, as CTFN does'
    ] = "seq2seq"
    translator_width: Annotated[int, whole(2), 'features of a recurrent state of "seq2seq"'] = 32
    translator_layers: Annotated[Count, 'blocks of "coupled"'] = 1
    alpha: Annotated[Weight, "weight of the translations; MCTN: 0.1"] = 0.1
    beta: Annotated[Weight, "weight of the cycles; MCTN: 0.1"] = 0.1
    cycle_input: Annotated[
        Literal["free", "teacher"], '"teacher": complete samples are never translated freely; cheaper, but biased'
    ] = "free"
    use_missing_split: Annotated[bool, "False: train on complete samples only, as the originals"] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.translator_width % 2:
            raise InputError(f"translator_width must be even, for two directions, found {self.translator_width}")


class Seq2Seq(nn.Module):
    """A bidirectional GRU that listens and a GRU that speaks, looking back with attention.

    The attention is applied to the speaker's state and not fed back into it (Luong et al. 2015,
    arXiv 1508.04025, without input feeding), so that all steps of a known target are spoken at once.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.listen = BidirectionalGRU(width, hidden // 2)
        self.speak = nn.GRU(width, hidden, batch_first=True)
        self.project = nn.Linear(2 * hidden, width)
        self.start = nn.Parameter(torch.zeros(width))  # stands before the first step

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) -> (B, T, D), each step told from the steps spoken before it."""
        memory, real = self.listen(source, lengths), masks.real_steps(lengths, source.shape[1])
        step, spoken = self.start.expand(len(source), -1), []  # (B, D)
        state = source.new_zeros(len(source), self.speak.hidden_size)
        for _ in range(source.shape[1]):
            state = torch.gru_cell(step, state, *self.speak.all_weights[0])  # one step of `speak`, at half its cost
            step = self._look_back(state[:, None], memory, real)[:, 0]
            spoken.append(step)
        return torch.stack(spoken, dim=1)

    def forced(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """The same with each step told from the true steps before it, (B, T, D) `target`."""
        memory, real = self.listen(source, lengths), masks.real_steps(lengths, source.shape[1])
        before = torch.cat([self.start.expand(len(source), 1, -1), target[:, :-1]], dim=1)
        return self._look_back(self.speak(before)[0], memory, real)

    def _look_back(self, states: Tensor, memory: Tensor, real: Tensor) -> Tensor:
        seen = F.scaled_dot_product_attention(states, memory, memory, attn_mask=real[:, None])
        return self.project(torch.cat([states, seen], dim=2))


class Coupled(nn.Module):
    """CTFN's translator: an encoder whose output is the translation, all steps at once."""

    def __init__(self, config: ModalTransConfig) -> None:
        super().__init__()
        width = config.width
        self.enter = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(config.dropout))
        self.blocks = CrossStack(width, config.heads, config.translator_layers, config.dropout)
        self.project = nn.Linear(width, width)

    def forward(self, source: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) -> (B, T, D)"""
        states = self.enter(source)
        return self.project(self.blocks(states, states, masks.real_steps(lengths, source.shape[1])))

    def forced(self, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
        """The same: it has no use for the target."""
        return self(source, lengths)


class ModalTrans(Imputing[ModalTransConfig]):
    """Translators both ways between the hidden states, a cycle each way; the missing sequence is translated.

    Translations are compared with states that are held still, or the encoders would make all states alike.
    """

    config_type = ModalTransConfig

    def __init__(self, spec: DataSpec, config: ModalTransConfig) -> None:
        super().__init__(spec, config)
        self.forth, self.back = _translator(config), _translator(config)  # T12 and T21

    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        """(B, T+1, D) visible states -> (B, T+1, D), their translation behind the victim's head."""
        return self._behind_head(self.forth(first[:, 1:], batch.lengths))

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """Everything on complete samples; then, if asked, translation and way back of missing ones."""
        stages = super().stages(epoch, epochs)
        return stages if self.config.use_missing_split else stages[:1]

    def complete_loss(self, tau: float, batch: Batch) -> dict[str, Tensor]:
        """The task on real and on translated pairs, both translations, both cycles."""
        first, second = self.backbone.encode(batch, VISIBLE), self.backbone.encode(batch, VICTIM)
        ones, twos, lengths = first[:, 1:], second[:, 1:], batch.lengths
        told_twos = self.forth.forced(ones, lengths, twos.detach())
        told_ones = self.back.forced(twos, lengths, ones.detach())
        made_twos, made_ones = told_twos, told_ones
        if self.config.decoder == "seq2seq" and self.config.cycle_input == "free":
            made_twos, made_ones = self.forth(ones, lengths), self.back(twos, lengths)
        ones_again = self.back.forced(made_twos, lengths, ones.detach())
        twos_again = self.forth.forced(made_ones, lengths, twos.detach())

        parts = self.pair_loss(tau, first, second, batch)
        parts["imputed"] = self._task(first, made_twos, batch)
        parts["translate"] = self.config.alpha * (_gap(told_twos, twos, batch) + _gap(told_ones, ones, batch))
        parts["cycle"] = self.config.beta * (_gap(ones_again, ones, batch) + _gap(twos_again, twos, batch))
        return parts

    def missing_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task on translated pairs, and the way back to the visible states."""
        first = self.backbone.encode(batch, VISIBLE)
        ones = first[:, 1:]
        made = self.forth(ones, batch.lengths)
        again = self.back.forced(made, batch.lengths, ones.detach())
        return {"task": self._task(first, made, batch), "cycle": self.config.beta * _gap(again, ones, batch)}

    def _behind_head(self, steps: Tensor) -> Tensor:
        return torch.cat([self.victim_head(steps), steps], dim=1)

    def _task(self, first: Tensor, steps: Tensor, batch: Batch) -> Tensor:
        prediction = self.backbone.read(first, self._behind_head(steps), batch.real)
        return self.backbone.task_loss(prediction, batch.labels)


def _translator(config: ModalTransConfig) -> nn.Module:
    return Coupled(config) if config.decoder == "coupled" else Seq2Seq(config.width, config.translator_width)


def _gap(made: Tensor, real_states: Tensor, batch: Batch) -> Tensor:
    """Mean squared error over the real steps; the real states are held still. ()

    A mean over the features too, as MCTN's, so that the weight does not depend on the width.
    """
    return F.mse_loss(made[batch.real], real_states.detach()[batch.real])
