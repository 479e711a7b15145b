"""What `diagnose` measures, what it must not read, and what it says."""

import numpy as np
import pytest
import small
import torch

import mmalign
from mmalign.config import TrainConfig
from mmalign.diagnosis import Diagnosis

QUICK = TrainConfig(epochs=2)
N = 40


def own(seed=0, **changes):
    """Arrays whose label stands in the victim alone."""
    draw = np.random.default_rng(seed)
    victim = draw.normal(size=(N, 4, 2))
    given = {"visible": draw.normal(size=(N, 4, 2)), "victim": victim, "labels": victim.mean((1, 2)) * 5}
    return mmalign.from_arrays(**{**given, **changes})


def found(single, double, plus, metric="mae", pairs=10):
    scores = {"single": single, "double": double, "mm-align-plus": plus}
    return Diagnosis(metric, scores, pairs, labelled=10, whole_groups=True)


def test_only_complete_training_and_validation_samples_count_and_the_test_split_is_not_read():
    missing = np.arange(N) % 4 == 0
    data = own(missing=missing)
    with data.test.sealed("not for a diagnosis"):
        told = mmalign.diagnose(data, QUICK, progress=False, width=8)
    parts = (data.train.batch, data.valid.batch)
    assert told.pairs == told.labelled == sum(int(part.complete.sum()) for part in parts) < N - 8
    assert {name: len(values) for name, values in told.scores.items()} == dict.fromkeys(told.scores, 5)


def test_the_worth_of_a_victim_that_alone_knows_the_label_is_found():
    told = mmalign.diagnose(own(), TrainConfig(epochs=20, lr=2e-2), progress=False, width=16)
    assert told.room.low > 0
    assert "imputation gains none" in told.advice


def test_hidden_labels_stay_hidden_and_their_samples_still_count_as_pairs():
    data = small.planted(survival=1.0, setting="B", labelled=0.5)
    told = mmalign.diagnose(data, QUICK, progress=False, width=8)
    assert (told.pairs, told.labelled) == (48, 18 + 12)


def test_folds_cut_through_groups_only_where_fewer_than_five_have_a_label():
    few, many = (own(groups=np.arange(N) % groups) for groups in (5, 10))
    assert not mmalign.diagnose(few, QUICK, progress=False, width=8).whole_groups
    assert mmalign.diagnose(many, QUICK, progress=False, width=8).whole_groups


def test_the_same_call_measures_the_same():
    first, second = (mmalign.diagnose(own(), QUICK, progress=False, width=8) for _ in range(2))
    assert first == second


def test_a_setting_that_none_of_the_three_has_is_named():
    with pytest.raises(ValueError, match="no field 'epochs'"):
        mmalign.diagnose(own(), QUICK, epochs=3)


def test_too_few_labelled_pairs_are_refused():
    data = own(unlabelled=np.arange(N) > 4)  # one of those five is tested
    with pytest.raises(ValueError, match="at least 5 complete samples with a label, found 4"):
        mmalign.diagnose(data, QUICK)


@pytest.mark.parametrize(
    ("told", "advice"),
    [
        (found([1, 2, 3], [1, 2.1, 3], [1, 2, 3.1]), "leave it out"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [1, 2.1, 3]), "measure the victim at test"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [1, 2.1, 3], pairs=90), "bring more pairs"),
        (found([1, 2, 3], [0.5, 1.4, 2.4], [0.7, 1.6, 2.6]), "use mm-align-plus"),
        (found([0.5, 0.6], [0.5, 0.6], [0.9, 0.9], metric="accuracy"), "leave it out"),
        (found([0.5, 0.6], [0.8, 0.91], [0.7, 0.81], metric="accuracy"), "use mm-align-plus"),
    ],
)
def test_the_advice_follows_the_intervals(told, advice):
    assert advice in told.advice
    assert str(told).count("\n") == 3


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
