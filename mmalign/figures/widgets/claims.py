"""All claims of a book on one ruler: a board that is filtered, opened claim by claim, and judged by what matters."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import pandas as pd
import traitlets
from matplotlib.figure import Figure

from ...errors import ABOVE_0, InputError, check, one_of
from .. import palette, plots
from .base import DIGITS, Sliders

FAMILIES = {"paper": "imagined", "rivals": "other", "neighbours": "neighbour", "ours": "ours"}  # and their roles
CLAIMED = ("more", "not more", "not less")
FIELDS = "family whose text data unit claimed mean low high".split()
# What a table of comparisons calls them, and how the words of a hypothesis differ from those of a published claim.
COLUMNS = {"question": "text", "claim": "claimed", "metric": "unit", "difference": "mean"}
UNITS = {"mae": "error avoided"}  # differences are turned so that more is better
HYPOTHESIS = {"reproduced": "holds", "not reproduced": "no such effect"}


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
            a seed), `seeds` (their names, or how many), `p`, `holm`, `grid`, `command`, `matters` (of its own),
            `chapter` (an address) and its `title`.
        matters: unit -> the smallest effect that matters.
        said: verdict -> another word for it.
        traits: where the controls stand at first: factor (times what matters), family, dataset, word ("all").

    >>> one = {"family": "paper", "whose": "MM-Align", "text": "beats single", "data": ["watch"], "unit": "accuracy",
    ...        "claimed": "more", "mean": 0.02, "low": -0.05, "high": 0.09}
    >>> board = Claims([one], {"accuracy": 0.02})
    >>> board.verdicts(), Claims([one], {"accuracy": 0.02}, factor=5.0).verdicts()
    (['not resolved'], ['not reproduced'])
    """

    shown = ("claims", "matters", "said", "factor", "family", "dataset", "word")
    named = ("factor", "family", "dataset", "word")

    kind = traitlets.Unicode("claims").tag(sync=True)
    claims = traitlets.List().tag(sync=True)
    matters = traitlets.Dict().tag(sync=True)
    said = traitlets.Dict().tag(sync=True)
    factor = traitlets.Float(1.0).tag(sync=True)
    family = traitlets.Unicode("all").tag(sync=True)
    dataset = traitlets.Unicode("all").tag(sync=True)
    word = traitlets.Unicode("all").tag(sync=True)

    def __init__(self, claims: Sequence[Mapping], matters: Mapping[str, float], **traits: object) -> None:
        for one in claims:
            lacking = [name for name in FIELDS if name not in one]
            if lacking:
                raise InputError(f"a claim needs {', '.join(lacking)}, found only {', '.join(one)}")
            one_of("family", one["family"], FAMILIES)
            one_of("claimed", one["claimed"], CLAIMED)
            if one["low"] is not None and one["unit"] not in matters and "matters" not in one:
                raise InputError(f"matters must say what matters in {one['unit']!r}, found {', '.join(matters)}")
        super().__init__(claims=[_short(one) for one in claims], matters={**matters}, **traits)

    @traitlets.validate("factor")
    def _check_factor(self, proposal: dict) -> float:
        check("factor", proposal["value"], ABOVE_0)
        return proposal["value"]

    def verdicts(self) -> list[str]:
        """The word for each claim, at the present factor."""
        limits = [self.factor * self._matters(one) for one in self.claims]
        return [
            verdict(one["low"], one["high"], limit, one["claimed"])
            for one, limit in zip(self.claims, limits, strict=True)
        ]

    def _matters(self, one: Mapping) -> float:
        return one.get("matters", self.matters.get(one["unit"], 0))

    def draw(self) -> Figure:
        measured = [one for one in self.claims if one["low"] is not None]
        if not measured:
            figure, ax = plt.subplots(figsize=(7.4, 0.6))
            ax.set_axis_off()
            ax.text(0, 0.5, "No run of these comparisons is stored.", va="center")
            return figure
        units = dict.fromkeys(one["unit"] for one in measured)
        parts = {unit: [one for one in measured if one["unit"] == unit] for unit in units}
        sizes = [len(part) + 2 for part in parts.values()]
        figure, axes = plt.subplots(len(parts), 1, figsize=(7.4, 0.22 * sum(sizes)), height_ratios=sizes, squeeze=False)
        for ax, (unit, part) in zip(axes[:, 0], parts.items(), strict=True):
            shades = [palette.COLOURS[FAMILIES[one["family"]]] for one in part]
            ax.hlines(range(len(part)), [one["low"] for one in part], [one["high"] for one in part], color=shades, lw=2)
            ax.scatter([one["mean"] for one in part], range(len(part)), color=shades, s=25, zorder=3)
            limit = self.factor * self._matters(part[0])
            ax.axvspan(-limit, limit, color=plots.INK, alpha=0.15, lw=0)
            ax.axvline(0, color=plots.INK, lw=1)
            names = [": ".join(filter(None, (one["whose"], one["text"]))) for one in part]
            ax.set_yticks(range(len(part)), [fill(name, 60) for name in names])
            ax.set(xlabel=unit, ylim=(len(part) - 0.4, -0.6))
        return figure

    def describe(self) -> str:
        words = [self.said.get(word, word) for word in self.verdicts()]
        counts = ", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words))
        claims = "1 claim, with" if len(words) == 1 else f"{len(words)} claims, each with"
        return f"{claims} its 95 % interval: {counts}."


def board(table: pd.DataFrame, **same: object) -> Claims:
    """The board of one chapter, from a table of comparisons: one call in place of the table.

    Args:
        table: a row a comparison, as `experiments.verdicts.verdicts` returns them, or several such tables one below
            the other (`pd.concat`): `question`, `claim`, `metric`, `difference`, `low`, `high`; also `matters`,
            `seeds`, `p`, `holm`, and any other field of a claim (see `Claims`), such as `data`, `whose`, `values`.
        same: fields that all rows share, such as family="ours", data="watch", grid="book/grids/smartwatch.yaml".
            By default the family is "paper", and the command that repeats a claim is that of its grid.

    Raises:
        ValueError: a row lacks something; the message names it.

    >>> row = {"question": "Is there room?", "claim": "more", "metric": "accuracy", "difference": 0.1, "low": 0.05,
    ...        "high": 0.15, "matters": 0.02}
    >>> board(pd.DataFrame([row]), family="ours", data="watch").describe()
    '1 claim, with its 95 % interval: 1 holds.'
    """
    rows = [{str(name): value for name, value in one.items()} for one in table.to_dict("records")]
    return Claims([_claim(same | one) for one in rows], {}, said=HYPOTHESIS)


def _claim(row: Mapping) -> dict:
    """A row of a table as a claim; what a table leaves empty it does not have."""
    named = {COLUMNS.get(name, name): value for name, value in row.items() if name != "verdict"}
    named = {name: value for name, value in named.items() if isinstance(value, list | tuple) or not pd.isna(value)}
    usual = {"family": "paper", "whose": "", "claimed": "more", "data": [], "mean": None, "low": None, "high": None}
    one = usual | named
    one["data"] = [one["data"]] if isinstance(one["data"], str) else [*one["data"]]
    one["unit"] = UNITS.get(one.get("unit"), one.get("unit", ""))
    if one.get("grid") and "command" not in one:
        one["command"] = f"mmalign sweep {one['grid']} --out runs\nmmalign table runs --grid {one['grid']}"
    return one


def _short(one: Mapping) -> dict:
    """A claim as it is stored: numbers to as many digits as are shown."""
    numbers = {name: None if one[name] is None else round(float(one[name]), DIGITS) for name in ("mean", "low", "high")}
    values = (
        {"values": [round(float(value), DIGITS) for value in one["values"]]} if one.get("values") is not None else {}
    )
    also = {name: round(float(one[name]), DIGITS) for name in ("p", "holm", "matters") if name in one}
    return {**one, **numbers, **values, **also}
