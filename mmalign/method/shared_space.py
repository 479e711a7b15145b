"""A space in which matching steps of two modalities lie together, learnt without a label and without an alignment.

Transport between the hidden states of a task is no better than chance: no loss asks matching steps to meet. Here the
windowed transport cost of a true pair has to be below that of strangers, the same visible sequence beside the victims
of others in the batch. The plan is held fixed in the gradient, which by the envelope theorem is exact. (Chapter "When
alignment pays"; the paper leaves this step out.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks, transport
from ..batch import Batch, DataSpec
from ..config import BackboneConfig
from .backbone import ENCODERS
from .encoders import Embed

STRANGERS, TEMPERATURE = 2, 0.1  # chosen on planted data (order: rule) and kept for all others
TOL, SWEEPS = 1e-2, 50  # of plans that only give a gradient


class Encoder(nn.Module):
    """One modality's features -> its hidden states, as the backbone makes them; without blocks a linear map a step."""

    def __init__(self, features: int, config: BackboneConfig, layers: int) -> None:
        super().__init__()
        self.embed = Embed(features, config.width, config.kernel, config.positional, config.cls, config.clip_features)
        stack = ENCODERS[config.backbone](config.width, config.heads, layers, config.encoder_dropout)
        self.stack = stack if layers else None

    def forward(self, features: Tensor, real: Tensor) -> Tensor:
        """(B, T, D_m), (B, T) -> (B, T+1, D), the head in front."""
        states = self.embed(features, real)
        return states if self.stack is None else self.stack(states, states, masks.with_head(real))


class SharedSpace(nn.Module):
    """An encoder for each of two modalities, in which matching steps are to meet."""

    def __init__(self, spec: DataSpec, config: BackboneConfig, window: int, mu: float) -> None:
        super().__init__()
        self.window, self.mu = window, mu
        self.encoders = nn.ModuleList(Encoder(features, config, config.encoder_layers) for features in spec.widths[:2])

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, T, D) states of the visible steps and of the victim's."""
        first, second = (encode(batch.features[place], batch.real) for place, encode in enumerate(self.encoders))
        return first[:, 1:], second[:, 1:]

    def loss(self, batch: Batch) -> Tensor:
        """How badly true pairs are told from strangers. ()"""
        first, second = self(batch)
        return stranger_loss(first, second, batch.lengths, self.window, self.mu)


def stranger_loss(
    first: Tensor,
    second: Tensor,
    lengths: Tensor,
    window: int,
    mu: float,
    strangers: int = STRANGERS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """Cross entropy of the true victim among `strangers` others, by minus the transport cost over `temperature`. ()

    The cost is that of `plan.value` with the entropy measured against an even plan, so that longer strangers are not
    cheaper for being longer.

    Args:
        first: (B, T, D); second: (B, T, D) of the same samples; lengths: (B,) of both.
        window: W; mu: entropy strength; both as in `transport.align`.
        strangers: at most; a batch has no more than B - 1 for each.

    >>> same = torch.eye(4)[:, None].expand(4, 3, 4)  # nobody is like anybody else
    >>> round(stranger_loss(same, same, torch.full((4,), 3), window=1, mu=0.1, strangers=1).item(), 4)
    0.0
    """
    shifts = range(min(strangers, len(first) - 1) + 1)
    others = torch.cat([lengths.roll(shift) for shift in shifts])
    plan = transport.align(
        torch.cat([first for _ in shifts]),
        torch.cat([second.roll(shift, 0) for shift in shifts]),
        lengths.repeat(len(shifts)),
        others,
        window=window,
        mu=mu,
        tol=TOL,
        max_sweeps=SWEEPS,
    )
    even = mu * (lengths.repeat(len(shifts)) * others).log().to(first)
    costs = (plan.value + even).view(len(shifts), -1)  # (1 + strangers, B), the true pair first
    return F.cross_entropy(-costs.T / temperature, torch.zeros_like(lengths))


def mass_on_truth(weights: Tensor, match: Tensor, lengths: Tensor) -> float:
    """Share of an alignment's mass that lies where it belongs, averaged over the victim's steps.

    Args:
        weights: (B, T, 2W+1) rows are visible steps; columns need not sum to 1.
        match: (B, T) the visible step that each of the victim's steps shows; lengths: (B,).

    >>> mass_on_truth(torch.tensor([[[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]]]), torch.tensor([[0, 1]]), torch.tensor([2]))
    0.8333333730697632
    """
    real = masks.real_steps(lengths, weights.shape[1])
    return masks.to_mixing(weights).gather(2, match[:, : weights.shape[1], None])[..., 0][real].mean().item()
