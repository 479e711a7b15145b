"""A training that can be wound back: the fitter's guess after each epoch, and the losses on the way."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ...errors import InputError
from .. import palette, plots
from .base import Sliders, doubles, rounded, square, within

DASHES = ("", "6 4", "2 3", "8 3 2 3")


class EpochSliders(Sliders):
    """A slider over the epochs of a training.

    Args:
        guesses: (E, l, l) the fitter's weights for one pair after each epoch: row i says how visible step i spreads.
        target: (l, l) the plan of that pair times l, which the guesses should come to.
        sequences: (l,) and (l,) numbers that stand for the visible sequence and the victim.
        curves: name -> (E,) losses; NaN where there was none yet.
        traits: epoch, where the slider stands at first; warmup, the epochs in which the fitter rests; window, W.

    >>> import torch
    >>> sliders = EpochSliders(torch.stack([torch.ones(3, 3) / 3, torch.eye(3)]), torch.eye(3), ([1, 2, 3], [1, 2, 3]),
    ...                        {"fit": [2.0, 0.5]}, epoch=1)
    >>> [round(value, 3) for value in sliders.distances]
    [0.667, 0.0]
    """

    shown = ("guesses", "target", "visible", "victim", "curves", "epoch", "warmup", "window")
    named = ("epoch",)

    kind = traitlets.Unicode("epochs").tag(sync=True)
    guesses = traitlets.List().tag(sync=True)
    target = traitlets.List().tag(sync=True)
    visible = traitlets.List().tag(sync=True)
    victim = traitlets.List().tag(sync=True)
    curves = traitlets.List().tag(sync=True)
    epoch = traitlets.Int(0).tag(sync=True)
    warmup = traitlets.Int(0).tag(sync=True)
    window = traitlets.Int(2).tag(sync=True)

    def __init__(
        self,
        guesses: Tensor,
        target: Tensor,
        sequences: tuple[Sequence[float], Sequence[float]],
        curves: Mapping[str, Sequence[float]],
        **traits: object,
    ) -> None:
        if guesses.shape[1:] != target.shape or {*map(len, curves.values())} != {len(guesses)}:
            raise InputError(
                f"guesses (E, l, l), a target (l, l) and curves of E values must fit, found {tuple(guesses.shape)}, "
                f"{tuple(target.shape)} and curves of {', '.join(str(len(values)) for values in curves.values())}"
            )
        if {*map(len, sequences)} != {len(target)}:
            raise InputError(
                f"both sequences need {len(target)} steps, found {len(sequences[0])} and {len(sequences[1])}"
            )
        visible, victim = map(rounded, sequences)
        told = [self._curve(name, place, values) for place, (name, values) in enumerate(curves.items())]
        kept = [square("a guess", guess) for guess in guesses]
        super().__init__(
            guesses=kept, target=square("the target", target), visible=visible, victim=victim, curves=told, **traits
        )

    @staticmethod
    def _curve(name: str, place: int, values: Sequence[float]) -> dict:
        kept = [None if np.isnan(value) else round(float(value), 4) for value in values]
        return {"name": name, "values": kept, "colour": palette.colour(name, place), "dash": DASHES[place % 4]}

    @traitlets.validate("epoch")
    def _check_epoch(self, proposal: dict) -> int:
        return within(proposal, 0, len(self.guesses) - 1)

    @property
    def distances(self) -> list[float]:
        """After each epoch, how far the guess is from the plan: squares, summed over a row, mean over the rows."""
        goal = doubles(self.target)
        return [(doubles(guess) - goal).square().sum(1).mean().item() for guess in self.guesses]

    def draw(self) -> Figure:
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.4))
        l = len(self.target)
        guess = doubles(self.guesses[self.epoch])
        looks = {"title": f"guess after epoch {self.epoch}", "window": self.window, "high": 1 / l}
        plots.show_matrix(guess / l, left, sequences=(self.visible, self.victim), **looks)
        curves = {one["name"]: [np.nan if y is None else y for y in one["values"]] for one in self.curves}
        plots.show_curves(curves, right, mark=self.epoch)
        return figure

    def describe(self) -> str:
        first, last = self.distances[0], self.distances[-1]
        return (
            f"The fitter's guess after epoch {self.epoch} of {len(self.guesses)}, and the losses on the way. "
            f"Its distance to the plan goes from {first:.2f} to {last:.2f}."
        )
