"""Sliders over attention: what a head sees of the order of its steps, without positions and with them."""

import math

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ...errors import AT_LEAST_0, InputError, check
from ...method.encoders import sinusoidal_positions
from .. import palette, plots
from .base import Sliders, doubles, rounded, within


class AttentionSliders(Sliders):
    """Sliders that turn a sequence by some places under the eyes of a head.

    Args:
        steps: (l, D) embedded steps, which are keys as they are; query: (D,) of the head.
        values: (l,) what each step says when it is looked at.
        traits: where the controls stand at first: shift, positions (times the sine waves), sharp (times the scores).

    >>> sliders = AttentionSliders(torch.eye(3, 4), torch.ones(4), [0.0, 0.5, 1.0], positions=0.0)
    >>> before = sliders.read
    >>> sliders.shift = 2
    >>> round(sliders.read - before, 9) + 0.0  # a bag of steps
    0.0
    """

    shown = ("steps", "query", "values", "shift", "positions", "sharp")
    named = ("shift", "positions", "sharp")

    kind = traitlets.Unicode("attention").tag(sync=True)
    steps = traitlets.List().tag(sync=True)
    query = traitlets.List().tag(sync=True)
    values = traitlets.List().tag(sync=True)
    shift = traitlets.Int(0).tag(sync=True)
    positions = traitlets.Float(1.0).tag(sync=True)
    sharp = traitlets.Float(1.0).tag(sync=True)

    def __init__(self, steps: Tensor, query: Tensor, values: Tensor | list[float], **traits: object) -> None:
        if steps.dim() != 2 or query.shape != steps.shape[1:] or len(values) != len(steps):
            raise InputError(
                f"steps (l, D), query (D,) and values (l,) must fit, found {tuple(steps.shape)}, "
                f"{tuple(query.shape)} and {len(values)} values"
            )
        super().__init__(steps=rounded(steps), query=rounded(query), values=rounded(values), **traits)

    @traitlets.validate("shift")
    def _check_shift(self, proposal: dict) -> int:
        return within(proposal, 0, len(self.steps) - 1)

    @traitlets.validate("positions", "sharp")
    def _check_factor(self, proposal: dict) -> float:
        check(proposal["trait"].name, proposal["value"], AT_LEAST_0)
        return proposal["value"]

    @property
    def weights(self) -> Tensor:
        """(l,) float64: how much the head looks at each place, once the steps have been turned."""
        steps, query = doubles(self.steps).roll(self.shift, 0), doubles(self.query)
        l, width = steps.shape
        waves = sinusoidal_positions(l + 1, width + width % 2, torch.device("cpu"))[1:, :width]  # 0 is the head's own
        scores = (steps + self.positions * waves.double()) @ query / math.sqrt(width)
        return (self.sharp * scores).softmax(0)

    @property
    def read(self) -> float:
        """What the head gets: the values under its weights."""
        return (self.weights @ doubles(self.values).roll(self.shift)).item()

    def draw(self) -> Figure:
        l, figure = len(self.steps), plt.figure(figsize=(5, 3))
        ax = figure.subplots()
        ax.bar(range(l), self.weights.tolist(), color=palette.COLOURS["visible"])
        names = [chr(65 + (place - self.shift) % l % 26) for place in range(l)]
        ax.set(xlabel="steps, in the order in which they stand", ylabel="weight", ylim=(0, 1))
        ax.set_xticks(range(l), names)
        ax.axhline(1 / l, color=plots.INK, linestyle=":")
        return figure

    def describe(self) -> str:
        weights, l = self.weights, len(self.steps)
        place = int(weights.argmax())
        return (
            f"Attention weights over {l} steps turned by {self.shift}, positions times {self.positions:g}: most at "
            f"step {chr(65 + (place - self.shift) % l % 26)} with {weights[place]:.2f}; the head reads {self.read:.3f}."
        )
