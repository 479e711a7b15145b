"""Stand-ins that learn nothing of the victim: zeros, and the visible sequence itself.

They are trained as MM-Align is, without an alignment. A method that does not beat `Copy` has not
learned one: copying is MM-Align with the identity for a plan.
"""

import torch
from torch import Tensor

from ..batch import Batch
from ..config import FillConfig
from ..method.denoising import Imputing


class ZeroFill(Imputing[FillConfig]):
    """Zeros in place of the missing steps."""

    config_type = FillConfig

    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        return torch.cat([self.victim_head(first), torch.zeros_like(first[:, 1:])], dim=1)


class Copy(Imputing[FillConfig]):
    """The visible steps in place of the missing ones."""

    config_type = FillConfig

    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        return torch.cat([self.victim_head(first), first[:, 1:]], dim=1)
