"""What a grid costs before it starts: how many runs there are, how many are done, how long the rest should take."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from ..data import Split, Splits
from ..registry import system
from ..training import fit, predictions
from . import grids, runs, sweep
from .runs import Experiment

MOST = 256  # training samples that are timed; a whole epoch's seconds follow from their share
Kind = tuple[str, ...]  # runs that cost about the same


@dataclass(frozen=True)
class Cost:
    """What a grid asks for."""

    runs: int  # asked for; where they are too many to be named, those counted twice that two mappings ask for
    there: int = 0  # done
    seconds: float = 0.0  # that the others should take, one after the other
    read: int = 0  # kinds of run whose seconds were read from what is done
    timed: int = 0  # kinds of run of which a few epochs were timed

    def told(self, workers: int = 1) -> str:
        """For people."""
        if self.runs > grids.MOST:
            return f"{self.runs} runs: more than the {grids.MOST} that a sweep takes; nothing was timed"
        left = self.runs - self.there
        lines = [f"{self.runs} runs: {self.there} are there, {left} to do"]
        if left:
            lines.append(f"at most about {_duration(self.seconds)} in one process")
            if workers > 1:
                lines[-1] += f", {_duration(self.seconds / workers)} in {workers} if each has a core"
            how = [f"{self.read} kinds of run from the seconds of those that are there"] if self.read else []
            how += [f"{self.timed} kinds from a few epochs on {MOST} samples, just now, here"] if self.timed else []
            lines.append(f"estimated: {', '.join(how)}; every epoch counted, though patience may end a run early")
        return "\n".join(lines)


def cost(grid: str | Path, out: str | Path, data_dir: str | None = None, part: str | None = None) -> Cost:
    """Read seconds where runs of a kind are done; time a few epochs of one run of every other kind.

    A kind is a system on a data set with one set of options, one configuration of the model and one of the training
    (the number of epochs and seeds apart).

    Raises:
        ValueError: the grid does not fit; the message names it.
    """
    asked = grids.open_grid(grid).size
    if asked > grids.MOST:
        return Cost(asked)
    jobs = sweep.planned(grid, data_dir, part)
    known: dict[Kind, list[float]] = {}
    names = set()
    for name, record in sweep.finished(Path(out), jobs):
        names.add(name)
        known.setdefault(kind_of(jobs[name]), []).append(record["train_seconds"] / record["epochs"])
    left = [one for name, one in jobs.items() if name not in names]
    per_epoch = {kind: median(seconds) for kind, seconds in known.items()}
    more = {kind_of(one): one for one in reversed(left)}
    overhead, timed = {}, [kind for kind in more if kind not in per_epoch]
    for kind in timed:
        per_epoch[kind], overhead[kind] = seconds_of(more[kind], data_dir)
    seconds = sum(per_epoch[kind_of(one)] * _epochs(one) + overhead.get(kind_of(one), 0) for one in left)
    return Cost(len(jobs), len(names), seconds, len({*more} - {*timed}), len(timed))


def kind_of(one: Experiment) -> Kind:
    """What decides the seconds of an epoch, about: everything but the seeds, the absences and the labels."""
    training = {name: value for name, value in one.train.items() if name not in ("epochs", "seed", "patience", "lr")}
    data = {name: value for name, value in one.data.items() if name != "draw"}
    parts = (one.pair, one.model, training, data, one.threads, one.device)
    return (one.system, one.dataset, *map(repr, parts))


def _epochs(one: Experiment) -> int:
    return system(one.system).configure_training(**one.train).epochs


def seconds_of(one: Experiment, data_dir: str | None = None) -> tuple[float, float]:
    """Seconds of an epoch, validation included, and of what a run needs besides: its data, its test."""
    begun = time.perf_counter()
    source = runs.sources(one, data_dir)
    data = runs.splits(one, source)
    few, share = _few(data)
    entry = system(one.system)
    model = entry.kind.from_data(few, entry.configure(**one.model))
    besides = time.perf_counter() - begun
    config = entry.configure_training(**{**one.train, "epochs": model.warmup + 2, "seed": one.seed})
    before = torch.get_num_threads()
    torch.set_num_threads(one.threads or before)
    try:
        fit(model, few, replace(config, epochs=model.warmup + 1), progress=False)  # compiles what is compiled
        seconds = median(fit(model, few, config, progress=False).column("seconds")[model.warmup :])
        begun = time.perf_counter()
        predictions(model, few.valid)
        validation = time.perf_counter() - begun
    finally:
        torch.set_num_threads(before)
    return seconds / share + validation * len(data.valid) / len(few.valid), besides


def _few(data: Splits) -> tuple[Splits, float]:
    """The first samples of training and validation, complete and incomplete as they come, and their share."""
    train, valid = (_first(split, MOST) for split in (data.train, data.valid))
    return replace(data, train=train, valid=valid), len(train) / len(data.train)


def _first(split: Split, most: int) -> Split:
    if len(split) <= most:
        return split
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(0))
    return Split(split.samples.part(order[:most].sort().values))


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} seconds"
