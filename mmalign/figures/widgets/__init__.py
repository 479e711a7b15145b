"""The pictures of the book that move: sliders over anywidget, each with a still twin for paper and print.

What the browser draws stands in `static/*.js`, one module in parts; a picture is an entry of its KINDS and a class
here, which says what is stored, what is refused, and what the same numbers are in Python.
"""

from .absence import MissingSliders
from .alignment import LagSliders, SweepSliders, WindowSliders, displacement, margins, one_sided
from .attention import AttentionSliders
from .base import DIGITS, MODULE, STATIC, STYLE, PlanSliders, Sliders
from .claims import Claims, board, verdict
from .decoding import DecodingSliders
from .departures import PriceSliders, ReleasedSliders, unequal
from .epochs import EpochSliders
from .fusion import EntropySliders
from .gains import GainMap
from .playground import Playground
from .story import Story

__all__ = [
    "DIGITS", "MODULE", "STATIC", "STYLE",
    "AttentionSliders", "Claims", "DecodingSliders", "EntropySliders", "EpochSliders", "GainMap", "LagSliders",
    "MissingSliders", "PlanSliders", "Playground", "PriceSliders", "ReleasedSliders", "Sliders", "Story",
    "SweepSliders", "WindowSliders", "board", "displacement", "margins", "one_sided", "unequal", "verdict",
]  # fmt: skip
