"""MFM: one factor that knows the label, one per modality that knows the rest, both guessed from the visible.

Tsai, Liang, Zadeh, Morency, Salakhutdinov: Learning factorized multimodal representations, ICLR 2019,
arXiv 1806.06176. A re-implementation in its spirit on this package's backbone, whose fused heads take the
place of the original's memory fusion network; the original loses a modality in testing only. Chapter
"Results". Z features of a latent code.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import masks
from ..batch import VICTIM, VISIBLE, Batch, DataSpec, Samples
from ..config import FillConfig
from ..errors import InputError, whole
from ..method.denoising import Imputing
from ..method.gru import BidirectionalGRU
from ..method.readout import Readout
from ..settings import Count, Weight
from ..system import Stage


@dataclass(frozen=True, kw_only=True)
class MFMConfig(FillConfig):
    """The factors, the decoders and the weights of their losses."""

    lambda_con: Annotated[Weight, "weight of the contrastive loss; MFM has none"] = 0.0
    latent: Annotated[Count, "Z, features of each latent code; code: 32 for the label's, 8 to 80 for the others"] = 16
    factor: Annotated[Count, "features of each factor"] = 32
    decoder_width: Annotated[int, whole(2), "features of a decoder's GRU, both directions together"] = 32
    lambda_rec: Annotated[Weight, "weight of the reconstructions, in squared standard deviations; code: 0.01 to 1"] = (
        0.1
    )
    lambda_prior: Annotated[Weight, "weight of the distance of the codes from a Gaussian; code: up to 200"] = 1.0
    prior_kernel: Annotated[
        Literal["scaled", "official"], 'code: "official", nearly blind where the codes have many features'
    ] = "scaled"
    readout: Annotated[
        Literal["backbone", "factor"], '"factor": the label is read from its factor alone, as in the original'
    ] = "backbone"
    use_missing_split: Annotated[bool, "False: train on complete samples only, as the original"] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.decoder_width % 2:
            raise InputError(f"decoder_width must be even, for two directions, found {self.decoder_width}")


def mmd(codes: Tensor, kernel: str = "scaled") -> Tensor:
    """Squared maximum mean discrepancy between (B, Z) codes and a standard normal (the prior's loss). ()

    The original draws a Gaussian sample to compare with. Its expectation under the kernel
    exp(-|a - b|^2 / (2 s)) has a closed form, so nothing is drawn here.

    Args:
        codes: (B, Z).
        kernel: "scaled", s = Z. "official", s = Z^2 / 2: the released code takes the mean over Z and then
            divides by Z again, so that for large Z everything looks alike.

    >>> bool(mmd(torch.zeros(100, 16)) > 0.1), bool(mmd(3 * torch.randn(100, 16)) > 0.1)
    (True, True)
    """
    size = codes.shape[1]
    scale = size if kernel == "scaled" else size**2 / 2
    among = (-torch.cdist(codes, codes).square() / (2 * scale)).exp().mean()
    across = (-codes.square().sum(1) / (2 * scale + 2)).exp().mean() * (1 + 1 / scale) ** (-size / 2)
    return among + (1 + 2 / scale) ** (-size / 2) - 2 * across


class FactorDecoder(nn.Module):
    """Two factors -> a sequence: a GRU from each end that is shown the same factors at every step (D_m).

    The original feeds an LSTM with its own state; shown the factors, a GRU need not remember them, and
    from both ends it knows how far the sequence goes.
    """

    def __init__(self, factor: int, hidden: int, features: int) -> None:
        super().__init__()
        self.gru = BidirectionalGRU(2 * factor, hidden // 2)
        self.project = nn.Linear(hidden, features)

    def forward(self, label_factor: Tensor, own_factor: Tensor, real: Tensor) -> Tensor:
        """(B, factor), (B, factor), (B, T) -> (B, T, D_m)"""
        factors = torch.cat([label_factor, own_factor], dim=1)  # (B, 2 factor)
        return self.project(self.gru(factors[:, None].expand(-1, real.shape[1], -1), real.sum(1)))


class MFM(Imputing[MFMConfig]):
    """The multimodal factorization model; the missing sequence is decoded from guessed factors.

    With readout="backbone" the decoded sequence goes through the victim's encoder and the backbone, as what
    the other methods imagine does; the label's factor has a classifier of its own, which keeps it the
    label's. With readout="factor" that classifier is the prediction.
    """

    config_type = MFMConfig

    def __init__(self, spec: DataSpec, config: MFMConfig) -> None:
        super().__init__(spec, config)
        width, latent, factor = config.width, config.latent, config.factor
        self.label_code = nn.Linear(2 * width, latent)  # q_y
        self.own_code = nn.ModuleList(nn.Linear(width, latent) for _ in spec.widths)  # q_1, q_2
        self.guess = nn.Linear(width, 2 * latent)  # what stands in for q_y and q_2
        self.label_factor = _two_layers(latent, factor)  # g_y
        self.own_factor = nn.ModuleList(_two_layers(latent, factor) for _ in spec.widths)  # g_1, g_2
        self.decoder = nn.ModuleList(FactorDecoder(factor, config.decoder_width, size) for size in spec.widths)
        self.classifier = Readout(nn.Linear(factor, spec.outputs), spec)  # c

    def learn_scales(self, samples: Samples) -> None:
        super().learn_scales(samples)
        self.classifier.learn_scale(samples)

    # ---- codes and what is made of them ---------------------------------------------------------------

    def code_of(self, place: int, states: Tensor, batch: Batch) -> Tensor:
        """(B, T+1, D) states of a modality -> (B, Z) its own code."""
        return self.own_code[place](masks.mean_over(states[:, 1:], batch.real))

    def guessed_codes(self, first: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """(B, T+1, D) visible states -> (B, Z) the label's code and (B, Z) the victim's."""
        return self.guess(masks.mean_over(first[:, 1:], batch.real)).chunk(2, dim=1)

    def classify(self, label_code: Tensor) -> Tensor:
        """(B, Z) -> (B,) or (B, K), from the label's factor and nothing else."""
        return self.classifier(self.label_factor(label_code))

    def decode(self, place: int, label_code: Tensor, own_code: Tensor, batch: Batch) -> Tensor:
        """(B, Z), (B, Z) -> (B, T, D_m) features of a modality, in standard deviations."""
        return self.decoder[place](self.label_factor(label_code), self.own_factor[place](own_code), batch.real)

    def reencode(self, decoded: Tensor, batch: Batch) -> Tensor:
        """(B, T, D2) decoded victims -> (B, T+1, D), through the door that real ones take."""
        return self.backbone.encode(self._in_its_unit(decoded, batch), VICTIM)

    def with_imagined(self, batch: Batch) -> Batch:
        """The same samples, all with a decoded victim (B, T, D2), whether they have one or not."""
        guesses = self.guessed_codes(self.backbone.encode(batch, VISIBLE), batch)
        return self._in_its_unit(self.decode(1, *guesses, batch), batch)

    def _in_its_unit(self, decoded: Tensor, batch: Batch) -> Batch:
        victim = self.backbone.embed[1].standardise.undo(decoded.to(batch.victim.dtype))
        return replace(batch, features=(batch.visible, victim))

    # ---- what every system says -----------------------------------------------------------------------

    def imagine(self, first: Tensor, batch: Batch) -> Tensor:
        """(B, T+1, D) visible states -> (B, T+1, D), the decoded victim's."""
        return self.reencode(self.decode(1, *self.guessed_codes(first, batch), batch), batch)

    def predict_complete(self, batch: Batch) -> Tensor:
        if self.config.readout == "backbone":
            return super().predict_complete(batch)
        fused = self.backbone.fuse(
            self.backbone.encode(batch, VISIBLE), self.backbone.encode(batch, VICTIM), batch.real
        )
        return self.classify(self.label_code(fused))

    def predict_missing(self, batch: Batch) -> Tensor:
        if self.config.readout == "backbone":
            return super().predict_missing(batch)
        return self.classify(self.guessed_codes(self.backbone.encode(batch, VISIBLE), batch)[0])

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """Everything on complete samples; then, if asked, what the missing ones can teach."""
        stages = super().stages(epoch, epochs)
        return stages if self.config.use_missing_split else stages[:1]

    # ---- losses -----------------------------------------------------------------------------------------

    def complete_loss(self, tau: float, batch: Batch) -> dict[str, Tensor]:
        """Both modalities teach the codes, and the codes teach the guesses."""
        states = [self.backbone.encode(batch, place) for place in range(2)]
        fused = self.backbone.fuse(*states, batch.real)
        label, own = self.label_code(fused), [self.code_of(place, states[place], batch) for place in range(2)]
        guesses = self.guessed_codes(states[0], batch)
        guessed = self.decode(1, *guesses, batch)

        parts = {"task": self._score(self.classify(label), batch)}
        parts["imputed"] = self._score(self.classify(guesses[0]), batch)
        if self.config.readout == "backbone":
            parts["factor"] = parts["task"] + parts["imputed"]
            parts["task"] = self._score(self.backbone.answer(fused), batch)
            parts["imputed"] = self._score(self._read(states[0], guessed, batch), batch)
        gaps = [self._gap(place, self.decode(place, label, own[place], batch), batch) for place in range(2)]
        parts["rebuild"] = self.config.lambda_rec * (sum(gaps) + self._gap(1, guessed, batch))
        parts["prior"] = self.config.lambda_prior * sum(mmd(code, self.config.prior_kernel) for code in (label, *own))
        # The guesses come to the codes. In the released code the codes come too, and both can collapse.
        parts["match"] = F.mse_loss(torch.cat(guesses, 1), torch.cat([label, own[1]], 1).detach())
        return parts | self.contrast(tau, *states)

    def missing_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The task through the guesses, and the visible sequence rebuilt from its own code."""
        first = self.backbone.encode(batch, VISIBLE)
        guesses = self.guessed_codes(first, batch)
        parts = {"task": self._score(self.classify(guesses[0]), batch)}
        if self.config.readout == "backbone":
            guessed = self._read(first, self.decode(1, *guesses, batch), batch)
            parts = {"factor": parts["task"], "task": self._score(guessed, batch)}
        rebuilt = self.decode(0, guesses[0], self.code_of(0, first, batch), batch)
        return parts | {"rebuild": self.config.lambda_rec * self._gap(0, rebuilt, batch)}

    def _read(self, first: Tensor, decoded: Tensor, batch: Batch) -> Tensor:
        return self.backbone.read(first, self.reencode(decoded, batch), batch.real)

    def _score(self, prediction: Tensor, batch: Batch) -> Tensor:
        return self.backbone.task_loss(prediction, batch.labels)

    def _gap(self, place: int, decoded: Tensor, batch: Batch) -> Tensor:
        """Mean squared error of decoded features over the real steps, in squared standard deviations. ()"""
        target = self.backbone.embed[place].standardise(batch.features[place], batch.real)
        return F.mse_loss(decoded[batch.real], target[batch.real])


def _two_layers(latent: int, factor: int) -> nn.Sequential:
    """A code, which must look Gaussian, -> a factor, which is rectified."""
    return nn.Sequential(nn.Linear(latent, factor), nn.ReLU(), nn.Linear(factor, factor), nn.ReLU())
