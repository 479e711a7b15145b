"""SCALE: learn without labels first, from masked steps and from pairs, each weighted by how alike modalities are.

Dong et al. 2022, "M5Product: Self-harmonized Contrastive Learning for E-commercial Multi-modal Pretraining",
arXiv 2109.04275. Chapter "SCALE". The letters u, v, S and S' are the paper's.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks
from ..batch import Batch, DataSpec
from ..errors import InputError
from ..method.backbone import CrossStack
from ..method.encoders import sinusoidal_positions
from ..method.readout import Readout
from ..settings import Chance, Count, CountOr0, Positive, Share, each
from ..system import Stage, Step
from .senses import Neighbour, NeighbourConfig


@dataclass(frozen=True, kw_only=True)
class SCALEConfig(NeighbourConfig):
    """The two phases, and a switch for each part of the first."""

    only_with: ClassVar = {
        **each("masked_share", "weights", "contrastive", "masked", "pretrain_on", pretrain_epochs=True),
        **each("tau", "symmetrise", contrastive=True, pretrain_epochs=True),
        **each("score", "weight_gradient", weights=True, pretrain_epochs=True),
    }

    joint_layers: Annotated[Count, "blocks that read all modalities; code: 6"] = 2
    pooled: Annotated[Count, "features of u, and of the hidden layer of the head; code: 1024"] = 32
    pretrain_epochs: Annotated[CountOr0, "without labels, before the task"] = 20
    masked_share: Annotated[Share, "chance of a real step to be hidden; as in the paper"] = 0.15
    tau: Annotated[Positive, "temperature of the pair loss; as in the paper"] = 0.07
    token: Annotated[
        Literal["mean", "none"], "what [CLS] starts from beside itself: the mean of the steps, as in the code"
    ] = "mean"
    score: Annotated[
        Literal["cosine", "learned"], 'of the embeddings, as in the code; "learned" is one matrix for all samples'
    ] = "cosine"
    symmetrise: Annotated[bool, "weigh a pair by the mean of S'_ij and S'_ji; code: by the upper triangle"] = False
    weights: Annotated[bool, "False: S' is 1 everywhere"] = True
    weight_gradient: Annotated[
        bool, "False stops the gradient at S', so that no weight can be learnt for its own sake"
    ] = True
    contrastive: Annotated[bool, "False: no pair loss"] = True
    masked: Annotated[bool, "False: no masked loss"] = True
    pretrain_on: Annotated[Literal["all", "complete"], '"complete" drops the samples that lack a modality'] = "all"
    finetune_on: Annotated[Literal["all", "complete"], "the same of the second phase"] = "all"
    readout: Annotated[Literal["finetune", "probe"], '"probe" moves the head alone after pre-training'] = "finetune"
    strict: Annotated[bool, "False, as in the code: zeros stand for what is absent, and count as if they were real"] = (
        True
    )
    dropout: Annotated[Chance, "in the head"] = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.score == "learned" and not self.weight_gradient:
            raise InputError("score=learned needs weight_gradient=true, or nothing would move the score")


def cosines(vectors: Tensor) -> Tensor:
    """S: (B, M, F) -> (B, M, M), the cosine of every two vectors of a sample; 0 with a vector of zeros."""
    unit = F.normalize(vectors, dim=2)
    return unit @ unit.mT


def harmonise(scores: Tensor) -> Tensor:
    """R = S softmax(S), row by row: (..., M, M) -> (..., M, M).

    >>> harmonise(torch.ones(2, 2)).tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    return scores * scores.softmax(-1)


def unit_rows(weights: Tensor) -> Tensor:
    """S': every row of R at length 1, as in the released code; a row of zeros stays one.

    >>> unit_rows(harmonise(torch.ones(4, 4)))[0].tolist()  # 1 / sqrt(M)
    [0.5, 0.5, 0.5, 0.5]
    """
    return F.normalize(weights, dim=-1)


def pair_loss(first: Tensor, second: Tensor, weights: Tensor, tau: float) -> Tensor:
    """How badly the two vectors of a sample find each other among the 2B of a batch. ()

    Args:
        first, second: (B, F) u of two modalities.
        weights: (B,) S'_ij of each sample. It multiplies the logits and not the loss, so that it acts
            as a temperature: at 0 the loss is log(2B - 1).
        tau: the temperature at weight 1.

    >>> round(pair_loss(torch.eye(2), torch.eye(2), torch.ones(2), 1.0).item(), 4)  # log(1 + 2/e)
    0.5514
    """
    count = len(first)
    views = F.normalize(torch.cat([first, second]), dim=1)  # (2B, F)
    logits = weights.repeat(2)[:, None] * (views @ views.T) / tau  # (2B, 2B)
    itself = torch.eye(2 * count, dtype=torch.bool, device=first.device)
    partner = torch.arange(2 * count, device=first.device).roll(count)
    return F.cross_entropy(logits.masked_fill(itself, -torch.inf), partner)


class SCALE(Neighbour[SCALEConfig]):
    """Pre-train encoders and a joint Transformer without labels, then fine-tune them or probe them.

    Not from the paper: steps of features stand for words, regions and table cells, so every masked task is a
    regression; [CLS] adds a learned vector to the mean that it starts from; Adam keeps one learning rate throughout.
    """

    config_type = SCALEConfig

    def __init__(self, spec: DataSpec, config: SCALEConfig) -> None:
        super().__init__(spec, config)
        width, count = config.width, len(spec.widths)
        self.warmup = config.pretrain_epochs
        self.pool = nn.ModuleList(nn.Sequential(nn.Linear(width, config.pooled), nn.ReLU()) for _ in spec.widths)
        # In the released code a place in the joint sequence is all that tells modalities apart; padding would move it.
        self.kind = nn.Parameter(torch.randn(count, 1, width) / width**0.5)
        self.joint = CrossStack(width, config.heads, config.joint_layers, config.encoder_dropout)
        self.rebuild = nn.ModuleList(nn.Linear(width, features) for features in spec.widths)
        self.score = nn.Parameter(torch.zeros(count, count)) if config.score == "learned" else None
        # Two linear maps with nothing bent between them, as released.
        layers = nn.Linear(count * width, config.pooled), nn.Linear(config.pooled, spec.outputs)
        self.answer = Readout(nn.Sequential(layers[0], nn.Dropout(config.dropout), layers[1]), spec)

    def groups(self) -> dict[str, list[nn.Parameter]]:
        if self.config.readout == "finetune":
            return super().groups()
        head = [*self.answer.parameters()]
        rest = [one for name, one in self.named_parameters() if not name.startswith("answer.")]
        return {"backbone": rest, "head": head}

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """First without labels, then the task."""
        if epoch < self.warmup:
            return [Stage(self.config.pretrain_on, (Step("pretrain", self.pretrain_loss),))]
        moves = ("head",) if self.config.readout == "probe" else ("backbone",)
        return [Stage(self.config.finetune_on, (Step("task", self.task_loss, moves),))]

    def predict(self, batch: Batch) -> Tensor:
        """(B,) scores in the units of the labels, or (B, K) logits, from v of every modality."""
        return self.answer(self.encode(batch)[1][:, :, 0].flatten(1))

    def task_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task, on labelled samples; nothing is masked."""
        return {"task": self.answer.loss(self.predict(batch), batch.labels)}

    def pretrain_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Both losses without labels, on one encoding of masked samples; without either, nothing."""
        hidden = self.draw_hidden(batch)
        pooled, joint = self.encode(batch, hidden)
        parts = {}
        if self.config.contrastive:
            parts |= self.contrast(pooled, batch)
        if self.config.masked:
            parts |= self.rebuilding(joint, hidden, batch)
        return parts

    def counted(self, batch: Batch) -> Tensor:
        """(B, M) bool: which modalities take part. As released, all of them do."""
        return batch.present if self.config.strict else torch.ones_like(batch.present)

    def draw_hidden(self, batch: Batch) -> Tensor:
        """(B, M, T) bool: the steps to hide, drawn from the real steps of what takes part."""
        real = batch.real[:, None] & self.counted(batch)[:, :, None]
        return real & (torch.rand(real.shape, device=real.device) < self.config.masked_share)

    def encode(self, batch: Batch, hidden: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """u (B, M, F) of each modality alone, and the joint states (B, M, T+1, D), head first.

        v of the paper is the head of the joint states, [:, :, 0].

        Args:
            hidden: (B, M, T) bool, steps that become 0 in standardised features.
        """
        shown = batch.present[:, :, None] if hidden is None else batch.present[:, :, None] & ~hidden
        counted = self.counted(batch)
        keys = torch.stack([masks.with_head(batch.real & here[:, None]) for here in counted.T], dim=1)  # (B, M, T+1)
        states = []
        for place, (embed, encoder) in enumerate(zip(self.senses.embed, self.senses.encoders, strict=True)):
            zeros = embed.standardise.mean.to(batch.features[place].dtype)  # what becomes 0 there
            one = embed(batch.features[place].where(shown[:, place, :, None], zeros), batch.real)
            if self.config.token == "mean":
                one = torch.cat([one[:, :1] + masks.mean_over(one[:, 1:], batch.real)[:, None], one[:, 1:]], dim=1)
            states.append(encoder(one, one, keys[:, place]))
        pooled = torch.stack([pool(one[:, 0]) for pool, one in zip(self.pool, states, strict=True)], dim=1)
        alone = torch.stack(states, dim=1)  # (B, M, T+1, D)
        placed = alone + self.kind + sinusoidal_positions(alone.shape[2], alone.shape[3], alone.device)
        tokens = placed.flatten(1, 2)
        joint = self.joint(tokens, tokens, keys.flatten(1)).view_as(alone)
        return pooled * counted[:, :, None], joint

    def weigh(self, vectors: Tensor, batch: Batch) -> Tensor:
        """S' (B, M, M) from u or v (B, M, F); rows and columns of what takes no part are 0."""
        if not self.config.weight_gradient:
            vectors = vectors.detach()
        counted = self.counted(batch)
        both = counted[:, :, None] & counted[:, None]
        if not self.config.weights:
            return both.float()
        if self.score is not None:  # no rows of length 1 here: at the start they would be 0 / 0
            return harmonise(self.score).clamp(min=0) * both
        return unit_rows(harmonise(cosines(vectors * counted[:, :, None])))

    def harmony(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """S' (B, M, M) of the pairs, from u, and of the masked steps, from v: to look at."""
        pooled, joint = self.encode(batch)
        return self.weigh(pooled, batch), self.weigh(joint[:, :, 0], batch)

    def contrast(self, pooled: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The mean of the pair losses. A pair without two samples that have it is left out."""
        weights, counted = self.weigh(pooled, batch), self.counted(batch)
        if self.config.symmetrise:
            weights = (weights + weights.mT) / 2
        pairs = [*combinations(range(pooled.shape[1]), 2)]
        found = []
        for i, j in pairs:
            both = counted[:, i] & counted[:, j]
            if both.sum() >= 2:  # alone, a sample has nobody to be told from
                found.append(pair_loss(pooled[both, i], pooled[both, j], weights[both, i, j], self.config.tau))
        return {"contrast": sum(found) / len(pairs)} if found else {}

    def rebuilding(self, joint: Tensor, hidden: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Squared error of the hidden steps, rebuilt from the joint states and multiplied by S'_ii."""
        weights = self.weigh(joint[:, :, 0], batch)
        found = []
        for place, rebuild in enumerate(self.rebuild):
            rows, steps = hidden[:, place].nonzero(as_tuple=True)
            if len(rows):
                guess = weights[rows, place, place, None] * rebuild(joint[rows, place, steps + 1])  # 0 is the head
                found.append(F.mse_loss(guess, self.senses.clean(batch, place)[rows, steps]))
        return {"masked": sum(found)} if found else {}
