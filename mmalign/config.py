"""Every hyper-parameter, with its unit and where it comes from.

A variation is `dataclasses.replace`, a record is `dataclasses.asdict`. The defaults follow the paper; the
options that follow the paper's released code instead are marked `code:` and gathered in `OFFICIAL`.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from .errors import ABOVE_0, AT_LEAST_0, BELOW_1, FLAG, SEED, InputError, check_fields, one_of, whole
from .settings import Settings, Share, settings

__all__ = [
    "OFFICIAL_MODEL", "OFFICIAL_TRAIN", "BackboneConfig", "BoundConfig", "Condition", "FillConfig", "MMAlignConfig",
    "TrainConfig", "settings",
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
class BackboneConfig:
    """The network that every system shares: encoders, fusion, head (chapter "The backbone")."""

    width: int = 32  # D, features of a hidden state
    heads: int = 4  # attention heads
    encoder_layers: int = 1  # self-attention blocks per modality
    fusion_layers: int = 1  # cross-modal blocks per direction
    kernel: int = 1  # steps of the first convolution; 1 is a linear projection, as in the paper's code
    dropout: float = 0.1  # in fusion and head
    encoder_dropout: float = 0.0  # none, so that transport sees what the backbone sees; code: 0.1
    clip_features: float = 5.0  # standardised features are cut here, in standard deviations
    positional: str = "sinusoidal"  # code: "none", the backbone reads bags of steps
    backbone: str = "mult"  # code: "official", post-norm PyTorch layers
    cls: str = "learned"  # code: "zeros", heads are constant
    head: str = "two-layer"  # code: "official", three layers for regression

    def __post_init__(self) -> None:
        counts = dict.fromkeys(("width", "heads", "encoder_layers", "fusion_layers", "kernel"), whole(1))
        check_fields(self, **counts, dropout=BELOW_1, encoder_dropout=BELOW_1, clip_features=ABOVE_0)
        if self.width % self.heads:
            raise InputError(f"width must be a multiple of heads = {self.heads}, found {self.width}")
        if self.kernel % 2 == 0:
            raise InputError(f"kernel must be odd, so that a step stays in the middle, found {self.kernel}")
        if self.width % 2:
            raise InputError(f"width must be even for sine and cosine positions, found {self.width}")
        one_of("positional", self.positional, ("sinusoidal", "none"))
        one_of("backbone", self.backbone, ("mult", "official"))
        one_of("cls", self.cls, ("learned", "zeros"))
        one_of("head", self.head, ("two-layer", "official"))


@dataclass(frozen=True, kw_only=True)
class BoundConfig(BackboneConfig):
    """The two bounds: one modality alone, or both always."""

    fusion: str = "self"  # single: "self" fuses the visible sequence with itself, "none" reads its head

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("fusion", self.fusion, ("self", "none"))


@dataclass(frozen=True, kw_only=True)
class FillConfig(BackboneConfig):
    """What every system that stands something in for the victim shares."""

    warmup: int = 2  # epochs on complete samples before the missing ones join
    lambda_con: float = 0.1  # weight of the contrastive loss; code: 0
    tau_start: float = 1.0  # temperature of the contrastive score, first epoch
    tau_end: float = 0.1  # the same, last epoch
    contrastive: str = "normalised"  # code: "official", a sum of raw products in one direction

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, warmup=whole(0), lambda_con=AT_LEAST_0, tau_start=ABOVE_0, tau_end=ABOVE_0)
        one_of("contrastive", self.contrastive, ("normalised", "official"))


@dataclass(frozen=True, kw_only=True)
class MMAlignConfig(FillConfig):
    """MM-Align: the transport target, the fitter, the imputation, the training loop."""

    window: int = 2  # W, half-width of the band, in steps
    mu: float = 0.2  # entropy strength, in units of the cosine cost (0 to 2); code: 5
    tol: float = 1e-3  # largest relative marginal error of a finished plan
    max_sweeps: int = 400  # Sinkhorn sweeps at most
    solver: str = "sinkhorn"  # code: "official", which is not Sinkhorn
    barrier: float | None = None  # added to the cost outside the window, None for infinity; code: 100
    ot_positions: str = "steps"  # code: "official", head included and last step dropped
    target_dropout: bool = False  # code: True, targets computed with dropout on

    fitter_width: int = 32  # features of one direction of the fitter's GRU
    fitter_head: str = "softmax"  # "linear" is the paper's letter; code: "softmax_unmasked"
    fit_reduction: str = "window"  # code: "full", the mean over all T*T cells
    fitting_loss: bool = True  # False: the fitter keeps its random start (ablation 2)
    merged_loop: bool = True  # False: two separate loops over the complete samples (ablation 3)

    impute_orientation: str = "transposed"  # code: "official", mirrored in time
    impute_head: str = "cls"  # code: "mixture"
    impute_norm: str = "none"  # "column": each imputed step is an average of visible steps
    decode_stopgrad: bool = False  # True: no gradient into the alignment weights while decoding

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fields(self, window=whole(0), mu=ABOVE_0, tol=AT_LEAST_0, max_sweeps=whole(1))
        check_fields(self, fitter_width=whole(1))
        switches = ("target_dropout", "fitting_loss", "merged_loop", "decode_stopgrad")
        check_fields(self, **dict.fromkeys(switches, FLAG))
        one_of("solver", self.solver, ("sinkhorn", "official"))
        one_of("ot_positions", self.ot_positions, ("steps", "official"))
        one_of("fitter_head", self.fitter_head, ("softmax", "linear", "softmax_unmasked"))
        one_of("fit_reduction", self.fit_reduction, ("window", "full"))
        one_of("impute_orientation", self.impute_orientation, ("transposed", "official"))
        one_of("impute_head", self.impute_head, ("cls", "mixture"))
        one_of("impute_norm", self.impute_norm, ("none", "column"))
        if self.solver == "official":
            check_fields(self, barrier=ABOVE_0)
        elif self.barrier is not None:
            raise InputError(f"a barrier goes with solver=official; sinkhorn's is infinite, found {self.barrier}")
        if self.impute_head == "mixture" and self.ot_positions == "steps":
            raise InputError("impute_head=mixture goes with ot_positions=official; else no mixture reaches the head")
        if self.solver == "official" and self.window == 0:
            raise InputError("solver=official has no window of 0: the released code drops its barrier there")


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How any system is trained."""

    epochs: int = 40
    batch_size: int = 32
    optimiser: str = "adam"  # or "sgd", one for every parameter group
    lr: float = 1e-3
    momentum: float = 0.9  # of sgd
    weight_decay: float = 0.0
    clip: float = 1.0  # largest gradient norm of the group being stepped
    patience: int = 10  # epochs without a better one on validation before stopping; code: 7
    seed: int = 0  # initial weights, order of samples, dropout
    clip_scope: str = "group"  # code: "all", stale gradients of the other optimiser count too
    select: str = "validation"  # code: "official", the test set has a say (shown only to measure the harm)

    def __post_init__(self) -> None:
        check_fields(self, epochs=whole(1), batch_size=whole(1), patience=whole(1), seed=SEED)
        check_fields(self, lr=ABOVE_0, momentum=BELOW_1, weight_decay=AT_LEAST_0, clip=ABOVE_0)
        one_of("optimiser", self.optimiser, ("adam", "sgd"))
        one_of("clip_scope", self.clip_scope, ("group", "all"))
        one_of("select", self.select, ("validation", "official"))


# Every departure of the released code at once (chapter "Paper and code").
OFFICIAL_MODEL = {
    "heads": 8, "encoder_dropout": 0.1, "positional": "none", "backbone": "official",
    "cls": "zeros", "head": "official", "lambda_con": 0.0, "contrastive": "official", "warmup": 3,
    "mu": 5.0, "solver": "official", "barrier": 100.0, "ot_positions": "official", "target_dropout": True,
    "fitter_head": "softmax_unmasked", "fit_reduction": "full", "impute_orientation": "official",
    "impute_head": "mixture",
}  # fmt: skip
OFFICIAL_TRAIN = {"epochs": 41, "patience": 7, "clip_scope": "all", "select": "official"}
