"""All claims of a book on one ruler: a board that is filtered, opened claim by claim, and judged by what matters."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import traitlets
from matplotlib.figure import Figure

from ...errors import ABOVE_0, InputError, check, one_of
from .. import palette, plots
from .base import DIGITS, Sliders

FAMILIES = {"paper": "imagined", "rivals": "other", "neighbours": "neighbour", "ours": "ours"}  # and their roles
CLAIMED = ("more", "not more", "not less")
FIELDS = (
    "family",
    "whose",
    "text",
    "data",
    "unit",
    "claimed",
    "mean",
    "low",
    "high",
    "values",
    "seeds",
    "grid",
    "command",
)
MAY_BE_ABSENT = {"values", "seeds", "grid", "command"}


def verdict(low: float | None, high: float | None, matters: float, claimed: str = "more") -> str:
    """A word for an interval about a difference that is `claimed` to be more than 0, not more, or not less.

    >>> verdict(0.1, 0.3, 0.1), verdict(-0.1, 0.05, 0.1), verdict(-0.1, 0.3, 0.1), verdict(-0.3, 0.05, 0.1, "not more")
    ('reproduced', 'not reproduced', 'not resolved', 'reproduced')
    """
    if low is None or high is None:
        return "not testable here"
    if claimed == "more":
        if low > 0:
            return "reproduced"
        if high < 0:
            return "the opposite"
        return "not reproduced" if high < matters else "not resolved"
    start, end = (low, high) if claimed == "not more" else (-high, -low)
    if end < matters:
        return "reproduced"
    return "the opposite" if start > 0 else "not resolved"


class Claims(Sliders):
    """Every claim with its interval; filters by family, data and verdict, and a slider for what matters.

    Args:
        claims: one mapping each, with `family` (a key of FAMILIES), `whose`, `text`, `data` (a list of names), `unit`,
            `claimed` (one of CLAIMED), `mean`, `low`, `high` (None where nothing can be said); may have `values` (one
            a seed), `seeds` (their names), `grid`, `command`, `chapter` (an address) and its `title`.
        matters: unit -> the smallest effect that matters.
        traits: where the controls stand at first: factor (times what matters), family, dataset, word ("all").

    >>> one = {"family": "paper", "whose": "MM-Align", "text": "beats single", "data": ["watch"], "unit": "accuracy",
    ...        "claimed": "more", "mean": 0.02, "low": -0.05, "high": 0.09}
    >>> board = Claims([one], {"accuracy": 0.02})
    >>> board.verdicts(), Claims([one], {"accuracy": 0.02}, factor=5.0).verdicts()
    (['not resolved'], ['not reproduced'])
    """

    shown = ("claims", "matters", "factor", "family", "dataset", "word")
    named = ("factor", "family", "dataset", "word")

    kind = traitlets.Unicode("claims").tag(sync=True)
    claims = traitlets.List().tag(sync=True)
    matters = traitlets.Dict().tag(sync=True)
    factor = traitlets.Float(1.0).tag(sync=True)
    family = traitlets.Unicode("all").tag(sync=True)
    dataset = traitlets.Unicode("all").tag(sync=True)
    word = traitlets.Unicode("all").tag(sync=True)

    def __init__(self, claims: Sequence[Mapping], matters: Mapping[str, float], **traits: object) -> None:
        for one in claims:
            lacking = [name for name in FIELDS if name not in one and name not in MAY_BE_ABSENT]
            if lacking:
                raise InputError(f"a claim needs {', '.join(lacking)}, found only {', '.join(one)}")
            one_of("family", one["family"], FAMILIES)
            one_of("claimed", one["claimed"], CLAIMED)
            if one["low"] is not None and one["unit"] not in matters:
                raise InputError(f"matters must say what matters in {one['unit']!r}, found {', '.join(matters)}")
        super().__init__(claims=[_short(one) for one in claims], matters={**matters}, **traits)

    @traitlets.validate("factor")
    def _check_factor(self, proposal: dict) -> float:
        check("factor", proposal["value"], ABOVE_0)
        return proposal["value"]

    def verdicts(self) -> list[str]:
        """The word for each claim, at the present factor."""
        limits = [self.factor * self.matters.get(one["unit"], 0) for one in self.claims]
        return [
            verdict(one["low"], one["high"], limit, one["claimed"])
            for one, limit in zip(self.claims, limits, strict=True)
        ]

    def draw(self) -> Figure:
        parts = {
            unit: [one for one in self.claims if one["unit"] == unit and one["low"] is not None]
            for unit in self.matters
        }
        parts = {unit: part for unit, part in parts.items() if part}
        sizes = [len(part) + 2 for part in parts.values()]
        figure, axes = plt.subplots(len(parts), 1, figsize=(7.4, 0.22 * sum(sizes)), height_ratios=sizes, squeeze=False)
        for ax, (unit, part) in zip(axes[:, 0], parts.items(), strict=True):
            shades = [palette.COLOURS[FAMILIES[one["family"]]] for one in part]
            ax.hlines(range(len(part)), [one["low"] for one in part], [one["high"] for one in part], color=shades, lw=2)
            ax.scatter([one["mean"] for one in part], range(len(part)), color=shades, s=25, zorder=3)
            limit = self.factor * self.matters[unit]
            ax.axvspan(-limit, limit, color=plots.INK, alpha=0.15, lw=0)
            ax.axvline(0, color=plots.INK, lw=1)
            ax.set_yticks(range(len(part)), [f"{one['whose']}: {one['text']}" for one in part])
            ax.set(xlabel=unit, ylim=(len(part) - 0.4, -0.6))
        return figure

    def describe(self) -> str:
        words = self.verdicts()
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        return f"{len(words)} claims, each with its 95 % interval: {counts}."


def _short(one: Mapping) -> dict:
    """A claim as it is stored: numbers to as many digits as are shown."""
    numbers = {name: None if one[name] is None else round(float(one[name]), DIGITS) for name in ("mean", "low", "high")}
    values = (
        {"values": [round(float(value), DIGITS) for value in one["values"]]} if one.get("values") is not None else {}
    )
    return {**one, **numbers, **values}
