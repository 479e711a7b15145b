"""A playground: the reader's own pair of sequences, and the plan between them."""

from collections.abc import Mapping, Sequence

import traitlets
from torch import Tensor

from ...errors import InputError
from .alignment import along, margins, one_sided
from .base import PlanSliders, doubles, rounded, square


class Playground(PlanSliders):
    """Planted pairs that the page makes itself, words of the reader's own letters and sounds, and segments of a watch.

    Args:
        letters, sounds: the names of K letters and S sounds; a step without one is called nothing.
        table: (K + 1, S + 1) how alike they are, at most 1; the last row and column speak of nothing.
        segments: name -> (l, l) cost between two sensors.
        traits: where the controls stand at first; `sweeps` is the largest number of sweeps.

    >>> import torch
    >>> table = torch.tensor([[1.0, 0.0, 0.1], [0.0, 1.0, 0.1], [0.0, 0.0, 1.0]])
    >>> ground = Playground("ab", ["A", "B"], table, {"still": torch.ones(4, 4)}, source="word", window=1, mu=0.1)
    >>> ground.word = "ab", "B"
    >>> (2 * next(iter(ground.plans().values()))).round(decimals=1).tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """

    shown = (
        *PlanSliders.shown,
        *"source order seed length noise lag letters sounds segment sweeps way spelling segments".split(),
    )
    named = ("source", "window", "mu")

    kind = traitlets.Unicode("playground").tag(sync=True)
    source = traitlets.Enum(["planted", "word", "watch"], "planted").tag(sync=True)
    order = traitlets.Unicode("out of order").tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    length = traitlets.Int(12).tag(sync=True)
    noise = traitlets.Float(0.5).tag(sync=True)
    lag = traitlets.Int(2).tag(sync=True)
    letters = traitlets.Unicode("knight").tag(sync=True)
    sounds = traitlets.Unicode("N AY T").tag(sync=True)
    segment = traitlets.Int(0).tag(sync=True)
    sweeps = traitlets.Int(400).tag(sync=True)
    way = traitlets.Enum(["balanced", "one-sided"], "balanced").tag(sync=True)
    spelling = traitlets.Dict().tag(sync=True)
    segments = traitlets.List().tag(sync=True)

    def __init__(
        self,
        letters: Sequence[str],
        sounds: Sequence[str],
        table: Tensor,
        segments: Mapping[str, Tensor],
        **traits: object,
    ) -> None:
        if tuple(table.shape) != (len(letters) + 1, len(sounds) + 1):
            raise InputError(
                f"the table of {len(letters)} letters and {len(sounds)} sounds must have one row and one column more, "
                f"found {tuple(table.shape)}"
            )
        kept = {name: square(f"the cost of {name!r}", cost) for name, cost in segments.items()}
        curves = {name: map(along, margins(doubles(cost))) for name, cost in kept.items()}
        stored = [
            {"name": name, "cost": kept[name], "visible": visible, "victim": victim}
            for name, (visible, victim) in curves.items()
        ]
        spelling = {"letters": [*letters], "sounds": [*sounds], "table": rounded(table)}
        super().__init__(spelling=spelling, segments=stored, **traits)

    @property
    def word(self) -> tuple[str, str]:
        """The letters and the sounds, as a reader types them."""
        return self.letters, self.sounds

    @word.setter
    def word(self, given: tuple[str, str]) -> None:
        self.letters, self.sounds = given

    def cost(self) -> Tensor:
        """(l, l) float64 of a word or of a segment; planted pairs are made by the page."""
        if self.source == "planted":
            raise InputError("planted pairs are drawn by the page: choose source='word' or source='watch'")
        if self.source == "watch":
            return doubles(self.segments[self.segment]["cost"])
        known, spoken = self.spelling["letters"], self.spelling["sounds"]
        rows = [known.index(letter) for letter in self.letters.lower() if letter in known]
        columns = [spoken.index(sound) for sound in self.sounds.upper().split() if sound in spoken]
        l = max(len(rows), len(columns), 1)
        rows, columns = (
            values + [len(names)] * (l - len(values)) for values, names in ((rows, known), (columns, spoken))
        )
        return 1 - doubles(self.spelling["table"])[rows][:, columns]

    def plans(self) -> dict[str, Tensor]:
        if self.source == "planted":
            return {"the first segment of the watch": self.solve(doubles(self.segments[0]["cost"])).mass[0]}
        balanced = self.way == "balanced"
        plan = self.solve(self.cost()).mass[0] if balanced else one_sided(self.cost(), self.window, self.mu)
        return {self.source: plan}

    def describe(self) -> str:
        return (
            f"A playground. Shown is the plan of {next(iter(self.plans()))}, window {self.window}, "
            f"entropy {self.mu:.4g}; with a browser that runs scripts, the pair, its noise and its lag can be chosen."
        )
