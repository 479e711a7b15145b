"""SMIL: one vector of cluster centres stands in for the victim, and is learnt by learning to learn.

Ma, Ren, Zhao, Tulyakov, Wu, Peng: SMIL, multimodal learning with severely missing modality, AAAI 2021,
arXiv 2103.05677. A re-implementation in its spirit on this package's backbone; the original has images and
sounds, one vector each. Chapter "Results". K cluster centres.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from .. import masks
from ..batch import VICTIM, VISIBLE, Batch, DataSpec
from ..clusters import centres
from ..config import BackboneConfig
from ..method.backbone import Backbone
from ..method.denoising import TwoPaths
from ..settings import Count, CountOr0, Weight
from ..system import Part, Stage, Step


@dataclass(frozen=True, kw_only=True)
class SMILConfig(BackboneConfig):
    """The priors, the perturbation, the meta-learning."""

    only_with: ClassVar = {"second_order": {"alpha": True}}

    warmup: Annotated[CountOr0, "epochs on complete samples, before their victims are clustered"] = 2
    clusters: Annotated[Count, "K; code: 10, one per class of its data"] = 8
    perturb: Annotated[Literal["multiply", "add", "none"], 'code: "add" beside images and sounds'] = "multiply"
    alpha: Annotated[Weight, "length of the inner gradient step; code: 1e-3, falling"] = 1e-2
    second_order: Annotated[bool, "False: the inner gradient counts as a constant, which is faster"] = True
    gamma_fused: Annotated[Weight, "weight of the distance between imputed and real fused heads"] = 0.01
    gamma_hidden: Annotated[Weight, "the same one layer later"] = 0.01
    mc: Annotated[CountOr0, "draws that a prediction averages; 0 takes the means instead"] = 0


class NormalDraw(nn.Module):
    """A vector -> a draw from the normal distribution whose mean and spread it decides."""

    def __init__(self, features: int, out: int) -> None:
        super().__init__()
        self.net = nn.Linear(features, 2 * out)

    def forward(self, vector: Tensor, noise: Tensor) -> Tensor:
        """(B, features), standard normal (B, out) or (1, out) -> (B, out). Without noise: the mean."""
        mean, log_spread = self.net(vector).chunk(2, dim=1)
        # The released code predicts a spread and then draws with 1; and draws nothing for the weights.
        return mean + log_spread.exp() * noise


class SMIL(TwoPaths[SMILConfig]):
    """The missing sequence is one vector, so that there is nothing to align: a point between cluster centres.

    It is not `Imputing`, whose systems imagine a sequence; `impute` gives (B, 1, D).
    """

    config_type = SMILConfig

    def __init__(self, spec: DataSpec, config: SMILConfig) -> None:
        super().__init__(spec, config)
        self.warmup, self.sizes = config.warmup, (config.clusters, 2 * config.width)
        self.backbone = Backbone(spec, config)  # theta
        self.weigh = NormalDraw(config.width, config.clusters)  # phi_c
        if config.perturb != "none":
            self.regularise = NormalDraw(2 * config.width, 2 * config.width)  # phi_r
        self.register_buffer("priors", torch.zeros(config.clusters, config.width))  # C, no gradient
        draws = torch.randn(config.mc, sum(self.sizes)) if config.mc else torch.zeros(1, sum(self.sizes))
        self.register_buffer("draws", draws)  # the same for every sample, so that none depends on its batch

    # ---- the priors -----------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self, epoch: int, train: Part) -> None:
        """After warm-up, cluster the victims of the complete samples, once; no other victim is read."""
        if epoch == self.warmup:
            self.eval()
            batches = (batch.to(self.priors.device) for batch in train.complete.batches(256))
            pooled = torch.cat(
                [masks.mean_over(self.backbone.encode(batch, VICTIM)[:, 1:], batch.real) for batch in batches]
            )
            seed = int(torch.randint(2**31, ()))
            self.priors.copy_(centres(pooled.double(), len(self.priors), seed, starts=10))
            self.train()

    def weights(self, first: Tensor, batch: Batch, noise: Tensor) -> Tensor:
        """(B, T+1, D) visible states, (B, K) noise -> (B, K): how much of each prior; rows sum to 1."""
        weights = F.softplus(self.weigh(masks.mean_over(first[:, 1:], batch.real), noise))
        return weights / weights.sum(dim=1, keepdim=True)

    def impute(self, batch: Batch) -> Tensor:
        """(B, 1, D): the one vector that stands for the missing sequence."""
        noise = torch.zeros_like(self.draws[:1]).split(self.sizes, dim=1)
        return (self.weights(self.backbone.encode(batch, VISIBLE), batch, noise[0]) @ self.priors)[:, None]

    # ---- the two paths ----------------------------------------------------------------------------------

    def fuse_imputed(self, first: Tensor, batch: Batch, noise: Tensor) -> Tensor:
        """(B, T+1, D) visible states, (B, K+2D) noise -> (B, 2D), what the answer is read from.

        The vector is a sequence that is all head: the only memory of one direction, the only query of the other.
        """
        for_weights, for_factor = noise.split(self.sizes, dim=1)
        second = (self.weights(first, batch, for_weights) @ self.priors)[:, None]  # (B, 1, D)
        return self.perturb(self.backbone.fuse(first, second, batch.real, batch.real[:, :0]), for_factor)

    def perturb(self, fused: Tensor, noise: Tensor) -> Tensor:
        """(B, 2D), (B, 2D) -> (B, 2D): each feature times (or plus) a positive number, drawn anew in training."""
        if self.config.perturb == "none":
            return fused
        factor = F.softplus(self.regularise(fused, noise))
        return fused * factor if self.config.perturb == "multiply" else fused + factor

    def predict_missing(self, batch: Batch) -> Tensor:
        """Predict from the visible modality alone: with the means, or the average over fixed draws."""
        first = self.backbone.encode(batch, VISIBLE)
        answers = [self.backbone.answer(self.fuse_imputed(first, batch, noise)) for noise in self.draws[:, None]]
        return torch.stack(answers).mean(0)

    # ---- meta-learning ------------------------------------------------------------------------------------

    def stages(self, epoch: int, epochs: int) -> list[Stage]:
        """Warm-up on complete samples; then meta steps, each on some complete and some missing ones."""
        if epoch < self.warmup:
            return [Stage("complete", (Step("task", self.complete_loss),))]
        return [Stage("paired", (Step("meta", self.meta_loss),))]

    def complete_loss(self, batch: Batch) -> dict[str, Tensor]:
        """Task loss of real pairs."""
        return {"task": self.backbone.task_loss(self.predict_complete(batch), batch.labels)}

    def meta_loss(self, batch: Batch) -> dict[str, Tensor]:
        """The inner loss of missing samples, and the outer loss of complete ones after an inner step."""
        parts, moved, here = {}, {}, batch.complete
        if not here.all():
            parts["inner"] = self.inner_loss(batch.rows(~here))
            moved = self.inner_step(parts["inner"])
        if here.any():
            parts |= functional_call(self, moved, (batch.rows(here),))
        return parts

    def inner_loss(self, batch: Batch) -> Tensor:
        """Task loss of samples whose victim is imputed. ()"""
        with sdpa_kernel(SDPBackend.MATH):  # the fused kernel has no second derivative on a CPU
            fused = self.fuse_imputed(self.backbone.encode(batch, VISIBLE), batch, self._noise(batch))
        return self.backbone.task_loss(self.backbone.answer(fused), batch.labels)

    def inner_step(self, loss: Tensor) -> dict[str, Tensor]:
        """theta' = theta - alpha * gradient of `loss`, by name; theta itself stays where it is."""
        names, theta = zip(*self.backbone.named_parameters(prefix="backbone"), strict=True)
        second = self.config.second_order
        slopes = torch.autograd.grad(loss, theta, retain_graph=True, create_graph=second, materialize_grads=True)
        steps = zip(names, theta, slopes, strict=True)
        return {name: weight - self.config.alpha * slope for name, weight, slope in steps}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """The outer loss of complete samples: each once with its victim hidden and once as it is.

        It is `forward` because that is what `functional_call` runs with other parameters, theta' here. The
        released code computes the task loss of the real pair and leaves it out; setting B needs it.
        """
        first, second = self.backbone.encode(batch, VISIBLE), self.backbone.encode(batch, VICTIM)
        imputed = self.fuse_imputed(first, batch, self._noise(batch))
        fused = self.backbone.fuse(first, second, batch.real)
        hidden = self.backbone.answer.head[:2]  # up to the first bend
        answers = {"imputed": imputed, "task": fused}
        parts = {
            name: self.backbone.task_loss(self.backbone.answer(one), batch.labels) for name, one in answers.items()
        }
        parts["fused"] = self.config.gamma_fused * F.mse_loss(imputed, fused)
        parts["hidden"] = self.config.gamma_hidden * F.mse_loss(hidden(imputed), hidden(fused))
        return parts

    def _noise(self, batch: Batch) -> Tensor:
        """(B, K+2D) standard normal, for training."""
        return torch.randn(len(batch), sum(self.sizes), device=self.draws.device)
