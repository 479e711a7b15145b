"""The sliders of the book: anywidget classes over `static/alignment.js`, each with a still twin for paper and print.

The JavaScript holds the solver, so that a page without Python moves as well; its numbers are those of
`mmalign.transport` in float64. Live, a slider's value is a trait: read it, set it, observe it.
"""

import html
import io
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

import anywidget
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
import traitlets
from torch import Tensor

from . import plots, transport
from .errors import ABOVE_0, InputError, check, whole

STATIC = Path(__file__).with_name("static")
DIGITS = 4  # of a stored cost: what the sliders show is small to store, and exactly what Python computes with


class _Sliders(anywidget.AnyWidget):
    """What both widgets share. Subclasses name their traits in `shown` and say what they show in `plans`."""

    _esm = STATIC / "alignment.js"
    _css = STATIC / "alignment.css"
    shown: tuple[str, ...] = ()

    kind = traitlets.Unicode().tag(sync=True)
    window = traitlets.Int(2).tag(sync=True)
    mu = traitlets.Float(0.2).tag(sync=True)
    tol = traitlets.Float(1e-3).tag(sync=True)
    max_sweeps = traitlets.Int(400).tag(sync=True)

    @traitlets.validate("window")
    def _check_window(self, proposal: dict) -> int:
        check("window", proposal["value"], whole(0))
        return proposal["value"]

    @traitlets.validate("mu")
    def _check_mu(self, proposal: dict) -> float:
        check("mu", proposal["value"], ABOVE_0)
        return proposal["value"]

    def plans(self) -> dict[str, Tensor]:
        """Title -> (l, l) plan, at the present state."""
        raise NotImplementedError

    def describe(self) -> str:
        """One sentence for whoever cannot see the picture."""
        raise NotImplementedError

    def solve(self, cost: Tensor) -> transport.TransportPlan:
        """What the sliders show, computed in Python: cost (l, l), float64."""
        return transport.sinkhorn(cost[None], window=self.window, mu=self.mu, tol=self.tol, max_sweeps=self.max_sweeps)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(window={self.window}, mu={self.mu:.4g})"

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        """Live view, page and picture; a front end takes the best that it can show."""
        data, about = super()._repr_mimebundle_(**options)
        picture, words = self._picture(), html.escape(self.describe())
        state = {name: getattr(self, name) for name in ("kind", "window", "mu", "tol", "max_sweeps", *self.shown)}
        still = (
            f'<div class="mmalign-widget" data-widget="alignment" '
            f'data-state="{html.escape(json.dumps(state, separators=(",", ":")))}">'
            f'<img alt="{words}" src="data:image/png;base64,{picture}"></div>'
        )
        return {**data, "text/plain": repr(self), "text/html": still, "image/png": picture}, about

    def _picture(self) -> str:
        """The still twin, a PNG in base64."""
        plans, memory = self.plans(), io.BytesIO()
        figure, places = plt.subplots(1, len(plans), figsize=(4.2 * len(plans), 3.4), squeeze=False)
        for ax, (title, plan) in zip(places[0], plans.items(), strict=True):
            plots.show_matrix(plan, ax, title=title, window=self.window, high=1 / len(plan))
        figure.tight_layout()
        figure.savefig(memory, format="png", dpi=80, facecolor="white", transparent=False, metadata={"Software": None})
        plt.close(figure)
        return b64encode(memory.getvalue()).decode()


class WindowSliders(_Sliders):
    """Sliders for W and mu over one or more pairs of sequences.

    Args:
        costs: name of a pair -> (l, l) cost, rows visible and columns victim; kept to 4 decimals.
        matches: name of a pair -> (l,) the true row of each column, where it is known.
        traits: where the sliders stand at first: window, mu, pair (a place in `costs`); also tol, max_sweeps.

    >>> sliders = WindowSliders({"a step late": 1 - torch.eye(4).roll(1, 1)}, window=1, mu=0.1)
    >>> sliders
    WindowSliders(window=1, mu=0.1)
    >>> sliders.plan.mass[0, 0].mul(4).round(decimals=2).tolist()
    [0.08, 0.92, 0.0, 0.0]
    """

    shown = ("pair", "pairs")

    pairs = traitlets.List().tag(sync=True)
    pair = traitlets.Int(0).tag(sync=True)

    def __init__(
        self, costs: Mapping[str, Tensor], matches: Mapping[str, Sequence[int]] | None = None, **traits: object
    ) -> None:
        pairs = []
        for name, cost in costs.items():
            if cost.dim() != 2 or cost.shape[0] != cost.shape[1]:
                raise InputError(f"the cost of {name!r} must have shape (l, l), found {tuple(cost.shape)}")
            match = (matches or {}).get(name)
            match = None if match is None else torch.as_tensor(match).tolist()
            pairs.append({"name": name, "cost": _rounded(cost), "match": match})
        super().__init__(kind="window", pairs=pairs, **traits)

    @traitlets.validate("pair")
    def _check_pair(self, proposal: dict) -> int:
        if not 0 <= proposal["value"] < len(self.pairs):
            raise InputError(f"pair must lie in 0..{len(self.pairs) - 1}, found {proposal['value']}")
        return proposal["value"]

    @property
    def cost(self) -> Tensor:
        """(l, l) float64: the cost that the sliders work on."""
        return torch.tensor(self.pairs[self.pair]["cost"], dtype=torch.float64)

    @property
    def plan(self) -> transport.TransportPlan:
        """What the sliders show, computed in Python."""
        return self.solve(self.cost)

    def plans(self) -> dict[str, Tensor]:
        return {self.pairs[self.pair]["name"]: self.plan.mass[0]}

    def describe(self) -> str:
        plan = self.plan
        return (
            f"Alignment matrix of {self.pairs[self.pair]['name']} with window {self.window} and entropy {self.mu:.4g}: "
            f"cost {plan.cost.item():.4g}, marginal gap {plan.gap.item():.1e} after {plan.sweeps} sweeps."
        )


class LagSliders(_Sliders):
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

    shown = ("lag", "reach", "cost")

    cost = traitlets.List().tag(sync=True)  # (l, l + 2 * reach), the visible steps against the whole sequence
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
        super().__init__(kind="lag", cost=_rounded(cost), reach=reach, **traits)

    @traitlets.validate("lag")
    def _check_lag(self, proposal: dict) -> int:
        if abs(proposal["value"]) > self.reach:
            raise InputError(f"lag must lie in {-self.reach}..{self.reach}, found {proposal['value']}")
        return proposal["value"]

    @property
    def lagged_cost(self) -> Tensor:
        """(l, l) float64: step i of the sequence against step j of its copy that is `lag` steps late."""
        cost = torch.tensor(self.cost, dtype=torch.float64)
        return cost[:, self.reach - self.lag :][:, : len(cost)]

    def plans(self) -> dict[str, Tensor]:
        cost = self.lagged_cost
        return {"balanced plan": self.solve(cost).mass[0], "one-sided plan": one_sided(cost, self.window, self.mu)}

    def describe(self) -> str:
        places = " and ".join(f"{displacement(plan):.2f} for the {title}" for title, plan in self.plans().items())
        return (
            f"Two alignment matrices of a sequence and its copy that lags by {self.lag} steps, window {self.window}, "
            f"entropy {self.mu:.4g}. Mean displacement: {places}."
        )


def one_sided(cost: Tensor, window: int, mu: float) -> Tensor:
    """(l, l) -> (l, l): each row spreads its 1/l by a softmax over the window; column sums are whatever comes.

    >>> one_sided(torch.zeros(2, 2), window=0, mu=1.0).tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    place = torch.arange(len(cost))
    outside = (place[:, None] - place).abs() > window
    return (-cost / mu).masked_fill(outside, -torch.inf).softmax(1) / len(cost)


def displacement(plan: Tensor) -> float:
    """The mean of j - i over the mass of a plan (l, l), in steps; 0 for every balanced plan."""
    place = torch.arange(len(plan), dtype=plan.dtype)
    return (plan * (place - place[:, None])).sum().item()


def _rounded(cost: Tensor) -> list[list[float]]:
    return [[round(value, DIGITS) for value in row] for row in cost.double().tolist()]
