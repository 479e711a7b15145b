"""What can be hoped for on some data, before anything is built on imputation (chapter "When imputation pays")."""

import html
import math
import sys
import time
import warnings
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from tqdm.auto import tqdm

from .baselines import Constant, Double, Single, Trees, TreesBoth
from .config import Condition, TrainConfig
from .data import Source, Split, Splits, make_splits
from .data.pairs import Pairs
from .errors import InputError
from .experiments.statistics import Paired, paired
from .method.plus import MMAlignPlus
from .settings import Settings, settings
from .system import System
from .training import History, evaluate, fit

FOLDS = 5
OVERLAP = 1 / 3  # test samples over training samples of a fold: a fifth over three fifths
PLAIN = {"constant": Constant, "trees": Trees, "trees-both": TreesBoth}  # what a network must be better than
TRAINED = {"single": Single, "double": Double, "mm-align-plus": MMAlignPlus}
SMALL = 0.02  # accuracy, or share of the constant's error: what is smaller than this is called nothing
PATIENT = 60  # seconds after which the reader is told how long it takes


@dataclass(frozen=True)
class Diagnosis:
    """Scores of some answers over the same folds, and what they say. `print` shows the lines, `plot` the picture."""

    metric: str  # "accuracy", where more is better, or "mae", where less is
    scores: dict[str, tuple[float, ...]]  # "constant", "trees", "trees-both", "single", ...: the score of each fold
    pairs: int  # complete samples, which is all that was read
    labelled: int  # of them with a label
    whole_groups: bool  # no group stood on two sides of a fold
    unfinished: tuple[str, ...] = ()  # networks that were still getting better when most of their trainings ended
    seconds: float = float("nan")

    # ---- what was measured --------------------------------------------------------------------------------

    @property
    def room(self) -> Paired:
        """What the victim itself is worth, more is better: no imputation can be expected to gain more."""
        return self._better("double")

    @property
    def gain(self) -> Paired:
        """What its imputation gained over never having it, more is better."""
        return self._better("mm-align-plus")

    @property
    def small(self) -> float:
        """A difference that is called nothing, in the unit of the metric."""
        return SMALL if self.metric == "accuracy" else SMALL * float(np.mean(self.scores["constant"]))

    @property
    def share(self) -> float:
        """1 - n/N: how much of what endless pairs would bring these N pairs bring, where n have labels."""
        return 1 - self.labelled / self.pairs

    def factor(self, difference: Paired) -> float:
        """How many times as many labelled pairs would decide about a difference, if its mean stays what it is."""
        far = difference.mean if difference.mean > self.small / 2 else self.small - difference.mean
        half = (difference.high - difference.low) / 2
        return max(1.0, (half / far) ** 2)

    def _better(self, name: str, than: str = "single") -> Paired:
        sign = 1 if self.metric == "accuracy" else -1
        ours, theirs = (sign * np.array(self.scores[one]) for one in (name, than))
        return paired(ours, theirs, OVERLAP)

    # ---- what it says -------------------------------------------------------------------------------------

    @property
    def advice(self) -> str:
        """What follows for the victim, by the rule of thumb of the chapter; where noise allows no answer, that."""
        room, gain = self.room, self.gain
        if self.unfinished:
            return f"Not resolved: {' and '.join(self.unfinished)} still got better when training ended. Train longer."
        if room.low <= 0:
            if room.high < self.small:
                return f"The victim is worth less than {self.small:.2g}: leave it out."
            return f"Not resolved whether the victim is worth anything: {self._more(room)}."
        if gain.low > 0:
            return "Imputation gains: use mm-align-plus, and look for more complete pairs; they need no labels."
        if self.labelled == self.pairs:
            return "The victim has worth; with every label known imputation has nothing to learn: measure it at test."
        if gain.high < self.small:
            return "The victim has worth, imputation gains nothing here: measure the victim at test."
        return f"The victim has worth; not resolved whether imputation gains: {self._more(gain)}."

    def _more(self, difference: Paired) -> str:
        times = self.factor(difference)
        if times > 100:
            return "far more labelled pairs would be needed"
        return f"about {math.ceil(times * self.labelled)} labelled pairs would decide, {self.labelled} are here"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the numbers doubtful."""
        told = []
        if not self.whole_groups:
            told.append("labels of too few groups: folds cut through them, and flatter")
        if self._better("constant").low > 0:
            told.append("a constant beats the network: train it better before asking about the victim")
        elif self._better("trees").low > 0:
            told.append("trees beat the network: train it better, or use trees")
        return tuple(told)

    def table(self) -> "pandas.DataFrame":  # noqa: F821, imported where it is asked for
        """One row an answer: mean score, and its gain over `single` with a 95 % interval (more is better)."""
        import pandas as pd

        rows = {}
        for name, values in self.scores.items():
            gain = self._better(name)
            interval = {"gain": gain.mean, "low": gain.low, "high": gain.high} if name != "single" else {}
            rows[name] = {self.metric: float(np.mean(values)), **interval}
        return pd.DataFrame.from_dict(rows, orient="index")

    def __str__(self) -> str:
        mean = {name: float(np.mean(values)) for name, values in self.scores.items()}
        found = [("the victim", "double", self.room), ("its imputation", "mm-align-plus", self.gain)]
        others = ", ".join(f"{name} {mean[name]:.3f}" for name in self.scores if name not in TRAINED)
        lines = [
            f"{self.pairs} complete pairs, {self.labelled} with a label, {FOLDS} folds",
            f"without the victim: {self.metric} {mean['single']:.3f} ({others})",
            *(
                f"{what}: {self.metric} {mean['single']:.3f} -> {mean[name]:.3f}, "
                f"gain {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
                for what, name, one in found
            ),
            f"pairs beside labels: {self.share:.0%} of what endless pairs would bring",
            *(f"but: {one}" for one in self.warnings),
        ]
        return "\n".join([*lines, self.advice])

    def _repr_html_(self) -> str:
        first, *_, last = str(self).split("\n")
        table = self.table().to_html(float_format="{:+.3f}".format, na_rep="")
        doubts = "".join(f"<p>But: {html.escape(one)}.</p>" for one in self.warnings)
        return f"<p>{html.escape(first)}</p>{table}{doubts}<p><b>{html.escape(last)}</b></p>"

    def plot(self, ax: "matplotlib.axes.Axes | None" = None) -> "matplotlib.axes.Axes":  # noqa: F821
        """Every fold's gain over `single` as a dot, means with their intervals; the grey band is called nothing."""
        import matplotlib.pyplot as plt

        from .figures import palette

        ax = ax or plt.subplots(figsize=(6, 2.6), layout="constrained")[1]
        names = [name for name in self.scores if name not in ("single", "constant")]
        sign = 1 if self.metric == "accuracy" else -1
        ax.axvspan(-self.small, self.small, color="0.5", alpha=0.2, linewidth=0)
        for place, name in enumerate(names):
            gain, folds = self._better(name), sign * (np.array(self.scores[name]) - np.array(self.scores["single"]))
            shade = palette.colour(name)
            ax.plot(folds, np.full(len(folds), place), "o", color=shade, alpha=0.35, markersize=4)
            ax.plot([gain.low, gain.high], [place, place], color=shade, linewidth=2)
            ax.plot(gain.mean, place, palette.marker(name), color=shade, markersize=6)
        ax.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        ax.set(xlabel=f"gain over the visible modality alone, in {self.metric} (more is better)")
        return ax


def diagnose(
    data: Splits | Pairs,
    train: TrainConfig | None = None,
    seed: int = 0,
    progress: bool | None = None,
    *,
    labels: object = None,
    groups: object = None,
    task: str | None = None,
    **model: object,
) -> Diagnosis:
    """Measure what the victim is worth on your data, and what its imputation gains.

    Five folds over the complete samples. In each, a constant and trees (on the visible modality, and on both) are
    fitted, and `single` (the visible modality alone), `double` (both) and `mm-align-plus` (both in training, the
    visible alone afterwards) are trained. Fifteen trainings: where they may take more than a minute, it says so before
    the first, from two epochs of each network, and again after the first fold.

    Args:
        data: from `load` or `from_arrays`, whose test samples are not read; setting B keeps the validation samples'
            victims, and so more pairs. Or `Pairs`, all of which are read, with `labels`.
        train: how to train; the defaults with `seed` if not given.
        seed: draws weights and order where `train` is not given.
        progress: show a bar; by default where someone watches.
        labels: (N,) of pairs, None or NaN where unknown.
        groups: (N,) of pairs: whom folds must not cut through. Their own by default.
        task: of pairs; "classification" or "regression" where labels are whole numbers.
        model: settings of the networks, such as width=16; each takes those that it has, `least` mm-align-plus alone.

    Raises:
        ValueError: fewer than 5 complete samples have a label, or a setting does not fit.
    """
    if not isinstance(train, TrainConfig | None):  # as scikit-learn passes labels, in the second place
        raise InputError(f"train must be a TrainConfig, found {type(train).__name__}; labels are given as labels=...")
    train, started = train or TrainConfig(seed=seed), time.perf_counter()
    told = progress is not False
    pool = _complete_pairs(data, labels, groups, task) if isinstance(data, Pairs) else _complete(data)
    labelled = int(pool.labelled.sum())
    if labelled < FOLDS:
        raise InputError(f"{FOLDS} folds need at least {FOLDS} complete samples with a label, found {labelled}")
    whole_groups = pool.groups is None or len(pool.groups[pool.labelled].unique()) >= FOLDS
    if not whole_groups:
        pool = replace(pool, groups=None)
    configured = {name: _with_its_own(kind, model) for name, kind in TRAINED.items()}
    metric = "accuracy" if pool.task == "classification" else "mae"
    scores: dict[str, list[float]] = {name: [] for name in (*PLAIN, *TRAINED)}
    late = dict.fromkeys(TRAINED, 0)
    bar = tqdm(total=FOLDS * len(TRAINED), desc="diagnose", unit="training", disable=_quiet(progress))
    with bar:
        for fold in range(FOLDS):
            condition = Condition(pair=tuple(pool.features), survival=1.0, setting="A", seed=fold)
            whole = make_splits(pool, condition.whole)
            for name, kind in PLAIN.items():
                begun = time.perf_counter()
                system = kind.from_data(whole, seed=train.seed)
                fit(system, whole, TrainConfig(epochs=1, seed=train.seed), progress=False)
                scores[name].append(evaluate(system, whole.test)[metric])
            plain = 2 * (time.perf_counter() - begun)  # the last is the longest, and the first waits for imports
            parts = {
                name: whole if kind.needs_every_victim else make_splits(pool, condition)
                for name, kind in TRAINED.items()
            }
            if told and fold == 0:
                at_most = sum(_seconds(TRAINED[name], part, configured[name], train) for name, part in parts.items())
                _tell(bar, started, "at most about", left=(FOLDS - 1) * plain + FOLDS * at_most)
            begun = time.perf_counter()
            for name, part in parts.items():
                system = TRAINED[name].from_data(part, configured[name], seed=train.seed)
                late[name] += _unfinished(fit(system, part, train, progress=False), train)
                scores[name].append(evaluate(system, part.test)[metric])
                bar.update()
            if told and fold == 0:
                left = (FOLDS - 1) * (plain + time.perf_counter() - begun)
                _tell(bar, started, "judged by the first fold about", left)
    known = {name: tuple(values) for name, values in scores.items()}
    unfinished = tuple(name for name, times in late.items() if times > FOLDS / 2)
    return Diagnosis(
        metric, known, len(pool.lengths), labelled, whole_groups, unfinished, time.perf_counter() - started
    )


def _with_its_own(kind: type[System], changes: dict[str, object]) -> Settings:
    """The configuration of one network, with the changes that concern it; what concerns none of them is named."""
    known = {name: {one.name for one in fields(network.config_type)} for name, network in TRAINED.items()}
    for name in changes.keys() - set().union(*known.values()):
        raise InputError(f"none of {', '.join(known)} has a field {name!r}")
    own = {one.name for one in fields(kind.config_type)}
    return settings(kind.config_type, {}, **{name: value for name, value in changes.items() if name in own})


def _quiet(progress: bool | None) -> bool:
    return not sys.stderr.isatty() if progress is None and sys.stderr else not progress


def _seconds(kind: type[System], data: Splits, config: Settings, train: TrainConfig) -> float:
    """What a training takes if none of its epochs is spared: a short one is timed, without what is compiled in it.

    Two epochs, for the first half of a training of mm-align-plus is another work than the second.
    """
    system, few = kind.from_data(data, config, seed=train.seed), replace(train, epochs=min(2, train.epochs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # after two epochs it may well be astray
        training = fit(system, data, few, progress=False).train_seconds / few.epochs
    started = time.perf_counter()
    evaluate(system, data.valid)
    return train.epochs * (training + time.perf_counter() - started)


def _tell(bar: tqdm, started: float, how: str, left: float) -> None:
    """How long it takes in all, where that is long."""
    seconds = time.perf_counter() - started + left
    if seconds > PATIENT:
        told = f"diagnose: {how} {seconds:.0f} s in all; fewer epochs, TrainConfig(epochs=...), take less"
        bar.write(told, sys.stderr)


def _unfinished(history: History, train: TrainConfig) -> bool:
    """Whether the last third of the epochs that were allowed still brought more than is called nothing."""
    told = [row["valid"] for row in history.rows if "valid" in row]
    metric, sign = ("accuracy", 1) if "accuracy" in told[0] else ("mae", -1)
    scores = [sign * one[metric] for one in told]
    before = max(scores[: max(1, 2 * len(scores) // 3)])
    small = SMALL if metric == "accuracy" else SMALL * -before
    return len(history.rows) == train.epochs and max(scores) > before + small


def _complete(data: Splits) -> Source:
    """The complete samples of training and validation as a source of their own; hidden labels stay hidden."""
    parts: list[Split] = [data.train.complete, data.valid.complete]
    ids, labels = (torch.cat([getattr(part.samples, name) for part in parts]) for name in ("ids", "labels"))
    source = data.source.part(ids)
    return replace(source, labels=labels, features={name: source.features[name] for name in data.spec.modalities})


def _complete_pairs(pairs: Pairs, labels: object, groups: object, task: str | None) -> Source:
    """The pairs that lack nothing."""
    if labels is None:
        raise InputError("diagnose needs labels= beside pairs; None or NaN where one is unknown")
    complete = pairs.present.all(1)
    if not complete.any():
        raise InputError(f"none of {len(pairs)} pairs is complete: nothing says what the victim is worth")
    return pairs.source(labels, groups, task).part(complete.nonzero()[:, 0])
