"""mm-align-plus: every term can be switched, and no control sees what it must not see."""

import math
from dataclasses import replace
from typing import get_args

import pytest
import small
import torch
import torch.nn.functional as F

import mmalign
from mmalign import InputError, MMAlignPlus, MMAlignPlusConfig
from mmalign.config import settings
from mmalign.method.plus import Teachers, Weights, value_loss

WEIGHTS, TEACHERS = get_args(Weights), get_args(Teachers)
BLIND = {"weights": "identity", "value": 0.0, "lambda_con": 0.0}
OFF = {"lambda_con": 0.0, "value": 0.0, "consistency": 0.0}


def build(data, **changes):
    tiny = {"width": 8, "fitter_width": 4, "dropout": 0.0}
    return MMAlignPlus.from_data(data, settings(MMAlignPlusConfig, tiny, **changes))


def changes_for(teacher):
    return {"teacher": teacher, **(BLIND if teacher in ("self", "mean") else {}), "warmup": int(teacher == "double")}


def joint(model, batch):
    torch.manual_seed(0)
    return model.joint_loss(1.0, batch)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("changes", [*({"weights": one} for one in WEIGHTS), *map(changes_for, TEACHERS)], ids=str)
def test_every_variant_trains_and_predicts_without_the_victim(changes, task):
    data = small.planted(survival=0.5, labelled=0.3, task=task)
    model, _ = small.train("mm-align-plus", data, model=changes)
    batch = data.test.batch
    assert batch.victim.isnan().all() and model.predict(batch).isfinite().all()
    assert model.impute(batch).shape == (len(batch), batch.visible.shape[1] + 1, 8)


@pytest.mark.parametrize(
    ("changes", "terms"),
    [
        ({}, {"label", "complete", "consistency", "contrast", "value"}),
        ({"weights": "transport"}, {"label", "complete", "consistency", "contrast", "value", "fit"}),
        ({"consistency": 0.0}, {"label", "complete", "contrast", "value"}),
        ({"weights": "learnt"}, {"label", "complete", "consistency", "contrast", "value"}),
        (changes_for("mean"), {"label", "consistency"}),
        ({**OFF, "weights": "identity"}, {"label", "complete"}),
    ],
)
def test_each_term_can_be_switched_off(changes, terms):
    data = small.planted(survival=1.0, setting="B")
    assert set(joint(build(data, **changes), data.train.batch)) == terms


@pytest.mark.parametrize("teacher", ["self", "mean"])
def test_a_control_that_sees_no_victim_never_reads_one(teacher):
    data, found = small.planted(survival=1.0, setting="B"), []
    for fill in (0.0, 1e6):
        victims = torch.full_like(data.train.batch.victim, fill)
        batch = replace(data.train.batch, features=(data.train.batch.visible, victims))
        model, parts = build(data, **changes_for(teacher)), None
        parts = joint(model.train(), batch)
        found.append([value.item() for value in parts.values()])
    assert found[0] == found[1]


def test_unlabelled_pairs_move_the_imputed_path_through_consistency_alone():
    data = small.planted(survival=1.0, setting="B")
    batch = replace(data.train.batch, labels=torch.full_like(data.train.batch.labels, math.nan))
    for consistency, moves in ((0.0, False), (1.0, True)):
        model = build(data, **{**OFF, "consistency": consistency, "weights": "identity"})
        total = sum(joint(model, batch).values())
        gradient = torch.autograd.grad(total, model.backbone.embed[0].project.weight)[0]
        assert bool(gradient.abs().sum() > 0) is moves


def test_no_gradient_of_consistency_reaches_the_teacher():
    data = small.planted(survival=1.0, setting="B")
    model = build(data, weights="identity", value=0.0)
    loss = joint(model, data.train.batch)["consistency"]
    victims = [*model.backbone.encoders[1].parameters()]
    assert all(one is None for one in torch.autograd.grad(loss, victims, allow_unused=True))


def test_the_consistency_of_classes_is_the_softened_kl_divergence():
    data = small.planted(survival=1.0, setting="B", task="classification")
    model = build(data, softening=3.0)
    answer, target = torch.randn(5, 3), torch.randn(5, 3)
    p, q = (F.softmax(logits / 3, dim=1) for logits in (target, answer))
    by_hand = 9 * (p * (p / q).log()).sum(1).mean()
    torch.testing.assert_close(model.consistency_loss(answer, target)["consistency"], by_hand)


def test_the_value_loss_is_zero_where_the_normalised_victim_is_imagined_and_padding_does_not_count():
    second, real = torch.randn(2, 5, 8), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]]).bool()
    perfect = F.layer_norm(second, (8,))
    spoilt = perfect.clone()
    spoilt[1, 3:], spoilt[:, 0] = 9, 9  # padding, and the head
    assert value_loss(perfect, second, real) == value_loss(spoilt, second, real) == 0


def test_shuffled_pairs_teach_something_else_than_true_ones():
    data = small.planted(survival=1.0, setting="B")
    true, shuffled = (joint(build(data, teacher=one), data.train.batch) for one in ("complete", "shuffled"))
    assert true["label"] == shuffled["label"] and true["consistency"] != shuffled["consistency"]


def test_identity_weights_without_a_value_projection_are_the_copy_baseline():
    data = small.planted()
    model = build(data, **OFF, weights="identity")
    copy = mmalign.Copy.from_data(data, mmalign.FillConfig(width=8, dropout=0.0))
    copy.backbone.load_state_dict(model.backbone.state_dict())
    torch.testing.assert_close(model.predict(data.test.batch), copy.predict(data.test.batch))


def test_the_mean_teacher_follows_slowly():
    data = small.planted(survival=1.0, setting="B")
    model = build(data, **changes_for("mean"), teacher_decay=0.75)
    before = model.teacher.embed[0].project.weight.clone()
    with torch.no_grad():
        model.backbone.embed[0].project.weight.add_(1)
    model.after_step(model.stages(0, 1)[0].steps[0], data.train.batch)
    torch.testing.assert_close(model.teacher.embed[0].project.weight, before + 0.25)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"teacher": "double"}, "warm-up"),
        ({"warmup": 3}, "warm-up"),
        ({"teacher": "self"}, "weights=identity"),
        ({"weights": "best"}, "weights"),
        ({"teacher": "wise"}, "teacher"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(changes, says):
    with pytest.raises(InputError, match=says):
        MMAlignPlusConfig(**changes)
