"""The victim's observations, imagined from the visible sequence: one step for each of its steps.

An encoder reads the visible sequence, an alignment (`mixing`) brings its states to the victim's steps, some blocks look
back at the whole, and a linear layer says what is observed. Learnt by squared error in standard deviations of each
feature, so that sensors and symbols are served alike: of one-hot symbols it imagines the probabilities. Without blocks
it is a linear map of the aligned steps, and all that it knows of the context is the alignment.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks
from ..batch import Batch, DataSpec
from ..config import BackboneConfig
from .backbone import CrossStack
from .encoders import Standardise, sinusoidal_positions
from .shared_space import Encoder


class Translator(nn.Module):
    """Visible sequence -> the victim's, in its own unit."""

    def __init__(self, spec: DataSpec, config: BackboneConfig, layers: int, way: nn.Module) -> None:
        super().__init__()
        self.way = way
        self.encode = Encoder(spec.widths[0], config, config.encoder_layers if layers else 0)
        self.look_back = CrossStack(config.width, config.heads, layers, config.dropout) if layers else None
        self.out = nn.Linear(config.width, spec.widths[1])
        self.scale = Standardise(spec.widths[1], config.clip_features)

    def forward(self, batch: Batch) -> Tensor:
        """(B, T, D2) in standard deviations from the mean."""
        states = self.encode(batch.visible, batch.real)  # (B, T+1, D)
        steps = self.way(states[:, 1:], batch)  # (B, T, D)
        if self.look_back is not None:
            steps = steps + sinusoidal_positions(*steps.shape[1:], steps.device)
            steps = self.look_back(steps, states, masks.with_head(batch.real))
        return self.out(steps)

    def imagine(self, batch: Batch) -> Tensor:
        """(B, T, D2) in the victim's own unit."""
        return self.scale.undo(self(batch))

    def loss(self, batch: Batch) -> Tensor:
        """Mean squared error over the real steps of complete samples, in variances of each feature. ()"""
        target = self.scale(batch.victim, batch.real)
        return F.mse_loss(self(batch)[batch.real], target[batch.real])
