from .source import Source
from .splits import Split, Splits, make_splits

__all__ = ["Source", "Split", "Splits", "make_splits"]
