from .pairs import Pairs
from .source import Source
from .splits import Split, Splits, make_splits
from .windows import windows

__all__ = ["Pairs", "Source", "Split", "Splits", "make_splits", "windows"]
