"""Paired comparison over the same seeds and splits."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Paired(NamedTuple):
    """The mean difference of two systems over the same seeds, with its 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def verdict(self) -> str:
        """In words: the interval lies on one side of 0, or it does not."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "not resolved at this size"


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Paired:
    """`ours` minus `theirs`, seed by seed, with Student's interval for the mean of the differences.

    >>> paired([0.7, 0.8, 0.9], [0.6, 0.7, 0.7]).verdict
    'not resolved at this size'
    """
    differences = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    if differences.ndim != 1 or len(differences) < 2:
        raise ValueError(f"a paired comparison needs at least 2 seeds, found {differences.shape}")
    mean, error = differences.mean(), stats.sem(differences)
    half = error * stats.t.ppf(0.975, len(differences) - 1)
    return Paired(float(mean), float(mean - half), float(mean + half), len(differences))
