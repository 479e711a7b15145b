"""From a long table, one row a time step, to pairs of windows: what people with sensors start from.

The table is a pandas DataFrame, or anything whose columns are had by name.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..errors import InputError, line_of, one_of
from .pairs import Gaps, Pairs
from .source import is_nothing

LEAST = 0.5  # a window that holds less than this share of a modality's steps lacks the modality


def windows(
    table: object,
    *,
    time: str,
    visible: Sequence[str],
    victim: Sequence[str],
    group: str | None = None,
    label: str | None = None,
    length: float = 4.0,
    hop: float = 2.0,
    rates: Literal["visible", "own"] = "visible",
    gaps: Gaps = "fill",
    task: Literal["classification", "regression"] | None = None,
) -> tuple[Pairs, np.ndarray, np.ndarray]:
    """Cut recordings into windows: the pairs, their labels, and whom each belongs to.

    Rows may stand in any order and twice. A modality's rate is that of the rows in which any of its columns has a
    value; both may share rows or have rows of their own. A window that has all its steps keeps them as they are;
    otherwise they are put on an even grid by straight lines. A window with less than half of the steps of a modality
    lacks it; one with two labels is left out, and one with none is kept, its label None (NaN for numbers).

    Args:
        table: one row a time step.
        time: the column of times; numbers in any unit, or dates and then in seconds.
        visible: columns of the modality that is always there.
        victim: columns of the one that may be absent.
        group: the column that says whose a row is; windows never cross from one to the next.
        label: the column of labels: names, or fractions, which are averaged over a window.
        length: of a window, in the unit of `time`.
        hop: from the start of one window to the next.
        rates: for two rates. "visible": the victim is put on the visible steps, which all systems can read and which
            keeps step t of one beside step t of the other. "own": each keeps its own steps, to align them by hand.
        gaps: what to do where steps or values inside a window are missing. "fill" draws straight lines, as lost
            packets are short and time stays even; "drop" leaves the steps out; "refuse" says where they are.
        task: "regression" averages labels that are whole numbers too, "classification" takes all for names. Needed
            only for whole numbers as floats, as pandas makes them where one is missing.

    Raises:
        ValueError: a column is not there, stands on both sides or holds no numbers, no window can be cut, or whether
            labels are names is not clear; the place is named.
    """
    one_of("task", task, ("classification", "regression", None))
    one_of("rates", rates, ("visible", "own"))
    one_of("gaps", gaps, ("fill", "drop", "refuse"))
    _check_asked(table, visible, victim, length, hop)
    columns = [_numbers(table, names) for names in (visible, victim)]  # (R, D) each
    times = _times(table, time)
    groups = _column(table, group, "all")
    labels = _numbers(table, [label])[:, 0] if label and task == "regression" else _column(table, label, None)
    measured = _measured(labels, task)
    steps = [_step(times, values, groups) for values in columns]  # time from one row of a modality to its next
    own_counts = [max(1, round(length / step)) if np.isfinite(step) else 0 for step in steps]
    if max(own_counts) < 2:
        told = f"the unit of length is that of the time column, where one step takes {min(steps):g}"
        raise InputError(f"windows: a window of {length} holds {max(own_counts)} step; {told}")
    counts = [max(own_counts[0], 1)] * 2 if rates == "visible" and own_counts[0] else own_counts
    found, slack = [[], [], [], []], min(steps) / 2  # a clock that trembles moves no step into the next window
    for name in _in_order(groups):
        rows = np.flatnonzero(groups == name)
        rows = rows[np.argsort(times[rows], kind="stable")]
        at = times[rows]
        for start in np.arange(at[0], max(at[-1] - length + 3 * slack, at[0] + hop / 2), hop):
            inside = rows[np.searchsorted(at, start - slack) : np.searchsorted(at, start + length - slack)]
            kind, told = _label(labels, inside, measured)
            pieces = [
                _piece(times[inside], values[inside], start, length, expected, count, gaps)
                for values, expected, count in zip(columns, own_counts, counts, strict=True)
            ]
            if kind != "two" and any(piece is not None for piece in pieces):
                for here, one in zip(found, (*pieces, told, name), strict=True):
                    here.append(one)
    if not found[0]:
        raise InputError(f"windows: no window of {length} in recordings of {np.ptp(times):g}; time is in its own unit")
    names = tuple(",".join(one) for one in (visible, victim))
    own = np.array(found[3])
    kept = {"rates": "own" if rates == "own" else "same", "gaps": gaps, "names": names}
    pairs = Pairs(found[0], found[1], groups=None if group is None else own, **kept)
    return pairs, _as_labels(found[2]), own


def _check_asked(table: object, visible: Sequence[str], victim: Sequence[str], length: object, hop: object) -> None:
    if not hasattr(table, "columns"):
        raise InputError(f"windows: a table is wanted, as pandas.read_csv gives it; found {type(table).__name__}")
    if not len(table):
        raise InputError("windows: the table has no rows")
    for side in (length, hop):
        if not isinstance(side, int | float | np.number) or not side > 0:
            raise InputError(f"windows: length and hop must be numbers above 0, found {length!r} and {hop!r}")
    for side in (visible, victim):
        if isinstance(side, str):
            raise InputError(f"windows: visible and victim are lists of columns, found the string {side!r}")
    for name in victim:
        if name in visible:
            raise InputError(f"windows: column {name!r} stands in visible and in victim")


def _column(table: object, name: str | None, otherwise: object) -> np.ndarray:
    """(R,) a column as it is; nothing but `otherwise` without a name."""
    if name is None:
        return np.full(len(table), otherwise, dtype=object)
    _check_there(table, [name])
    column = table[name]
    if getattr(column.dtype, "kind", "O") in "iu" and column.hasnans:  # whole numbers would become floats
        return column.to_numpy(dtype=object)
    return np.asarray(column.to_numpy())


def _check_there(table: object, names: Sequence[str]) -> None:
    for name in names:
        if name not in table:
            index = name in getattr(getattr(table, "index", None), "names", ())
            hint = "it is the index: table.reset_index()" if index else f"found {', '.join(map(str, table.columns))}"
            raise InputError(f"windows: the table has no column {name!r}; {hint}")
        if [*table.columns].count(name) > 1:
            raise InputError(f"windows: the table has several columns {name!r}")


def _numbers(table: object, names: Sequence[str]) -> np.ndarray:
    """(R, D) float64, NaN where nothing is."""
    _check_there(table, names)
    columns = []
    for name in names:
        try:
            columns.append(table[name].to_numpy(dtype=np.float64, na_value=np.nan))
        except (ValueError, TypeError) as error:
            raise InputError(f"windows: column {name!r} must hold numbers: {line_of(error)}") from None
    values = np.stack(columns, axis=1)
    for row, place in zip(*np.nonzero(np.isinf(values)), strict=True):
        raise InputError(f"windows: column {names[place]!r} is infinite in row {row}")
    return values


def _times(table: object, name: str) -> np.ndarray:
    """(R,) float64; dates become seconds from the first of them, spans of time seconds."""
    _check_there(table, [name])
    column = table[name]
    if getattr(column.dtype, "tz", None) is not None:  # seconds pass evenly in UTC, whatever clocks on walls do
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    times = column.to_numpy()
    if times.dtype.kind == "m":
        times = np.where(np.isnat(times), np.nan, times / np.timedelta64(1, "s"))
    if times.dtype.kind == "M":
        times = np.where(np.isnat(times), np.nan, (times - np.nanmin(times)) / np.timedelta64(1, "s"))
    try:
        times = times.astype(np.float64)
    except (ValueError, TypeError):
        told = "pandas.to_datetime or to_numeric makes them of text"
        raise InputError(f"windows: column {name!r} must hold numbers or dates; {told}") from None
    for row in np.flatnonzero(~np.isfinite(times))[:1]:
        raise InputError(f"windows: column {name!r} holds no time in row {row}")
    return times


def _step(times: np.ndarray, values: np.ndarray, groups: np.ndarray) -> float:
    """The usual time between two rows that say anything of a modality."""
    told, gaps = ~np.isnan(values).all(axis=1), []
    for name in _in_order(groups):
        gaps.append(np.diff(np.unique(times[told & (groups == name)])))
    gaps = np.concatenate(gaps)
    if not len(gaps):
        return float("inf")
    return float(gaps[gaps < 1.7 * np.median(gaps)].mean())  # pauses aside; a mean, as clocks tremble


def _in_order(groups: np.ndarray) -> list:
    """The different groups, as they first appear; a row must say whose it is."""
    for row in (place for place, one in enumerate(groups) if is_nothing(one)):
        raise InputError(f"windows: the group of row {row} is {groups[row]}")
    return list(dict.fromkeys(groups.tolist()))


def _piece(
    times: np.ndarray, values: np.ndarray, start: float, length: float, expected: int, count: int, gaps: Gaps
) -> np.ndarray | None:
    """(count, D) one modality of one window from its rows, None where too little of it is there.

    expected: steps of a whole window at the modality's own rate; count: those that are wanted.
    """
    told = ~np.isnan(values).all(axis=1)
    times, once = np.unique(times[told], return_index=True)  # a row that came twice counts once
    values = values[told][once]
    known = ~np.isnan(values)  # (R, D)
    if not expected or len(times) < LEAST * expected or not known.any(axis=0).all():
        return None
    whole = len(times) == expected and known.all()
    if whole and count == expected:
        return values
    if gaps == "refuse" and not whole:
        found = f"found {known.all(axis=1).sum()}; gaps='fill' or gaps='drop' mends that"
        raise InputError(f"windows: {expected} whole steps expected from time {start:g} on, {found}")
    if gaps == "drop" and count == expected:
        spread = np.full((count, values.shape[1]), np.nan)
        slots = np.rint((times - start) / (length / count)).astype(int)
        spread[slots.clip(0, count - 1)] = values
        return spread  # whose NaN `Pairs` drops, on both sides
    grid = start + np.arange(count) * (length / count)
    return np.stack(
        [np.interp(grid, times[here], column[here]) for column, here in zip(values.T, known.T, strict=True)], axis=1
    )


def _measured(labels: np.ndarray, task: str | None) -> bool | None:
    """Whether labels are measures, which have a mean, or names; None of whole numbers as floats, which may be both.

    pandas makes floats of whole numbers, such as the codes of classes, where one is missing.
    """
    if task is not None:
        return task == "regression"
    if labels.dtype.kind != "f":
        return False
    known = labels[~np.isnan(labels)]
    return None if (known == np.rint(known)).all() else True


def _label(labels: np.ndarray, rows: np.ndarray, measured: bool | None) -> tuple[str, object]:
    """What a window is labelled: "one" and its label, "none", or "two" where it holds several names."""
    told = [one for one in dict.fromkeys(labels[rows].tolist()) if not is_nothing(one) and one != ""]
    if measured and told:
        return "one", float(np.nanmean(labels[rows]))
    if len(told) > 1 and measured is None:
        means = "task='regression' takes their mean, task='classification' leaves such windows out"
        raise InputError(f"windows: a window holds the labels {told[0]:g} and {told[1]:g}; {means}")
    return ("two", None) if len(told) > 1 else ("one", told[0]) if told else ("none", None)


def _as_labels(told: list) -> np.ndarray:
    """(N,) the labels in the simplest array that holds them."""
    known = [one for one in told if one is not None]
    if known and all(isinstance(one, float) for one in known):
        return np.array([np.nan if one is None else one for one in told])
    return np.array(told, dtype=object if len(known) < len(told) else None)
