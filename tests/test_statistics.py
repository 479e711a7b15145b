"""Paired comparison."""

import numpy as np
import pytest
from scipy import stats

from mmalign.experiments.statistics import paired


def test_the_interval_is_students_for_the_mean_of_the_differences():
    ours, theirs = [0.71, 0.80, 0.93, 0.60], [0.62, 0.70, 0.75, 0.61]
    found = paired(ours, theirs)
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high)) and found.seeds == 4
    assert found.mean == pytest.approx(np.mean(ours) - np.mean(theirs))


def test_swapping_the_two_mirrors_the_answer():
    ours, theirs = [0.7, 0.8, 0.9], [0.4, 0.51, 0.6]
    first, second = paired(ours, theirs), paired(theirs, ours)
    assert (first.verdict, second.verdict) == ("higher", "lower")
    assert (first.mean, first.low, first.high) == pytest.approx((-second.mean, -second.high, -second.low))


def test_what_is_common_to_a_seed_does_not_widen_the_interval():
    ours, theirs, seeds = np.array([0.7, 0.8, 0.9]), np.array([0.4, 0.51, 0.6]), np.array([5.0, -3.0, 1.0])
    assert paired(ours + seeds, theirs + seeds) == pytest.approx(paired(ours, theirs))


@pytest.mark.parametrize(("ours", "theirs"), [([1.0], [2.0]), ([], [])])
def test_one_seed_is_no_comparison(ours, theirs):
    with pytest.raises(ValueError, match="at least 2 seeds"):
        paired(ours, theirs)
