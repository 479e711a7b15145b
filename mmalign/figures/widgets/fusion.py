"""Sliders over MLA's fusion: the surer a modality, the more it counts (arXiv 2311.10707; chapter "MLA")."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ...errors import AT_LEAST_0, InputError, check, one_of
from ...neighbours.certainty import Classes
from ...neighbours.mla import entropy_weights
from ...neighbours.senses import fuse
from .. import palette
from .base import Sliders, doubles, rounded


class EntropySliders(Sliders):
    """Sliders for how sure each of two modalities is: factors on its logits. One of them may be absent.

    Args:
        logits: name of a modality -> (K,), kept to 4 decimals.
        classes: K names; numbers from 0 by default.
        truth: the name of the true class, where one is known.
        traits: where the controls stand at first: first, second (factors), absent ("none" or a name).

    >>> sliders = EntropySliders({"acc": [1, 0], "gyro": [0, 1]}, first=200.0, second=0.0)
    >>> sliders.weights.round(decimals=4).tolist(), sliders.fused.tolist()  # certain and undecided: 2/3 and 1/3
    ([0.6667, 0.3333], [133.33333333333331, 0.0])
    """

    shown = ("first", "second", "absent", "names", "classes", "logits", "truth")
    named = ("first", "second", "absent")

    kind = traitlets.Unicode("entropy").tag(sync=True)
    names = traitlets.List().tag(sync=True)
    classes = traitlets.List().tag(sync=True)
    logits = traitlets.List().tag(sync=True)  # (2, K)
    truth = traitlets.Unicode("").tag(sync=True)
    first = traitlets.Float(1.0).tag(sync=True)
    second = traitlets.Float(1.0).tag(sync=True)
    absent = traitlets.Unicode("none").tag(sync=True)

    def __init__(
        self,
        logits: Mapping[str, Sequence[float]],
        classes: Sequence[str] | None = None,
        truth: str = "",
        **traits: object,
    ) -> None:
        sizes = [len(row) for row in logits.values()]
        classes = [str(k) for k in range(max(sizes, default=0))] if classes is None else [*classes]
        if len(sizes) != 2 or {*sizes} != {len(classes)} or len(classes) < 2:
            raise InputError(
                f"logits must be of two modalities over the same two or more classes, found {sizes} "
                f"over {len(classes)} classes"
            )
        one_of("truth", truth, ("", *classes))
        stored = [rounded(row) for row in logits.values()]
        super().__init__(names=[*logits], classes=classes, logits=stored, truth=truth, **traits)

    @traitlets.validate("first", "second")
    def _check_factor(self, proposal: dict) -> float:
        check(proposal["trait"].name, proposal["value"], AT_LEAST_0)
        return proposal["value"]

    @traitlets.validate("absent")
    def _check_absent(self, proposal: dict) -> str:
        one_of("absent", proposal["value"], ("none", *self.names))
        return proposal["value"]

    @property
    def outputs(self) -> Tensor:
        """(2, K) float64: what the head says of each modality."""
        return doubles(self.logits) * torch.tensor([[self.first], [self.second]], dtype=torch.float64)

    @property
    def entropies(self) -> Tensor:
        """(2,) in nats."""
        return Classes(len(self.classes)).entropy(self.outputs)

    @property
    def weights(self) -> Tensor:
        """(2,) how much each modality counts; 0 where absent, 1 in sum."""
        present = torch.tensor([name != self.absent for name in self.names])
        return entropy_weights(self.entropies[None], present[None])[0]

    @property
    def fused(self) -> Tensor:
        """(K,) logits of the answer."""
        return fuse(self.outputs[None], self.weights[None])[0]

    def draw(self) -> Figure:
        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
        places = range(len(self.classes))
        shades = [palette.COLOURS[role] for role in ("visible", "victim", "neighbour")]
        shares = torch.cat([self.outputs, self.fused[None]]).softmax(1).tolist()
        for m, (name, row) in enumerate(zip([*self.names, "fused"], shares, strict=True)):
            if name != self.absent:
                left.bar([k + 0.25 * (m - 1) for k in places], row, 0.22, color=shades[m], label=name)
        named = [f"{name} (true)" if name == self.truth else name for name in self.classes]
        left.set(xlabel="class", ylabel="probability", ylim=(0, 1), xticks=places, xticklabels=named)
        left.legend()
        right.bar(self.names, self.weights.tolist(), 0.5, color=shades[:2])
        right.axhline(len(places) / (len(places) + 1), color=shades[2], linestyle="--", label="bound K/(K+1)")
        right.set(ylabel="weight", ylim=(0, 1))
        right.legend()
        return figure

    def describe(self) -> str:
        told = zip(self.names, self.entropies.tolist(), self.weights.tolist(), strict=True)
        parts = (f"{name} has entropy {entropy:.2f} and weight {weight:.2f}" for name, entropy, weight in told)
        absent = "" if self.absent == "none" else f", {self.absent} is absent"
        answer = self.classes[self.fused.argmax().item()]
        truth = f", the truth is {self.truth}" if self.truth else ""
        bars = "Probabilities of two modalities and of both fused, as bars"
        return f"{bars}: {', '.join(parts)}{absent}; answer {answer}{truth}."
