"""What `diagnose` measures, what it must not read, and what it says."""

import math
import re
from typing import ClassVar

import matplotlib.pyplot as plt
import numpy as np
import pytest
import small
import torch

import mmalign
from mmalign import InputError, diagnosis
from mmalign.config import TrainConfig
from mmalign.diagnosis import Diagnosis
from mmalign.training import History

pytestmark = pytest.mark.slow

NETWORKS = ("mm-align-plus", "single")
QUICK = TrainConfig(epochs=2)
NARROW = {"width": 8, "least": 1}  # a stage of an epoch sees each sample once
N = 40


def own(seed=0, **changes):
    """Arrays whose label stands in the victim alone."""
    draw = np.random.default_rng(seed)
    victim = draw.normal(size=(N, 4, 2))
    given = {"visible": draw.normal(size=(N, 4, 2)), "victim": victim, "labels": victim.mean((1, 2)) * 5}
    return mmalign.from_arrays(**{**given, **changes})


def found(single, double, plus, metric="mae", pairs=10, unfinished=(), constant=None, trees=None):
    worse = [3] * len(single) if metric == "mae" else [0.1] * len(single)
    scores = {"constant": constant or worse, "trees": trees or worse, "trees-both": worse}
    scores |= {"single": single, "double": double, "mm-align-plus": plus}
    return Diagnosis(metric, scores, pairs, labelled=10, whole_groups=True, unfinished=unfinished)


@pytest.fixture(scope="module")
def quick():
    """What many of the tests look at from one side or another."""
    return mmalign.diagnose(own(), QUICK, progress=False, **NARROW)


def test_only_complete_training_and_validation_samples_count_and_the_test_split_is_not_read():
    missing = np.arange(N) % 4 == 0
    data = own(missing=missing)
    with data.test.sealed("not for a diagnosis"):
        told = mmalign.diagnose(data, QUICK, progress=False, **NARROW)
    parts = (data.train.batch, data.valid.batch)
    assert told.pairs == told.labelled == sum(int(part.complete.sum()) for part in parts) < N - 8
    assert {name: len(values) for name, values in told.scores.items()} == dict.fromkeys(told.scores, 5)


def test_the_worth_of_a_victim_that_alone_knows_the_label_is_found():
    told = mmalign.diagnose(own(), TrainConfig(epochs=30, lr=2e-2), progress=False, width=16, least=1)
    assert told.room.low > 0 and not told.unfinished
    assert "imputation has nothing to learn" in told.advice


def test_hidden_labels_stay_hidden_and_their_samples_still_count_as_pairs():
    data = small.planted(survival=1.0, setting="B", labelled=0.5)
    told = mmalign.diagnose(data, QUICK, progress=False, **NARROW)
    assert (told.pairs, told.labelled) == (48, 18 + 12)


def test_folds_cut_through_groups_only_where_fewer_than_five_have_a_label():
    few, many = (own(groups=np.arange(N) % groups) for groups in (5, 10))
    assert not mmalign.diagnose(few, QUICK, progress=False, **NARROW).whole_groups
    assert mmalign.diagnose(many, QUICK, progress=False, **NARROW).whole_groups


def test_the_same_call_measures_the_same(quick):
    again = mmalign.diagnose(own(), QUICK, progress=False, **NARROW)
    assert again.scores == quick.scores and again.advice == quick.advice


def test_a_setting_that_none_of_the_three_has_is_named():
    with pytest.raises(ValueError, match="none of single, double, mm-align-plus has a field 'epochs'"):
        mmalign.diagnose(own(), QUICK, epochs=3)


def test_a_setting_that_one_of_the_three_has_is_its_own():
    plus, single = (diagnosis._with_its_own(diagnosis.TRAINED[name], {"width": 8, "least": 7}) for name in NETWORKS)
    assert (plus.width, plus.least, single.width) == (8, 7, 8)


def test_labels_in_the_place_of_the_training_are_told_where_they_go():
    data = small.planted()
    with pytest.raises(InputError, match="train must be a TrainConfig, found Tensor; labels are given as labels="):
        mmalign.diagnose(data, data.train.batch.labels)


def test_too_few_labelled_pairs_are_refused():
    data = own(unlabelled=np.arange(N) > 4)  # one of those five is tested
    with pytest.raises(ValueError, match="at least 5 complete samples with a label, found 4"):
        mmalign.diagnose(data, QUICK)


WIDE = ([1, 2, 3], [0.5, 3, 2.4], [1, 2.1, 3])


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        (found([1, 2, 3], [1, 2, 3], [1, 2, 3]), "worth less than 0.06: leave it out"),
        (found([1, 2, 3], [1.2, 2.2, 3.2], [1, 2, 3]), "leave it out"),
        (found(*WIDE), "Not resolved whether the victim is worth anything"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [1, 2.1, 3]), "with every label known imputation has nothing to learn"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [1, 2.01, 3], pairs=90), "gains nothing here"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [0.5, 2.5, 3], pairs=90), "not resolved whether imputation gains"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [0.7, 1.6, 2.6]), "use mm-align-plus"),
        (found([0.5, 0.6], [0.5, 0.6], [0.9, 0.9], metric="accuracy"), "worth less than 0.02: leave it out"),
        (found([0.5, 0.6], [0.8, 0.91], [0.7, 0.81], metric="accuracy"), "use mm-align-plus"),
        (found([0.5, 0.6], [0.8, 0.91], [0.7, 0.81], "accuracy", unfinished=("single",)), "Not resolved: single still"),
    ],
)
def test_the_advice_follows_the_intervals_and_says_where_they_allow_none(told, advice):
    assert advice in told.advice
    assert str(told).endswith(told.advice) and str(told).count("\n") == 5 + len(told.warnings)
    assert told.advice.split(":")[0] in told._repr_html_()


def test_how_many_labels_would_decide_follows_from_the_width_of_the_interval():
    told = found(*WIDE)
    half = (told.room.high - told.room.low) / 2
    assert told.factor(told.room) == pytest.approx((half / max(told.room.mean, told.small - told.room.mean)) ** 2)
    assert told.factor(told.room) > 1
    sure = found([1, 2, 3], [0.5, 1.4, 2.4], [0.7, 1.6, 2.6])
    assert sure.factor(sure.room) == 1


def test_pairs_without_labels_are_counted_by_the_rule_of_the_chapter():
    assert found([1, 2], [1, 2], [1, 2], pairs=40).share == 0.75  # 1 - 10 / 40


def test_training_that_ends_while_it_still_gets_better_is_told():
    data = own(labels=np.random.default_rng(0).normal(size=(N, 4, 2)).mean((1, 2)) * 5)
    slow = mmalign.diagnose(own(), TrainConfig(epochs=6, lr=1e-2), progress=False, **NARROW)
    assert slow.unfinished == ("double",) and "double still got better when training ended" in slow.advice
    assert not mmalign.diagnose(data, TrainConfig(epochs=40, patience=3, lr=1e-1), progress=False, **NARROW).unfinished


def test_a_network_worse_than_a_constant_or_than_trees_is_told():
    worse = found([2, 2.1, 2.2], [2, 2.1, 2.2], [2, 2.1, 2.2], constant=[1, 1.1, 1.2])
    assert "a constant beats the network" in str(worse)
    trees = found([2, 2.1, 2.2], [2, 2.1, 2.2], [2, 2.1, 2.2], trees=[1, 1.1, 1.2])
    assert "trees beat the network" in str(trees)


def test_constants_and_trees_are_measured_on_the_same_folds(quick):
    mean = {name: np.mean(values) for name, values in quick.scores.items()}
    assert {"constant", "trees", "trees-both"} <= {*mean}
    assert mean["trees-both"] < 0.7 * mean["trees"]  # the label is the victim's mean
    assert abs(mean["trees"] - mean["constant"]) < 0.5 * mean["constant"]


def test_pairs_are_diagnosed_as_arrays_are():
    draw = np.random.default_rng(0)
    first, second = draw.normal(size=(N, 4, 2)), draw.normal(size=(N, 4, 2))
    labels = second.mean((1, 2)) * 5
    second[::4] = np.nan
    told = mmalign.diagnose(mmalign.Pairs(first, second), QUICK, progress=False, labels=labels, **NARROW)
    assert told.pairs == told.labelled == N - 10
    with pytest.raises(ValueError, match="diagnose needs labels= beside pairs"):
        mmalign.diagnose(mmalign.Pairs(first, second))
    with pytest.raises(ValueError, match="none of 40 pairs is complete"):
        mmalign.diagnose(mmalign.Pairs(first), labels=labels)


class Clock:
    """Seconds that trainings cost: an epoch of each network has its price, the halves of mm-align-plus two."""

    prices: ClassVar = {"Constant": (0, 0), "Trees": (1, 1), "TreesBoth": (1, 1)}
    prices |= {"Single": (2, 2), "Double": (4, 4), "MMAlignPlus": (12, 6)}

    def __init__(self, spared=1.0):
        self.now, self.first, self.spared = 0.0, True, spared

    def perf_counter(self):
        return self.now

    def fit(self, system, data, train, progress):
        """Nothing is trained; the first time a compiler is waited for, which is no training."""
        self.now += 20 * self.first
        self.first = False
        name = type(system).__name__
        epochs = math.ceil(train.epochs * (self.spared if train.epochs > 2 and name in ("Single", "Double") else 1))
        costs = [self.prices[name][2 * epoch >= train.epochs] for epoch in range(epochs)]
        self.now += sum(costs)
        return History([{"seconds": cost, "valid": {"mae": 1.0}} for cost in costs])

    def evaluate(self, system, split):
        self.now += 0.5
        return {"mae": 1.0}


def foretold(monkeypatch, capsys, train, clock, **more):
    """What is said of the time before the first training, and after the first fold; and the time that it takes."""
    monkeypatch.setattr(diagnosis, "time", clock)
    monkeypatch.setattr(diagnosis, "fit", clock.fit)
    monkeypatch.setattr(diagnosis, "evaluate", clock.evaluate)
    seconds = mmalign.diagnose(own(), train, width=8, **more).seconds
    return [float(one) for one in re.findall(r"about (\d+) s in all", capsys.readouterr().err)], seconds


@pytest.mark.parametrize("epochs", [3, 40])
def test_the_time_is_foretold_before_the_first_training(capsys, monkeypatch, epochs):
    (before, after), seconds = foretold(monkeypatch, capsys, TrainConfig(epochs=epochs), Clock())
    assert seconds / 1.1 < after < 1.1 * seconds and seconds / 1.2 < before < 1.2 * seconds


def test_trainings_that_end_early_take_less_than_was_foretold_at_most_and_what_the_first_fold_says(capsys, monkeypatch):
    (before, after), seconds = foretold(monkeypatch, capsys, TrainConfig(epochs=40), Clock(spared=0.5))
    assert seconds < before < 1.5 * seconds and seconds / 1.1 < after < 1.1 * seconds


def test_a_short_diagnosis_and_one_that_nobody_watches_say_nothing(capsys, monkeypatch):
    quick = Clock()
    quick.prices = dict.fromkeys(Clock.prices, (0.1, 0.1))
    assert foretold(monkeypatch, capsys, TrainConfig(epochs=3), quick)[0] == []
    assert foretold(monkeypatch, capsys, TrainConfig(epochs=40), Clock(), progress=False)[0] == []


def test_to_foretell_the_time_changes_no_score(quick):
    assert mmalign.diagnose(own(), QUICK, **NARROW).scores == quick.scores


def test_the_table_and_the_plot_show_every_answer(quick):
    assert [*quick.table().index] == [*quick.scores] and np.isnan(quick.table().loc["single", "gain"])
    ax = quick.plot()
    assert [label.get_text() for label in ax.get_yticklabels()] == ["trees", "trees-both", "double", "mm-align-plus"]
    plt.close(ax.figure)


def test_samples_whose_label_nobody_knows_train_and_are_never_scored():
    unlabelled = np.arange(N) % 2 == 0
    labels = np.where(unlabelled, np.nan, 1.0 * np.arange(N))
    data = own(labels=labels, unlabelled=unlabelled)
    assert int((~data.train.batch.labelled).sum()) == unlabelled.sum()
    assert data.valid.batch.labelled.all() and data.test.batch.labelled.all()
    for name in ("single", "mm-align", "mm-align-plus", "scale"):
        system, _ = small.train(name, data, epochs=2)
        assert np.isfinite(mmalign.evaluate(system, data.test)["mae"])


def test_an_unlabelled_sample_of_somebody_who_is_tested_is_left_out():
    unlabelled = np.arange(N) % 2 == 0
    groups = np.arange(N) // 4
    data = own(unlabelled=unlabelled, groups=groups)
    sides = [set(groups[part.batch.ids].tolist()) for part in (data.train, data.valid, data.test)]
    assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    assert sum(len(part) for part in (data.train, data.valid, data.test)) == N - 4 * 2


def test_classes_under_any_name_may_be_unknown():
    labels = np.where(np.arange(N) % 2 == 0, "", np.where(np.arange(N) % 4 == 1, "walk", "run"))
    data = mmalign.from_arrays(
        np.zeros((N, 4, 2)), np.zeros((N, 4, 2)), labels, unlabelled=labels == "", task="classification"
    )
    assert data.source.classes == ("run", "walk")
    assert set(data.train.batch.labels.tolist()) == {-1, 0, 1}
    assert data.source.describe()["labels"].endswith("; 20 without")


@pytest.mark.parametrize(
    ("unlabelled", "message"),
    [
        (np.ones(N, bool), "0 samples have a label, of 40"),
        (np.zeros(N), "unlabelled must be 40 booleans, found float64"),
        (np.arange(N) > 3, "five folds need at least 5 labelled samples or groups, found 4"),
    ],
)
def test_what_cannot_be_split_is_refused(unlabelled, message):
    with pytest.raises(ValueError, match=message):
        own(unlabelled=unlabelled)


def test_nan_labels_without_that_mark_are_still_an_error():
    with pytest.raises(ValueError, match="must be finite"):
        own(labels=np.full(N, np.nan))
    assert torch.isnan(own(unlabelled=np.arange(N) == 0).source.labels[0])
