"""Late fusion: models that never meet before they are averaged."""

from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign.data import Split
from mmalign.neighbours.senses import fuse, only

STILL = {"encoder_dropout": 0.0}


def test_what_is_present_weighs_the_same_and_what_is_absent_nothing():
    data = small.planted(setting="R", pair=("first", "second", "third"))
    model = small.build("late-fusion", data).eval()
    batch = replace(data.train.batch.rows(torch.arange(3)), present=torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0]]) > 0)
    expected = torch.tensor([[1 / 3, 1 / 3, 1 / 3], [0.5, 0, 0.5], [0, 1, 0]])
    torch.testing.assert_close(model.weights(batch), expected)


def test_the_answer_is_the_mean_of_what_each_modality_would_say_alone():
    data = small.planted(setting="R", task="classification")
    model, batch = small.build("late-fusion", data).eval(), data.train.batch
    alone = model.alone(batch)  # (B, M, K)
    assert alone.isnan().all(2).equal(~batch.present)
    torch.testing.assert_close(model.predict(batch), alone.nanmean(1))
    torch.testing.assert_close(model.predict(only(batch, 1))[batch.present[:, 1]], alone[batch.present[:, 1], 1])


def test_a_fused_answer_reads_nothing_at_weight_zero():
    answers, weights = torch.tensor([[1.0, torch.nan], [1.0, 3.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert fuse(answers, weights).tolist() == [1.0, 2.0]
    assert fuse(answers[:, :, None], weights).tolist() == [[1.0], [2.0]]


def after_one_epoch(data, training):
    model, _ = small.train("late-fusion", data, model={"training": training, **STILL}, epochs=1)
    return {name: small.copied(members) for name, members in model.groups().items()}


@pytest.mark.parametrize("training", ["separate", "joint"])
def test_a_modality_learns_the_same_whatever_happens_to_another_unless_trained_jointly(training):
    data = small.planted(survival=0.5)
    spoilt = replace(data.train.batch, features=(data.train.batch.visible, data.train.batch.victim.flip(1)))
    ours, theirs = (after_one_epoch(one, training) for one in (data, replace(data, train=Split(spoilt))))
    assert small.same_weights(ours["first"], theirs["first"]) == (training == "separate")
    assert not small.same_weights(ours["second"], theirs["second"])


def test_a_batch_that_lacks_a_modality_moves_nothing_of_it():
    data = small.planted(survival=1.0, setting="B")
    present = data.train.batch.present.clone()
    present[:, 1] = False
    model = small.build("late-fusion", data)
    before = small.copied(model.groups()["second"])
    some = replace(data, train=Split(replace(data.train.batch, present=present)))
    mmalign.fit(model, some, mmalign.TrainConfig(epochs=2), progress=False)
    assert small.same_weights(before, model.groups()["second"])
