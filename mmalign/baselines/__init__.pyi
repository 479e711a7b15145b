from .bounds import Double, Single
from .fills import Copy, ZeroFill
from .mfm import MFM
from .modal_trans import ModalTrans
from .smil import SMIL

__all__ = ["MFM", "SMIL", "Copy", "Double", "ModalTrans", "Single", "ZeroFill"]
