"""Sliders over one step of a stand-in: which visible steps are mixed into it, and with which weights."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ...errors import InputError
from .. import palette, plots
from .base import PlanSliders, doubles, rounded, square, within


class DecodingSliders(PlanSliders):
    """A slider for the step of the victim that is imputed; W and mu where the weights come from a plan.

    Args:
        visible: (l,) one feature of the visible sequence; all numbers are kept to 4 decimals.
        victims: name -> (l,) the true victim, in the units of `visible`.
        costs: name -> (l, l) cost, rows visible and columns victim: the weights are l times its plan.
        weights: name -> (l, l) fixed weights, such as a fitter's. Each name stands in one of the two.
        traits: where the controls stand at first: step, case (a place in `victims`), window, mu; also tol, max_sweeps.

    >>> import torch
    >>> late = torch.eye(4).roll(1, 1)  # visible step 0 goes to step 1 of the victim
    >>> sliders = DecodingSliders([1, 2, 3, 4], {"late": [4, 1, 2, 3]}, weights={"late": late}, step=1)
    >>> sliders, sliders.imputed.tolist()
    (DecodingSliders(step=1, window=2, mu=0.2), [4.0, 1.0, 2.0, 3.0])
    """

    shown = (*PlanSliders.shown, "step", "case", "visible", "cases")
    named = ("step", *PlanSliders.named)

    kind = traitlets.Unicode("decoding").tag(sync=True)
    visible = traitlets.List().tag(sync=True)  # (l,)
    cases = traitlets.List().tag(sync=True)  # name, victim (l,), and cost (l, l) or weights (l, l)
    case = traitlets.Int(0).tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        visible: Tensor | Sequence[float],
        victims: Mapping[str, Tensor | Sequence[float]],
        costs: Mapping[str, Tensor] | None = None,
        weights: Mapping[str, Tensor] | None = None,
        **traits: object,
    ) -> None:
        given = {"cost": costs or {}, "weights": weights or {}}
        cases = []
        for name, victim in victims.items():
            here = {what: values[name] for what, values in given.items() if name in values}
            found = {what: square(f"the {what} of {name!r}", values) for what, values in here.items()}
            sizes = {len(visible), len(victim), *map(len, found.values())}
            if len(found) != 1 or len(sizes) != 1:
                raise InputError(
                    f"case {name!r} needs {len(visible)} victim steps and either a cost or weights of that size, "
                    f"found {len(victim)} and {', '.join(found) or 'neither'}"
                )
            cases.append({"name": name, "victim": rounded(victim), **found})
        super().__init__(visible=rounded(visible), cases=cases, **traits)

    @traitlets.validate("step")
    def _check_step(self, proposal: dict) -> int:
        return within(proposal, 0, len(self.visible) - 1)

    @traitlets.validate("case")
    def _check_case(self, proposal: dict) -> int:
        return within(proposal, 0, len(self.cases) - 1)

    @property
    def weights(self) -> Tensor:
        """(l, l) float64: row i says how visible step i spreads over the victim's."""
        case = self.cases[self.case]
        if "weights" in case:
            return doubles(case["weights"])
        return self.solve(doubles(case["cost"])).mass[0] * len(self.visible)

    @property
    def imputed(self) -> Tensor:
        """(l,) what is mixed (the paper's Eq. 13): step j sums weights[i, j] * visible[i] over i."""
        return self.weights.T @ doubles(self.visible)

    def plans(self) -> dict[str, Tensor]:
        return {self.cases[self.case]["name"]: self.weights / len(self.visible)}

    def draw(self) -> Figure:
        case, steps = self.cases[self.case], range(len(self.visible))
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
        looks = {"visible": "o-", "true victim": "s--", "imagined": "D-"}
        curves = self.visible, case["victim"], self.imputed
        for values, (name, look) in zip(curves, looks.items(), strict=True):
            left.plot(steps, values, look, color=palette.colour(name), markersize=4, label=name)
        left.axvline(self.step, color=plots.INK, linestyle=":", linewidth=1)
        left.set(xlabel="step", ylabel="value")
        left.legend()
        right.bar(steps, self.weights[:, self.step].tolist(), color=palette.COLOURS["visible"])
        right.axvline(self.step, color=plots.INK, linestyle=":", linewidth=1)
        right.set(xlabel="step of the visible sequence", ylabel=f"weight in step {self.step}", title=case["name"])
        return figure

    def describe(self) -> str:
        case, into = self.cases[self.case], self.weights[:, self.step]
        return (
            f"A visible sequence, the true victim and the imputed one, weights: {case['name']}. "
            f"Step {self.step} comes mostly from visible step {into.argmax()}, with weight {into.max():.2f}; "
            f"imputed {self.imputed[self.step]:.2f}, true {case['victim'][self.step]:.2f}."
        )
