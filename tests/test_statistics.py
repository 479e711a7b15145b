"""Intervals cover what they claim to cover, and corrections are what their authors wrote down."""

import numpy as np
import pytest
from scipy import stats

from mmalign.experiments.statistics import average, benjamini_hochberg, clustered, holm, nested, paired


def coverage(intervals, truth=0.0):
    """The share of the intervals that hold the truth."""
    return np.mean([one.low <= truth <= one.high for one in intervals])


def nominal(share):
    """Whether it is what an interval of 95 % promises, as far as 2000 repetitions can tell."""
    return 0.93 <= share <= 0.97


# ---- over seeds -------------------------------------------------------------------------------------------------


def test_the_interval_is_students_for_the_mean_of_the_differences():
    ours, theirs = [0.71, 0.80, 0.93, 0.60], [0.62, 0.70, 0.75, 0.61]
    found, known = paired(ours, theirs), stats.ttest_rel(ours, theirs)
    expected = known.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high)) and found.seeds == 4
    assert found.mean == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert found.p() == pytest.approx(known.pvalue)


def test_swapping_the_two_mirrors_the_answer():
    ours, theirs = [0.7, 0.8, 0.9], [0.4, 0.51, 0.6]
    first, second = paired(ours, theirs), paired(theirs, ours)
    assert (first.verdict, second.verdict) == ("higher", "lower")
    assert (first.mean, first.low, first.high) == pytest.approx((-second.mean, -second.high, -second.low))
    assert first.p("more") == pytest.approx(second.p("less"))


def test_what_is_common_to_a_seed_does_not_widen_the_interval():
    ours, theirs, seeds = np.array([0.7, 0.8, 0.9]), np.array([0.4, 0.51, 0.6]), np.array([5.0, -3.0, 1.0])
    assert paired(ours + seeds, theirs + seeds) == pytest.approx(paired(ours, theirs))


@pytest.mark.parametrize(("ours", "theirs"), [([1.0], [2.0]), ([], [])])
def test_one_seed_is_no_comparison(ours, theirs):
    with pytest.raises(ValueError, match="at least 2 seeds"):
        paired(ours, theirs)


def test_a_probability_says_what_the_interval_says():
    draw = np.random.default_rng(0)
    for one in (paired(draw.normal(0.7, 1, 6), np.zeros(6), overlap) for overlap in (0.0, 0.3) for _ in range(100)):
        assert (one.p() <= 0.05) == (one.low >= 0 or one.high <= 0)
        assert (one.p("more") <= 0.05) == (one.low >= 0) and (one.p("less") <= 0.05) == (one.high <= 0)
        assert (one.p("less", 0.5) <= 0.05) == (one.high <= 0.5)
        assert one.p("more") == 1 or one.p("less") == 1  # what points the wrong way is no support


def test_differences_that_never_vary_leave_nothing_to_chance():
    assert paired([2, 2, 2], [1, 1, 1]).p() == 0 and paired([1, 1], [1, 1]).p() == 1
    assert paired([2, 2], [1, 1]).p("less") == 1
    same = paired([1, 1], [1, 1])
    assert (same.low, same.high, same.verdict) == (0, 0, "not resolved at this size")


# ---- over folds that share samples --------------------------------------------------------------------------


def nearest(x, y, new):
    """The label of the nearest training sample: it changes with them as much as any learner does."""
    return y[((new[:, None] - x[None]) ** 2).sum(2).argmin(1)]


def ridge(x, y, new):
    """A steady learner."""
    return new @ np.linalg.solve(x.T @ x + 0.001 * np.eye(x.shape[1]), x.T @ y)


def cross_validation(draw, learner, held_back):
    """Differences of two learners that are equally good by symmetry, fold by fold: each sees half of the features."""
    label = draw.integers(0, 2, 60)
    x = draw.normal(size=(60, 10)) + 0.6 * label[:, None]
    parts = np.array_split(draw.permutation(60), 5)
    for place, test in enumerate(parts):
        left_out = {place, (place + 1) % 5} if held_back else {place}
        train = np.concatenate([part for other, part in enumerate(parts) if other not in left_out])
        errors = [(learner(x[train][:, h], label[train], x[test][:, h]) - label[test]) ** 2 for h in HALVES]
        yield (errors[0] - errors[1]).mean()


HALVES = (slice(0, 5), slice(5, 10))


@pytest.mark.slow
@pytest.mark.parametrize(("held_back", "overlap"), [(False, 1 / 4), (True, 1 / 3)])
def test_over_folds_the_corrected_interval_covers_and_the_plain_one_does_not(held_back, overlap):
    draw = np.random.default_rng(1)
    runs = [[*cross_validation(draw, nearest, held_back)] for _ in range(2000)]
    zeros = np.zeros(5)
    assert nominal(coverage(paired(run, zeros, overlap) for run in runs))
    assert coverage(paired(run, zeros) for run in runs) < 0.91


@pytest.mark.slow
def test_for_a_steady_learner_the_corrected_interval_is_too_wide_and_not_too_narrow():
    draw = np.random.default_rng(2)
    runs = [[*cross_validation(draw, ridge, True)] for _ in range(1000)]
    assert coverage(paired(run, np.zeros(5), 1 / 3) for run in runs) > 0.97


def test_the_correction_is_that_of_the_variance_alone():
    plain, corrected = (paired([3, 1, 2, 5, 4], np.zeros(5), overlap) for overlap in (0.0, 1 / 3))
    assert corrected.mean == plain.mean and corrected.freedom == plain.freedom == 4
    assert (corrected.high - corrected.mean) / (plain.high - plain.mean) == pytest.approx(np.sqrt(1 + 5 / 3))


def test_an_overlap_below_0_is_refused():
    with pytest.raises(ValueError, match="overlap"):
        paired([1, 2], [0, 0], -0.1)


# ---- over places ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("spreads", [(1, 1), (1, 6), (1, 3, 9)])
def test_over_places_of_unequal_noise_the_interval_covers(spreads):
    draw = np.random.default_rng(3)

    def place(spread, seeds):
        return paired(draw.normal(1.0, spread, seeds), np.zeros(seeds))

    found = [average([place(spread, 5 + 3 * at) for at, spread in enumerate(spreads)]) for _ in range(2000)]
    assert nominal(coverage(found, truth=1.0))


def test_two_places_are_welchs_test():
    """Half the sum of two means, one with its sign turned, is half of what Welch's test is about."""
    one, two = [1.0, 2.5, 3.0, 2.0], [0.5, 9.0, -4.0, 2.0, 7.0]
    found = average([paired(one, np.zeros(4)), paired(np.negative(two), np.zeros(5))])
    known = stats.ttest_ind(one, two, equal_var=False)
    assert (found.freedom, found.p()) == pytest.approx((known.df, known.pvalue))
    assert (2 * found.low, 2 * found.high) == pytest.approx(tuple(known.confidence_interval(0.95)))


def test_one_place_is_itself_and_none_is_refused():
    one = paired([1.0, 2.5, 3.0], [0, 0, 0], 0.3)
    assert average([one]) == pytest.approx(one)
    with pytest.raises(ValueError, match="at least one place"):
        average([])


# ---- over people ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 40])
def test_over_people_the_bootstrap_covers_where_one_over_samples_does_not(count):
    draw = np.random.default_rng(4)
    found, naive = [], []
    for _ in range(600):
        sizes = draw.integers(5, 30, count)
        people = np.repeat(np.arange(count), sizes)
        values = draw.normal(0, 0.5, count)[people] + draw.normal(0, 1, len(people))
        found.append(clustered(values, people, resamples=400))
        naive.append(paired(values, np.zeros(len(values))))
    assert nominal(coverage(found)) and coverage(naive) < 0.75


def test_people_may_have_any_names_and_stand_in_any_order():
    draw = np.random.default_rng(5)
    people, values = np.repeat(["ann", "ben", "cleo"], [3, 2, 4]), draw.normal(size=9)
    order = draw.permutation(9)
    one, other = clustered(values, people), clustered(values[order], people[order])
    assert one == pytest.approx(other) and one.seeds == 3 and one.mean == pytest.approx(values.mean())


def test_one_person_is_no_sample_of_people():
    with pytest.raises(ValueError, match="at least 2 clusters"):
        clustered([1.0, 2.0], [0, 0])


# ---- many claims, many candidates ------------------------------------------------------------------------------


def by_definition(chances):
    """Holm and Benjamini-Hochberg from their rejections: the smallest level at which each claim still counts."""
    chances = np.asarray(chances)
    levels = np.unique(
        np.concatenate(
            [chances * k for k in range(1, len(chances) + 1)]
            + [chances * len(chances) / k for k in range(1, len(chances) + 1)]
            + [[1.0]]
        )
    )
    strict, loose = np.ones(len(chances)), np.ones(len(chances))
    order = chances.argsort(kind="stable")
    for level in levels[levels <= 1][::-1] + 1e-12:
        down = 0  # Holm goes on until the first that fails
        while down < len(chances) and chances[order[down]] <= level / (len(chances) - down):
            down += 1
        strict[order[:down]] = level
        held = [k for k in range(1, len(chances) + 1) if chances[order[k - 1]] <= k * level / len(chances)]
        loose[order[: max(held, default=0)]] = level
    return strict, loose


@pytest.mark.parametrize("seed", range(5))
def test_corrected_probabilities_are_those_of_the_procedures(seed):
    chances = np.random.default_rng(seed).uniform(0, 1, 9) ** 3
    strict, loose = by_definition(chances)
    np.testing.assert_allclose(holm(chances), strict, atol=1e-9)
    np.testing.assert_allclose(benjamini_hochberg(chances), loose, atol=1e-9)


def test_no_claims_need_no_correction():
    assert len(holm([])) == len(benjamini_hochberg([])) == 0


def test_of_pages_without_any_truth_one_in_twenty_names_something_after_holm():
    draw = np.random.default_rng(6)
    named = [holm(draw.uniform(size=20)).min() <= 0.05 for _ in range(4000)]
    assert 0.04 < np.mean(named) < 0.06


def test_a_choice_within_each_fold_is_unbiased_and_one_by_the_test_is_not():
    draw = np.random.default_rng(7)
    valid, test = draw.normal(size=(2, 20_000, 8))
    choices, scores = nested(valid, test)
    assert abs(scores.mean()) < 0.03 < 1.3 < test.max(1).mean()
    assert (valid[np.arange(len(valid)), choices] == valid.max(1)).all()


def test_tables_that_disagree_are_refused():
    with pytest.raises(ValueError, match="folds by candidates"):
        nested([[1, 2]], [[1, 2, 3]])
