"""The alignment dynamics learner (ADL): visible sequence -> alignment weights -> imagined victim.

Learning mode: a transport plan between the two real sequences is the target, and a GRU that sees only
the visible one learns to predict it (the paper's Eqs. 6-12). Decoding mode: the predicted weights mix
the visible states into a stand-in for the missing sequence (Eqs. 13 and 14). Chapter "The alignment
dynamics learner". Sequences are (B, T, D) here, without the head.
"""

import torch
from torch import Tensor, nn

from .. import masks, transport
from ..config import DynamicsConfig
from . import official
from .gru import BidirectionalGRU


class Fitter(nn.Module):
    """A GRU over the visible sequence, a linear layer per step, a softmax over the window (Eq. 11)."""

    def __init__(self, width: int, hidden: int, window: int, head: str) -> None:
        super().__init__()
        self.head = head
        self.gru = BidirectionalGRU(width, hidden)
        self.project = nn.Linear(2 * hidden, 2 * window + 1)

    def forward(self, first: Tensor, lengths: Tensor) -> Tensor:
        """(B, T, D), (B,) -> (B, T, 2W+1): row t says how the visible step t spreads over the victim's.

        With the softmax head a row sums to 1 over the steps that exist, as the rows of l * plan do.
        """
        scores = self.project(self.gru(first, lengths))  # (B, T, 2W+1)
        return HEADS[self.head](scores, masks.real_steps(lengths, first.shape[1]))


def masked_softmax(scores: Tensor, real: Tensor) -> Tensor:
    """(B, T, 2W+1), (B, T) -> (B, T, 2W+1): over the slots that exist, 0 in the others."""
    open_ = masks.open_band(real, scores.shape[2] // 2)
    return scores.masked_fill(~open_ & real[:, :, None], -torch.inf).softmax(2) * open_


def as_they_are(scores: Tensor, real: Tensor) -> Tensor:
    """The paper's letter: a linear layer, and nothing behind it."""
    return scores


def balanced_target(config: DynamicsConfig, first: Tensor, second: Tensor, lengths: Tensor) -> Tensor:
    """l times the plan of Eqs. 6 to 10. (B, T, 2W+1)"""
    first, second = first.detach(), second.detach()
    plan = transport.align(
        first, second, lengths, window=config.window, mu=config.mu, tol=config.tol, max_sweeps=config.max_sweeps
    )
    return plan.band * lengths[:, None, None]


def transposed(mixing: Tensor) -> Tensor:
    """z_j = sum over i of A_ij z_i sums over the first index (Eq. 13). (B, T, T)"""
    return mixing.transpose(1, 2)


# The paper's body and the released code's, by the name of the option.
HEADS = {"softmax": masked_softmax, "linear": as_they_are, "softmax_unmasked": official.unmasked_softmax}
TARGETS = {"sinkhorn": balanced_target, "official": official.released_target}
ORIENTATIONS = {"transposed": transposed, "official": official.mirrored}


class AlignmentDynamics(nn.Module):
    """Solver, fitter and imputation, with the options of the released code."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        self.config = config
        self.fitter = Fitter(config.width, config.fitter_width, config.window, config.fitter_head)

    def target(self, first: Tensor, second: Tensor, lengths: Tensor) -> Tensor:
        """l times the transport plan, so that its rows and columns sum to 1. (B, T, 2W+1), no gradient."""
        return TARGETS[self.config.solver](self.config, first, second, lengths)

    def imagine(self, weights: Tensor, first: Tensor, real: Tensor) -> Tensor:
        """Mix visible steps into the steps of the missing sequence (Eq. 13). (B, T, D)

        weights: (B, T, 2W+1) rows are visible steps, as the plan's are; first: (B, T, D); real: (B, T).
        """
        inside = masks.open_band(real, weights.shape[2] // 2)
        mixing = ORIENTATIONS[self.config.impute_orientation](masks.to_dense(weights * inside))  # (B, T, T)
        if self.config.impute_norm == "column":
            mixing = mixing / mixing.sum(2, keepdim=True).masked_fill(~real[:, :, None], 1)
        return mixing @ first
