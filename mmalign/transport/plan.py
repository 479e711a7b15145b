"""What a solver returns: the plan, how good it is, and the one gradient that is exact without differentiating it."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import masks

Array = TypeVar("Array", Tensor, np.ndarray)


@dataclass(frozen=True)
class TransportPlan(Generic[Array]):
    """A batch of solved alignments, in arrays of the kind that was given. Read `gap` before trusting `band`.

    No gradient flows through the plan itself: `band`, `mass` and `gap` carry none.
    """

    band: Array  # (B, T1, K) mass from step t of x to step first[b, t] + k of y; 0 where that is outside
    cost: Array  # (B,) sum of mass * cost, in units of the cost; its gradient is that of `value`
    gap: Array  # (B,) largest relative error over both marginals, measured after the last sweep
    sweeps: int  # row-and-column updates until the last sequence of the batch had converged
    mu: float = field(repr=False)
    window: masks.Window = field(repr=False)  # which steps the entries of `band` speak of

    @cached_property
    def first(self) -> Array:
        """(B, T1) the step of y that slot 0 of each row of `band` speaks of; t - W where both lengths are one."""
        return _like(self.band, self._wide_window_first())

    @cached_property
    def mass(self) -> Array:
        """(B, T1, T2) the same plan, dense, made when asked for. Rows sum to 1/l1, columns to 1/l2."""
        band = torch.as_tensor(self.band)
        return _like(self.band, masks.to_dense(band) if self.window.straight else self.window.to_dense(band))

    @cached_property
    def value(self) -> Array:
        """(B,) what the solver minimises, <A, M> + mu * sum of A log A, in units of the cost; made when asked for.

        Differentiable, to x and y in `align` and to the cost in `sinkhorn`. By the envelope theorem the gradient of
        the minimum is <A, dM> with the plan held fixed, whatever the plan would do (chapter "Optimal transport").
        It is exact for a converged plan, so as good as its `gap`; a second derivative is refused.
        """
        entropy = torch.special.xlogy(*[torch.as_tensor(self.band).double()] * 2).sum((1, 2))  # -H(A)
        cost = torch.as_tensor(self.cost)
        return _like(self.band, cost + (self.mu * entropy).to(cost))

    def _wide_window_first(self) -> Tensor:
        """`band` may have more slots than the window needs: a W beyond the sequence is kept."""
        offsets = self.band.shape[2]
        return self.window.first - (offsets - self.window.width) // 2


def _like(example: Array, value: Tensor) -> Array:
    """The value as a tensor or, where the example is none, as an array."""
    return value if isinstance(example, Tensor) else value.numpy()


def with_gradient(total: Tensor, band: Tensor, window: masks.Window, *inputs: Tensor) -> Tensor:
    """`total` (B,), the cost of a plan, with the gradient <A, dM>: to x and y (B, T, D), or to the cost (B, T1, T2).

    Where no input asks for a gradient, it is `total` itself.
    """
    if not (torch.is_grad_enabled() and any(value.requires_grad for value in inputs)):
        return total
    held = _PlanHeld if len(inputs) == 2 else _DensePlanHeld
    result: Tensor = held.apply(total, band, window, *inputs)  # type: ignore[no-untyped-call]
    return result


class _DensePlanHeld(torch.autograd.Function):
    """The derivative of <A, M> by M is A."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, band: Tensor, window: masks.Window, cost: Tensor) -> Tensor:
        ctx.save_for_backward(band)
        ctx.window = window
        return total.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        (band,) = ctx.saved_tensors
        return None, None, None, ctx.window.to_dense(band) * upstream[:, None, None]


class _PlanHeld(torch.autograd.Function):
    """The derivative of <A, 1 - cos(x, y)> by x and y, on the band."""

    @staticmethod
    def forward(ctx: Any, total: Tensor, band: Tensor, window: masks.Window, x: Tensor, y: Tensor) -> Tensor:
        ctx.save_for_backward(band, x, y)
        ctx.window = window
        return total.clone()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        _refuse_second_derivative()
        band, x, y = ctx.saved_tensors
        window: masks.Window = ctx.window
        band = band * upstream[:, None, None]
        x, y = masks.zero_padding(x, window.lengths), masks.zero_padding(y, window.other_lengths)
        by_x = by_y = None
        if ctx.needs_input_grad[3]:
            by_x = -_across(x, _mix(band, window, directions(y)))
        if ctx.needs_input_grad[4]:
            by_y = -_across(y, _mix(window.transpose(band), window.transposed, directions(x)))
        return None, None, None, by_x, by_y


def _refuse_second_derivative() -> None:
    """It would need the derivative of the plan; without a word it would be 0."""
    if torch.is_grad_enabled():  # in a backward pass: somebody asked for create_graph
        raise RuntimeError("a plan's value can be differentiated once: its gradient holds the plan fixed")


def _mix(band: Tensor, window: masks.Window, values: Tensor) -> Tensor:
    """(B, T1, K), (B, T2, D) -> (B, T1, D): sum over k of band * the step that it speaks of. Never (B, T1, T2)."""
    total = values.new_zeros(*band.shape[:2], values.shape[2])
    for k in range(band.shape[2]):
        total.addcmul_(band[:, :, k, None], window.look_at(values, k))
    return total


def directions(x: Tensor) -> Tensor:
    """(B, T, D) -> x / |x|, 0 where x is. Divided by the largest feature first, so that no square overflows."""
    return F.normalize(x / _largest(x), dim=2)


def _largest(x: Tensor) -> Tensor:
    return x.abs().amax(2, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny)


def _across(x: Tensor, pull: Tensor) -> Tensor:
    """The derivative of x / |x| * pull by x: the part of the pull that is across x, over |x|; 0 where x is."""
    unit, largest = directions(x), _largest(x)
    across = pull - (pull * unit).sum(2, keepdim=True) * unit
    return (across / largest / (x / largest).norm(dim=2, keepdim=True)).masked_fill((x == 0).all(2, keepdim=True), 0)
