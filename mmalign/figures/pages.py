"""Figures as vector pictures, each twice: as it was drawn, and with its panels stacked for a phone.

In a notebook both stand side by side in the cell's output; the book's extension offers the browser the one that fits.
Words are stored as words, so that they can be read, searched and measured; the colours of what a legend names are
stored as well.
"""

import io
import json
import re
import sys
import warnings
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.gridspec import GridSpec
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

NARROW = "application/vnd.mmalign.narrow"  # the second picture of an output
WIDTHS = {"wide": 7.6, "narrow": 4.0}  # inches, at most; a page shows them about 710 and 330 CSS pixels wide
FONTS = "DejaVu Sans, Verdana, Arial, sans-serif"
NAMING = (FixedFormatter, FuncFormatter, StrCategoryFormatter)  # what names a panel's rows; others write numbers
SMALLEST = 9  # points of any word: 9 pixels or more on a phone


def install() -> None:
    """From here on, a figure that this notebook shows is stored as two SVG pictures. Elsewhere: nothing."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or "inline" not in plt.get_backend():
        return
    from IPython.core.formatters import BaseFormatter
    from traitlets import ObjectName, Unicode

    class NarrowFormatter(BaseFormatter):
        format_type = Unicode(NARROW)
        print_method = ObjectName("_repr_narrow_")

    plt.switch_backend(plt.get_backend())  # now, or its first figure would install its own pictures
    formatters = shell.display_formatter.formatters
    for formatter in formatters.values():
        formatter.pop(Figure, None)
    formatters.setdefault(NARROW, NarrowFormatter(parent=shell.display_formatter))
    formatters["image/svg+xml"].for_type(Figure, wide)
    formatters[NARROW].for_type(Figure, narrow)


def wide(figure: Figure) -> str:
    """The picture as it was drawn, no wider than a page."""
    width, height = figure.get_size_inches()
    if width > WIDTHS["wide"]:
        figure.set_size_inches(WIDTHS["wide"], height * max(0.85, WIDTHS["wide"] / width))
    return svg(figure)


def narrow(figure: Figure) -> str:
    """The same, its panels one below the other; it changes the figure, so it comes last."""
    panels = [ax for ax in figure.axes if ax.get_subplotspec() is not None]
    grids = {ax.get_subplotspec().get_gridspec() for ax in panels}
    height = figure.get_size_inches()[1]
    if len(grids) == 1:
        height = stack(figure, panels, grids.pop())
    figure.set_size_inches(min(WIDTHS["narrow"], figure.get_size_inches()[0]), height)
    for ax in figure.axes:
        break_lines(ax)
    for legend in figure.findobj(Legend):
        fold(legend)
    return svg(figure)


def stack(figure: Figure, panels: list[Axes], grid: GridSpec) -> float:
    """Put the panels below one another, three or more to a row in pairs. Returns the new height in inches."""
    height = figure.get_size_inches()[1]
    columns = 2 if grid.ncols > 2 and len(panels) > 3 and all(ax.images for ax in panels) else 1
    if grid.ncols <= columns:
        return height
    for ax in panels:
        place = ax.get_subplotspec()
        first = next(one for one in panels if one.get_subplotspec().rowspan.start == place.rowspan.start)
        below = [one for one in panels if one.get_subplotspec().colspan.start == place.colspan.start]
        if columns == 1 and not place.is_first_col() and not ax.get_ylabel():
            ax.set_ylabel(first.get_ylabel())
        if columns == 1 and not ax.get_xlabel() and ax.axison:
            ax.set_xlabel(max(below, key=lambda one: one.get_subplotspec().rowspan.start).get_xlabel())
        if ax.axison and columns == 1:
            ax.tick_params(labelleft=bool(first.yaxis.get_tick_params().get("labelleft", True)), labelbottom=True)
    rows = -(-len(panels) // columns)
    target = GridSpec(rows, columns, figure)
    for number, ax in enumerate(panels):
        ax.set_subplotspec(target[number // columns, number % columns])
    square = any(ax.images and ax.get_aspect() != "auto" for ax in panels)
    each = WIDTHS["narrow"] / columns * 0.85 if square else min(max(height / grid.nrows, 2.0), 3.2)
    return rows * each + (0.4 if columns > 1 else 0)


def break_lines(ax: Axes) -> None:
    """Long names beside and below a panel take several lines."""
    names = [words.get_text() for words in ax.get_yticklabels()]
    if max(map(len, names), default=0) > 18 and isinstance(ax.yaxis.get_major_formatter(), NAMING):
        ax.set_yticks(ax.get_yticks(), [fill(name, 18) for name in names])
    ax.set_xlabel(fill(ax.get_xlabel(), 38))
    ax.set_ylabel(fill(ax.get_ylabel(), 30))
    ax.set_title(fill(ax.get_title(), 40))


def fold(legend: Legend) -> None:
    """No more columns than fit; what stood right of its panel goes below it."""
    title, labels = legend.get_title().get_text(), [words.get_text() for words in legend.get_texts()]
    most = 2 if 2 * max(map(len, labels), default=0) < 44 else 1
    if legend._ncols > most:  # matplotlib counts columns only when it builds the box
        legend.set_ncols(most)
        legend._init_legend_box(legend.legend_handles, labels)
        legend.set_title(title)
    ax = legend.axes
    if ax is not None and ax.transAxes.inverted().transform(legend.get_bbox_to_anchor().min)[0] > 0.98:
        legend.set_loc("upper center")
        legend.set_bbox_to_anchor((0.5, -0.3), ax.transAxes)


def svg(figure: Figure) -> str:
    """The figure as SVG, the same bytes every time, with no word smaller than SMALLEST."""
    for words in figure.findobj(Text):
        words.set_fontsize(max(words.get_fontsize(), SMALLEST))
    for image in figure.findobj(AxesImage):
        image.set_interpolation("none")  # one pixel a cell: the browser enlarges it, with sharp edges
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    memory = io.BytesIO()
    about = {"Date": None, "Creator": None, "Description": json.dumps(colours(figure), sort_keys=True)}
    with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mmalign"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied")
        figure.savefig(memory, format="svg", bbox_inches="tight", metadata=about)
    return compact(memory.getvalue().decode())


def compact(picture: str) -> str:
    """The same picture in one line, to a hundredth of a point, its font named once: a stored chapter stays small."""
    for pattern, short in (
        (r"(\d\.\d\d)\d+", r"\1"),
        (r" font-family: [^;\"]*(;|(?=\"))", ""),
        (r' id="[A-Za-z][\w.]*_\d+"', ""),
        (r' transform="rotate\(-0 [^)]*\)"', ""),
        (r"\s+", " "),
        (r"> <", "><"),
        (r"<svg(?! font)", f'<svg font-family="{FONTS}"'),
    ):
        picture = re.sub(pattern, short, picture)
    # Matplotlib names what cuts a picture by where it lies in memory: numbers repeat.
    names = dict.fromkeys(re.findall(r'<clipPath id="(\w+)"', picture))
    for number, name in enumerate(names):
        picture = picture.replace(name, f"cut{number}")
    return picture


def colours(figure: Figure) -> dict[str, str]:
    """What the figure's legends name -> its colour, as #rrggbb."""
    found = {}
    for ax in figure.axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            shade = next((shade for shade in shades(handle) if shade is not None), None)
            if shade is not None and not label.startswith("_"):
                found[label] = shade
    return found


def shades(artist: object) -> list[str | None]:
    """The colours that a line, a bar, a collection or a container may be said to have."""
    if not hasattr(artist, "get_edgecolor") and not hasattr(artist, "get_color"):
        return [shade for part in getattr(artist, "get_children", list)() for shade in shades(part)]
    for name in ("get_color", "get_facecolor", "get_edgecolor"):
        value = getattr(artist, name, lambda: None)()
        if value is not None and np.size(value):
            first = value[0] if np.ndim(value) == 2 else value
            if plt.matplotlib.colors.to_rgba(first)[3] > 0:
                return [plt.matplotlib.colors.to_hex(first)]
    return [None]
