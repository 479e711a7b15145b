"""What can be hoped for on some data, before anything is built on imputation (chapter "When imputation pays")."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from tqdm.auto import tqdm

from .baselines import Double, Single
from .config import Condition, TrainConfig, settings
from .data import Source, Split, Splits, make_splits
from .errors import InputError
from .experiments.statistics import Paired, paired
from .method.plus import MMAlignPlus
from .training import evaluate, fit

FOLDS = 5
MEASURED = {"single": Single, "double": Double, "mm-align-plus": MMAlignPlus}


@dataclass(frozen=True)
class Diagnosis:
    """Scores of three systems over the same folds, and what they say. `print` shows it in four lines."""

    metric: str  # "accuracy", where more is better, or "mae", where less is
    scores: dict[str, tuple[float, ...]]  # system -> score of each fold
    pairs: int  # complete samples, which is all that was read
    labelled: int  # of them with a label
    whole_groups: bool  # no group stood on two sides of a fold

    @property
    def room(self) -> Paired:
        """What the victim itself is worth, more is better: no imputation can be expected to gain more."""
        return self._better("double")

    @property
    def gain(self) -> Paired:
        """What its imputation gained over never having it, more is better."""
        return self._better("mm-align-plus")

    @property
    def advice(self) -> str:
        """One sentence, by the rule of thumb of the chapter."""
        if self.room.low <= 0:
            return "No worth of the victim can be seen in these samples: leave it out, or bring more of them."
        if self.gain.low > 0:
            return "Imputation gains: use mm-align-plus, and look for more complete pairs; they need no labels."
        if self.labelled < self.pairs:
            return "The victim has worth, imputation gains none that can be seen: bring more pairs, or victims at test."
        return "The victim has worth, but with every label known imputation gains none: measure the victim at test."

    def _better(self, system: str) -> Paired:
        sign = 1 if self.metric == "accuracy" else -1
        return paired(sign * np.array(self.scores[system]), sign * np.array(self.scores["single"]))

    def __str__(self) -> str:
        means = {name: np.mean(values) for name, values in self.scores.items()}
        sides = "" if self.whole_groups else "; labels of too few groups: folds cut through them, and flatter"
        found = [("the victim", "double", self.room), ("its imputation", "mm-align-plus", self.gain)]
        lines = [f"{self.pairs} complete pairs, {self.labelled} with a label, {FOLDS} folds{sides}"] + [
            f"{what}: {self.metric} {means['single']:.3f} -> {means[system]:.3f}, "
            f"gain {one.mean:+.3f} [{one.low:+.3f}, {one.high:+.3f}]"
            for what, system, one in found
        ]
        return "\n".join([*lines, self.advice])


def diagnose(
    data: Splits, train: TrainConfig | None = None, seed: int = 0, progress: bool | None = None, **model: object
) -> Diagnosis:
    """Measure what the victim is worth on your data, and what its imputation gains.

    Five folds over the complete training and validation samples; the test split is not read. In each, `single`
    (the visible modality alone), `double` (both) and `mm-align-plus` (both in training, the visible alone
    afterwards) are trained and scored. Fifteen trainings: pass fewer epochs where they take long.

    Args:
        data: from `load` or `from_arrays`; setting B keeps the validation samples' victims, and so more pairs.
        train: how to train; the defaults with `seed` if not given.
        seed: draws weights and order where `train` is not given.
        progress: show a bar; by default where someone watches.
        model: settings of all three networks, such as width=16.

    Raises:
        ValueError: fewer than 5 complete samples have a label, or a setting does not fit.
    """
    train = train or TrainConfig(seed=seed)
    pool = _complete(data)
    labelled = int(pool.labelled.sum())
    if labelled < FOLDS:
        raise InputError(f"{FOLDS} folds need at least {FOLDS} complete samples with a label, found {labelled}")
    whole_groups = pool.groups is None or len(pool.groups[pool.labelled].unique()) >= FOLDS
    if not whole_groups:
        pool = replace(pool, groups=None)
    metric = "accuracy" if pool.task == "classification" else "mae"
    scores = {name: [] for name in MEASURED}
    todo = [(fold, name) for fold in range(FOLDS) for name in MEASURED]
    for fold, name in tqdm(todo, desc="diagnose", unit="training", disable=None if progress is None else not progress):
        kind = MEASURED[name]
        condition = Condition(pair=data.spec.modalities, survival=1.0, setting="A", seed=fold)
        part = make_splits(pool, condition.whole if kind.needs_every_victim else condition)
        system = kind.from_data(part, settings(kind.config_type, {}, **model), seed=train.seed)
        fit(system, part, train, progress=False)
        scores[name].append(evaluate(system, part.test)[metric])
    known = {name: tuple(values) for name, values in scores.items()}
    return Diagnosis(metric, known, len(pool.lengths), labelled, whole_groups)


def _complete(data: Splits) -> Source:
    """The complete samples of training and validation as a source of their own; hidden labels stay hidden."""
    parts: list[Split] = [data.train.complete, data.valid.complete]
    ids, labels = (torch.cat([getattr(part.samples, name) for part in parts]) for name in ("ids", "labels"))
    return replace(data.source.part(ids), labels=labels)
