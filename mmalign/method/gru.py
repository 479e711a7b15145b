"""A bidirectional GRU for short sequences on the CPU, compiled.

PyTorch's takes a dozen kernels per step and direction, which for the alignment fitter costs more than the
whole backbone. Here the weights stay in a `torch.nn.GRU`, whose equations (Cho et al. 2014, in PyTorch's
variant) are run step by step over the batch in compiled code, forward and backward. On CUDA, and without
numba, PyTorch's own runs; both agree to rounding.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

try:
    from . import gru_compiled as compiled

    COMPILED = True
except ModuleNotFoundError as error:
    if error.name != "numba":  # what is missing is ours
        raise
    COMPILED = False


class BidirectionalGRU(nn.GRU):
    """One layer, both directions: (B, T, D), (B,) true lengths -> (B, T, 2H), 0 on padding."""

    # torch makes these: (3H, D), (3H, H) and (3H,) of the gates, one of each for a direction.
    weight_ih_l0: Tensor
    weight_ih_l0_reverse: Tensor
    weight_hh_l0: Tensor
    weight_hh_l0_reverse: Tensor
    bias_ih_l0: Tensor
    bias_ih_l0_reverse: Tensor
    bias_hh_l0: Tensor
    bias_hh_l0_reverse: Tensor

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(features, hidden, batch_first=True, bidirectional=True)

    def forward(self, sequence: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]  # lengths, no state
        if COMPILED and sequence.device.type == "cpu":
            return self._compiled(sequence, lengths)
        packed = pack_padded_sequence(sequence, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(super().forward(packed)[0], batch_first=True, total_length=sequence.shape[1])[0]

    def _compiled(self, sequence: Tensor, lengths: Tensor) -> Tensor:
        weights = torch.cat([self.weight_ih_l0, self.weight_ih_l0_reverse])  # (6H, D)
        inputs = F.linear(sequence, weights, torch.cat([self.bias_ih_l0, self.bias_ih_l0_reverse]))
        across = torch.stack([self.weight_hh_l0, self.weight_hh_l0_reverse])  # (2, 3H, H)
        biases = torch.stack([self.bias_hh_l0, self.bias_hh_l0_reverse])  # (2, 3H)
        states: Tensor = _Scan.apply(inputs.unflatten(2, (2, -1)), across, biases, lengths)  # type: ignore[no-untyped-call]
        return states.flatten(2)


class _Scan(torch.autograd.Function):
    """The recurrence: gate inputs (B, T, 2, 3H), weights (2, 3H, H), biases (2, 3H) -> states (B, T, 2, H)."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weights: Tensor, biases: Tensor, lengths: Tensor) -> Tensor:
        hidden = weights.shape[2]
        across = F.pad(weights.transpose(1, 2), (0, 0, 0, -hidden % 4)).contiguous()  # loops take four rows at a time
        arrays = (value.contiguous().numpy() for value in (inputs, across, biases, lengths))
        states, gates = map(torch.from_numpy, compiled.gru_forward(*arrays))
        ctx.save_for_backward(states, gates, across, lengths)
        return states[:, 1:-1, :, :hidden].contiguous()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        arrays = (value.contiguous().numpy() for value in (upstream, *ctx.saved_tensors))
        hidden = upstream.shape[3]
        states = ctx.saved_tensors[0][..., :hidden]
        slopes = torch.from_numpy(compiled.gru_backward(*arrays))  # of reset, update, recall, candidate
        into = torch.cat([slopes[..., : 2 * hidden], slopes[..., 3 * hidden :]], 3)
        within = slopes[..., : 3 * hidden].contiguous().permute(2, 3, 0, 1).flatten(2)  # (2, 3H, B*T)
        before = torch.stack([states[:, :-2, 0], states[:, 2:, 1]]).flatten(1, 2)  # (2, B*T, H)
        return into, within @ before, within.sum(2), None
