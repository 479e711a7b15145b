"""Sliders over matrices that are no balanced plans: what the released code computes, and sums that may be unequal."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ... import masks, transport
from ...errors import ABOVE_0, InputError, check
from .. import palette, plots
from .alignment import LagSliders, displacement, margins
from .base import PlanSliders, doubles, rounded, square


class ReleasedSliders(PlanSliders):
    """Sliders for mu and W: the paper's plan beside the matrix of the released code.

    Args:
        cost: (l, l), rows visible and columns victim; match: (l,) the true row of each column.
        traits: where the sliders stand at first: mu, window; also barrier (the code's, in cost units), tol, max_sweeps.

    >>> sliders = ReleasedSliders(torch.tensor([[0.0, 1.0], [0.5, 0.0]]), [0, 1], mu=1.0, window=1)
    >>> for plan in sliders.plans().values():
    ...     print((2 * plan.sum(0)).round(decimals=2).tolist())
    [1.0, 1.0]
    [1.2, 0.84]
    """

    shown = (*PlanSliders.shown, "barrier", "cost", "match", "visible", "victim")

    kind = traitlets.Unicode("released").tag(sync=True)
    cost = traitlets.List().tag(sync=True)
    match = traitlets.List().tag(sync=True)
    visible = traitlets.List().tag(sync=True)
    victim = traitlets.List().tag(sync=True)
    barrier = traitlets.Float(100.0).tag(sync=True)

    def __init__(self, cost: Tensor, match: Sequence[int], **traits: object) -> None:
        kept, match = square("the cost", cost), torch.as_tensor(match).tolist()
        if len(match) != len(kept):
            raise InputError(f"match needs a row for each of {len(kept)} columns, found {len(match)}")
        visible, victim = map(rounded, margins(doubles(kept)))
        super().__init__(cost=kept, match=match, visible=visible, victim=victim, **traits)

    def plans(self) -> dict[str, Tensor]:
        cost, l = doubles(self.cost), len(self.cost)
        code = transport.official(cost[None], torch.tensor([l]), self.window, self.mu, self.barrier)
        return {"paper: Sinkhorn": self.solve(cost).mass[0], "released code": masks.to_dense(code)[0] / l}

    def truth(self) -> list[tuple[int, int]]:
        return [(i, j) for j, i in enumerate(self.match)]

    def beside(self) -> tuple[list, list]:
        return self.visible, self.victim

    def describe(self) -> str:
        worst = {name: (len(plan) * plan.sum(0) - 1).abs().max().item() for name, plan in self.plans().items()}
        told = " and ".join(f"{value:.1%} for the {name}" for name, value in worst.items())
        return (
            f"Two alignment matrices with window {self.window} and entropy {self.mu:.4g}: the paper's plan and the "
            f"matrix of the released code. The worst column sum is off by {told}."
        )


class PriceSliders(LagSliders):
    """Sliders for a constant lag and the price of unequal sums: cheap, the plan follows the lag and moves less.

    Args:
        sequence, reach: as of `LagSliders`.
        traits: where the sliders stand at first: lag, rho (in cost units), mu, window; also sweeps, how many are made.

    >>> sliders = PriceSliders(torch.eye(10), reach=2, lag=1, window=2, mu=0.05)
    >>> for sliders.rho in (10.0, 0.1):
    ...     (plan,) = sliders.plans().values()
    ...     print(round((displacement(plan) / plan.sum()).item(), 2), round(plan.sum().item(), 2))
    0.13 0.98
    1.0 0.58
    """

    shown = (*LagSliders.shown, "rho", "sweeps")
    named = ("lag", "rho", "window", "mu")

    kind = traitlets.Unicode("price").tag(sync=True)
    rho = traitlets.Float(0.3).tag(sync=True)
    sweeps = traitlets.Int(60).tag(sync=True)

    @traitlets.validate("rho")
    def _check_rho(self, proposal: dict) -> float:
        check("rho", proposal["value"], ABOVE_0)
        return proposal["value"]

    def plans(self) -> dict[str, Tensor]:
        plan = unequal(self.lagged_cost, self.window, self.mu, self.rho, self.sweeps)
        return {"plan with unequal sums": plan}

    def draw(self) -> Figure:
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
        ((title, plan),) = self.plans().items()
        looks = {"title": title, "window": self.window, "high": 1 / len(plan)}
        plots.show_matrix(plan, left, sequences=self.beside(), **looks)
        sides = {"rows": plan.sum(1), "columns": plan.sum(0)}
        plots.show_curves({name: len(plan) * side for name, side in sides.items()}, right, xlabel="step", ylabel="sum")
        right.axhline(1, color=palette.INK, linestyle=":")
        return figure

    def describe(self) -> str:
        (plan,) = self.plans().values()
        return (
            f"An alignment matrix of a sequence and its copy that lags by {self.lag} steps, whose sums may be unequal "
            f"at the price {self.rho:g}: it moves {plan.sum():.0%} of the mass, "
            f"{displacement(plan) / plan.sum():.1f} steps later on average."
        )


def unequal(cost: Tensor, window: int, mu: float, rho: float, sweeps: int) -> Tensor:
    """(l, l) -> (l, l): entropic transport whose sums may miss 1/l, at rho times the KL divergence from it.

    The entropy is relative to 1/l^2 everywhere (chapter "Beyond the paper"). Sinkhorn's sweeps, each bent by
    rho / (rho + mu) (Chizat et al. 2018); rho = infinity would be the balanced plan.

    >>> round(unequal(torch.zeros(2, 2), window=1, mu=0.1, rho=1e6, sweeps=50).sum().item(), 3)
    1.0
    """
    l, bend = len(cost), rho / (rho + mu)
    share, g = -torch.tensor(l, dtype=torch.float64).log(), torch.zeros(l, dtype=torch.float64)
    kernel = (2 * share - cost.double() / mu).masked_fill(masks.outside_window(l, window), -torch.inf)
    for _ in range(sweeps):
        f = bend * (share - (kernel + g).logsumexp(1))
        g = bend * (share - (kernel + f[:, None]).logsumexp(0))
    return (kernel + f[:, None] + g).exp()
