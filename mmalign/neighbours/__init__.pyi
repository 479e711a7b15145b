from .deep_sets import DeepSets
from .deepmlf import DeepMLF
from .late_fusion import LateFusion
from .mla import MLA
from .scale import SCALE

__all__ = ["MLA", "SCALE", "DeepMLF", "DeepSets", "LateFusion"]
