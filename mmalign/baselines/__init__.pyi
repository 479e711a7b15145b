from .bounds import Double, Single
from .constant import Constant
from .fills import Copy, ZeroFill
from .mfm import MFM
from .modal_trans import ModalTrans
from .smil import SMIL
from .trees import Trees, TreesBoth

__all__ = [
    "MFM", "SMIL", "Constant", "Copy", "Double", "ModalTrans", "Single", "Trees", "TreesBoth", "ZeroFill",
]  # fmt: skip
