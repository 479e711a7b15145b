"""One experiment: what decides it, how it is run, the record it leaves."""

import hashlib
import json
import math
import platform
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch

from .. import metrics
from ..config import BackboneConfig, Condition, Pair, TrainConfig
from ..data import Source, Splits, make_splits
from ..errors import THREADS, Diverged, InputError, check, one_of
from ..files import write_whole
from ..registry import DATASETS, SYSTEMS, follow, read, system
from ..system import System
from ..training import History, fit, predictions
from . import origin
from .traces import ENDING, Trace, trace_of


@dataclass(frozen=True, kw_only=True)
class Experiment(Condition):
    """Everything that a user says of one run: a system, a data set, a condition, and what is to be changed."""

    system: str
    dataset: str = "smartwatch"
    pair: Pair = ()  # given nothing, it is the data set's own
    model: dict[str, object] = field(default_factory=dict)  # changes to the system's configuration
    train: dict[str, object] = field(default_factory=dict)  # changes to the training's
    data: dict[str, object] = field(default_factory=dict)  # the data set's own options
    device: str = "cpu"
    threads: int | None = None  # of torch; None leaves them as they are

    def __post_init__(self) -> None:
        system(self.system)
        one_of("dataset", self.dataset, tuple(DATASETS))
        object.__setattr__(self, "pair", tuple(self.pair or DATASETS[self.dataset].pair))
        object.__setattr__(self, "data", follow(self.data, self.seed))
        super().__post_init__()
        one_of("device", self.device, ("cpu", "cuda"))
        if self.threads is not None:
            check("threads", self.threads, THREADS)


SECTIONS = ("model", "train", "data")
FIELDS = tuple(one.name for one in fields(Experiment) if one.name not in SECTIONS)  # of one value each


def sources(experiment: Experiment, data_dir: str | Path | None = None) -> Source:
    """The samples that an experiment is about, not yet split."""
    return read(experiment.dataset, experiment.pair, data_dir, **experiment.data)


def splits(experiment: Experiment, source: Source) -> Splits:
    """What its system is handed.

    Raises:
        ValueError: the samples cannot be split like that, or lack what the system needs.
    """
    kind = system(experiment.system).kind
    data = make_splits(source, experiment)
    if kind.needs_every_victim:  # the upper bound has them all, whatever was asked; the samples are the same
        data = make_splits(source, experiment.whole)
    for part in (data.train, data.valid, data.test):  # the last before the training, not after it
        kind.check_samples(part.samples)
    return data


def label(name: str) -> str:
    """A system's name in records: of one's own its file and class, wherever the file lies.

    >>> label("some/folder/own.py:Mine")
    'own.py:Mine'
    """
    return name.replace("\\", "/").rpartition("/")[2] if ":" in name else name


def plan(experiment: Experiment, source: Source) -> dict[str, object]:
    """Everything that decides the result, said before the run: the record without its outcome."""
    config, training = _configure(experiment)
    entry = system(experiment.system)
    return {
        "system": label(experiment.system),
        "dataset": experiment.dataset,
        "pair": ":".join(experiment.pair),
        "survival": float(experiment.survival),
        "setting": experiment.setting,
        "seed": experiment.seed,
        "labelled": float(experiment.labelled),
        "config": {
            "model": asdict(config),
            "train": asdict(training),
            "data": {**DATASETS[experiment.dataset].configure(experiment.data), "digest": source.digest},
            "device": experiment.device,
            "threads": experiment.threads or torch.get_num_threads(),
        },
        "versions": _versions() | ({"system": entry.digest} if entry.digest else {}),
    }


class Run(NamedTuple):
    """A run that was made."""

    record: dict[str, object]  # what the README's table lists
    trace: Trace
    system: System
    history: History


def run(experiment: Experiment, *told: object, **more: object) -> dict[str, object]:
    """The record of an experiment that is made now; arguments as for `make`."""
    return make(experiment, *told, **more).record


def make(
    experiment: Experiment,
    data_dir: str | Path | None = None,
    progress: bool | None = None,
    states: str | Path | None = None,
    resume: bool = False,
) -> Run:
    """Train, select on validation, test once.

    Args:
        experiment: what to run.
        data_dir: where files are looked for.
        progress: show a bar; by default where someone watches.
        states: a folder for the state after each epoch, in a file beside the record's (`state_of`).
        resume: go on from such a state, where there is one, instead of from the start.

    Raises:
        ValueError: something in the experiment or in the files does not fit.
    """
    if experiment.device == "cuda" and not torch.cuda.is_available():  # asked here: others may have one
        raise InputError("device cuda was asked for, but torch finds none here")
    config, training = _configure(experiment)
    if experiment.threads:
        torch.set_num_threads(experiment.threads)
    source = sources(experiment, data_dir)
    data = splits(experiment, source)
    planned = plan(experiment, source)
    state = None if states is None else state_of(Path(states) / name_of(planned))
    if state and not resume:
        state.unlink(missing_ok=True)

    model = system(experiment.system).kind.from_data(data, config, seed=training.seed).to(experiment.device)
    try:
        history = fit(model, data, training, progress, state)
    except Diverged:
        if state:
            state.unlink(missing_ok=True)  # other settings make another run, and this one has no future
        raise
    answers, labels = predictions(model, data.test)
    measured = metrics.of_task(model.spec.task, answers, labels)
    if DATASETS[experiment.dataset].sentiment:
        measured |= metrics.sentiment(answers, labels)
    outcome = {
        "metrics": {name: None if math.isnan(value) else value for name, value in measured.items()},
        "best_epoch": history.best_epoch,
        "epochs": len(history.rows),
        "train_seconds": history.train_seconds,
        "seconds_per_epoch": history.train_seconds / len(history.rows),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    both = planned | outcome
    both["versions"] = planned["versions"] | {"source": origin.digest(type(model))}
    trace = trace_of(data.test.samples.ids, source.groups, labels, answers, history.rows)
    return Run({key: both[key] for key in RECORD}, trace, model, history)


def _configure(experiment: Experiment) -> tuple[BackboneConfig, TrainConfig]:
    entry = system(experiment.system)
    training = entry.configure_training(**{"seed": experiment.seed, **experiment.train})
    if entry.kind.in_one_go:
        for name, usual in asdict(entry.configure_training(seed=training.seed)).items():
            if (value := getattr(training, name)) != usual:
                raise InputError(f"{name}={value} would have no effect: {experiment.system} is fitted in one go")
    return entry.configure(**experiment.model), training


@cache
def _versions() -> dict[str, str]:
    return {
        "mmalign": version("mmalign"),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


# The keys of a record in their order, and those that say how the run went, as against what decided it.
RECORD = (
    "system", "dataset", "pair", "survival", "setting", "seed", "metrics", "labelled", "best_epoch", "epochs",
    "train_seconds", "seconds_per_epoch", "parameters", "config", "versions",
)  # fmt: skip
OUTCOME = ("metrics", "best_epoch", "epochs", "train_seconds", "seconds_per_epoch", "parameters")


def name_of(plan: dict[str, object]) -> str:
    """The file name of a run: a hash of its plan, which may stand alone or inside the record.

    Versions count, for they too decide the bits of a result: a run made with other versions is another run. So is
    one of a system of one's own whose file has changed. The digest of our own source does not count, see `origin`.
    """
    decides = {key: value for key, value in plan.items() if key not in OUTCOME}
    decides["versions"] = {key: value for key, value in plan["versions"].items() if key != "source"}
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:20] + ".json"


def state_of(path: Path) -> Path:
    """Where the state of a run stands while its record, at `path`, is not there yet."""
    return path.with_suffix(".state.safetensors")


def store(record: dict[str, object], folder: str | Path, trace: bytes | None = None) -> Path:
    """Write a record to its file in `folder`, whole or not at all, and before it what stands beside it.

    Where the record is, the trace is: a process that dies in between leaves a run that is made once more.
    """
    path = Path(folder) / name_of(record)
    if trace is not None:
        write_whole(path.with_suffix(ENDING), trace)
    write_whole(path, (json.dumps(record, indent=1, allow_nan=False) + "\n").encode())
    return path


def leave(made: Run, folder: str | Path) -> Path:
    """`store` a run with its weights (safetensors) and its training curve (CSV); the record comes last."""
    import pandas as pd  # late: only those who keep a curve wait for it

    path = Path(folder) / name_of(made.record)
    made.system.save(path.with_suffix(".safetensors"))
    curve = pd.json_normalize(made.history.rows, sep="/")
    write_whole(path.with_suffix(".csv"), curve.to_csv(index=False, lineterminator="\n").encode())
    return store(made.record, folder, made.trace.to_bytes())


def training_report(dataset: str = "smartwatch", repeats: int = 3, **options: object) -> dict[str, Any]:
    """What an epoch of each system costs: median seconds, and how many times an epoch of `single`.

    The systems take turns, so that whatever else the machine does meets all of them. Warm-up epochs do not
    count. Options are the data set's own.
    """
    source, condition = read(dataset, **options), Condition(pair=DATASETS[dataset].pair)
    gaps, full = make_splits(source, condition), make_splits(source, condition.whole)
    seconds = {name: [] for name in SYSTEMS}
    for _ in range(repeats):
        for name, entry in SYSTEMS.items():
            data = full if entry.kind.needs_every_victim else gaps
            model = entry.kind.from_data(data, entry.configure())
            history = fit(model, data, entry.configure_training(epochs=model.warmup + 2), progress=False)
            seconds[name] += history.column("seconds")[model.warmup :]
    typical = {name: median(values) for name, values in seconds.items()}
    rows = [
        {"system": name, "seconds": typical[name], "times_single": typical[name] / typical["single"]}
        for name in SYSTEMS
    ]
    return {"dataset": dataset, "threads": torch.get_num_threads(), "epochs": rows, "versions": _versions()}
