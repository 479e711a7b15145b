"""The ways from the steps of the visible sequence to those of the victim: what an alignment is compared with.

Each is a module that takes (B, T, D) visible states and their batch, and gives (B, T, D): for each step of the victim
a mixture of visible states. "transport" is the paper's: a GRU foretells the plan from the visible sequence. "one-sided"
foretells what each step of the victim would choose by itself, for orders that no balanced plan can hold. The others are
controls. (Chapter "When alignment pays".)
"""

from collections.abc import Callable
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from .. import losses, masks
from ..batch import Batch, DataSpec
from ..config import BackboneConfig
from ..errors import InputError
from .backbone import Attention
from .dynamics import Fitter, masked_softmax
from .shared_space import Encoder

Weights = Literal["identity", "transport", "one-sided", "oracle", "foretold", "uniform", "global", "random"]
TAUGHT = ("transport", "one-sided")  # by alignments of complete pairs
KNOWN = ("oracle", "foretold")  # by the data


class Identity(nn.Module):
    """Step to step."""

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """The states as they are."""
        return states


class Uniform(nn.Module):
    """The mean over the window: an alignment that knows nothing."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        return mixed(masks.open_band(batch.real, self.window).to(states), states)


class Global(nn.Module):
    """Attention to the whole sequence, which no plan teaches."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attend = Attention(width, heads=1)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        return self.attend(states, states, batch.real)


class Fitted(nn.Module):
    """The alignment dynamics learner's fitter, on the visible features: learnt from plans, or left as drawn."""

    def __init__(self, features: int, config: BackboneConfig, window: int, hidden: int, one_sided: bool) -> None:
        super().__init__()
        self.one_sided = one_sided
        self.encode = Encoder(features, config, config.encoder_layers)  # the plan follows from the context
        self.fitter = Fitter(config.width, hidden, window, "softmax")

    def weights(self, batch: Batch) -> Tensor:
        """(B, T, 2W+1): how visible steps spread over the victim's, foretold. Rows sum to 1, or one-sided columns."""
        spread = self.fitter(self.encode(batch.visible, batch.real)[:, 1:], batch.lengths)
        return masks.transpose_band(spread) if self.one_sided else spread

    def loss(self, target: Tensor, batch: Batch) -> Tensor:
        """How far from l times the plan, (B, T, 2W+1) (the paper's Eq. 12). ()"""
        return losses.fitting(self.weights(batch), target, batch.real)

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """(B, T, D) -> (B, T, D); no gradient reaches the fitter."""
        return mixed(self.weights(batch).detach(), states)


class Oracle(nn.Module):
    """What data know of their alignment: the truth, or the best guess of it that the visible sequence allows.

    `known` (N, T) is the visible step of each of the victim's, or (N, T, T) how likely each visible step is.
    """

    known: Tensor | None = None  # no part of the weights: it belongs to the data

    def forward(self, states: Tensor, batch: Batch) -> Tensor:
        """(B, T, D) -> (B, T, D)"""
        if self.known is None:
            raise InputError(
                "weights=oracle and foretold need data that know their alignment, and the model that was built for them"
            )
        steps = states.shape[1]
        known = self.known[batch.ids.to(self.known.device), :steps].to(states.device)
        if known.ndim == 3:
            return known[:, :, :steps] @ states
        return states.gather(1, known[:, :, None].expand_as(states))


def choices(first: Tensor, second: Tensor, real: Tensor, window: int, mu: float) -> Tensor:
    """l times a one-sided plan: each step of the victim chooses among visible steps, by a softmax of -cost / mu.

    Columns sum to 1, rows to whatever comes, so that a lag or a repeated step has its place.

    Args:
        first: (B, T, D) visible states; second: (B, T, D) of the victim; real: (B, T).
        window: W; mu: as in `transport.align`, whose cost this is.

    Returns:
        (B, T, 2W+1), rows are visible steps.

    >>> import torch
    >>> steps, real = torch.eye(3)[None], torch.ones(1, 3).bool()
    >>> late = steps[:, [0, 0, 1]]  # the first one twice
    >>> masks.to_dense(choices(steps, late, real, window=1, mu=0.01))[0].round().tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    first, second = F.normalize(first, dim=2), F.normalize(second, dim=2)
    return masks.transpose_band(masked_softmax(masks.to_band(second @ first.mT, window) / mu, real))


def mixed(weights: Tensor, states: Tensor) -> Tensor:
    """Each step of the victim as an average of visible states (the paper's Eq. 13, columns made to sum to 1).

    weights: (B, T, 2W+1) rows are visible steps; states: (B, T, D).
    """
    return masks.to_mixing(weights) @ states


def way(kind: Weights, spec: DataSpec, config: BackboneConfig, window: int, hidden: int) -> nn.Module:
    """The module of a name."""
    made: dict[str, Callable[[], nn.Module]] = {
        "identity": Identity,
        "uniform": lambda: Uniform(window),
        "global": lambda: Global(config.width),
        **dict.fromkeys(KNOWN, Oracle),
    }
    return made.get(kind, lambda: Fitted(spec.widths[0], config, window, hidden, kind == "one-sided"))()
