"""mmalign: missing modality sequences, imagined by learnt alignment.

A reproduction of MM-Align (Han, Chen, Kan, Poria, EMNLP 2022, arXiv 2210.12798), its rivals and its bounds.
Start with `load` or `from_arrays`, build a system with its `from_data`, then `fit` and `evaluate`.
"""

from importlib.metadata import version

from . import moved, transport
from .baselines import MFM, SMIL, Copy, Double, ModalTrans, Single, ZeroFill
from .config import BoundConfig, Condition, FillConfig, MMAlignConfig, TrainConfig
from .diagnosis import Diagnosis, diagnose
from .errors import InputError
from .method.model import MMAlign
from .method.plus import MMAlignPlus, MMAlignPlusConfig
from .registry import from_arrays, load
from .training import History, evaluate, fit

__all__ = [
    "MFM", "SMIL", "BoundConfig", "Condition", "Copy", "Diagnosis", "Double", "FillConfig", "History", "InputError",
    "MMAlign", "MMAlignConfig", "MMAlignPlus", "MMAlignPlusConfig", "ModalTrans", "Single", "TrainConfig", "ZeroFill",
    "diagnose", "evaluate", "fit", "from_arrays", "load", "transport",
]  # fmt: skip
moved.answer()  # to the import names of the first release
__version__ = version("mmalign")
