"""scikit-learn's face of every system: `fit`, `predict`, `score`, `clone`, any splitter, class names out.

What goes in are `Pairs`, or arrays (N, T, D) of the visible modality alone, or a table (N, D) of one step each.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import _safe_indexing, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from . import registry
from .baselines import Single
from .config import Condition
from .data import Splits, make_splits
from .data.pairs import Pairs
from .data.source import LEFT_OUT, TRAIN, VALID, Source, as_array, is_nothing
from .errors import InputError
from .prediction import impute, outputs
from .system import System, read_saved
from .training import fit


class MissingModality(BaseEstimator):
    """What both estimators share."""

    task: ClassVar[str]

    def __init__(
        self,
        system: str = "mm-align-plus",
        *,
        model: dict[str, Any] | None = None,
        train: dict[str, Any] | None = None,
        setting: str = "B",
        validation: float = 0.2,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.system = system
        self.model = model
        self.train = train
        self.setting = setting
        self.validation = validation
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Train on pairs; those whose label is None or NaN are used as far as the system can.

        Args:
            X: `Pairs`; or (N, T, D) arrays, (N, D) tables of the visible modality.
            y: (N,) labels.
            groups: (N,) who stays on one side when `validation` is set aside; those of the pairs by default.
        """
        for name in {"n_features_in_", "feature_names_in_"} & {*vars(self)}:  # of tables, in a training before
            delattr(self, name)
        pairs = self._pairs(X, reset=True)
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")
        y = _column(y)
        if len(y) != len(pairs):
            raise ValueError(f"Found input variables with inconsistent numbers of samples: {[len(pairs), len(y)]}")
        known = np.array([not is_nothing(one) for one in y])
        if not known.any():
            raise InputError("none of the labels is known")
        entry = registry.system(self.system)
        seed = _seed(self.random_state)
        source = pairs.source(self._encoded(y, known), groups, self.task)
        source = replace(source, classes=tuple(map(str, self._classes())))
        data = self._splits(source, entry.kind, pairs, seed)
        config = entry.configure_training(**{"seed": seed, **(self.train or {})})
        self.system_ = entry.kind.from_data(data, entry.configure(**(self.model or {})), seed=config.seed)
        self.history_ = fit(self.system_, data, config, progress=None if self.verbose else False)
        return self

    def _splits(self, source: Source, kind: type[System], pairs: Pairs, seed: int) -> Splits:
        """Some of the labelled groups for validation, everything else to train on."""
        if not 0 < self.validation < 1:
            raise InputError(f"validation must be a share in (0, 1), found {self.validation}")
        groups = source.groups if source.groups is not None else torch.arange(len(source.lengths))
        names = groups[source.labelled].unique()
        names = names[torch.randperm(len(names), generator=torch.Generator().manual_seed(seed % 2**32))]
        held = torch.isin(groups, names[: max(1, round(self.validation * len(names)))])
        parts = torch.full_like(groups, TRAIN)
        parts[held & source.labelled] = VALID
        # An unlabelled pair of somebody who validates neither trains nor is scored.
        parts[held & ~source.labelled] = LEFT_OUT
        if len(names) < 2:
            raise InputError(f"n_samples={len(names)} with a label (or groups of them): at least 2 are needed")
        setting = self.setting
        if not pairs.present[:, 1].any():
            if not issubclass(kind, Single) and kind.needs_visible:
                raise InputError(f"none of {len(pairs)} pairs has its victim, and {self.system} learns from whole ones")
            setting = "R"
        source = replace(source, parts=parts)
        return make_splits(source, Condition(pair=tuple(source.features), survival=1.0, setting=setting, seed=0))

    def _pairs(self, X: Any, reset: bool = False) -> Pairs:
        """X as pairs; a table has one step a sample."""
        if isinstance(X, Pairs):
            return X
        if getattr(X, "ndim", 0) == 3 or (isinstance(X, list | tuple) and len(X) and _is_sequence(X[0])):
            return Pairs(X)
        if not reset and not hasattr(self, "n_features_in_"):
            told = "a table (N, D) is N samples of one step each, and this model was trained on sequences"
            raise InputError(f"{told}: one window (T, D) is window[None], or Pairs([window])")
        return Pairs(validate_data(self, X, reset=reset, dtype="numeric")[:, None, :])

    def _outputs(self, X: Any) -> torch.Tensor:
        check_is_fitted(self, "system_")
        pairs = self._pairs(X)
        return outputs(self.system_, pairs.without_victim() if self.setting == "A" else pairs)

    def impute(self, X: Any) -> Pairs:
        """The pairs with each absent victim imagined, in the sensor's own unit; see `mmalign.impute`."""
        check_is_fitted(self, "system_")
        return impute(self.system_, self._pairs(X))

    # ---- a file -------------------------------------------------------------------------------------------

    def save(self, path: str | Path) -> None:
        """Write the trained system, its classes and these parameters to one safetensors file."""
        check_is_fitted(self, "system_")
        told = {"kind": type(self).__name__, "parameters": self.get_params(), "classes": self._classes()}
        columns = getattr(self, "feature_names_in_", None)
        told["table"] = {
            "n_features_in_": getattr(self, "n_features_in_", None),
            "feature_names_in_": None if columns is None else [*columns],
        }
        told["parameters"]["random_state"] = None
        try:
            json.dumps(told)
        except TypeError as error:
            raise InputError(f"parameters must be numbers and strings to be saved: {error}") from None
        self.system_.save(path, estimator=told)

    @classmethod
    def restore(cls, path: str | Path) -> Self:
        """The estimator that `save` wrote. Nothing in the file is run.

        Raises:
            ValueError: not such a file, or of another estimator.
        """
        told = read_saved(path)[0].get("estimator")
        if not isinstance(told, dict) or told.get("kind") != cls.__name__:
            found = told.get("kind") if isinstance(told, dict) else "no estimator: read it with its system's restore"
            raise InputError(f"{path} holds {found}, expected {cls.__name__}")
        estimator = cls(**told["parameters"])
        estimator.system_ = registry.system(estimator.system).kind.restore(path)
        estimator._take_classes(told["classes"])
        before = {"n_features_in_": estimator.system_.spec.widths[0]}  # of a file that does not say, a table may be
        for name, value in told.get("table", before).items():
            if value is not None:
                setattr(estimator, name, np.array(value, dtype=object) if isinstance(value, list) else value)
        return estimator

    def _classes(self) -> list:
        return []

    def _take_classes(self, classes: list) -> None:
        """Remember what the answers stand for; a regression's stand for themselves."""


class MissingModalityClassifier(ClassifierMixin, MissingModality):
    """Classes of pairs whose victim may be absent, by any system of this package.

    Args:
        system: its name, or `package.module:Class`, `folder/file.py:Class` of one's own.
        model: settings of its network, such as {"width": 16}.
        train: settings of its training, such as {"epochs": 20, "lr": 0.002}.
        setting: "B", pairs are taken as they are; "A", the victim is never read outside training.
        validation: share of the labelled pairs (or groups) that choose the epoch and are not trained on.
        random_state: draws weights, order and the validation pairs.
        verbose: show a bar.

    After `fit`: `classes_`, `system_` (the trained system), `history_`.
    """

    task = "classification"

    def _encoded(self, y: np.ndarray, known: np.ndarray) -> np.ndarray:
        """(N,) class names as strings, in the order of `classes_`; None where unknown."""
        labels = np.array(y[known].tolist())
        check_classification_targets(labels)
        self.classes_, places = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier needs 2 classes or more, found one class: {self.classes_[0]}")
        encoded = np.full(len(y), None, dtype=object)
        encoded[known] = places
        return encoded

    def predict(self, X: Any) -> np.ndarray:
        """(N,) the class of each pair."""
        places = self._outputs(X).argmax(1).numpy()
        return self.classes_[places]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy over the pairs whose label is known."""
        return super().score(*_known(X, y, sample_weight))

    def predict_proba(self, X: Any) -> np.ndarray:
        """(N, K) how likely each of `classes_` is."""
        return self._outputs(X).double().softmax(1).numpy()

    def _classes(self) -> list:
        return self.classes_.tolist()

    def _take_classes(self, classes: list) -> None:
        self.classes_ = np.array(classes)


class MissingModalityRegressor(RegressorMixin, MissingModality):
    """Scores of pairs whose victim may be absent. Parameters as of `MissingModalityClassifier`."""

    task = "regression"

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R2 over the pairs whose label is known."""
        return super().score(*_known(X, y, sample_weight))

    def _encoded(self, y: np.ndarray, known: np.ndarray) -> np.ndarray:
        numbers = np.full(len(y), np.nan)
        try:
            numbers[known] = y[known].astype(np.float64)
        except (ValueError, TypeError) as error:
            raise InputError(f"the labels of a regression must be numbers: {error}") from None
        return numbers

    def predict(self, X: Any) -> np.ndarray:
        """(N,) the score of each pair, in the unit of the labels."""
        return self._outputs(X).double().numpy()


def _is_sequence(one: Any) -> bool:
    """Whether it is steps of features, (l, D), as an array, a frame or lists in a list."""
    return getattr(one, "ndim", 0) == 2 or (isinstance(one, list | tuple) and len(one) > 0 and np.ndim(one[0]) == 1)


def _column(y: Any) -> np.ndarray:
    """(N,) labels as objects or numbers; what is not known is None or NaN, also behind a mask and as pandas' NA."""
    if np.ma.isMaskedArray(y):
        y = as_array("y", "labels", y)
    if hasattr(y, "isna") or getattr(getattr(y, "dtype", None), "kind", "") == "O":
        values = np.asarray(y, dtype=object)
        y = np.array([None if is_nothing(one) else one for one in values.ravel()], object).reshape(values.shape)
    return column_or_1d(y, warn=True)


def _known(X: Any, y: Any, weight: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
    """The pairs whose label is known, their labels and weights."""
    y = _column(y)
    known = np.array([not is_nothing(one) for one in y])
    if not known.any():
        raise InputError("none of the labels is known")
    if known.all():
        return X, y if y.dtype != object else np.array(y.tolist()), weight
    weight = None if weight is None else np.asarray(weight)[known]
    return _safe_indexing(X, np.flatnonzero(known)), np.array(y[known].tolist()), weight


def _seed(random_state: Any) -> int:
    """The seed of everything that is drawn."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
