"""The whole of MM-Align in one figure, carried through the chapters with the part in question lit."""

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

from ..errors import one_of
from . import palette
from .plots import WORDS

PARTS = ("encoders", "cls", "solver", "fitter", "decoding", "fusion", "losses")
DIM = "#cfcfcf"  # lines of what another chapter is about
LEFT, RIGHT = 2.3, 7.7  # where the visible sequence stands, and the victim or its stand-in
VISIBLE, VICTIM, IMAGINED = (palette.colour(name) for name in ("visible", "victim", "imagined"))


class Pen(NamedTuple):
    """Draws on one panel, ten units wide and ten high; what is not lit is grey."""

    ax: Axes
    lit: Sequence[str]

    def shade(self, part: str, colour: str) -> str:
        return colour if part in self.lit else DIM

    def words(self, x: float, y: float, text: str, part: str, **look: object) -> None:
        colour = WORDS if part in self.lit else palette.INK
        self.ax.text(x, y, text, color=colour, fontsize=9, **{"ha": "center", "va": "center"} | look)

    def box(self, x: float, y: float, text: str, part: str, colour: str = WORDS, width: float = 2.5) -> None:
        corner, size, shade = (x - width / 2, y - 0.45), (width, 0.9), self.shade(part, colour)
        fill = f"{shade}22" if part in self.lit else "white"
        style = {"boxstyle": "round,pad=0.05,rounding_size=0.2", "linewidth": 1.8 if part in self.lit else 1}
        self.ax.add_patch(FancyBboxPatch(corner, *size, facecolor=fill, edgecolor=shade, zorder=2, **style))
        self.words(x, y, text, part, zorder=3)

    def states(self, x: float, y: float, name: str, colour: str, part: str = "encoders") -> None:
        """A hidden sequence: the head, then its steps."""
        for place in range(5):
            kind, shade = ("cls", WORDS) if place == 0 else (part, colour)
            look = {"edgecolor": self.shade(kind, shade), "facecolor": self.shade(kind, shade) + "55"}
            self.ax.add_patch(Rectangle((x - 1.35 + 0.54 * place, y - 0.25), 0.5, 0.5, zorder=2, **look))
        self.words(x + 1.62, y, name, part)

    def path(self, part: str, *corners: tuple[float, float], dashed: bool = False) -> None:
        """An arrow along some corners."""
        *before, start, end = corners
        shade, line = self.shade(part, WORDS), "--" if dashed else "-"
        style = {"color": shade, "linewidth": 1.4 if part in self.lit else 1, "linestyle": line}
        if before:
            self.ax.plot(*zip(*before, start, strict=True), zorder=1, **style)
        self.ax.annotate("", end, start, arrowprops={"arrowstyle": "->", "shrinkA": 0, "shrinkB": 0, **style}, zorder=1)


def show_overview(*lit: str) -> tuple[Axes, Axes]:
    """Draw MM-Align while it learns and while it decodes.

    Args:
        lit: the `PARTS` that stand out; without any, all of them.

    Raises:
        ValueError: there is no such part.

    >>> [ax.get_title() for ax in show_overview("solver")]
    ['learning: both are here', 'decoding: the victim is absent']
    """
    for part in lit:
        one_of("part of MM-Align", part, PARTS)
    _, (learning, decoding) = plt.subplots(1, 2, figsize=(7.6, 3.9), layout="constrained")
    for ax, title in ((learning, "learning: both are here"), (decoding, "decoding: the victim is absent")):
        ax.set(xlim=(0, 10), ylim=(-0.2, 10), title=title)
        ax.axis("off")
        _shared(Pen(ax, lit or PARTS))
    _learning(Pen(learning, lit or PARTS))
    _decoding(Pen(decoding, lit or PARTS))
    return learning, decoding


def _encoded(pen: Pen, at: float, name: str, number: int, colour: str) -> None:
    """A modality's way to its hidden states."""
    pen.words(at, 9.7, f"{name} $x^{{m_{number}}}$", "encoders")
    pen.box(at, 8.3, f"encoder $E_{number}$", "encoders", colour)
    pen.path("encoders", (at, 9.35), (at, 8.85))
    pen.path("encoders", (at, 7.8), (at, 7.2))
    pen.states(at, 6.85, f"$Z^{number}$", colour)
    pen.words(at - 1.1, 7.45, "[CLS]", "cls")


def _shared(pen: Pen) -> None:
    """The visible sequence's way to the answer."""
    _encoded(pen, LEFT, "visible", 1, VISIBLE)
    pen.box(LEFT, 4.4, "fitter", "fitter")
    pen.path("fitter", (LEFT, 6.5), (LEFT, 4.95))
    pen.box(3.05, 1.9, "$m_1$ asks $m_2$", "fusion", VISIBLE, 2.8)
    pen.path("fusion", (0.6, 6.5), (0.6, 1.9), (1.55, 1.9))
    pen.path("fusion", (9.4, 6.5), (9.4, 1.9), (8.45, 1.9))
    pen.path("fusion", (5.0, 1.9), (4.55, 1.9))  # each asks the other
    pen.path("fusion", (5.0, 1.9), (5.45, 1.9))
    pen.box(5, 0.4, r"output: $\hat{y}$", "fusion", WORDS, 2.6)
    pen.path("fusion", (3.1, 1.4), (4.2, 0.9))
    pen.path("fusion", (6.9, 1.4), (5.8, 0.9))
    pen.words(8.2, 0.4, r"$L_{main}$", "losses")
    pen.path("losses", (6.35, 0.4), (7.4, 0.4))


def _learning(pen: Pen) -> None:
    _encoded(pen, RIGHT, "victim", 2, VICTIM)
    pen.box(6.95, 1.9, "$m_2$ asks $m_1$", "fusion", VICTIM, 2.8)
    pen.box(RIGHT, 4.4, "solver", "solver")
    pen.path("solver", (RIGHT, 6.5), (RIGHT, 4.95))
    pen.path("solver", (3.4, 6.5), (3.4, 5.7), (7.0, 5.7), (7.0, 4.95))
    pen.words(5, 4.75, r"$\hat{A} \to A^*$", "losses")
    pen.words(5, 4.05, r"$L_{fit}$", "losses")
    pen.path("losses", (6.4, 4.4), (3.6, 4.4))


def _decoding(pen: Pen) -> None:
    pen.words(RIGHT, 9.0, "no victim", "decoding", style="italic")
    pen.states(RIGHT, 6.85, r"$\hat{Z}^2$", IMAGINED, "decoding")
    pen.words(RIGHT - 1.1, 7.45, "[CLS]", "cls")
    pen.box(6.95, 1.9, "$m_2$ asks $m_1$", "fusion", IMAGINED, 2.8)
    pen.box(RIGHT, 4.4, r"$\hat{A}^\top Z^1$", "decoding", IMAGINED)
    pen.path("decoding", (3.6, 4.4), (6.4, 4.4), dashed=True)
    pen.words(5, 4.8, r"$\hat{A}$", "decoding")
    pen.path("decoding", (3.4, 6.5), (3.4, 5.7), (7.0, 5.7), (7.0, 4.95), dashed=True)
    pen.path("decoding", (RIGHT, 4.95), (RIGHT, 6.5), dashed=True)
