"""Intervals for a difference of two systems: over seeds, over folds that share samples, over places, over people.

Each function answers for one kind of noise. What none of them sees is said in its docstring.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy

LEVEL = 0.95  # of every interval


class Paired(NamedTuple):
    """The mean difference of two systems over the same seeds, with its 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: int  # how many differences, or clusters, it rests on
    error: float = float("nan")  # standard error of the mean
    freedom: float = float("nan")  # degrees of freedom of Student's t

    @property
    def verdict(self) -> str:
        """In words: the interval lies on one side of 0, or it does not."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "not resolved at this size"

    def p(self, claim: str = "different", bound: float = 0.0) -> float:
        """How easily chance does this if the difference is `bound`: at most 0.05 where the interval leaves it out.

        For a claim with a direction only that side counts: twice the one-sided probability, at most 1, so that
        0.05 stays the bar and a difference that points the wrong way is no support.

        Args:
            claim: "different", or "more" or "less" than the bound.
            bound: what the difference is held against.
        """
        gap = self.mean - bound
        t = gap / self.error if self.error else np.sign(gap) * np.inf if gap else 0.0
        sides = {"more": t, "less": -t, "different": abs(t)}
        return float(min(1.0, 2 * scipy.stats.t.sf(sides[claim], self.freedom)))


def _student(mean: float, error: float, freedom: float, seeds: int) -> Paired:
    half = error * scipy.stats.t.ppf((1 + LEVEL) / 2, freedom)
    return Paired(float(mean), float(mean - half), float(mean + half), seeds, float(error), float(freedom))


def paired(ours: Sequence[float], theirs: Sequence[float], overlap: float = 0.0) -> Paired:
    """`ours` minus `theirs`, seed by seed, with Student's interval for the mean of the differences.

    Where seeds are folds, their trainings share samples and their scores lean the same way: the variance of the mean
    is then (1/k + overlap) times that of a difference, not 1/k (Nadeau and Bengio 2003, for systems that change a
    good deal with their training samples; for steadier ones the interval is too wide, never too narrow).

    Args:
        ours: a score for each of k seeds.
        theirs: the same of the other system.
        overlap: test samples over training samples of a fold; 0 where each seed draws samples of its own.

    >>> paired([0.7, 0.8, 0.9], [0.6, 0.7, 0.7]).verdict
    'not resolved at this size'
    """
    differences = np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float)
    if differences.ndim != 1 or len(differences) < 2:
        raise ValueError(f"a paired comparison needs at least 2 seeds, found {differences.shape}")
    if not 0 <= overlap < np.inf:
        raise ValueError(f"overlap must be test samples over training samples, at least 0, found {overlap}")
    k = len(differences)
    error = differences.std(ddof=1) * np.sqrt(1 / k + overlap)
    return _student(differences.mean(), error, k - 1, k)


def average(places: Sequence[Paired]) -> Paired:
    """The mean of independent differences whose noise is unequal, with the interval of Welch and Satterthwaite.

    Seed 3 on the watch has nothing to do with seed 3 on films: their numbers are no reason to pair them.

    >>> one, two = paired([1.1, 0.9, 1.0], [0, 0, 0]), paired([4, 2, 0, 2], [0, 0, 0, 0])
    >>> round(average([one, two]).mean, 2), round(average([one, two]).freedom, 1)
    (1.5, 3.0)
    """
    if not places:
        raise ValueError("an average needs at least one place, found none")
    variances = np.array([place.error**2 for place in places])
    total, freedoms = variances.sum(), np.array([place.freedom for place in places])
    freedom = total**2 / (variances**2 / freedoms).sum() if total else freedoms.sum()
    mean, error = np.mean([place.mean for place in places]), np.sqrt(total) / len(places)
    return _student(mean, error, freedom, sum(place.seeds for place in places))


def clustered(differences: Sequence[float], clusters: Sequence[object], resamples: int = 2000, seed: int = 0) -> Paired:
    """The mean of sample by sample differences, with an interval from a bootstrap over clusters of samples.

    Samples of one person (film, word family) are alike, so persons are drawn, not samples. The percentiles are
    widened for few clusters (Hesterberg 2015, section 5.3). It sees whom the test met, not how a training went: use
    differences that are means over several trainings.

    Args:
        differences: (N,) what the answers of one system have over those of the other, sample by sample.
        clusters: (N,) whom each sample belongs to.
        resamples: how many times the clusters are drawn anew.
        seed: of the draws.
    """
    differences = np.asarray(differences, dtype=float)
    names, places = np.unique(np.asarray(clusters), return_inverse=True)
    count = len(names)
    if differences.shape != places.shape or count < 2:
        raise ValueError(f"needs at least 2 clusters and one for each difference, found {count}, {differences.shape}")
    sums, sizes = np.bincount(places, differences), np.bincount(places)
    wider = 2 * scipy.stats.norm.cdf(np.sqrt(count / (count - 1)) * scipy.stats.t.ppf((1 + LEVEL) / 2, count - 1)) - 1
    found = scipy.stats.bootstrap(
        (sums, sizes), lambda s, n, axis: s.sum(axis) / n.sum(axis), paired=True, vectorized=True, method="percentile",
        n_resamples=resamples, confidence_level=wider, batch=max(1, 1_000_000 // count), rng=seed,
    )  # fmt: skip
    low, high = map(float, found.confidence_interval)
    error = float(found.standard_error) * np.sqrt(count / (count - 1))
    return Paired(float(differences.mean()), low, high, count, float(error), count - 1.0)


# ---- many claims, many candidates ---------------------------------------------------------------------------


def holm(chances: Sequence[float]) -> np.ndarray:
    """(N,) probabilities that hold for all claims at once (Holm 1979): at most 5 % of such pages err anywhere.

    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    chances = np.asarray(chances, dtype=float)
    order = chances.argsort(kind="stable")
    stepped = np.maximum.accumulate(chances[order] * np.arange(len(chances), 0, -1))
    adjusted = np.empty_like(chances)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def benjamini_hochberg(chances: Sequence[float]) -> np.ndarray:
    """(N,) the same for the share of errors among what is called found (Benjamini and Hochberg 1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.04, 0.04]
    """
    return scipy.stats.false_discovery_control(chances) if len(chances) else np.empty(0)


def nested(valid: Sequence[Sequence[float]], test: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Each fold chooses by its own validation samples and is tested once: (k,) the choices, (k,) their test scores.

    A choice made over all folds would have seen every test sample, for the validation samples of one fold are the
    test samples of the next.

    Args:
        valid: (k, C) what each of C candidates scores in each fold's validation, higher is better.
        test: (k, C) the same in its test; one number of each row is read.
    """
    valid, test = np.asarray(valid, dtype=float), np.asarray(test, dtype=float)
    if valid.ndim != 2 or valid.shape != test.shape or not valid.size or np.isnan(valid).any():
        raise ValueError(f"needs two tables of folds by candidates without gaps, found {valid.shape}, {test.shape}")
    choices = valid.argmax(axis=1)
    return choices, test[np.arange(len(test)), choices]
