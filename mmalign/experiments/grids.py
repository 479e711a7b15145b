"""What a grid of experiments holds: a YAML file, read, multiplied out, and every run of it named before it is made."""

import json
import math
from collections.abc import Iterator
from itertools import groupby, product
from pathlib import Path

from ..errors import THREADS, InputError, check, one_of, told
from ..gate.documents import read_yaml
from . import runs
from .runs import FIELDS, SECTIONS, Experiment

MOST = 100_000  # runs of one grid
Jobs = dict[str, Experiment]  # the name of each run's file -> what to run


def read_grid(path: str | Path) -> list[Experiment]:
    """The experiments of a YAML file: a mapping, or a list of mappings one after the other.

    A key is a field of `Experiment`, or `model.`, `train.` or `data.` with one of their settings, as in
    `mmalign run --set`; a value is one alternative or a list of them. A mapping means every combination.

    Raises:
        ValueError: no such file, or something in it does not fit; the message names it.
    """
    content = read_yaml(path)
    blocks = content if isinstance(content, list) else [content]
    try:
        runs_of_it = sum(_count(block) for block in blocks)
        if not 0 < runs_of_it <= MOST:
            raise InputError(f"a grid holds 1 to {MOST} runs, this one {runs_of_it}")
        return [experiment for block in blocks for experiment in combinations(block)]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _count(block: object) -> int:
    """How many combinations a mapping means."""
    lists = block.values() if isinstance(block, dict) else ()
    return math.prod(max(1, len(value)) for value in lists if isinstance(value, list))


def combinations(block: dict[str, object]) -> Iterator[Experiment]:
    """Every combination of the alternatives of one mapping; the last key changes fastest.

    >>> grid = {"system": ["single", "copy"], "pair": "acc:gyro", "seed": [0, 1], "train.lr": 0.01}
    >>> [(one.system, one.seed, one.train) for one in combinations(grid)][:2]
    [('single', 0, {'lr': 0.01}), ('single', 1, {'lr': 0.01})]
    """
    if not isinstance(block, dict):
        raise InputError(f"a grid is a mapping of fields to values, or a list of such mappings, found {told(block)}")
    if "system" not in block:
        raise InputError(f"a grid names its systems, found only {', '.join(map(str, block)) or 'nothing'}")
    alternatives = [value if isinstance(value, list) else [value] for value in block.values()]
    for key, values in zip(block, alternatives, strict=True):
        section, dot, name = str(key).partition(".")
        if not (dot and name and section in SECTIONS):
            one_of("field", key, (*FIELDS, *(f"{section}.FIELD" for section in SECTIONS)))
        if not values or not all(isinstance(value, str | int | float | None) for value in values):
            raise InputError(f"{key} must be a value or a list of values, found {told(block[key])}")
    for values in product(*alternatives):
        yield _experiment(dict(zip(block, values, strict=True)))


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
