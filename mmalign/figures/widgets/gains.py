"""A map to explore: what a stand-in gains, over the share of labels, the share of pairs and the room there is."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from ...errors import InputError
from .. import palette
from .base import DIGITS, Sliders, within


class GainMap(Sliders):
    """A table of cells, labels by pairs, at one room at a time; each cell opens to its interval.

    Args:
        gains: (room, pairs, labels) -> mean, low, high of the gain, such as a `statistics.Paired`.
        names: what the three axes are called.
        unit: of a gain.
        traits: where the controls stand at first: room, pairs, labels (places among the levels, from the least).

    >>> gains = {(0.0, 0.1, 0.05): (0.01, -0.02, 0.04), (0.0, 0.9, 0.05): (0.03, 0.01, 0.05)}
    >>> GainMap(gains, ("room", "pairs", "labels"), "accuracy").describe()
    'Gains in accuracy over 1 by 2 shares of labels and pairs, at 1 room: 1 of 2 resolved, the largest +0.030.'
    """

    shown = ("points", "levels", "names", "unit", "room", "pairs", "labels")
    named = ("room", "pairs", "labels")

    kind = traitlets.Unicode("map").tag(sync=True)
    points = traitlets.List().tag(sync=True)
    levels = traitlets.List().tag(sync=True)
    names = traitlets.List().tag(sync=True)
    unit = traitlets.Unicode().tag(sync=True)
    room = traitlets.Int(0).tag(sync=True)
    pairs = traitlets.Int(0).tag(sync=True)
    labels = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        gains: Mapping[tuple[float, float, float], Sequence[float]],
        names: Sequence[str],
        unit: str,
        **traits: object,
    ) -> None:
        if not gains or len(names) != 3 or any(len(place) != 3 for place in gains):
            raise InputError(
                f"a map needs gains over three axes and their three names, found {len(gains)} gains and {names}"
            )
        levels = [sorted(set(values)) for values in zip(*gains, strict=True)]
        points = [
            {"place": [levels[axis].index(value) for axis, value in enumerate(place)]}
            | {name: round(float(value), DIGITS) for name, value in zip(("mean", "low", "high"), one[:3], strict=True)}
            for place, one in gains.items()
        ]
        super().__init__(points=points, levels=levels, names=[*names], unit=unit, **traits)

    @traitlets.validate("room", "pairs", "labels")
    def _check_place(self, proposal: dict) -> int:
        levels = self.levels[("room", "pairs", "labels").index(proposal["trait"].name)]
        return within(proposal, 0, len(levels) - 1)

    def draw(self) -> Figure:
        rooms, pairs, labels = self.levels
        figure, axes = plt.subplots(1, len(rooms), figsize=(3.8 * len(rooms), 3), squeeze=False)
        for place, (ax, room) in enumerate(zip(axes[0], rooms, strict=True)):
            for one in self.points:
                if one["place"][0] == place:
                    self._cell(ax, one)
            ax.set(title=f"{self.names[0]} {room:g}", xlim=(-0.5, len(pairs) - 0.5), ylim=(len(labels) - 0.5, -0.5))
            ax.set_xticks(range(len(pairs)), [f"{value:g}" for value in pairs])
            ax.set_yticks(range(len(labels)), [f"{value:g}" for value in labels])
            ax.set(xlabel=self.names[1], ylabel=self.names[2])
            ax.grid(False)
        return figure

    def _cell(self, ax: plt.Axes, one: Mapping) -> None:
        most = max(abs(point["mean"]) for point in self.points) or 1
        _, column, row = one["place"]
        shade = palette.COLOURS["ours"] if one["mean"] > 0 else palette.INK
        look = {"facecolor": shade, "edgecolor": shade, "alpha": 0.08 + 0.5 * abs(one["mean"]) / most}
        ax.add_patch(plt.Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, **look))
        mark = "●" if self._resolved(one) else "○"
        ax.text(column, row, f"{mark} {one['mean']:+.3f}", ha="center", va="center", fontsize=9)

    @staticmethod
    def _resolved(one: Mapping) -> bool:
        return one["low"] > 0 or one["high"] < 0

    def describe(self) -> str:
        rooms, pairs, labels = map(len, self.levels)
        return (
            f"Gains in {self.unit} over {labels} by {pairs} shares of labels and pairs, at {rooms} "
            f"room{'s' * (rooms > 1)}: {sum(map(self._resolved, self.points))} of {len(self.points)} resolved, "
            f"the largest {max(one['mean'] for one in self.points):+.3f}."
        )
