"""The cross-modal attention backbone (MulT, arXiv 1906.00295; chapter "The backbone").

What every system shares: an encoder per modality, fusion in both directions, a two-layer head.
Hidden sequences are (B, T+1, D), the [CLS] head in front; `real` is (B, T+1) here, the head included.
"""

import math
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks
from ..batch import VICTIM, VISIBLE, Batch, DataSpec, Samples
from ..config import BackboneConfig
from ..system import System
from . import official
from .encoders import Embed
from .readout import Readout


class Attention(nn.Module):
    """Multi-head attention of a target sequence to a source sequence (Eq. 1)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def _split(self, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, heads, T, D/heads), keys and values (B, heads, S, D/heads)."""
        query = self.query(target).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.key_value(source).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return query, key, value

    def forward(self, target: Tensor, source: Tensor, real: Tensor) -> Tensor:
        """(B, T, D), (B, S, D), (B, S) -> (B, T, D)"""
        read = F.scaled_dot_product_attention(*self._split(target, source), attn_mask=real[:, None, None, :])
        return self.out(read.transpose(1, 2).flatten(2))

    def weights(self, target: Tensor, source: Tensor, real: Tensor) -> Tensor:
        """(B, heads, T, S): where each target step looks. Rows sum to 1 and are 0 on padding."""
        query, key, _ = self._split(target, source)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
        return scores.masked_fill(~real[:, None, None, :], -torch.inf).softmax(3)


class CrossBlock(nn.Module):
    """MulT's pre-norm block: the target reads the source, then a feed-forward net (Eqs. 2 and 3).

    Queries, keys and values share one LayerNorm, as in MulT.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm_in, self.norm_mid = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = Attention(width, heads)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, target: Tensor, source: Tensor, real: Tensor) -> Tensor:
        target = target + self.drop(self.attend(self.norm_in(target), self.norm_in(source), real))
        return target + self.drop(self.feed(self.norm_mid(target)))


class CrossStack(nn.Module):
    """Some blocks that all read the same source, then a LayerNorm. With source = target: an encoder."""

    def __init__(self, width: int, heads: int, layers: int, dropout: float) -> None:
        super().__init__()
        blocks = nn.ModuleList(CrossBlock(width, heads, dropout) for _ in range(layers))
        self.blocks = cast(list[CrossBlock], blocks)
        self.norm = nn.LayerNorm(width)

    def forward(self, target: Tensor, source: Tensor, real: Tensor) -> Tensor:
        """(B, T+1, D), (B, S+1, D), (B, S+1) -> (B, T+1, D)"""
        for block in self.blocks:
            target = block(target, source, real)
        return self.norm(target)

    def read_head(self, target: Tensor, source: Tensor, real: Tensor, target_real: Tensor | None = None) -> Tensor:
        """The head of what `forward` gives, (B, D), at a fraction of its cost.

        No step of the target sees another, so the head asks alone: one query instead of T+1.
        """
        return self(target[:, :1], source, real)[:, 0]

    @torch.no_grad()
    def maps(self, target: Tensor, source: Tensor, real: Tensor) -> list[Tensor]:
        """The attention weights (B, heads, T+1, S+1) of each block, to look at."""
        maps = []
        for block in self.blocks:
            maps.append(block.attend.weights(block.norm_in(target), block.norm_in(source), real))
            target = block(target, source, real)
        return maps


def two_layers(features: int, width: int, outputs: int, task: str, dropout: float) -> nn.Sequential:
    """The head g: (B, F) -> (B, outputs)."""
    return nn.Sequential(nn.Linear(features, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, outputs))


# The paper's body and the released code's, by the name of the option.
ENCODERS = {"mult": CrossStack, "official": official.PostNormEncoder}
FUSIONS = {"mult": CrossStack, "official": official.DecoderFusion}
HEADS = {"two-layer": two_layers, "official": official.three_layers}


class Backbone(nn.Module):
    """Encoders E_m, fusion F and head g of one pair of modalities."""

    def __init__(self, spec: DataSpec, config: BackboneConfig, encoders: int = 2) -> None:
        super().__init__()
        width, heads, dropout = config.width, config.heads, config.dropout
        embed = nn.ModuleList(
            Embed(features, width, config.kernel, config.positional, config.cls, config.clip_features)
            for features in spec.widths[:encoders]
        )
        self.embed = cast(list[Embed], embed)
        encoder, fusion, head = ENCODERS[config.backbone], FUSIONS[config.backbone], HEADS[config.head]
        self.encoders = nn.ModuleList(
            encoder(width, heads, config.encoder_layers, config.encoder_dropout) for _ in self.embed
        )
        both = nn.ModuleList(fusion(width, heads, config.fusion_layers, dropout) for _ in range(2))
        self.fusion = cast(list[CrossStack | official.DecoderFusion], both)
        self.answer = Readout(head(2 * width, width, spec.outputs, spec.task, dropout), spec)

    def learn_scales(self, samples: Samples) -> None:
        """Take the scales of features and labels from training samples, and only from what is shown."""
        for place, embed in enumerate(self.embed):
            embed.standardise.learn(samples.seen(place))
        self.answer.learn_scale(samples)

    def encode(self, batch: Batch, modality: int) -> Tensor:
        """One modality of the samples, VISIBLE or VICTIM. (B, T+1, D)"""
        real = masks.with_head(batch.real)
        states = self.embed[modality](batch.features[modality], batch.real)
        return self.encoders[modality](states, states, real)

    def read(self, first: Tensor, second: Tensor, real: Tensor) -> Tensor:
        """Fuse two hidden sequences and answer from the two heads (Eq. 4). (B,) or (B, K)

        first, second: (B, T+1, D); real: (B, T) bool.
        """
        return self.answer(self.fuse(first, second, real))

    def from_both(self, batch: Batch) -> Tensor:
        """The answer from both modalities of some samples. (B,) or (B, K)"""
        return self.read(self.encode(batch, VISIBLE), self.encode(batch, VICTIM), batch.real)

    def from_visible(self, batch: Batch) -> Tensor:
        """The answer from the visible sequence alone, which stands on both sides. (B,) or (B, K)"""
        states = self.encode(batch, VISIBLE)
        return self.read(states, states, batch.real)

    def fuse(self, first: Tensor, second: Tensor, real: Tensor, second_real: Tensor | None = None) -> Tensor:
        """(B, 2D): the heads of both directions, z12 then z21; what the answer is read from.

        second_real: (B, S) bool, the real steps of a second sequence (B, S+1, D) with a length of its own.
        """
        real = masks.with_head(real)
        second_real = real if second_real is None else masks.with_head(second_real)
        forward = self.fusion[0].read_head(first, second, second_real, real)  # z12: the first reads the second
        backward = self.fusion[1].read_head(second, first, real, second_real)
        return torch.cat([forward, backward], dim=1)

    def task_loss(self, prediction: Tensor, labels: Tensor) -> Tensor:
        """The task loss of some predictions. ()"""
        return self.answer.loss(prediction, labels)


Pair = TypeVar("Pair", bound=BackboneConfig)


class OnBackbone(System[Pair]):
    """A system around one backbone."""

    backbone: Backbone

    def learn_scales(self, samples: Samples) -> None:
        """Take the scales of features and labels from the training samples."""
        self.backbone.learn_scales(samples)
