"""Figures of the book: each takes tensors or rows and returns the Axes. Colours are told apart by everyone.

Call `style()` once in a chapter. Figures keep a transparent ground and mid-grey ink, so that they read on
the light and on the dark page.
"""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from torch import Tensor

from .. import masks

INK = "#7a7a7a"  # readable on white and on near-black
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00")  # Okabe and Ito
MASS = "cividis"  # from dark to light, even for colour-blind readers


def style() -> None:
    """Set the look of the book for every figure that follows."""
    sns.set_theme(context="notebook", style="ticks", palette=COLOURS)
    plt.rcParams.update(
        {
            "figure.figsize": (7, 3.2), "figure.dpi": 110, "savefig.transparent": True,
            "figure.facecolor": "none", "axes.facecolor": "none", "legend.frameon": False,
            "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "axes.titlecolor": INK,
            "xtick.color": INK, "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.25,
            "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False,
            "svg.hashsalt": "mmalign", "font.size": 10, "axes.titlesize": 11,
        }
    )  # fmt: skip


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
) -> Axes:
    """Draw a (T, T) alignment, rows visible and columns victim; outside the window nothing is drawn."""
    values = np.asarray(values, dtype=float)
    if window is not None:
        place = np.arange(len(values))
        values = np.where(np.abs(place[:, None] - place) > window, np.nan, values)
    ax = ax or plt.subplots(figsize=(4, 3.4))[1]
    image = ax.imshow(values, cmap=MASS, vmin=0, vmax=high, origin="upper", interpolation="nearest")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.85)
    bar.set_label(label)
    bar.outline.set_visible(False)
    ax.grid(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(mpl.ticker.MaxNLocator(integer=True))
    ax.set(title=title, xlabel=columns, ylabel=rows)
    return ax


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
    looks = zip(mpl.cycler(linestyle=["-", "--", "-.", ":"]) * mpl.cycler(marker=["o", "s"]), strict=False)
    for (name, values), (look,), colour in zip(curves.items(), looks, COLOURS, strict=False):
        ax.plot(range(len(values)) if x is None else x, values, label=name, color=colour, markersize=3, **look)
    if mark is not None:
        ax.axvline(mark, color=INK, linestyle=":", linewidth=1)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.legend()
    return ax


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
            color=COLOURS[0],
            alpha=0.5,
            marker="o",
            markersize=4,
            label="one seed" if seed == 0 else None,
        )
    ax.plot(names, [np.mean(scores[name]) for name in names], color=COLOURS[5], marker="D", linewidth=2.5, label="mean")
    ax.set(ylabel=ylabel, title=title)
    ax.margins(x=0.15)
    ax.legend()
    return ax
