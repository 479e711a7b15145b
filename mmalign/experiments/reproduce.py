"""Stored runs made again: the chapters offer it to whoever doubts a row."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from ..errors import InputError
from .grids import read_grid
from .runs import OUTCOME, Experiment, plan, run, sources
from .tables import GENERATED, frame, measured, records

LEFT_OUT = (*OUTCOME, "versions")  # a run made with other versions is compared all the same
SHOWN = ["system", "dataset", "pair", "survival", "seed", "metric"]


def chosen(
    grid: str | Path, seeds: Sequence[int], systems: Sequence[str] | None = None, most: int | None = None
) -> list[Experiment]:
    """The experiments of a grid with these seeds, of these systems, and no more than `most`.

    Raises:
        ValueError: a list was given as text, as papermill's -p gives it.
    """
    for name, given in (("SEEDS", seeds), ("SYSTEMS", systems)):
        if given is not None and not isinstance(given, list | tuple):
            raise InputError(f'{name} must be a list, found {given!r}; papermill takes one so: -y "{name}: [{given}]"')
    found = [one for one in read_grid(grid) if one.seed in seeds and (systems is None or one.system in systems)]
    return found[:most]


def run_again(asked: Iterable[Experiment], place: str | Path, data_dir: str | Path | None = None) -> pd.DataFrame:
    """A row for each experiment: what it is, and its accuracy or mean absolute error, `stored` and `again`.

    With the versions and the kind of machine that made the stored row both are the same to the bit. Elsewhere the
    last bits of a sum differ, and training makes more of that.

    Args:
        asked: experiments, as `grids.read_grid` gives them.
        place: where they are stored: a sweep's folder, or a file with one record a line.
        data_dir: where files are looked for.

    Raises:
        ValueError: one of the experiments is not stored. Nothing is run then.
    """
    asked = list(asked)
    stored = {_identity(record): record for record in records(place)}
    wanted = [_identity(plan(one, sources(one, data_dir))) for one in asked]
    for one, identity in zip(asked, wanted, strict=True):
        if identity not in stored:
            raise InputError(f"{place} holds no run of {one.system} that was made like this one: {identity}")
    if not asked:
        return pd.DataFrame(columns=[*SHOWN, "stored", "again"])
    before = measured(frame([stored[identity] for identity in wanted])).rename(columns={"value": "stored"})
    again = measured(frame([run(one, data_dir, progress=False) for one in asked]))["value"]
    return before[[*SHOWN, "stored"]].assign(again=again)


def _identity(record: dict[str, object]) -> str:
    """Everything that decides a run, versions and the machine apart."""
    decides = {key: value for key, value in record.items() if key not in LEFT_OUT}
    if record["dataset"] in GENERATED:
        data = {key: value for key, value in record["config"]["data"].items() if key != "digest"}
        decides["config"] = record["config"] | {"data": data}
    return json.dumps(decides, sort_keys=True)
