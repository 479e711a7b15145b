"""Sliders over transport plans: window and entropy, a constant lag, one sweep after the other."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ... import masks, transport
from ...errors import InputError, check, whole
from .. import plots
from .base import PlanSliders, doubles, rounded, square, within


class WindowSliders(PlanSliders):
    """Sliders for W and mu over one or more pairs of sequences.

    Args:
        costs: name of a pair -> (l, l) cost, rows visible and columns victim; kept to 4 decimals.
        matches: name of a pair -> (l,) the true row of each column, where it is known.
        sequences: name of a pair -> what stands along the margins: (l,) numbers or words for the rows, and for the
            columns; by default what the two have most in common, as the cost tells it (`margins`).
        traits: where the sliders stand at first: window, mu, pair (a place in `costs`); also tol, max_sweeps.

    >>> sliders = WindowSliders({"a step late": 1 - torch.eye(4).roll(1, 1)}, window=1, mu=0.1)
    >>> sliders
    WindowSliders(window=1, mu=0.1)
    >>> sliders.plan.mass[0, 0].mul(4).round(decimals=2).tolist()
    [0.08, 0.92, 0.0, 0.0]
    """

    shown = (*PlanSliders.shown, "pair", "pairs")

    kind = traitlets.Unicode("window").tag(sync=True)
    pairs = traitlets.List().tag(sync=True)
    pair = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        costs: Mapping[str, Tensor],
        matches: Mapping[str, Sequence[int]] | None = None,
        sequences: Mapping[str, tuple[Sequence, Sequence]] | None = None,
        **traits: object,
    ) -> None:
        if not costs:
            raise InputError("costs must hold at least one pair, found none")
        pairs = []
        for name, cost in costs.items():
            match = (matches or {}).get(name)
            match = None if match is None else torch.as_tensor(match).tolist()
            kept = square(f"the cost of {name!r}", cost)
            visible, victim = map(along, (sequences or {}).get(name) or margins(doubles(kept)))
            pairs.append({"name": name, "cost": kept, "match": match, "visible": visible, "victim": victim})
        super().__init__(pairs=pairs, **traits)

    @traitlets.validate("pair")
    def _check_pair(self, proposal: dict) -> int:
        return within(proposal, 0, len(self.pairs) - 1)

    @property
    def cost(self) -> Tensor:
        """(l, l) float64: the cost that the sliders work on."""
        return doubles(self.pairs[self.pair]["cost"])

    @property
    def plan(self) -> transport.TransportPlan:
        """What the sliders show, computed in Python."""
        return self.solve(self.cost)

    def plans(self) -> dict[str, Tensor]:
        return {self.pairs[self.pair]["name"]: self.plan.mass[0]}

    def truth(self) -> list[tuple[int, int]]:
        return [(i, j) for j, i in enumerate(self.pairs[self.pair]["match"] or [])]

    def beside(self) -> tuple[list, list]:
        return self.pairs[self.pair]["visible"], self.pairs[self.pair]["victim"]

    def describe(self) -> str:
        plan = self.plan
        return (
            f"Alignment matrix of {self.pairs[self.pair]['name']} with window {self.window} and entropy {self.mu:.4g}: "
            f"cost {plan.cost.item():.4g}, marginal gap {plan.gap.item():.1e} after {plan.sweeps} sweeps."
        )


class LagSliders(PlanSliders):
    """Sliders for a constant lag, answered by a balanced plan and by one that is right in its rows only.

    The visible sequence is the middle of `sequence`; the victim is the same sequence `lag` steps later.

    Args:
        sequence: (S, D) one sequence, `reach` steps longer than the shown part at both ends.
        reach: the largest lag, in steps.
        traits: where the sliders stand at first: lag, window, mu; also tol and max_sweeps.

    >>> sliders = LagSliders(torch.eye(10), reach=2, lag=1, window=2, mu=0.02)
    >>> {title: round(displacement(plan), 2) + 0.0 for title, plan in sliders.plans().items()}
    {'balanced plan': 0.0, 'one-sided plan': 0.67}
    """

    shown = (*PlanSliders.shown, "lag", "reach", "cost", "along")

    kind = traitlets.Unicode("lag").tag(sync=True)
    cost = traitlets.List().tag(sync=True)  # (l, l + 2 * reach), the visible steps against the whole sequence
    along = traitlets.List().tag(sync=True)  # (l + 2 * reach,), its first principal component
    reach = traitlets.Int().tag(sync=True)
    lag = traitlets.Int(0).tag(sync=True)

    def __init__(self, sequence: Tensor, reach: int, **traits: object) -> None:
        if sequence.dim() != 2 or len(sequence) <= 2 * reach:
            raise InputError(
                f"a lag of up to {reach} needs a sequence (S, D) of more than {2 * reach} steps, "
                f"found {tuple(sequence.shape)}"
            )
        sequence = F.normalize(sequence.double(), dim=1)
        cost = 1 - sequence[reach : len(sequence) - reach] @ sequence.T
        component = torch.linalg.svd(sequence - sequence.mean(0))[0][:, 0]
        super().__init__(cost=rounded(cost), along=rounded(component), reach=reach, **traits)

    @traitlets.validate("lag")
    def _check_lag(self, proposal: dict) -> int:
        return within(proposal, -self.reach, self.reach)

    @property
    def lagged_cost(self) -> Tensor:
        """(l, l) float64: step i of the sequence against step j of its copy that is `lag` steps late."""
        cost = doubles(self.cost)
        return cost[:, self.reach - self.lag :][:, : len(cost)]

    def plans(self) -> dict[str, Tensor]:
        cost = self.lagged_cost
        return {"balanced plan": self.solve(cost).mass[0], "one-sided plan": one_sided(cost, self.window, self.mu)}

    def truth(self) -> list[tuple[int, int]]:
        l = len(self.cost)
        return [(i, i + self.lag) for i in range(l) if 0 <= i + self.lag < l]

    def beside(self) -> tuple[list, list]:
        l, late = len(self.cost), self.reach - self.lag
        return self.along[self.reach :][:l], self.along[late:][:l]

    def describe(self) -> str:
        places = " and ".join(f"{displacement(plan):.2f} for the {title}" for title, plan in self.plans().items())
        return (
            f"Two alignment matrices of a sequence and its copy that lags by {self.lag} steps, window {self.window}, "
            f"entropy {self.mu:.4g}. Mean displacement: {places}."
        )


class SweepSliders(PlanSliders):
    """Sliders for the sweeps of Sinkhorn's algorithm: the plan after so many, and the gap after each.

    Args:
        cost: (l, l), kept to 4 decimals.
        most: the largest number of sweeps.
        traits: where the sliders stand at first: sweeps, mu, window; `tol` is a line to compare with, not a stop.

    >>> sliders = SweepSliders(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), mu=0.2, window=1, sweeps=3)
    >>> [round(gap, 3) for gap in sliders.gaps[:3]]
    [0.322, 0.18, 0.116]
    >>> sliders.plan.mass[0].sum(0)  # columns are right after every sweep
    tensor([0.5000, 0.5000], dtype=torch.float64)
    """

    shown = (*PlanSliders.shown, "sweeps", "most", "cost", "visible", "victim")
    named = ("sweeps", *PlanSliders.named)

    kind = traitlets.Unicode("sweeps").tag(sync=True)
    cost = traitlets.List().tag(sync=True)  # (l, l)
    visible = traitlets.List().tag(sync=True)  # (l,)
    victim = traitlets.List().tag(sync=True)  # (l,)
    most = traitlets.Int(60).tag(sync=True)
    sweeps = traitlets.Int(1).tag(sync=True)

    def __init__(self, cost: Tensor, most: int = 60, **traits: object) -> None:
        check("most", most, whole(2))
        cost = square("the cost", cost)
        visible, victim = map(rounded, margins(doubles(cost)))
        super().__init__(cost=cost, visible=visible, victim=victim, most=most, **traits)

    @traitlets.validate("sweeps")
    def _check_sweeps(self, proposal: dict) -> int:
        return within(proposal, 1, self.most)

    def after(self, sweeps: int) -> transport.TransportPlan:
        """The plan after exactly so many sweeps."""
        cost = doubles(self.cost)[None]
        return transport.sinkhorn(cost, window=self.window, mu=self.mu, tol=0, max_sweeps=sweeps)

    @property
    def plan(self) -> transport.TransportPlan:
        """What the sliders show, computed in Python."""
        return self.after(self.sweeps)

    @property
    def gaps(self) -> list[float]:
        """The marginal gap after sweep 1, 2, ..., `most`."""
        return [self.after(sweeps).gap.item() for sweeps in range(1, self.most + 1)]

    def plans(self) -> dict[str, Tensor]:
        return {f"after {self.sweeps} sweeps": self.plan.mass[0]}

    def beside(self) -> tuple[list, list]:
        return self.visible, self.victim

    def draw(self) -> Figure:
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
        for title, plan in self.plans().items():
            looks = {"title": title, "window": self.window, "high": 1 / len(plan)}
            plots.show_matrix(plan, left, sequences=self.beside(), **looks)
        gaps = {"gap": self.gaps}
        plots.show_curves(gaps, right, x=range(1, self.most + 1), xlabel="sweeps", ylabel="gap", mark=self.sweeps)
        right.axhline(self.tol, color=plots.INK, linestyle="--", label=f"tolerance {self.tol:g}")
        right.set(yscale="log", ylim=(1e-6, 10))
        right.legend()
        return figure

    def describe(self) -> str:
        return (
            f"Alignment matrix after {self.sweeps} sweeps with window {self.window} and entropy {self.mu:.4g}, "
            f"marginal gap {self.plan.gap.item():.2g}; beside it the gap after each of {self.most} sweeps, "
            f"which ends at {self.after(self.most).gap.item():.2g}."
        )


def one_sided(cost: Tensor, window: int, mu: float) -> Tensor:
    """(l1, l2) -> (l1, l2): each row spreads its 1/l1 by a softmax over the window; column sums are whatever comes.

    >>> one_sided(torch.zeros(2, 2), window=0, mu=1.0).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    outside = masks.outside_window(len(cost), window, cost.shape[1])
    return (-cost / mu).masked_fill(outside, -torch.inf).softmax(1) / len(cost)


def displacement(plan: Tensor) -> float:
    """The mean of j - i over the mass of a plan (l, l), in steps; 0 for every balanced plan."""
    place = torch.arange(len(plan), dtype=plan.dtype)
    return (plan * (place - place[:, None])).sum().item()


def margins(cost: Tensor) -> tuple[Tensor, Tensor]:
    """(l, l) -> two curves (l,): what two sequences have most in common, as far as their cost tells it.

    The best product of a row and a column for the similarities 1 - cost (its first singular vectors), in any unit.

    >>> x, y = margins(1 - torch.tensor([[1.0, -2.0], [2.0, -4.0]]))
    >>> (x / x[0]).round(decimals=4).tolist(), (y / y[0]).round(decimals=4).tolist()
    ([1.0, 2.0], [1.0, -2.0])
    """
    rows, size, columns = torch.linalg.svd(1 - cost.double())
    first = rows[:, 0] * size[0].sqrt(), columns[0] * size[0].sqrt()
    sign = 1 - 2 * int(first[0][first[0].abs().argmax()] < 0)  # the same curve on every machine
    return sign * first[0], sign * first[1]


def along(values: Sequence) -> list:
    """What is stored of a margin: words as they are, numbers rounded."""
    return [*values] if isinstance(values[0], str) else rounded(values)
