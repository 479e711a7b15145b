"""Sliders over the pattern of absence: who has lost the victim, in setting A and in setting B."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ...data import missing
from ...data.source import TEST, TRAIN, VALID
from ...errors import SEED, SHARE, InputError, check, one_of, whole
from .. import palette, plots
from .base import Sliders

PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}


class MissingSliders(Sliders):
    """A slider for the survival rate p, a choice of setting; every sample is a box.

    Args:
        sizes: numbers of training, validation and test samples.
        seed: of `mmalign.load`, which draws the same samples.
        traits: where the controls stand at first: survival, setting ("A" or "B").

    >>> sliders = MissingSliders((10, 5, 5), survival=0.35, setting="B")
    >>> {part: keeps.sum().item() for part, keeps in sliders.keeps().items()}
    {'train': 3, 'valid': 1, 'test': 1}
    """

    shown = ("setting", "survival", "parts")
    named = ("survival", "setting")

    kind = traitlets.Unicode("missing").tag(sync=True)
    setting = traitlets.Unicode("A").tag(sync=True)
    survival = traitlets.Float(0.5).tag(sync=True)
    parts = traitlets.List().tag(sync=True)  # name, and the place of each sample in the queue of those who stay

    def __init__(self, sizes: Sequence[int] = (60, 20, 20), seed: int = 0, **traits: object) -> None:
        if len(sizes) != len(PARTS):
            raise InputError(f"sizes must be three numbers, of {', '.join(PARTS)}, found {len(sizes)}")
        for name, size in zip(PARTS, sizes, strict=True):
            check(f"size of {name}", size, whole(1))
        check("seed", seed, SEED)
        self.seed = seed
        queues = [self._queue(name, size) for name, size in zip(PARTS, sizes, strict=True)]
        parts = [{"name": name, "places": queue} for name, queue in zip(PARTS, queues, strict=True)]
        super().__init__(parts=parts, **traits)

    @traitlets.validate("survival")
    def _check_survival(self, proposal: dict) -> float:
        check("survival", proposal["value"], SHARE)
        return proposal["value"]

    @traitlets.validate("setting")
    def _check_setting(self, proposal: dict) -> str:
        one_of("setting", proposal["value"], ("A", "B"))
        return proposal["value"]

    def _draw(self, part: str, size: int, share: float) -> Tensor:
        """(size,) bool, as `make_splits` draws it."""
        return missing.draw(size, share, self.seed * 3 + PARTS[part])

    def _queue(self, part: str, size: int) -> list[int]:
        """Draws are nested: who stays in all but k of them, as the share grows, stands at place k of the queue."""
        draws = [self._draw(part, size, count / size) for count in range(1, size + 1)]
        return (size - torch.stack(draws).sum(0)).tolist()

    def keeps(self) -> dict[str, Tensor]:
        """Name of a part -> (N,) bool, whose victim is there."""
        share = {"train": self.survival, "valid": 0.0, "test": 0.0}
        if self.setting == "B":
            share = dict.fromkeys(PARTS, self.survival)
        return {part["name"]: self._draw(part["name"], len(part["places"]), share[part["name"]]) for part in self.parts}

    def draw(self) -> Figure:
        keeps = self.keeps()
        gone = {"fill": False, "edgecolor": plots.INK, "hatch": "////"}
        looks = {True: {"color": palette.COLOURS["victim"]}, False: gone}
        figure, axes = plt.subplots(3, 1, figsize=(6.4, 2.6))
        for ax, (name, kept) in zip(axes, keeps.items(), strict=True):
            for place, there in enumerate(kept.tolist()):
                ax.bar(place, 0.9, bottom=1, color=palette.COLOURS["visible"])
                ax.bar(place, 0.9, **looks[there])
            ax.set(xlim=(-1, max(map(len, keeps.values()))), xticks=[], yticks=[])
            ax.set_ylabel(name, rotation=0, ha="right", va="center")
            ax.grid(False)
        axes[0].set_title(f"setting {self.setting}, p = {self.survival:.4g}; above visible, below victim")
        return figure

    def describe(self) -> str:
        counts = (f"{kept.sum()} of {len(kept)} {name} samples" for name, kept in self.keeps().items())
        return (
            f"One column of two boxes a sample, the lower hatched where the victim is gone. Setting {self.setting} at "
            f"survival {self.survival:.4g}: the victim is there for {', '.join(counts)}."
        )
