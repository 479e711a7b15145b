"""What a grid of experiments holds: a YAML file, read, multiplied out, and every run of it named before it is made."""

import json
import math
from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path
from typing import NamedTuple

from ..errors import THREADS, InputError, check, one_of, told
from ..gate.documents import read_yaml
from . import runs
from .runs import FIELDS, SECTIONS, Experiment

MOST = 100_000  # runs of one grid
Jobs = dict[str, Experiment]  # the name of each run's file -> what to run


class Grid(NamedTuple):
    """What a grid file holds, not yet multiplied out."""

    blocks: list[dict[str, object]]  # a mapping each: every combination of its alternatives
    head: dict[str, object]  # what it says beside its runs, see `verdicts.plan_of`

    @property
    def size(self) -> int:
        """How many runs it asks for, those counted twice that two blocks ask for. Nothing is multiplied out."""
        return sum(
            math.prod(len(value) if isinstance(value, list) else 1 for value in one.values()) for one in self.blocks
        )


def open_grid(path: str | Path) -> Grid:
    """A YAML file: a mapping, a list of mappings one after the other, or such a list as `runs` below a head.

    A key of a mapping is a field of `Experiment`, or `model.`, `train.` or `data.` with one of their settings, as in
    `mmalign run --set`; a value is one alternative or a list of them.

    Raises:
        ValueError: no such file, or something in it does not fit; the message names it.
    """
    content, head = read_yaml(path), {}
    try:
        if isinstance(content, dict) and "runs" in content:
            head = {name: value for name, value in content.items() if name != "runs"}
            for name in head:
                one_of("field beside runs", name, ("matters", "primary"))
            content = content["runs"]
        blocks = content if isinstance(content, list) else [content]
        for block in blocks:
            _check_block(block)
        return Grid(blocks, head)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def read_grid(path: str | Path) -> list[Experiment]:
    """The experiments of a grid file, see `open_grid`.

    Raises:
        ValueError: no such file, or something in it does not fit; the message names it.
    """
    grid = open_grid(path)
    if not 0 < grid.size <= MOST:
        raise InputError(f"{path}: a grid holds 1 to {MOST} runs, this one {grid.size}")
    try:
        return [experiment for block in grid.blocks for experiment in combinations(block)]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def combinations(block: dict[str, object]) -> Iterator[Experiment]:
    """Every combination of the alternatives of one mapping; the last key changes fastest.

    >>> grid = {"system": ["single", "copy"], "pair": "acc:gyro", "seed": [0, 1], "train.lr": 0.01}
    >>> [(one.system, one.seed, one.train) for one in combinations(grid)][:2]
    [('single', 0, {'lr': 0.01}), ('single', 1, {'lr': 0.01})]
    """
    _check_block(block)
    for values in product(*(value if isinstance(value, list) else [value] for value in block.values())):
        yield _experiment(dict(zip(block, values, strict=True)))


def _check_block(block: object) -> None:
    if not isinstance(block, dict):
        raise InputError(f"a grid is a mapping of fields to values, or a list of such mappings, found {told(block)}")
    if "system" not in block:
        raise InputError(f"a grid names its systems, found only {', '.join(map(str, block)) or 'nothing'}")
    for key, value in block.items():
        section, dot, name = str(key).partition(".")
        if not (dot and name and section in SECTIONS):
            one_of("field", key, (*FIELDS, *(f"{section}.FIELD" for section in SECTIONS)))
        values = value if isinstance(value, list) else [value]
        if not values or not all(isinstance(one, str | int | float | None) for one in values):
            raise InputError(f"{key} must be a value or a list of values, found {told(value)}")


def _experiment(point: dict[str, object]) -> Experiment:
    """One thread unless the grid says otherwise: then a run gives the same bits wherever it is run."""
    fields = {"threads": 1, **{key: value for key, value in point.items() if "." not in key}}
    check("threads", fields["threads"], THREADS)
    for section in SECTIONS:
        prefix = f"{section}."
        fields[section] = {key.removeprefix(prefix): value for key, value in point.items() if key.startswith(prefix)}
    if fields.get("pair") is not None:
        fields["pair"] = tuple(str(fields["pair"]).split(":"))
    return Experiment(**fields)


def plan(grid: list[Experiment], data_dir: str | Path | None = None) -> Jobs:
    """The name of each run's file, in the order of the grid. Whatever can be refused before a training is.

    Raises:
        ValueError: some experiment does not fit its system or its data; the message names both.
    """

    names: dict[int, str] = {}
    places = sorted(range(len(grid)), key=lambda place: _samples(grid[place]))  # so that each data set is read once
    for _, alike in groupby(places, key=lambda place: _samples(grid[place])):
        source, seen = None, set()
        for place in alike:
            one = grid[place]
            try:
                source = source or runs.sources(one, data_dir)
                new = {(one.system, one.setting), (one.survival, one.setting, one.seed, one.labelled)} - seen
                if new:
                    runs.splits(one, source)
                    seen |= new
                names[place] = runs.name_of(runs.plan(one, source))
            except InputError as error:
                raise InputError(f"{one.system} on {one.dataset}: {error}") from None
    return {names[place]: grid[place] for place in range(len(grid))}


def _samples(experiment: Experiment) -> tuple[str, ...]:
    """Which samples it is about: equal for two experiments that read the same."""
    return experiment.dataset, str(experiment.pair), json.dumps(experiment.data, sort_keys=True)
