"""A playground: the reader's own pair of sequences, and the plan between them."""

import math
from collections.abc import Mapping, Sequence

import torch
import traitlets
from torch import Tensor

from ...errors import InputError
from .alignment import along, margins, one_sided
from .base import PlanSliders, doubles, rounded, square


class Playground(PlanSliders):
    """Planted pairs that the page makes itself, words of the reader's own letters and sounds, pairs that the reader
    draws, and segments of a watch. The two sequences of a word or a drawing may be of different length.

    Args:
        letters, sounds: the names of K letters and S sounds.
        table: (K, S) how alike they are, at most 1.
        segments: name -> (l, l) cost between two sensors.
        traits: where the controls stand at first; `sweeps` is the largest number of sweeps.

    >>> import torch
    >>> ground = Playground("ab", ["A", "B"], torch.eye(2), {"still": torch.ones(4, 4)}, source="word", mu=0.1)
    >>> ground.word = "abba", "A B"
    >>> (4 * next(iter(ground.plans().values()))).round(decimals=1).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]
    """

    shown = (
        *PlanSliders.shown,
        *"source order seed length noise lag letters sounds first second segment sweeps way spelling segments".split(),
    )
    named = ("source", "window", "mu")

    kind = traitlets.Unicode("playground").tag(sync=True)
    source = traitlets.Enum(["planted", "word", "drawn", "watch"], "planted").tag(sync=True)
    order = traitlets.Unicode("out of order").tag(sync=True)
    seed = traitlets.Int(0).tag(sync=True)
    length = traitlets.Int(12).tag(sync=True)
    noise = traitlets.Float(0.5).tag(sync=True)
    lag = traitlets.Int(2).tag(sync=True)
    letters = traitlets.Unicode("knight").tag(sync=True)
    sounds = traitlets.Unicode("N AY T").tag(sync=True)
    first = traitlets.Unicode("112478875322").tag(sync=True)  # heights from 0 to 9
    second = traitlets.Unicode("11124788532").tag(sync=True)
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
        if tuple(table.shape) != (len(letters), len(sounds)):
            raise InputError(
                f"the table of {len(letters)} letters and {len(sounds)} sounds must have a row and a column for each, "
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
        """(l1, l2) float64 of a word, a drawing or a segment; planted pairs are made by the page."""
        if self.source == "planted":
            raise InputError("planted pairs are drawn by the page: choose source='word', 'drawn' or 'watch'")
        if self.source == "watch":
            return doubles(self.segments[self.segment]["cost"])
        if self.source == "drawn":  # a height is an angle
            one, other = map(doubles, self.beside())
            return 1 - torch.cos((one[:, None] - other) * math.pi / 9)
        letters, sounds = self.beside()
        rows = [self.spelling["letters"].index(letter) for letter in letters]
        columns = [self.spelling["sounds"].index(sound) for sound in sounds]
        return 1 - doubles(self.spelling["table"])[rows][:, columns]

    def plans(self) -> dict[str, Tensor]:
        if self.source == "planted":
            return {"the first segment of the watch": self.solve(doubles(self.segments[0]["cost"])).mass[0]}
        balanced = self.way == "balanced"
        plan = self.solve(self.cost()).mass[0] if balanced else one_sided(self.cost(), self.window, self.mu)
        return {self.source: plan}

    def beside(self) -> tuple[list, list]:
        if self.source == "drawn":
            return [int(level) for level in self.first], [int(level) for level in self.second]
        if self.source == "word":
            known, spoken = self.spelling["letters"], self.spelling["sounds"]
            typed = [letter for letter in self.letters.lower() if letter in known]
            return typed or known[:1], [sound for sound in self.sounds.upper().split() if sound in spoken] or spoken[:1]
        segment = self.segments[self.segment if self.source == "watch" else 0]
        return segment["visible"], segment["victim"]

    def describe(self) -> str:
        return (
            f"A playground. Shown is the plan of {next(iter(self.plans()))}, window {self.window}, "
            f"entropy {self.mu:.4g}; with a browser that runs scripts, the pair, its noise and its lag can be chosen."
        )
