"""Ten seconds of the whole idea, for a first page: two sequences, their plan, the victim that goes, its stand-in."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from ...errors import InputError
from .. import palette
from .base import PlanSliders, doubles, square


class Story(PlanSliders):
    """A moving picture that loops and can be scrubbed. The page solves for each plan itself, and lets it grow.

    Args:
        words: one mapping each: `letters` and `sounds`, l names each; `cost` (l, l), rows letters; `predicted` (l, l),
            the weights that a model of the letters alone gives to each letter; `imagined`, l names that follow from
            them. What is right is found here.
        traits: window and mu of the plans; also tol and max_sweeps.

    >>> word = {"letters": ["a", "t"], "sounds": ["AE", "T"], "imagined": ["EY", "T"]}
    >>> story = Story([word | {"cost": 1 - torch.eye(2), "predicted": torch.eye(2)}], mu=0.1)
    >>> story.describe()
    'The word at is spoken AE T. With the sounds missing, the letters alone say EY T: 1 of 2 steps are right.'
    """

    shown = (*PlanSliders.shown, "words")
    kind = traitlets.Unicode("story").tag(sync=True)
    words = traitlets.List().tag(sync=True)

    def __init__(self, words: Sequence[Mapping], **traits: object) -> None:
        super().__init__(words=[self._stored(word) for word in words], **traits)

    @staticmethod
    def _stored(word: Mapping) -> dict:
        names = {name: [*word[name]] for name in ("letters", "sounds", "imagined")}
        tables = {name: square(name, torch.as_tensor(word[name])) for name in ("cost", "predicted")}
        sizes = {name: len(values) for name, values in (names | tables).items()}
        if len({*sizes.values()}) != 1:
            raise InputError(f"all parts of a word must have its number of steps, found {sizes}")
        right = [said == true for said, true in zip(names["imagined"], names["sounds"], strict=True)]
        return {**names, **tables, "right": right}

    def plans(self) -> dict[str, Tensor]:
        return {"".join(word["letters"]): self.solve(doubles(word["cost"])).mass[0] for word in self.words}

    def draw(self) -> Figure:
        word, plan = self.words[0], next(iter(self.plans().values()))
        figure, ax = plt.subplots(figsize=(7, 3))
        rows = {"visible": ("letters", 2.0), "victim": ("sounds", 1.0), "imagined": ("imagined", 0.45)}
        for role, (name, height) in rows.items():
            look = {"ha": "center", "va": "center", "fontsize": 16, "fontweight": "bold"}
            for place, letter in enumerate(word[name]):
                ax.text(place, height, letter, color=palette.COLOURS[role], **look)
            ax.text(-0.8, height, name, ha="right", va="center", color=palette.COLOURS[role])
        for i, j in (plan * len(plan) > 0.05).nonzero().tolist():
            share = plan[i, j].item() * len(plan)
            ax.plot([i, j], [1.82, 1.18], color=palette.INK, lw=5 * share, alpha=min(0.9, 0.2 + share))
        ax.set(xlim=(-2.4, len(plan) - 0.4), ylim=(0.1, 2.3))
        ax.axis("off")
        return figure

    def describe(self) -> str:
        word = self.words[0]
        return (
            f"The word {''.join(word['letters'])} is spoken {' '.join(word['sounds'])}. With the sounds missing, "
            f"the letters alone say {' '.join(word['imagined'])}: "
            f"{sum(word['right'])} of {len(word['right'])} steps are right."
        )
