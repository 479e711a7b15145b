"""A bidirectional GRU for short sequences on the CPU, compiled.

PyTorch's takes a dozen kernels per step and direction, which for the alignment fitter costs more than the
whole backbone. Here the weights stay in a `torch.nn.GRU`, whose equations (Cho et al. 2014, in PyTorch's
variant) are run step by step over the batch in compiled code, forward and backward. On CUDA, and without
numba, PyTorch's own runs; both agree to rounding.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from . import masks

try:
    from . import compiled_gru as compiled
except ImportError:  # without numba
    compiled = None


class BidirectionalGRU(nn.GRU):
    """One layer, both directions: (B, T, D), (B,) true lengths -> (B, T, 2H), 0 on padding."""

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(features, hidden, batch_first=True, bidirectional=True)

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        if compiled and sequence.device.type == "cpu":
            return self._compiled(sequence, lengths)
        packed = pack_padded_sequence(sequence, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(super().forward(packed)[0], batch_first=True, total_length=sequence.shape[1])[0]

    def _compiled(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        real = masks.real_steps(lengths, sequence.shape[1])
        # Read backwards, a sequence starts at its true end: its steps are turned round, its padding stays behind.
        turned = torch.where(
            real, lengths[:, None] - 1 - torch.arange(sequence.shape[1]), torch.arange(sequence.shape[1])
        )
        turned = turned[:, :, None]  # (B, T, 1)
        backward = sequence.gather(1, turned.expand_as(sequence))
        inputs = [
            F.linear(sequence, self.weight_ih_l0, self.bias_ih_l0),
            F.linear(backward, self.weight_ih_l0_reverse, self.bias_ih_l0_reverse),
        ]
        inputs = torch.stack(inputs).transpose(1, 2)  # (2, T, B, 3H)
        weights = torch.stack([self.weight_hh_l0, self.weight_hh_l0_reverse])  # (2, 3H, H)
        biases = torch.stack([self.bias_hh_l0, self.bias_hh_l0_reverse])  # (2, 3H)
        states = _Scan.apply(inputs, weights, biases).transpose(1, 2)  # (2, B, T, H)
        there, back = states[0], states[1].gather(1, turned.expand_as(states[1]))
        return torch.cat([there, back], dim=2) * real[:, :, None]


class _Scan(torch.autograd.Function):
    """The recurrence: gate inputs (2, T, B, 3H), weights (2, 3H, H), biases (2, 3H) -> (2, T, B, H)."""

    @staticmethod
    def forward(ctx, inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        inputs, across = inputs.contiguous(), weights.transpose(1, 2).contiguous()
        states, gates, recalls = compiled.gru_forward(inputs.numpy(), across.numpy(), biases.contiguous().numpy())
        states, gates, recalls = (torch.from_numpy(value) for value in (states, gates, recalls))
        ctx.save_for_backward(states, gates, recalls, across)
        return states[:, 1:]

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        states, gates, recalls, across = ctx.saved_tensors
        into, within = compiled.gru_backward(
            upstream.contiguous().numpy(), states.numpy(), gates.numpy(), recalls.numpy(), across.numpy()
        )
        into, within = torch.from_numpy(into), torch.from_numpy(within).flatten(1, 2)  # (2, T*B, 3H)
        weights = within.transpose(1, 2) @ states[:, :-1].flatten(1, 2)
        return into, weights, within.sum(1)
