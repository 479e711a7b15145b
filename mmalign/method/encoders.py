"""One modality's features -> a sequence of hidden states with a head in front."""

import math
from functools import lru_cache

import torch
from torch import Tensor, nn

from .. import masks
from . import official


class Standardise(nn.Module):
    """Features in standard deviations of the training data, cut at a few of them; padding becomes 0.

    Every feature that varies by more than the rounding of its own number format counts, whatever its unit and its
    offset: brain waves of 1e-13 tesla, milliseconds since 1970. Those come in float64, and stay in it until they are
    centred.
    """

    mean: Tensor  # (D,) float64
    spread: Tensor  # (D,), its dtype is that of the answers

    def __init__(self, features: int, cut: float) -> None:
        super().__init__()
        self.cut = cut
        self.register_buffer("mean", torch.zeros(features, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(features))

    def learn(self, values: Tensor) -> None:
        """Take mean and spread from (N, D) real steps of samples that may be seen."""
        mean, spread, largest = values.mean(0), values.std(0, correction=0), values.abs().amax(0)
        mean, spread = mean.double(), spread.double()
        offset = ~(spread > 1e-3 * largest)  # float32 sums are no longer exact enough; also where squares underflow
        if offset.any():
            exact = values[:, offset].double()
            unit = largest[offset].double().clamp(min=torch.finfo(torch.float64).tiny)
            mean[offset] = exact.mean(0)
            spread[offset] = (exact / unit).std(0, correction=0) * unit
        varies = spread > torch.finfo(values.dtype).eps * largest
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(varies, spread, 1))

    def forward(self, features: Tensor, real: Tensor) -> Tensor:
        """(B, T, D) float32 or float64, (B, T) -> (B, T, D) in the dtype of the model"""
        centred = features - self.mean.to(features.dtype)
        scaled = (centred / self.spread).to(self.spread.dtype).clamp(-self.cut, self.cut)
        return scaled.masked_fill(~real[:, :, None], 0)  # also what padding holds: anything, even NaN

    def undo(self, scaled: Tensor) -> Tensor:
        """(..., D) standardised features in their own unit again."""
        return self.mean.to(scaled.dtype) + self.spread.to(scaled.dtype) * scaled


@lru_cache(maxsize=64)
def sinusoidal_positions(steps: int, width: int, device: torch.device) -> Tensor:
    """(T, D): sine and cosine waves of falling frequency (Vaswani et al. 2017, section 3.5)."""
    place = torch.arange(steps, device=device)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000) / width))
    return torch.stack([(place * rate).sin(), (place * rate).cos()], dim=2).flatten(1)


def with_positions(states: Tensor) -> Tensor:
    """(B, T, D) -> the same, scaled, with where each step stands."""
    steps, width = states.shape[1:]
    return math.sqrt(width) * states + sinusoidal_positions(steps, width, states.device)


def learned_cls(embed: nn.Module, width: int) -> None:
    """A [CLS] that is trained: (D,)."""
    embed.cls = nn.Parameter(torch.randn(width) / math.sqrt(width))


# The paper's body and the released code's, by the name of the option.
POSITIONS = {"sinusoidal": with_positions, "none": official.bags_of_steps}
CLS = {"learned": learned_cls, "zeros": official.zero_cls}


class Embed(nn.Module):
    """Features -> scaled embeddings with positions, a [CLS] head prepended (MulT, arXiv 1906.00295)."""

    cls: Tensor  # (D,)

    def __init__(self, features: int, width: int, kernel: int, positional: str, cls: str, cut: float) -> None:
        super().__init__()
        self.standardise = Standardise(features, cut)
        self.project = nn.Conv1d(features, width, kernel, padding=kernel // 2, bias=False)
        self.positioned = POSITIONS[positional]
        CLS[cls](self, width)

    def head(self) -> Tensor:
        """(D,) the embedding of [CLS], position 0 included."""
        return self.positioned(self.cls[None, None])[0, 0]

    def forward(self, features: Tensor, real: Tensor) -> Tensor:
        """(B, T, D_m), (B, T) -> (B, T+1, D)"""
        clean = self.standardise(features, real)
        states = self.project(clean.transpose(1, 2)).transpose(1, 2)  # (B, T, D)
        states = torch.cat([self.cls.expand(len(states), 1, -1), states], dim=1)
        return self.positioned(states) * masks.with_head(real)[:, :, None]
