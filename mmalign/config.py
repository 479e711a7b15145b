"""Every hyper-parameter, with its unit and where it comes from.

A variation is `dataclasses.replace`, a record is `dataclasses.asdict`. The defaults follow the paper; the
options that follow the paper's released code instead are marked `code:` and gathered in `OFFICIAL`.
"""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, Self

from .errors import ABOVE_0, SEED, InputError, check
from .settings import Chance, Count, CountOr0, Positive, Settings, Share, Weight, each, settings

__all__ = [
    "OFFICIAL_MODEL", "OFFICIAL_TRAIN", "AlignmentConfig", "BackboneConfig", "BoundConfig", "Condition",
    "DynamicsConfig", "EncoderConfig", "FillConfig", "MMAlignConfig", "TrainConfig", "settings",
]  # fmt: skip
Pair = Annotated[tuple[str, ...], "the visible modality, the victim; others may follow"]


@dataclass(frozen=True, kw_only=True)
class Condition(Settings):
    """Under which condition a system is trained and tested: who lacks what, how many labels are known."""

    pair: Pair
    survival: Annotated[Share, "p, the share of samples whose victim is present"] = 0.5
    setting: Annotated[
        Literal["A", "B", "R"],
        "A: no victim in validation and test; B: there with the training rate; R: every modality of every sample "
        "stays with chance p, at least one does",
    ] = "A"
    seed: Annotated[int, SEED, "draws the split, or only who lacks what where the data come split; and the weights"] = 0
    labelled: Annotated[Share, "share of the training labels that are shown, whole groups where there are any"] = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 < len(self.pair) == len({*self.pair}):
            told = ":".join(map(str, self.pair))
            raise InputError(f"pair must be two or more different modalities, VISIBLE:VICTIM, found {told}")

    @property
    def whole(self) -> Self:
        """The same samples on the same sides, with every victim: what an upper bound is given."""
        return replace(self, survival=1.0, setting="B")


@dataclass(frozen=True, kw_only=True)
class EncoderConfig(Settings):
    """One encoder per modality, from features to hidden states (chapter "The backbone")."""

    width: Annotated[Count, "D, features of a hidden state"] = 32
    heads: Annotated[Count, "attention heads"] = 4
    encoder_layers: Annotated[Count, "self-attention blocks per modality"] = 1
    kernel: Annotated[Count, "steps of the first convolution; 1 is a linear projection, as in the paper's code"] = 1
    encoder_dropout: Annotated[Chance, "none, so that transport sees what the backbone sees; code: 0.1"] = 0.0
    clip_features: Annotated[Positive, "standardised features are cut here, in standard deviations"] = 5.0
    positional: Annotated[Literal["sinusoidal", "none"], 'code: "none", the backbone reads bags of steps'] = (
        "sinusoidal"
    )
    cls: Annotated[Literal["learned", "zeros"], 'code: "zeros", heads are constant'] = "learned"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise InputError(f"width must be a multiple of heads = {self.heads}, found {self.width}")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel must be odd, so that a step stays in the middle, found {self.kernel}")
        if self.width % 2:
            raise InputError(f"width must be even for sine and cosine positions, found {self.width}")


@dataclass(frozen=True, kw_only=True)
class BackboneConfig(EncoderConfig):
    """The network that the paper's systems share: encoders, fusion, head (chapter "The backbone")."""

    fusion_layers: Annotated[Count, "cross-modal blocks per direction"] = 1
    dropout: Annotated[Chance, "in fusion and head"] = 0.1
    backbone: Annotated[Literal["mult", "official"], 'code: "official", post-norm PyTorch layers'] = "mult"
    head: Annotated[Literal["two-layer", "official"], 'code: "official", three layers for regression'] = "two-layer"


@dataclass(frozen=True, kw_only=True)
class BoundConfig(BackboneConfig):
    """The lower bound: the visible modality alone."""

    fusion: Annotated[
        Literal["self", "none"], '"self" fuses the visible sequence with itself, "none" reads its head'
    ] = "self"


@dataclass(frozen=True, kw_only=True)
class FillConfig(BackboneConfig):
    """What every system that stands something in for the victim shares."""

    only_with: ClassVar = {
        "contrastive": {"lambda_con": True},
        **each("tau_start", "tau_end", lambda_con=True, contrastive="normalised"),
    }

    warmup: Annotated[CountOr0, "epochs on complete samples before the missing ones join; code: 3"] = 2
    lambda_con: Annotated[Weight, "weight of the contrastive loss; code: 0"] = 0.1
    tau_start: Annotated[Positive, "temperature of the contrastive score, first epoch"] = 1.0
    tau_end: Annotated[Positive, "the same, last epoch"] = 0.1
    contrastive: Annotated[
        Literal["normalised", "official"], 'code: "official", a sum of raw products in one direction'
    ] = "normalised"


@dataclass(frozen=True, kw_only=True)
class DynamicsConfig(EncoderConfig):
    """The alignment dynamics learner: the transport target, the fitter, the imputation."""

    only_with: ClassVar = {
        "barrier": {"solver": "official"},
        **each("tol", "max_sweeps", solver="sinkhorn"),
    }

    window: Annotated[CountOr0, "W, half-width of the band, in steps"] = 2
    mu: Annotated[Positive, "entropy strength, in units of the cosine cost (0 to 2); code: 5"] = 0.2
    tol: Annotated[Weight, "largest relative marginal error of a finished plan"] = 1e-3
    max_sweeps: Annotated[Count, "Sinkhorn sweeps at most"] = 400
    solver: Annotated[Literal["sinkhorn", "official"], 'code: "official", which is not Sinkhorn'] = "sinkhorn"
    barrier: Annotated[Positive | None, "added to the cost outside the window, None for infinity; code: 100"] = None

    fitter_width: Annotated[Count, "features of one direction of the fitter's GRU"] = 32
    fitter_head: Annotated[
        Literal["softmax", "linear", "softmax_unmasked"], '"linear" is the paper\'s letter; code: "softmax_unmasked"'
    ] = "softmax"
    fit_reduction: Annotated[Literal["window", "full"], 'code: "full", the mean over all T*T cells'] = "window"

    impute_orientation: Annotated[Literal["transposed", "official"], 'code: "official", mirrored in time'] = (
        "transposed"
    )
    impute_norm: Annotated[Literal["none", "column"], '"column": each imputed step is an average of visible steps'] = (
        "none"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.solver == "official":
            check("barrier", self.barrier, ABOVE_0)
        if self.solver == "official" and self.window == 0:
            raise InputError("solver=official has no window of 0: the released code drops its barrier there")


@dataclass(frozen=True, kw_only=True)
class AlignmentConfig(FillConfig, DynamicsConfig):
    """A system around a backbone and an alignment dynamics learner."""


@dataclass(frozen=True, kw_only=True)
class MMAlignConfig(AlignmentConfig):
    """MM-Align: the alignment dynamics learner inside the paper's training loop."""

    only_with: ClassVar = {
        **each("mu", "solver", "fit_reduction", "merged_loop", fitting_loss=True),
        **each("tol", "max_sweeps", solver="sinkhorn", fitting_loss=True),
        "target_dropout": {"encoder_dropout": True, "fitting_loss": True},
        "impute_head": {"ot_positions": "official"},  # else no mixture reaches the head
    }

    ot_positions: Annotated[Literal["steps", "official"], 'code: "official", head in and last step dropped'] = "steps"
    target_dropout: Annotated[bool, "code: True, targets computed with dropout on"] = False
    fitting_loss: Annotated[bool, "False: the fitter keeps its random start (ablation 2)"] = True
    merged_loop: Annotated[bool, "False: two separate loops over the complete samples (ablation 3)"] = True
    impute_head: Annotated[Literal["cls", "mixture"], 'code: "mixture"'] = "cls"
    decode_stopgrad: Annotated[bool, "True: no gradient into the alignment weights while decoding"] = False


@dataclass(frozen=True, kw_only=True)
class TrainConfig(Settings):
    """How any system is trained."""

    only_with: ClassVar = {"momentum": {"optimiser": "sgd"}}

    epochs: Annotated[Count, "at most; code: 41"] = 40
    batch_size: Annotated[Count, "samples of a step"] = 32
    optimiser: Annotated[Literal["adam", "sgd"], "one for every parameter group"] = "adam"
    lr: Annotated[Positive, "learning rate"] = 1e-3
    momentum: Annotated[Chance, "of sgd"] = 0.9
    weight_decay: Annotated[Weight, "of the optimiser"] = 0.0
    clip: Annotated[Positive, "largest gradient norm of the group being stepped"] = 1.0
    patience: Annotated[Count, "epochs without a better one on validation before stopping; code: 7"] = 10
    seed: Annotated[int, SEED, "initial weights, order of samples, dropout"] = 0
    clip_scope: Annotated[Literal["group", "all"], 'code: "all", stale gradients of the other optimiser count too'] = (
        "group"
    )
    select: Annotated[
        Literal["validation", "official"],
        'the epoch whose weights stay; code: "official", by the loss alone (and the test set has a say in what is '
        "reported, which is a callback of its own here: `official.TestSetHasASay`)",
    ] = "validation"


# Every departure of the released code at once (chapter "Paper and code").
OFFICIAL_MODEL = {
    "heads": 8, "encoder_dropout": 0.1, "positional": "none", "backbone": "official",
    "cls": "zeros", "head": "official", "lambda_con": 0.0, "contrastive": "official", "warmup": 3,
    "mu": 5.0, "solver": "official", "barrier": 100.0, "ot_positions": "official", "target_dropout": True,
    "fitter_head": "softmax_unmasked", "fit_reduction": "full", "impute_orientation": "official",
    "impute_head": "mixture",
}  # fmt: skip
OFFICIAL_TRAIN = {"epochs": 41, "patience": 7, "clip_scope": "all", "select": "official"}
