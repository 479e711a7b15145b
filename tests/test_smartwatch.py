"""The embedded recordings: shapes, people, and the numbers themselves against plain numpy."""

from functools import cache
from importlib.metadata import distribution

import numpy as np
import pytest
import torch

import mmalign
from mmalign.data import smartwatch

read = cache(smartwatch.read)


def recordings():
    path = distribution("seglearn").locate_file("seglearn/data/watch_dataset.npy")
    return np.load(path, allow_pickle=True).item()  # a test may trust what pip installed


def test_there_are_ten_people_seven_exercises_and_twenty_steps_of_six_features():
    source = read()
    assert {name: values.shape[1:] for name, values in source.features.items()} == {"acc": (20, 6), "gyro": (20, 6)}
    assert len(source.groups.unique()) == 10 and len(source.classes) == 7 and (source.lengths == 20).all()
    assert len(source.labels) == sum((len(one) - 200) // 100 + 1 for one in recordings()["X"])


def test_a_step_holds_mean_and_spread_of_ten_samples_of_three_axes():
    source, raw = read(), recordings()
    place = 0
    for recording, exercise, person in list(zip(raw["X"], raw["y"], raw["subject"], strict=True))[:5]:
        for start in range(0, len(recording) - 199, 100):
            for step in (0, 7, 19):
                ten = recording[start + 10 * step : start + 10 * step + 10]
                for name, axes in (("acc", slice(0, 3)), ("gyro", slice(3, 6))):
                    expected = [*ten[:, axes].mean(0), *ten[:, axes].std(0)]
                    assert source.features[name][place, step].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)
            assert int(source.labels[place]) == exercise and int(source.groups[place]) == person
            place += 1


@pytest.mark.parametrize("seed", range(5))
def test_nobody_stands_on_two_sides_and_sides_hold_six_two_and_two_people(seed):
    data = mmalign.load("smartwatch", survival=0.5, seed=seed)
    people = [{*data.source.groups[part.batch.ids].tolist()} for part in (data.train, data.valid, data.test)]
    assert [len(one) for one in people] == [6, 2, 2] and len(set.union(*people)) == 10


def test_five_seeds_test_everybody_once():
    tested = torch.cat([mmalign.load("smartwatch", seed=seed).test.batch.ids for seed in range(5)])
    assert sorted(tested.tolist()) == list(range(len(read().labels)))


def test_reading_warns_of_nothing_and_needs_no_file_of_ours():
    assert smartwatch.read().digest == read().digest


@pytest.mark.slow
def test_ten_seeds_can_leave_out_one_person_each():
    seen = []
    for seed in range(10):
        data = mmalign.load("smartwatch", survival=1.0, seed=seed, folds=10)
        people = [{*data.source.groups[part.samples.ids].tolist()} for part in (data.train, data.valid, data.test)]
        assert [len(one) for one in people] == [8, 1, 1] and len(set.union(*people)) == 10
        seen += people[2]
    assert len({*seen}) == 10


@pytest.mark.slow
def test_further_seeds_show_the_labels_of_others_of_the_same_eight():
    shown = {}
    for seed in range(60):
        data = mmalign.load("smartwatch", survival=1.0, seed=seed, folds=10, labelled=0.125)
        people = data.source.groups[data.train.samples.ids[data.train.samples.labelled]].unique().tolist()
        (tested,) = data.source.groups[data.test.samples.ids].unique().tolist()
        assert len(people) == 1 and len(data.valid) <= int(data.train.samples.labelled.sum())
        shown.setdefault(tested, set()).update(people)
    assert len(shown) == 10 and min(map(len, shown.values())) >= 3


@pytest.mark.parametrize("folds", [2, 11, 5.5, "ten"])
def test_folds_are_as_many_as_there_are_people_at_most(folds):
    with pytest.raises(mmalign.InputError, match="folds must be a whole number from 3 to 10"):
        mmalign.load("smartwatch", folds=folds)
