"""The pictures of the book that move: sliders over anywidget, each with a still twin for paper and print.

What the browser draws stands in `static/*.js`, one module in parts; a picture is an entry of its KINDS and a class
here, which says what is stored, what is refused, and what the same numbers are in Python.
"""

from .absence import MissingSliders
from .alignment import LagSliders, SweepSliders, WindowSliders, displacement, one_sided
from .base import DIGITS, MODULE, STATIC, PlanSliders, Sliders
from .decoding import DecodingSliders
from .fusion import EntropySliders

__all__ = [
    "DIGITS", "MODULE", "STATIC",
    "DecodingSliders", "EntropySliders", "LagSliders", "MissingSliders", "PlanSliders", "Sliders", "SweepSliders",
    "WindowSliders", "displacement", "one_sided",
]  # fmt: skip
