"""Stored runs as tables: means over seeds, and differences between systems over the same seeds.

A row of a frame is a run. Nothing is typed by hand: chapters and `mmalign table` both read what runs have left.
"""

import json
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from ..data.speech import SPEECH
from ..errors import InputError, one_of
from ..files import read_text, write_whole
from ..gate.documents import from_json
from ..registry import SYSTEMS
from . import traces
from .runs import RECORD, name_of
from .statistics import paired

KEYS = ("dataset", "pair", "survival", "setting", "labelled")  # what a mean over seeds never mixes
BOUNDS = (
    "constant",
    "trees",
    "trees-both",
    "single",
    "double",
)  # depend on neither survival nor setting: one run of a seed stands for all of them
GENERATED = ("planted",)  # whose last bits are the machine's, so that their digest says nothing of the run
LARGEST = 2**30  # bytes of a file of rows
PART = 2000  # records that are held at a time: of a hundred thousand only the rows stay in memory
NESTED = ("metrics", "config", "versions")
BETTER = {"mae": "lower", "train_seconds": "lower", "seconds_per_epoch": "lower"}
BETTER |= dict.fromkeys(("accuracy", "f1_macro", "f1_weighted", "acc2", "f1", "acc7", "corr"), "higher")

Runs = Mapping[tuple, pd.Series]  # condition and system -> seed -> value

# ---- from files to rows and back -------------------------------------------------------------------------


def records(place: str | Path) -> list[dict[str, object]]:
    """The records of a sweep's folder, or of a file with one record a line, in the order of their names.

    Raises:
        ValueError: nothing there, or something that is no record, or one run twice; the message says where.
    """
    found = {row["run"]: record for row, record in _checked(Path(place))}
    return [found[name] for name in sorted(found)]


def _checked(place: Path) -> Iterator[tuple[dict[str, object], dict[str, object]]]:
    """Each record as a row and as it is, in the order in which they stand."""
    names = set()
    for where, text in _texts(place):
        try:
            record = from_json(text)
            row = _row(record)
            _check(row, record)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{where} is not the record of a run: {type(error).__name__}: {error}") from None
        if row["run"] in names:
            raise InputError(f"{where} holds a run that was there before: {row['run']}")
        names.add(row["run"])
        yield row, record
    if not names:
        raise InputError(f"{place} holds no records")


def _texts(place: Path) -> Iterator[tuple[str, str]]:
    """Where each record stands, and its text."""
    if not place.is_dir():
        lines = read_text(place, LARGEST).split("\n")
        yield from ((f"{place}, line {number},", line) for number, line in enumerate(lines, 1) if line)
        return
    try:
        names = sorted(name for name in os.listdir(place) if name.endswith(".json"))
    except OSError as error:
        raise InputError(f"cannot read {place}: {error.strerror}") from None
    yield from ((str(place / name), read_text(place / name)) for name in names)


def _check(row: dict[str, object], record: dict[str, object]) -> None:
    """Raise some error unless they have what the functions below rely on."""
    for name, value in row.items():
        if not isinstance(value, str | int | float | None):
            raise TypeError(f"{name} is a {type(value).__name__}")
    for name in (*KEYS, "system", "seed", "train.seed", "data.digest"):
        if not isinstance(row[name], str | int | float):
            raise TypeError(f"{name} is a {type(row[name]).__name__}")
    for name, value in record["metrics"].items():
        if not isinstance(value, int | float | None):
            raise TypeError(f"{name} is {value!r}")


def _row(record: dict[str, object]) -> dict[str, object]:
    """A record without its nesting: `mae`, `model.window`, `threads`, `versions.torch`."""
    row = {key: record[key] for key in RECORD if key not in NESTED} | {"run": name_of(record)}
    row |= {name: np.nan if value is None else value for name, value in record["metrics"].items()}
    row |= {key: record["config"][key] for key in ("device", "threads")}
    for section, content in {**record["config"], "versions": record["versions"]}.items():
        if section not in row:
            row |= {f"{section}.{key}": "none" if value is None else value for key, value in content.items()}
    return row


def frame(found: list[dict[str, object]]) -> pd.DataFrame:
    """Records as rows: a column for each metric and each setting, NaN where a run has none."""
    return pd.DataFrame([_row(record) for record in found])


def read(place: str | Path) -> pd.DataFrame:
    """The rows of a sweep's folder, or of a file with one record a line, in the order of their names.

    Raises:
        ValueError: as `records` does.
    """
    left, parts = _checked(Path(place)), []
    while some := [row for row, _ in islice(left, PART)]:
        parts.append(pd.DataFrame(some))
    return pd.concat(parts).sort_values("run", ignore_index=True)


def lines(found: list[dict[str, object]]) -> str:
    """Records as text, one a line: small, and a change shows as the change of one line."""
    return "".join(json.dumps(record, separators=(",", ":"), allow_nan=False) + "\n" for record in found)


def pack(place: str | Path, file: str | Path) -> tuple[int, int]:
    """Keep a sweep's folder in two files, FILE.jsonl and FILE.npz: how many records, and how many traces beside them.

    Raises:
        ValueError: the file is no .jsonl, or something in the folder is no record or no trace.
    """
    path = Path(file)
    if path.suffix != ".jsonl":
        raise InputError(f"the file of packed records must end in .jsonl, found {path}")
    found = records(place)
    kept = traces.read(place, map(name_of, found))
    if kept:  # first: where the records are, the traces are
        write_whole(path.with_suffix(traces.ENDING), traces.pack(kept))
    write_whole(path, lines(found).encode())
    return len(found), len(kept)


# ---- which rows, and what they measured --------------------------------------------------------------------


def measured(rows: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """The runs that measured it, with the columns `metric` and `value`; by default what is usual for their task."""
    decides = {"run", "system", "seed", "device", "threads", *KEYS}
    if metric is not None:
        one_of("metric", metric, [name for name in rows.columns if name not in decides and "." not in name])
        rows = rows.assign(metric=metric, value=rows[metric].astype(float)).dropna(subset="value")
        if rows.empty:
            raise InputError(f"no run measured {metric}")
        return rows
    usual = rows.reindex(columns=["accuracy", "mae"]).astype(float)
    names = np.where(usual["accuracy"].notna(), "accuracy", "mae")
    return rows.assign(metric=names, value=usual["accuracy"].fillna(usual["mae"])).dropna(subset="value")


def matching(rows: pd.DataFrame, settings: Mapping[str, object]) -> pd.DataFrame:
    """The runs that have all these settings, such as {"system": "mla", "model.hgm": True}.

    Raises:
        ValueError: no such column, or no such run.
    """
    for name, value in settings.items():
        one_of("column", name, tuple(rows.columns))
        rows = rows[rows[name] == value]
    if rows.empty:
        raise InputError(f"no run has {', '.join(f'{name}={value}' for name, value in settings.items())}")
    return rows


def scores(rows: pd.DataFrame, settings: Mapping[str, object], metric: str | None = None) -> pd.Series:
    """Seed -> accuracy or mean absolute error (or `metric`) of the one run that has these settings.

    Raises:
        ValueError: no such run, or several of one seed.
    """
    values = measured(matching(rows, settings), metric).set_index("seed")["value"].sort_index()
    if values.index.has_duplicates:
        seed = values.index[values.index.duplicated()][0]
        raise InputError(f"several runs with seed {seed} have {', '.join(map(str, settings))} alike; say more of them")
    return values


# ---- from rows to means and differences -------------------------------------------------------------------


def overlap(rows: pd.DataFrame) -> float:
    """Test samples over training samples of the folds that the seeds are, for `statistics.paired`.

    0 where a data set comes split, and where each seed draws samples of its own (`data.draw: seed`). Elsewhere one
    fold of k is for testing, one for validation, and k - 2 are for training; k is 5 unless `data.folds` says so.
    """
    if rows["dataset"].isin(SPEECH).all() or _redrawn(rows):
        return 0.0
    folds = pd.to_numeric(rows.get("data.folds", pd.Series(5, rows.index)), errors="coerce").fillna(5)
    return 1 / (folds.min() - 2)


def _redrawn(rows: pd.DataFrame) -> bool:
    """Whether each seed has samples of its own, where samples are drawn at all."""
    drawn = pd.to_numeric(rows.get("data.draw", pd.Series(np.nan, rows.index)), errors="coerce")
    return bool(drawn.notna().any() and (drawn.isna() | drawn.eq(rows["seed"])).all())


def varying(rows: pd.DataFrame) -> list[str]:
    """The settings in which runs of one system on the same data differ, other than by their seed."""
    settings = [name for name in rows.columns if "." in name or name in ("device", "threads")]
    settings = [name for name in settings if name != "versions.source"]  # told apart by no name, see `origin`
    counts = rows.groupby([*KEYS, "system"])[settings].nunique(dropna=False).max()
    found = [name for name in settings if counts[name] > 1]
    if rows["train.seed"].equals(rows["seed"]):
        found = [name for name in found if name != "train.seed"]
    if _redrawn(rows):
        found = [name for name in found if name not in ("data.draw", "data.digest")]
    others = [name for name in found if name != "data.digest"]  # it follows from the data set's options, as a rule
    files = rows[~rows["dataset"].isin(GENERATED)]
    untold = (files.groupby([*KEYS, *others], dropna=False)["data.digest"].nunique() > 1).any()
    return found if untold else others


def summary(
    rows: pd.DataFrame,
    metric: str | None = None,
    against: str | None = None,
    by: Sequence[str] | None = None,
) -> pd.DataFrame:
    """A row for each system under each condition: mean, sd and number of seeds, and the difference to one system.

    Args:
        rows: what `read` gave, or a part of it.
        metric: any measured column; by default mae of a regression, accuracy of a classification.
        against: the system that the others, and its own variations, are compared with, over the seeds that both have.
        by: columns that make a condition; by default `KEYS` and whatever is `varying`.

    Returns:
        Columns `by`, metric, system, mean, sd, seeds, and with `against` also against, difference (to it), low,
        high (the 95 % interval, corrected where seeds are folds), shared (seeds that both have), verdict, p
        (two-sided, of this one comparison).

    Raises:
        ValueError: an unknown name, or a condition that mixes runs of one seed.
    """
    by = [*(KEYS + tuple(varying(rows)) if by is None else by), "metric"]
    rows = measured(rows, metric)
    for name in by:
        one_of("column", name, tuple(rows.columns))
    if against is not None:
        one_of("system to compare with", against, tuple(dict.fromkeys(rows["system"])))
    rows[by] = rows[by].astype(object).where(rows[by].notna(), "")  # a system without the setting
    for _, row in rows[rows.duplicated([*by, "system", "seed"])].iterrows():
        one = f"{row['system']} with seed {row['seed']}"
        raise InputError(f"several runs of {one} are alike in {', '.join(by)}; group by what tells them apart")

    groups = dict(iter(rows.groupby([*by, "system"], sort=False)))
    runs = {key: group.set_index("seed")["value"] for key, group in groups.items()}
    opponents = _Opponents(runs, by, against)
    table = []
    for key in sorted(runs, key=_order):
        ours = runs[key]
        line = dict(zip([*by, "system"], key, strict=True))
        line |= {"mean": ours.mean(), "sd": ours.std(), "seeds": len(ours)}
        if against is not None:
            line |= {"against": against} | _difference(ours, opponents.of(key), line["metric"], overlap(groups[key]))
        table.append(line)
    return pd.DataFrame(table)


def _order(key: tuple) -> list:
    """Conditions by value, systems as the registry has them."""
    *condition, system = key
    place = list(SYSTEMS).index(system) if system in SYSTEMS else len(SYSTEMS)
    return [(isinstance(value, str), value) for value in condition] + [(place, system)]


class _Opponents:
    """The runs of one system, by the condition under which others meet them."""

    def __init__(self, runs: Runs, by: list[str], against: str | None) -> None:
        self.against = against
        self.plain = [place for place, name in enumerate(by) if not name.startswith("model.")]
        self.models = [place for place, name in enumerate(by) if name.startswith("model.")]
        self.ungapped = [place for place in self.plain if by[place] not in ("survival", "setting")]
        usual = {f"model.{name}": "none" if value is None else value for name, value in _defaults(against).items()}
        self.usual = [usual.get(name, "") for name in by]
        self.near, self.far = defaultdict(list), defaultdict(list)
        for key, values in runs.items():
            if key[-1] == against:
                self.near[self._at(key, self.plain)].append((key, values))
                self.far[self._at(key, self.ungapped)].append((key, values))

    @staticmethod
    def _at(key: tuple, places: list[int]) -> tuple:
        return tuple(key[place] for place in places)

    def of(self, key: tuple) -> pd.Series | None:
        """The runs to compare with: under the same condition, as far as both systems have such a setting.

        Where that is no single one (a system is compared with itself, say, without one of its parts), it is the one
        that leaves the model as its system has it by default.
        """
        near = [one for one in self.near[self._at(key, self.plain)] if one[0] != key]
        found = [[values for other, values in near if self._alike(key, other)]]
        if self.against in BOUNDS:
            far = self.far[self._at(key, self.ungapped)]
            found.append([values for other, values in far if other != key and self._alike(key, other)])
        found.append([values for other, values in near if self._default(other)])
        return next((one[0] for one in found if len(one) == 1), None)

    def _alike(self, key: tuple, other: tuple) -> bool:
        return all(key[place] == other[place] or "" in (key[place], other[place]) for place in self.models)

    def _default(self, other: tuple) -> bool:
        return all(other[place] in ("", self.usual[place]) for place in self.models)


def _defaults(system: str | None) -> dict[str, object]:
    """A system's own settings; nothing of a system that this version does not know."""
    return asdict(SYSTEMS[system].configure()) if system in SYSTEMS else {}


def _difference(ours: pd.Series, theirs: pd.Series | None, metric: str, overlap: float) -> dict[str, object]:
    shared = ours.index.intersection([] if theirs is None else theirs.index)
    if len(shared) < 2:  # no interval
        gap = dict.fromkeys(("difference", "low", "high"), np.nan)
        return gap | {"shared": len(shared), "verdict": "", "p": np.nan}
    found = paired(ours[shared], theirs[shared], overlap)
    verdict = found.verdict
    if verdict in ("higher", "lower") and metric in BETTER:
        verdict = "better" if verdict == BETTER[metric] else "worse"
    told = {"difference": found.mean, "low": found.low, "high": found.high, "shared": found.seeds}
    return told | {"verdict": verdict, "p": found.p()}


# ---- from means to text -----------------------------------------------------------------------------------


def readable(table: pd.DataFrame) -> pd.DataFrame:
    """A `summary` as people read it: `0.713 ± 0.021`, `+0.012 [-0.003, +0.027]`."""
    digits = 3 if table["mean"].abs().max() < 1000 else 0

    def number(value: float, sign: str = "") -> str:
        return format(value, f"{sign}.{digits}f")

    def spread(row: pd.Series) -> str:
        return number(row["mean"]) + (f" ± {number(row['sd'])}" if row["seeds"] > 1 else "")

    def interval(row: pd.Series) -> str:
        one, low, high = (number(row[name], "+") for name in ("difference", "low", "high"))
        return f"{one} [{low}, {high}]" if np.isfinite(row["difference"]) else ""

    shown = table.loc[:, :"system"].astype(str)
    shown["mean ± sd"] = table.apply(spread, axis=1)
    shown["seeds"] = table["seeds"]
    if "against" in table:
        shown[f"minus {table['against'].iloc[0]} [95 %]"] = table.apply(interval, axis=1)
        shown["shared"] = table["shared"]
        shown["verdict"] = table["verdict"]
    return shown


def markdown(table: pd.DataFrame) -> str:
    """A `summary` for a page."""
    return readable(table).to_markdown(index=False, disable_numparse=True) + "\n"


def latex(table: pd.DataFrame) -> str:
    """A `summary` for a paper; it needs the package booktabs."""
    return readable(table).to_latex(index=False, escape=True)


def csv(table: pd.DataFrame) -> str:
    """A `summary` for a program: every digit, a column for each number."""
    return table.to_csv(index=False)
