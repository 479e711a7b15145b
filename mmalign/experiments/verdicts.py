"""The verdict on each comparison that a grid file names before its runs: difference, interval, chance, a word."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from math import isnan
from pathlib import Path

import pandas as pd

from ..errors import AT_LEAST_0, FLAG, InputError, Rule, check, check_fields, number, one_of
from . import grids, tables, traces
from .statistics import Paired, average, benjamini_hochberg, clustered, holm, paired

CLAIMS = ("more", "not more", "not less")
OVERLAP = number("test samples over training samples of a fold, at least 0", lambda value: value >= 0)
SCALARS = Rule("a mapping of columns to single values", lambda found: isinstance(found, dict) and all(
    isinstance(name, str) and isinstance(value, str | int | float) for name, value in found.items()
))  # fmt: skip
WORDS = Rule("text", lambda found: isinstance(found, str) and bool(found.strip()))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two arms of a grid, what is claimed of their difference, and which noise it is held against.

    A difference is turned so that more is better, whatever the metric.
    """

    question: str
    ours: dict[str, object]  # settings that choose the runs of one arm, as columns of `tables.read`
    theirs: dict[str, object]
    where: dict[str, object] = field(default_factory=dict)  # settings of both arms
    claim: str = "more"  # or "not more" or "not less" than nothing, by what matters
    metric: str = ""  # accuracy of classes, mae of a regression by default
    places: str = ""  # a column: a difference for each of its values, then their average (Welch, Satterthwaite)
    overlap: float = 0.0  # of folds, see `statistics.paired`; 0 where each seed draws samples of its own
    clusters: bool = False  # bootstrap over people (films, word families) instead: needs stored answers
    nested: bool = False  # of an arm's several settings each seed takes the best by validation: needs stored curves

    def __post_init__(self) -> None:
        check_fields(self, question=WORDS, ours=SCALARS, theirs=SCALARS, where=SCALARS)
        check_fields(self, overlap=OVERLAP, clusters=FLAG, nested=FLAG)
        one_of("claim", self.claim, CLAIMS)
        if self.clusters and self.places:
            raise InputError("clusters and places are two answers to one question: give one of them")


@dataclass(frozen=True)
class Plan:
    """What a grid file says before its runs: which comparisons decide, and from what size on a difference matters."""

    primary: tuple[Comparison, ...] = ()
    matters: dict[str, float] = field(default_factory=dict)  # metric -> size


def plan_of(head: Mapping[str, object]) -> Plan:
    """The head of a grid file, checked.

    Raises:
        ValueError: something in it does not fit; the message names it.
    """
    matters, asked = head.get("matters", {}), head.get("primary", [])
    if not isinstance(matters, dict):
        raise InputError(f"matters must map metrics to sizes, found {matters!r}")
    for name, size in matters.items():
        one_of("metric of matters", name, tuple(tables.BETTER))
        check(f"matters of {name}", size, AT_LEAST_0)
    known, primary = tuple(one.name for one in fields(Comparison)), []
    for place, one in enumerate(asked if isinstance(asked, list) else [asked], 1):
        if not isinstance(one, dict):
            raise InputError(f"primary {place} must be a mapping with question, ours, theirs, found {one!r}")
        try:
            for name in one:
                one_of("field", name, known)
            for name in ("question", "ours", "theirs"):
                if name not in one:
                    raise InputError(f"it lacks {name!r}")
            primary.append(Comparison(**one))
        except InputError as error:
            raise InputError(f"primary {place}: {error}") from None
    return Plan(tuple(primary), {name: float(size) for name, size in matters.items()})


def read_plan(path: str | Path) -> Plan:
    """What stands at the top of a grid file.

    Raises:
        ValueError: no such file, or something in it does not fit; the message names it.
    """
    try:
        return plan_of(grids.open_grid(path).head)
    except InputError as error:
        raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from None


def judge(one: Paired, matters: float, claim: str = "more") -> str:
    """A word for an interval.

    No run can show that a difference is 0, so "not more" and "not less" ask whether one that matters is left out.
    """
    if claim == "more":
        if one.low > 0:
            return "holds"
        if one.high < 0:
            return "the opposite"
        return "no such effect" if one.high < matters else "not resolved"
    low, high = (one.low, one.high) if claim == "not more" else (-one.high, -one.low)
    if high < matters:
        return "holds"
    return "the opposite" if low > 0 else "not resolved"


def chance(one: Paired, matters: float, claim: str = "more") -> float:
    """The probability of such a difference if the claim were false; at most 0.05 where `judge` says "holds"."""
    if claim == "more":
        return one.p("more")
    return one.p("less", matters) if claim == "not more" else one.p("more", -matters)


def verdicts(plan: Plan, rows: pd.DataFrame, place: str | Path | None = None) -> pd.DataFrame:
    """A line for each primary comparison.

    Args:
        plan: see `read_plan`.
        rows: stored runs, see `tables.read`.
        place: where they were read from; asked for what is stored beside them, where a comparison needs it.

    Returns:
        Columns question, claim, metric, difference, low, high, seeds, p, holm, bh, matters, verdict. `p` is one-sided
        in the claimed direction, at .025: doubled, so that .05 is the bar. `holm`, `bh`: corrected for the page.

    Raises:
        ValueError: an arm has no runs, or several of one seed; the message says which.
    """
    lines = []
    for one in plan.primary:
        try:
            metric = one.metric or _metric(rows, one)
            ours, theirs = (_arm(one, rows, settings, metric, place) for settings in (one.ours, one.theirs))
            found = _clustered(ours, theirs, metric, place) if one.clusters else _paired(one, ours, theirs, metric)
        except InputError as error:
            raise InputError(f"{one.question}: {error}") from None
        size = plan.matters.get(metric, 0.0)
        line = {"question": one.question, "claim": one.claim, "metric": metric, "difference": found.mean}
        line |= {"low": found.low, "high": found.high, "seeds": found.seeds, "p": chance(found, size, one.claim)}
        lines.append(line | {"matters": size, "verdict": judge(found, size, one.claim)})
    table = pd.DataFrame(lines)
    if lines:
        table.insert(8, "holm", holm(table["p"]))
        table.insert(9, "bh", benjamini_hochberg(table["p"]))
    return table


def answered(grid: str | Path, file: str | Path) -> pd.DataFrame:
    """The verdicts of a grid file on its rows; a question whose runs are not there, or not all yet, has no answer.

    Returns:
        What `verdicts` returns; without runs the numbers are NaN, and the verdict is "not testable here".

    Raises:
        ValueError: as `read_plan` and `verdicts` do.
    """
    plan = read_plan(grid)
    rows = tables.read(file) if Path(file).exists() else None
    there = [rows is not None and _has_runs(one, rows) for one in plan.primary]
    known = replace(plan, primary=tuple(one for one, has in zip(plan.primary, there, strict=True) if has))
    found = iter(verdicts(known, rows, file).to_dict("records") if known.primary else [])
    numbers = ("difference", "low", "high", "seeds", "p", "holm", "bh", "matters")
    lines = [
        next(found)
        if has
        else {"question": one.question, "claim": one.claim, "metric": one.metric}
        | dict.fromkeys(numbers, float("nan"))
        | {"verdict": "not testable here"}
        for one, has in zip(plan.primary, there, strict=True)
    ]
    return pd.DataFrame(lines)


def _has_runs(one: Comparison, rows: pd.DataFrame) -> bool:
    """Whether both arms were run with two seeds at least."""
    try:
        ours, theirs = ({*tables.matching(rows, one.where | settings)["seed"]} for settings in (one.ours, one.theirs))
    except InputError:
        return False
    return len(ours & theirs) >= 2


def _arm(
    one: Comparison, rows: pd.DataFrame, settings: dict[str, object], metric: str, place: str | Path | None
) -> pd.DataFrame:
    """The runs of one side; with `nested` one of each seed, chosen by what its best epoch scored in validation."""
    rows = tables.matching(rows, one.where | settings)
    if not one.nested:
        return rows
    curves = _traces(rows, place)
    sign = -1 if metric == "mae" else 1
    best = [curves[run].curve[epoch] for run, epoch in zip(rows["run"], rows["best_epoch"], strict=True)]
    rows = rows.assign(validation=[sign * float(score) for _, _, score in best], loss=[float(v) for _, v, _ in best])
    order = rows.sort_values(["validation", "loss", "run"], ascending=[False, True, True])
    return order.drop_duplicates(["seed", "train.seed"])


def _traces(rows: pd.DataFrame, place: str | Path | None) -> dict[str, traces.Trace]:
    """What is stored beside these runs, all of it."""
    if place is None:
        raise InputError("it needs the answers and curves that are stored with the runs, found none")
    found = traces.read(place, rows["run"])
    if len(found) < len(rows):
        raise InputError(f"{len(rows) - len(found)} of its {len(rows)} runs have no stored answers")
    return found


def _metric(rows: pd.DataFrame, one: Comparison) -> str:
    found = tables.measured(tables.matching(rows, one.where | one.ours))["metric"].unique()
    if len(found) != 1:
        raise InputError(f"its runs measure {' and '.join(found)}; say metric")
    return found[0]


def _by_seed(rows: pd.DataFrame, metric: str) -> pd.Series:
    """Seed -> score, higher is better; several trainings on one split (train.seed) are one number, their mean."""
    rows = tables.measured(rows, metric)
    several = rows.groupby(["seed", "train.seed"]).size()
    if (several > 1).any():
        seed = several.index[several > 1][0][0]
        raise InputError(f"several runs of seed {seed} are alike in what it says; say more of them")
    sign = -1 if tables.BETTER.get(metric) == "lower" else 1
    return sign * rows.groupby("seed")["value"].mean()


def _difference(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str, overlap: float) -> Paired:
    ours, theirs = _by_seed(ours, metric), _by_seed(theirs, metric)
    shared = ours.index.intersection(theirs.index)
    if len(shared) < 2:
        raise InputError(f"it needs at least 2 seeds that both arms have, found {len(shared)}")
    return paired(ours[shared], theirs[shared], overlap)


def _paired(one: Comparison, ours: pd.DataFrame, theirs: pd.DataFrame, metric: str) -> Paired:
    if not one.places:
        return _difference(ours, theirs, metric, one.overlap)
    one_of("column", one.places, tuple(ours.columns))
    values = [value for value in ours[one.places].unique() if (theirs[one.places] == value).any()]
    if not values:
        raise InputError(f"its arms share no value of {one.places}")
    sides = ((ours[ours[one.places] == value], theirs[theirs[one.places] == value]) for value in values)
    return average([_difference(*side, metric, one.overlap) for side in sides])


def _clustered(ours: pd.DataFrame, theirs: pd.DataFrame, metric: str, place: str | Path | None) -> Paired:
    """Errors of every test sample, averaged over the runs of an arm that met it, bootstrapped over its clusters."""
    if metric not in ("accuracy", "mae"):
        raise InputError(f"clusters go with accuracy and mae, which are means over samples, found {metric}")
    both = _errors(ours, place).merge(
        _errors(theirs, place), left_index=True, right_index=True, suffixes=("_ours", "_theirs")
    )
    if both.empty:
        raise InputError("its arms were tested on no common samples")
    return clustered(both["error_theirs"] - both["error_ours"], both["group_ours"])


def _errors(rows: pd.DataFrame, place: str | Path | None) -> pd.DataFrame:
    """Sample and data -> its group and its error, the mean over the runs that met it."""
    found = _traces(rows, place)
    data = dict(zip(rows["run"], rows["data.digest"], strict=True))
    every = pd.concat(
        pd.DataFrame({"data": data[name], "sample": one.ids, "group": one.groups, "error": one.errors()})
        for name, one in found.items()
    )
    every["group"] = every["data"].astype(str) + ":" + every["group"].astype(str)
    return every.groupby(["data", "sample"]).agg(group=("group", "first"), error=("error", "mean"))


# ---- to text -----------------------------------------------------------------------------------------------


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """`verdicts` as people read them."""
    if table.empty:
        raise InputError("the grid names no primary comparison")
    shown = table[["question", "claim", "metric"]].copy()
    ends = zip(table["difference"], table["low"], table["high"], strict=True)
    shown["better by [95 %]"] = [
        "" if isnan(low) else f"{one:+.3f} [{low:+.3f}, {high:+.3f}]" for one, low, high in ends
    ]
    for name in ("p", "holm", "bh"):
        shown[name] = ["" if isnan(value) else "<0.001" if value < 0.0005 else f"{value:.3f}" for value in table[name]]
    return shown.assign(matters=table["matters"].map("{:g}".format).replace("nan", ""), verdict=table["verdict"])


def markdown(table: pd.DataFrame) -> str:
    """For a page."""
    return readable(table).to_markdown(index=False, disable_numparse=True) + "\n"


def latex(table: pd.DataFrame) -> str:
    """For a paper; it needs the package booktabs."""
    return readable(table).to_latex(index=False, escape=True)


def csv(table: pd.DataFrame) -> str:
    """For a program."""
    return table.to_csv(index=False)
