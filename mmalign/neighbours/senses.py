"""One encoder per modality, blind to what is absent: what the neighbouring systems share.

The encoders are those of the backbone (an embedding and pre-norm self-attention), for any number of modalities.
"""

from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

import torch
from torch import Tensor, nn

from .. import masks
from ..batch import Batch, DataSpec, Samples
from ..config import EncoderConfig
from ..method.backbone import CrossStack
from ..method.encoders import Embed
from ..method.readout import Readout
from ..settings import Chance
from ..system import System


@dataclass(frozen=True, kw_only=True)
class NeighbourConfig(EncoderConfig):
    """The encoders of a neighbouring system."""

    encoder_dropout: Annotated[Chance, "in the encoders"] = 0.1


Neighbouring = TypeVar("Neighbouring", bound=NeighbourConfig)


class Scaled(nn.Module):
    """What reads features of M modalities in standard deviations, and never what is absent."""

    embed: nn.ModuleList  # of M; each has a `standardise`

    def learn_scales(self, samples: Samples) -> None:
        """Take the scales of the features from training samples, and only from what is there."""
        for place, embed in enumerate(self.embed):
            if samples.present[:, place].any():
                embed.standardise.learn(samples.seen(place))

    def clean(self, batch: Batch, place: int) -> Tensor:
        """(B, T, D_m) standardised features of one modality, 0 on padding and where it is absent."""
        here = batch.present[:, place, None, None]
        # NaN times 0 is NaN, so what is absent is replaced and not multiplied.
        return self.embed[place].standardise(batch.features[place].where(here, 0), batch.real) * here


class Senses(Scaled):
    """M encoders. What they say of an absent modality is finite and means nothing: select by `batch.present`."""

    def __init__(self, spec: DataSpec, config: EncoderConfig) -> None:
        super().__init__()
        self.embed = nn.ModuleList(
            Embed(features, config.width, config.kernel, config.positional, config.cls, config.clip_features)
            for features in spec.widths
        )
        self.encoders = nn.ModuleList(
            CrossStack(config.width, config.heads, config.encoder_layers, config.encoder_dropout) for _ in self.embed
        )

    def forward(self, batch: Batch, place: int) -> Tensor:
        """(B, T+1, D) hidden states of one modality, head first."""
        here = batch.present[:, place, None, None]
        states = self.embed[place](batch.features[place].where(here, 0), batch.real)
        return self.encoders[place](states, states, masks.with_head(batch.real))

    def pooled(self, batch: Batch, place: int) -> Tensor:
        """(B, D) the mean of one modality's hidden states over its real steps."""
        return masks.mean_over(self(batch, place)[:, 1:], batch.real)

    def owned(self, place: int) -> list[nn.Parameter]:
        """The parameters of one modality's encoder."""
        return [*self.embed[place].parameters(), *self.encoders[place].parameters()]


def only(batch: Batch, place: int) -> Batch:
    """The same samples with nothing but one modality."""
    kept = torch.arange(batch.present.shape[1], device=batch.present.device) == place
    return replace(batch, present=batch.present & kept)


def fuse(answers: Tensor, weights: Tensor) -> Tensor:
    """Average over modalities: (B, M) or (B, M, K), (B, M) -> (B,) or (B, K). At weight 0 nothing is read."""
    weights = weights if answers.ndim == 2 else weights[:, :, None]
    return (weights * answers.where(weights > 0, 0)).sum(1)


class Neighbour(System[Neighbouring]):
    """A system that takes any number of modalities, any of which may be absent."""

    needs_visible = False
    most_modalities = 8

    def __init__(self, spec: DataSpec, config: Neighbouring, senses: Scaled | None = None) -> None:
        super().__init__(spec, config)
        self.senses = senses or Senses(spec, config)

    def learn_scales(self, samples: Samples) -> None:
        self.senses.learn_scales(samples)
        for part in self.modules():
            if isinstance(part, Readout):
                part.learn_scale(samples)

    def alone(self, batch: Batch) -> Tensor:
        """(B, M) or (B, M, K): what would be predicted from each modality alone, NaN where it is absent."""
        answers = torch.stack([self.predict(only(batch, place)) for place in range(len(batch.features))], dim=1)
        here = batch.present if answers.ndim == 2 else batch.present[:, :, None]
        return answers.masked_fill(~here, torch.nan)
