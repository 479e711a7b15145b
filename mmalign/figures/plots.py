"""Figures of the book: each takes tensors or rows and returns the Axes. Colours are told apart by everyone.

Call `style()` once in a chapter. Colours come from `palette`, by the name of what is drawn; in a notebook
figures are vector pictures, and a phone gets their panels stacked (`pages`).
"""

import re
from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from torch import Tensor

from .. import masks
from ..errors import InputError
from . import pages, palette
from .palette import INK

MASS = "cividis"  # from dark to light, even for colour-blind readers
WORDS = "#333333"  # figures lie on white, in the dark on a white card
COLOURS = palette.SERIES  # of things without a role


def style() -> None:
    """Set the look of the book for every figure that follows."""
    sns.set_theme(context="notebook", style="ticks", palette=palette.SERIES)
    plt.rcParams.update(
        {
            "figure.figsize": (7, 3.2), "figure.dpi": 110, "savefig.transparent": False,
            "figure.facecolor": "white", "axes.facecolor": "white", "legend.framealpha": 0.6,
            "text.color": WORDS, "axes.labelcolor": WORDS, "axes.edgecolor": INK, "axes.titlecolor": WORDS,
            "xtick.color": WORDS, "ytick.color": WORDS, "grid.color": INK, "grid.alpha": 0.25,
            "legend.edgecolor": "none", "legend.facecolor": "white", "axes.grid": True,
            "axes.spines.top": False, "axes.spines.right": False,
            "svg.hashsalt": "mmalign", "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10,
            "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9, "figure.constrained_layout.use": True,
        }
    )  # fmt: skip
    pages.install()


def show_matrix(
    values: Tensor | np.ndarray,
    ax: Axes | None = None,
    *,
    title: str = "",
    window: int | None = None,
    label: str = "mass",
    rows: str = "step of the visible sequence",
    columns: str = "step of the victim",
    high: float | None = None,
    sequences: tuple[Sequence, Sequence] | None = None,
) -> Axes:
    """Draw a (T1, T2) alignment, rows visible and columns victim; outside the window nothing is drawn.

    `sequences`: (T1,) and (T2,) numbers or words, drawn along the margins; InputError if a number is not finite.
    """
    values = np.asarray(values, dtype=float)
    if window is not None:
        values = np.where(masks.outside_window(len(values), window, values.shape[1]), np.nan, values)
    ax = ax or plt.subplots(figsize=(4, 3.4))[1]
    image = ax.imshow(values, cmap=MASS, vmin=0, vmax=high, origin="upper", interpolation="nearest")
    beside = 1.04 if sequences is None else 1.24  # as high as the matrix, right of what stands along it
    bar = ax.figure.colorbar(image, cax=ax.inset_axes([beside, 0, 0.05, 1]))
    bar.set_label(label)
    bar.outline.set_visible(False)
    ax.grid(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(whole_numbers())
    ax.set(title=title, xlabel=columns, ylabel=rows)
    for axis, side, name in ((ax.yaxis, "left", rows), (ax.xaxis, "bottom", columns)):
        whose = re.sub(r"^[\s\S]*step of (the )?", "", name)
        if palette.role(whose):  # an edge has the colour of its sequence
            shade = palette.colour(whose)
            axis.label.set_color(shade)
            ax.spines[side].set(color=shade, linewidth=2.5)
    if sequences is not None:
        _margins(ax, *sequences)
    return ax


def _margins(ax: Axes, visible: Sequence, victim: Sequence) -> None:
    """The two sequences of a matrix, above it and at its right, as curves or as words."""
    above, beside = ax.inset_axes([0, 1.02, 1, 0.17], sharex=ax), ax.inset_axes([1.02, 0, 0.17, 1], sharey=ax)
    for margin, values, role in ((above, victim, "victim"), (beside, visible, "visible")):
        places, look = range(len(values)), {"color": palette.COLOURS[role]}
        margin.axis("off")
        if isinstance(values[0], str):
            margin.set(**{"ylim" if margin is above else "xlim": (-1, 1)})
            for place, word in zip(places, values, strict=True):
                margin.text(*((place, 0) if margin is above else (0, place)), word, ha="center", va="center", **look)
        elif not np.isfinite(np.asarray(values, dtype=float)).all():
            raise InputError(f"the {role} sequence along a matrix must be finite; an absent one cannot be drawn")
        else:
            curve = (places, values) if margin is above else (values, places)
            margin.plot(*curve, "o-", markersize=2.5, lw=1, **look)
    ax.set_title(ax.get_title(), y=1.2)


def show_matrices(panels: Mapping[str, Tensor], *, layout: str = "compressed", **options: object) -> list[Axes]:
    """Draw titled matrices of one scale in a row; what they share is told once. `options`: see `show_matrix`."""
    count = len(panels)
    axes = plt.subplots(1, count, figsize=(7.6, 1.1 + 4.6 / count), layout=layout, squeeze=False)[1][0]
    for ax, (title, values) in zip(axes, panels.items(), strict=True):
        show_matrix(values, ax, title=title, **options)
        if ax is not axes[0]:
            ax.set_ylabel("")
        if ax is not axes[-1]:
            ax.images[0].colorbar.remove()
    return [*axes]


def show_band(band: Tensor, ax: Axes | None = None, **options: object) -> Axes:
    """Draw one (T, 2W+1) band as the matrix it stands for; see `show_matrix`."""
    return show_matrix(masks.to_dense(band.detach()[None])[0], ax, window=band.shape[1] // 2, **options)


def show_curves(
    curves: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    *,
    x: Sequence[float] | None = None,
    xlabel: str = "epoch",
    ylabel: str = "loss",
    title: str = "",
    mark: int | None = None,
) -> Axes:
    """Draw named curves, each with its own colour, dash and marker; `mark` draws a line at a place of x."""
    ax = ax or plt.subplots()[1]
    roles = [palette.role(name) for name in curves]
    for place, (name, values) in enumerate(curves.items()):
        look = {"color": palette.colour(name, place), "marker": palette.marker(name, place), "markersize": 3.5}
        before = roles[:place].count(roles[place])  # curves of one role have one colour: dashes tell them apart
        line = ("-", "--", "-.", ":")[before % 4]
        ax.plot(range(len(values)) if x is None else x, values, line, label=name, **look)
    if mark is not None:
        ax.axvline(mark, color=INK, linestyle=":", linewidth=1)
    if x is None or all(float(place).is_integer() for place in x):
        ax.xaxis.set_major_locator(whole_numbers())
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend()
    return ax


def whole_numbers() -> mpl.ticker.Locator:
    """Where an axis of steps or epochs has its numbers: there is no step 2.5."""
    return mpl.ticker.MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10])


def show_paired(
    scores: Mapping[str, Sequence[float]], ax: Axes | None = None, *, ylabel: str = "accuracy", title: str = ""
) -> Axes:
    """Draw one line a seed across the systems: what matters is the slope of each, not its height."""
    ax = ax or plt.subplots(figsize=(5, 3.2))[1]
    names = list(scores)
    for seed, values in enumerate(zip(*scores.values(), strict=True)):
        ax.plot(
            names,
            values,
            color=INK,
            alpha=0.6,
            marker="o",
            markersize=4,
            label="one seed" if seed == 0 else None,
        )
    ax.plot(names, [np.mean(scores[name]) for name in names], color="#222222", linewidth=2.5, label="mean")
    for name in names:
        if palette.role(name):
            ax.plot(name, np.mean(scores[name]), palette.marker(name), color=palette.colour(name), markersize=8)
    ax.set(ylabel=ylabel, title=title)
    ax.margins(x=0.15)
    ax.legend()
    return ax


def rings(
    ax: Axes, columns: Sequence[float], rows: Sequence[float], *, size: float = 40, label: str | None = None
) -> None:
    """Ring the true cells of a matrix, so that they are seen on every shade.

    Where its sequences stand along the margins, lines lead from each ring to the two steps that are partners.
    """
    if len(ax.child_axes) > 1:  # a colour bar alone is one
        top, right = np.full(len(rows), ax.get_ylim()[1]), np.full(len(rows), ax.get_xlim()[1])
        for role, x, y in (("victim", (columns, columns), (top, rows)), ("visible", (columns, right), (rows, rows))):
            path = [np.column_stack([*ends, top + np.nan]).ravel() for ends in (x, y)]  # nan: the pen is lifted
            ax.plot(*path, color=palette.COLOURS[role], linewidth=0.8, alpha=0.35, zorder=1.5)
    thin = min(1.0, (size / 40) ** 0.5)  # a small ring must not hide its cell
    for edge, width, name in (("white", 3.2, None), ("#111111", 1.4, label)):
        ax.scatter(columns, rows, s=size, facecolors="none", edgecolors=edge, linewidths=thin * width, label=name)


def box(ax: Axes, x: float, y: float, width: float, height: float, words: str = "", *, role: str | None = None) -> None:
    """A part of a diagram, centred at (x, y), in the pale shade of a role; without one it is white."""
    ground = f"{palette.COLOURS[role]}33" if role else "white"
    ax.add_patch(plt.Rectangle((x - width / 2, y - height / 2), width, height, facecolor=ground, edgecolor=INK))
    ax.text(x, y, words, ha="center", va="center", fontsize=9)


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """What leads from one part of a diagram to another."""
    ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "shrinkA": 1, "shrinkB": 1})
