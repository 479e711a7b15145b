"""What all pictures that move have in common: one JavaScript source, a stored page, a still twin.

The JavaScript computes by itself, so that a page without Python moves as well; its numbers are the package's, in
float64. Live, what a control shows is a trait: read it, set it, observe it.
"""

import html
import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import anywidget
import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ... import transport
from ...errors import ABOVE_0, InputError, check, whole
from .. import pages, palette, plots

STATIC = Path(__file__).parents[1] / "static"
# anywidget takes one module that imports nothing: the parts, in the order of their names.
MODULE = "\n".join([palette.javascript(), *(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.js")))])
STYLE = "\n".join([palette.css(), *(path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.css")))])
DIGITS = 4  # of a stored number: what the sliders show is small to store, and exactly what Python computes with


class Sliders(anywidget.AnyWidget):
    """A picture that moves. Subclasses name their `kind` and traits, draw their still twin, and put it in words."""

    _esm = MODULE
    _css = STYLE
    shown: ClassVar[tuple[str, ...]] = ()  # traits that the page needs
    named: ClassVar[tuple[str, ...]] = ()  # traits that a reader moves

    kind = traitlets.Unicode().tag(sync=True)

    def draw(self) -> Figure:
        """The still twin, at the present state."""
        raise NotImplementedError

    def describe(self) -> str:
        """One sentence for whoever cannot see the picture."""
        raise NotImplementedError

    def __repr__(self) -> str:
        values = {name: getattr(self, name) for name in self.named}
        told = [f"{name}={value:.4g}" if type(value) is float else f"{name}={value}" for name, value in values.items()]
        return f"{type(self).__name__}({', '.join(told)})"

    def _repr_mimebundle_(self, **options: object) -> tuple[dict, dict]:
        """Live view, and a page that holds the picture; a front end takes the best that it can show."""
        data, about = super()._repr_mimebundle_(**options)
        picture, words = self._picture(), html.escape(self.describe())
        state = {name: getattr(self, name) for name in ("kind", *self.shown)}
        still = (
            f'<div class="mmalign-widget" data-widget="alignment" '
            f'data-state="{html.escape(json.dumps(state, separators=(",", ":")))}">'
            f'<img alt="{words}" src="data:image/svg+xml;base64,{b64encode(picture.encode()).decode()}"></div>'
        )
        return {**data, "text/plain": repr(self), "text/html": still}, about

    def _picture(self) -> str:
        """The still twin as SVG, on white."""
        figure = self.draw()
        figure.set_layout_engine("constrained")
        figure.patch.set(facecolor="white", alpha=1)
        picture = pages.svg(figure)
        plt.close(figure)
        return picture


class PlanSliders(Sliders):
    """Sliders that solve for a plan: with a window, an entropy, and a stopping rule."""

    shown = ("window", "mu", "tol", "max_sweeps")
    named = ("window", "mu")

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

    def solve(self, cost: Tensor) -> transport.TransportPlan:
        """What the sliders show, computed in Python: cost (l, l), float64."""
        return transport.sinkhorn(cost[None], window=self.window, mu=self.mu, tol=self.tol, max_sweeps=self.max_sweeps)

    def plans(self) -> dict[str, Tensor]:
        """Title -> (l, l) plan, at the present state."""
        raise NotImplementedError

    def beside(self) -> tuple[list, list] | None:
        """What stands along the margins of the plans: the visible sequence and the victim."""
        return None

    def truth(self) -> list[tuple[int, int]]:
        """The true cells, row and column, where they are known; ringed."""
        return []

    def draw(self) -> Figure:
        plans = self.plans()
        figure, places = plt.subplots(1, len(plans), figsize=(4.2 * len(plans), 3.4), squeeze=False)
        for ax, (title, plan) in zip(places[0], plans.items(), strict=True):
            looks = {"title": title, "window": self.window, "high": 1 / max(plan.shape)}
            plots.show_matrix(plan, ax, sequences=self.beside(), **looks)
            if cells := self.truth():
                plots.rings(ax, [j for _, j in cells], [i for i, _ in cells])
        return figure


def within(proposal: dict, least: int, most: int) -> int:
    """A proposed whole number of a trait, if it lies in least..most."""
    name, value = proposal["trait"].name, proposal["value"]
    if not least <= value <= most:
        raise InputError(f"{name} must lie in {least}..{most}, found {value}")
    return value


def square(what: str, values: "Tensor | np.ndarray") -> list[list[float]]:  # noqa: F821
    """(l, l) -> rows to store. Each may come into the window, and a page knows no infinity."""
    values = torch.as_tensor(values)
    if values.dim() != 2 or values.shape[0] != values.shape[1]:
        raise InputError(f"{what} must have shape (l, l), found {tuple(values.shape)}")
    for row, column in (~values.isfinite()).nonzero()[:1].tolist():
        raise InputError(f"{what} must be finite, found {values[row, column]} at row {row}, column {column}")
    return rounded(values)


def rounded(values: Tensor | Sequence[float]) -> list:
    """Numbers or rows of numbers, to as many digits as are stored."""
    values = torch.as_tensor(values, dtype=torch.float64).tolist()
    return [rounded(value) if isinstance(value, list) else round(value, DIGITS) for value in values]


def doubles(stored: list) -> Tensor:
    """What was stored, as Python computes with it."""
    return torch.tensor(stored, dtype=torch.float64)
