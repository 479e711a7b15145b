"""Systems x conditions: a `tables.summary` as papers print it, with marks that the caption explains."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..errors import InputError, one_of
from ..registry import SYSTEMS
from .statistics import holm
from .tables import BETTER, BOUNDS, KEYS

MARKS = {"better": "↑", "worse": "↓", "higher": "↑", "lower": "↓"}
IN_LATEX = {"↑": r"$\uparrow$", "↓": r"$\downarrow$", "±": r"$\pm$"}


def pivot(table: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]) -> pd.DataFrame:
    """Cells such as `0.713 ± 0.021 ↑`: mean, standard deviation over seeds, and what the comparison found.

    A mark: the interval of the difference to the system that the table compares with leaves out 0. Two: it is still
    found when all comparisons of the table count (Holm). A bound that was run under one survival and setting stands
    under all, for it depends on neither.

    Args:
        table: what `tables.summary` gave.
        rows: its columns that stand at the side, such as ("system",).
        columns: those that stand at the top, such as ("pair", "survival").

    Raises:
        ValueError: no such column, or a cell would hold several numbers; the message says what tells them apart.
    """
    known = [*table.columns[: list(table.columns).index("system") + 1]]
    for name in (*rows, *columns):
        one_of("column", name, known)
    if not rows or not columns or {*rows} & {*columns}:
        raise InputError("rows and columns must name different columns, at least one each")
    table = _with_bounds(table, [name for name in (*rows, *columns) if name in ("survival", "setting")])
    place = {name: number for number, name in enumerate(SYSTEMS)}
    table = table.sort_values("system", key=lambda names: names.map(place).fillna(len(place)), kind="stable")
    several = table[table.duplicated([*rows, *columns], keep=False)]
    if len(several):
        apart = [name for name in known if name not in (*rows, *columns) and several[name].nunique() > 1]
        raise InputError(f"a cell would hold several numbers; put {' and '.join(apart)} into rows or columns")
    cells = table.assign(cell=_cells(table)).pivot(index=[*rows], columns=[*columns], values="cell")
    order = table[[*rows]].drop_duplicates()
    return cells.reindex(pd.MultiIndex.from_frame(order) if len(rows) > 1 else order[rows[0]]).fillna("")


def _with_bounds(table: pd.DataFrame, gaps: list[str]) -> pd.DataFrame:
    """A bound's one line under every survival and setting that the other systems have."""
    if not gaps:
        return table
    place = [name for name in KEYS if name not in ("survival", "setting")]
    conditions = table.loc[~table["system"].isin(BOUNDS), [*place, "survival", "setting"]].drop_duplicates()
    alone = table[table["system"].isin(BOUNDS)]
    alone = alone[alone.groupby([*place, "system"])["mean"].transform("size") == 1]
    spread = alone.drop(columns=["survival", "setting"]).merge(conditions, on=place)
    return pd.concat([table.drop(alone.index[alone["system"].isin(spread["system"])]), spread], ignore_index=True)


def _cells(table: pd.DataFrame) -> list[str]:
    digits = 3 if table["mean"].abs().max() < 1000 else 0
    sure = np.zeros(len(table), dtype=bool)
    if "p" in table:
        tested = table["p"].notna().to_numpy()
        sure[tested] = holm(table["p"][tested]) <= 0.05
    return [
        f"{row['mean']:.{digits}f}"
        + (f" ± {row['sd']:.{digits}f}" if row["seeds"] > 1 else "")
        + _mark(MARKS.get(row.get("verdict"), ""), twice)
        for (_, row), twice in zip(table.iterrows(), sure, strict=True)
    ]


def _mark(mark: str, twice: bool) -> str:
    return f" {mark * (1 + twice)}" if mark else ""


def caption(table: pd.DataFrame) -> str:
    """What the cells of a `pivot` are."""
    metrics = table["metric"].unique()
    seeds = sorted(table["seeds"].unique())
    told = f"{' or '.join(metrics)} of the test split, mean ± standard deviation over "
    told += f"{seeds[0]} seeds" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    if "against" not in table:
        return told + "."
    up, down = ("better", "worse") if {*metrics} <= {*BETTER} else ("higher", "lower")
    against, tested = table["against"].iloc[0], int(table["p"].notna().sum())
    told += f". ↑ {up}, ↓ {down} than {against}: the 95 % interval of the difference over the same seeds leaves out 0"
    return told + f"; twice the sign: found also when all {tested} comparisons count (Holm, 5 %)."


def markdown(table: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]) -> str:
    """A `pivot` for a page, its caption below."""
    cells = pivot(table, rows, columns)
    cells.columns = [", ".join(map(str, one)) if isinstance(one, tuple) else str(one) for one in cells.columns]
    return cells.reset_index().to_markdown(index=False, disable_numparse=True) + f"\n\n{caption(table)}\n"


def latex(table: pd.DataFrame, rows: Sequence[str], columns: Sequence[str]) -> str:
    """A `pivot` for a paper; it needs the package booktabs."""
    cells = pivot(table, rows, columns)
    text = cells.to_latex(
        escape=True, caption=caption(table).replace("%", r"\%"), position="ht", multicolumn_format="c",
        column_format="l" * len(rows) + "c" * cells.shape[1],
    )  # fmt: skip
    for letter, command in IN_LATEX.items():
        text = text.replace(letter, command)
    return text
