"""The simple answers that every method must be held against."""

from .bounds import Double, Single
from .fills import Copy, ZeroFill

__all__ = ["Copy", "Double", "Single", "ZeroFill"]
