from . import baselines, data, experiments, losses, masks, method, neighbours, registry, transport
from .baselines import MFM, SMIL, Copy, Double, ModalTrans, Single, ZeroFill
from .config import BoundConfig, Condition, EncoderConfig, FillConfig, MMAlignConfig, TrainConfig
from .data.pairs import Pairs
from .data.windows import windows
from .diagnosis import Diagnosis, diagnose
from .errors import InputError
from .estimators import MissingModalityClassifier, MissingModalityRegressor
from .method.model import MMAlign
from .method.plus import MMAlignPlus, MMAlignPlusConfig
from .prediction import impute, predict
from .registry import from_arrays, load
from .system import Stage, Step, System
from .training import History, evaluate, fit

__all__ = [
    "MFM", "SMIL", "BoundConfig", "Condition", "Copy", "Diagnosis", "Double", "EncoderConfig", "FillConfig", "History",
    "InputError", "MMAlign", "MMAlignConfig", "MMAlignPlus", "MMAlignPlusConfig", "MissingModalityClassifier",
    "MissingModalityRegressor", "ModalTrans", "Pairs", "Single", "Stage", "Step", "System", "TrainConfig", "ZeroFill",
    "baselines", "data", "diagnose", "evaluate", "experiments", "fit", "from_arrays", "impute", "load", "losses",
    "masks", "method", "neighbours", "predict", "registry", "transport", "windows",
]  # fmt: skip
__version__: str
