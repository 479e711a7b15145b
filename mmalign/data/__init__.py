"""Where samples come from, who lacks what, and how they reach a system."""

from .source import Source
from .splits import Split, Splits, make_splits

__all__ = ["Source", "Split", "Splits", "make_splits"]
