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
from matplotlib.transforms import ScaledTranslation

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
    height = max([figure.get_size_inches()[1], *map(break_names, panels)])
    if len(grids) == 1:
        height = stack(figure, panels, grids.pop())
    figure.set_size_inches(min(WIDTHS["narrow"], figure.get_size_inches()[0]), height)
    for ax in figure.axes:
        break_lines(ax)
    for legend in figure.findobj(Legend):
        fold(legend)
    return svg(figure)


def stack(figure: Figure, panels: list[Axes], grid: GridSpec) -> float:
    """Put the panels below one another, three or more matrices to a row in pairs. Returns the new height in inches."""
    height = figure.get_size_inches()[1]
    columns = 2 if grid.ncols > 2 and len(panels) > 3 and all(ax.images for ax in panels) else 1
    if grid.ncols <= columns:
        return max([height, *(grid.nrows * break_names(ax) for ax in panels)])
    say_again(panels, columns)
    if columns == 2:
        share_labels(figure, panels)
    rows, lines, line = {}, [], -1
    for ax in panels:  # each row of the figure begins a line of its own
        row = rows.setdefault(ax.get_subplotspec().rowspan.start, [])
        line += len(row) % columns == 0
        lines.append((line, len(row) % columns))
        row.append(ax)
    target = GridSpec(line + 1, columns, figure)
    for ax, place in zip(panels, lines, strict=True):
        ax.set_subplotspec(target[place])
    square = any(ax.images and ax.get_aspect() != "auto" for ax in panels)
    each = WIDTHS["narrow"] / columns * 0.85 if square else min(max(height / grid.nrows, 2.0), 3.2)
    return (line + 1) * max([each, *map(break_names, panels)]) + (0.4 if columns > 1 else 0)


def say_again(panels: list[Axes], columns: int) -> None:
    """What a panel leaves to the one above it or left of it, it says itself: they will stand elsewhere."""
    for ax in panels:
        place = ax.get_subplotspec()
        beside = [one for one in panels if one.get_subplotspec().rowspan.start == place.rowspan.start]
        column = [one for one in panels if one.get_subplotspec().colspan.start == place.colspan.start]
        column.sort(key=lambda one: one.get_subplotspec().rowspan.start)
        if not ax.get_title() and ax is not column[0]:
            ax.title.set_text(column[0].get_title())  # it stays where it was put
        if columns == 2 or not ax.axison:
            continue
        if not place.is_first_col() and not ax.get_ylabel():
            ax.set_ylabel(beside[0].get_ylabel())
        if not ax.get_xlabel():
            ax.set_xlabel(column[-1].get_xlabel())
        named = beside[0].yaxis.get_tick_params().get("labelleft", True)
        ax.tick_params(labelleft=bool(named), labelbottom=True)


def share_labels(figure: Figure, panels: list[Axes]) -> None:
    """What one panel says for all of them stands beside and below the whole figure; each has its numbers."""
    for name, tell in (("xlabel", figure.supxlabel), ("ylabel", figure.supylabel)):
        words = {getattr(ax, f"get_{name}")() for ax in panels} - {""}
        if len(words) == 1:
            for ax in panels:
                ax.set(**{name: ""})
            tell(words.pop(), fontsize=SMALLEST, color=plt.rcParams["axes.labelcolor"])
    for ax in panels:
        ax.tick_params(labelleft=True, labelbottom=True)


def break_names(ax: Axes) -> float:
    """Long names of a panel's rows take several lines. Returns the height in inches that they need."""
    names = [words.get_text() for words in ax.get_yticklabels()]
    if max(map(len, names), default=0) <= 18 or not isinstance(ax.yaxis.get_major_formatter(), NAMING):
        return 0.0
    broken = [fill(name.replace("\n", " "), 18) for name in names]
    ax.set_yticks(ax.get_yticks(), broken)
    return 0.15 * len(broken) * max(1 + name.count("\n") for name in broken) + 0.7


def break_lines(ax: Axes) -> None:
    """Long names beside and below a panel take several lines."""
    ax.set_xlabel(fill(ax.get_xlabel(), 38))
    ax.set_ylabel(fill(ax.get_ylabel(), 30))
    ax.title.set_text(fill(ax.get_title(), 40))


def fold(legend: Legend) -> None:
    """No more columns than fit; what stood right of its panel goes below it."""
    title, labels = legend.get_title().get_text(), [words.get_text() for words in legend.get_texts()]
    most = 2 if 2 * max(map(len, labels), default=0) < 44 else 1
    ax = legend.axes
    if legend._ncols > most:  # matplotlib counts columns only when it builds the box
        known, names = ax.get_legend_handles_labels() if ax is not None else ([], [])
        legend.set_ncols(most)
        legend._init_legend_box(known if names == labels else legend.legend_handles, labels)
        legend.set_title(title)
        outside = legend._outside_loc  # the side of the figure that is kept free for it
        legend.set_loc(legend._loc_real)  # the new box asks nobody where it lies
        legend._outside_loc = outside
    if ax is not None and ax.transAxes.inverted().transform(legend.get_bbox_to_anchor().min)[0] > 0.98:
        lines = 1 + bool(ax.get_xlabel()) * (1 + ax.get_xlabel().count("\n"))  # of numbers and words below the panel
        legend.set_loc("upper center")
        below = ScaledTranslation(0, -0.1 - 0.17 * lines, ax.figure.dpi_scale_trans)
        legend.set_bbox_to_anchor((0.5, 0), ax.transAxes + below)


def svg(figure: Figure) -> str:
    """The figure as SVG, the same bytes every time, with no word smaller than SMALLEST."""
    for words in figure.findobj(Text):
        words.set_fontsize(max(words.get_fontsize(), SMALLEST))
        # A prime of mathtext is a zero of a font that no reader has.
        words.set_text(re.sub(r"\$[^$]*\$", lambda formula: formula[0].replace("'", "′"), words.get_text()))
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
        (r"(\d\.\d\d)\d+(?=[^<>]*>)", r"\1"),  # in a tag: a number that is read keeps its digits
        (r" font-family: [^;\"]*(;|(?=\"))", ""),
        (r' id="([A-Za-z][\w.]*_\d+|image\w+)"', ""),
        (r' transform="rotate\(-0 [^)]*\)"', ""),
        (r"\s+", " "),
        (r"> <", "><"),
        (r"<svg(?! font)", f'<svg font-family="{FONTS}"'),
    ):
        picture = re.sub(pattern, short, picture)
    while (flat := re.sub(r"<g>(<use [^>]*/>)</g>", r"\1", picture)) != picture:
        picture = flat
    many = r'<use [^>]* style="([^"]*)"/>(?:<use [^>]* style="\1"/>)+'  # markers of one look: it is told once
    plain = lambda run: re.sub(' style="[^"]*"', "", run[0])  # noqa: E731
    picture = re.sub(many, lambda run: f'<g style="{run[1]}">{plain(run)}</g>', picture)
    # Matplotlib names what cuts a picture by where it lies in memory, and markers at length: numbers repeat.
    for kind, short in (("clipPath", "cut"), ("path", "dot")):
        for number, name in enumerate(dict.fromkeys(re.findall(rf'<{kind} id="(\w+)"', picture))):
            picture = re.sub(rf"\b{name}\b", f"{short}{number}", picture)
    return picture


def colours(figure: Figure) -> dict[str, str]:
    """What the figure's legends and rows name -> its colour, as #rrggbb."""
    found = {}
    for ax in figure.axes:
        found |= row_colours(ax)
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            shade = next((shade for shade in shades(handle) if shade is not None), None)
            if shade is not None and not label.startswith("_"):
                found[label] = shade
    return found


def row_colours(ax: Axes) -> dict[str, str]:
    """The name of a row -> the colour of what is drawn along it."""
    if not isinstance(ax.yaxis.get_major_formatter(), NAMING):
        return {}
    names = dict(zip(ax.get_yticks(), (words.get_text() for words in ax.get_yticklabels()), strict=False))
    rows = [(line, {*line.get_ydata()}) for line in ax.lines]
    rows = [(line, names.get(places.pop(), "")) for line, places in rows if len(places) == 1]
    return {name.replace("\n", " "): shade for line, name in rows if name for shade in shades(line) if shade}


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
