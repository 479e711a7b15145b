"""mm-align-plus: every part can be switched, and no control sees what it must not see."""

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
from mmalign.data import Split
from mmalign.method.mixing import KNOWN, Weights
from mmalign.method.plus import SEEING, Teachers

WEIGHTS, TEACHERS = get_args(Weights), get_args(Teachers)
TINY = {"width": 8, "dropout": 0.0, "least": 1}


def build(data, **changes):
    return MMAlignPlus.from_data(data, settings(MMAlignPlusConfig, TINY, **changes))


def pairs(**options):
    return small.planted(survival=1.0, setting="B", **options)


def steps(model, epoch, epochs):
    return [step.name for stage in model.stages(epoch, epochs) for step in stage.steps]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize(
    "changes",
    [
        *({"weights": one} for one in WEIGHTS),
        *({"teacher": one} for one in TEACHERS),
        {"imagined": False},
        {"translator_layers": 0},
        {"distil": 0.0},
        {"weights": "transport", "space": False},
    ],
    ids=str,
)
def test_every_variant_trains_and_predicts_without_the_victim(changes, task):
    data = small.planted(survival=0.5, labelled=0.3, task=task)
    model, _ = small.train("mm-align-plus", data, model=changes)
    batch = data.test.batch
    assert batch.victim.isnan().all() and model.predict(batch).isfinite().all()
    if model.config.imagines:
        assert model.impute(batch).shape == (len(batch), batch.visible.shape[1] + 1, 8)


# ---- the order of things ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "before", "after"),
    [
        ({}, ["translate", "teach"], ["student"]),
        ({"weights": "transport"}, ["space", "fit", "translate", "teach"], ["student"]),
        ({"weights": "one-sided"}, ["space", "fit", "translate", "teach"], ["student"]),
        ({"weights": "transport", "space": False}, ["fit", "translate", "teach"], ["student"]),
        ({"imagined": False}, ["teach"], ["student"]),
        ({"teacher": "mean"}, ["student"], ["student"]),
    ],
)
def test_what_needs_no_student_comes_first(changes, before, after):
    model = build(pairs(), **changes)
    assert steps(model, 0, 10) == before and steps(model, 5, 10) == steps(model, 9, 10) == after


def test_a_single_epoch_holds_both_halves():
    assert steps(build(pairs()), 0, 1) == ["translate", "teach", "student"]


def test_the_learning_rate_falls_to_the_end_of_each_half():
    model = build(pairs())
    paces = [model.stages(epoch, 8)[0].steps[0].pace for epoch in range(8)]
    assert paces == [2, 1.5, 1, 0.5, 1, 0.75, 0.5, 0.25]


@pytest.mark.parametrize(
    ("changes", "preparing", "turns"),
    [
        ({}, 0, {5: ("teacher", "backbone")}),
        ({"imagined": False}, 5, {}),  # a student that is nobody yet cannot be judged, nor its teacher
        ({"chosen": "last"}, 9, {}),
        ({"teacher": "mean"}, 0, {}),
    ],
)
def test_validation_chooses_a_teacher_and_then_a_student(changes, preparing, turns):
    model = build(pairs(), **changes)
    assert model.preparing(10) == preparing and model.turns(10) == turns


def test_the_student_begins_as_the_teacher_that_validation_liked_best(monkeypatch):
    """The losses are foretold: the teacher's second is the best of all epochs, the student's second the best of its."""
    data, seen, foretold = pairs(), [], iter([3.0, 1.0, 2.0, 5.0, 4.0, 5.0])
    monkeypatch.setattr(mmalign.training, "validate", lambda *_: (next(foretold), {}))
    model = build(data, least=1)

    def look(system, history):
        seen.append({name: value.clone() for name, value in system.state_dict().items()})

    history = mmalign.fit(model, data, mmalign.TrainConfig(epochs=6), progress=False, callbacks=[look])
    teachers = [{name: value for name, value in state.items() if name.startswith("teacher")} for state in seen]
    assert not small.same_weights(teachers[1], teachers[2])
    assert all(small.same_weights(teachers[1], later) for later in teachers[3:])
    assert history.best_epoch == 4 and small.same_weights(model.state_dict(), seen[4])


@pytest.mark.parametrize("rounds", [1, 5, 15])
def test_where_validation_chooses_the_teachers_passes_grow_and_are_no_more_in_all(rounds):
    model, evenly = (build(pairs(), least=36 * rounds, chosen=chosen) for chosen in ("validation", "last"))
    passes = [steps(model, epoch, 40).count("teach") for epoch in range(20)]
    assert passes[0] == 1 and {steps(evenly, epoch, 40).count("teach") for epoch in range(20)} == {rounds}
    assert all(sum(passes[:number]) <= number * rounds for number in range(20)) and sum(passes) == 20 * rounds


@pytest.mark.parametrize(("least", "rounds"), [(1, 1), (36, 1), (37, 2), (360, 10)])
def test_few_samples_are_gone_over_more_than_once_an_epoch(least, rounds):
    model = build(pairs(), least=least)  # 36 samples
    assert len(model.stages(9, 10)) == rounds


def test_a_few_labels_are_gone_over_a_third_as_long_as_the_pairs():
    model = build(pairs(samples=600, labelled=0.1), chosen="last")  # 360 pairs, 36 labelled
    assert steps(model, 0, 2) == ["translate"] + 4 * ["teach"]


def test_the_student_starts_as_the_teacher():
    data = pairs()
    model = build(data)
    mmalign.fit(model, data, mmalign.TrainConfig(epochs=1), progress=False)
    assert not small.same_weights(model.backbone.state_dict(), model.teacher.state_dict())
    model.after_step(next(step for stage in model.stages(0, 2) for step in stage.steps if step.name == "teach"), None)
    assert small.same_weights(model.backbone.state_dict(), model.teacher.state_dict())


# ---- the losses ---------------------------------------------------------------------------------------


def test_an_unlabelled_pair_teaches_the_student_by_the_teachers_answer_alone():
    data = pairs()
    batch = replace(data.train.batch, labels=torch.full_like(data.train.batch.labels, math.nan))
    for distil, moves in ((0.0, False), (1.0, True)):
        model = build(data, distil=distil)
        total = sum(model.student_loss(batch).values())
        gradient = torch.autograd.grad(total, model.backbone.embed[0].project.weight)[0]
        assert bool(gradient.abs().sum() > 0) is moves


def test_every_sample_weighs_the_same_whether_others_are_labelled_or_not():
    data = pairs()
    model, batch = build(data, distil=0.0).eval(), data.train.batch
    alone = model.student_loss(batch.rows(torch.arange(9)))["label"]
    labels = batch.labels.clone()
    labels[9:] = math.nan
    torch.testing.assert_close(model.student_loss(replace(batch, labels=labels))["label"], alone * 9 / len(batch))


def test_the_distance_of_classes_is_the_softened_kl_divergence():
    model = build(pairs(task="classification"), softening=3.0)
    answer, target = torch.randn(5, 3), torch.randn(5, 3)
    p, q = (F.softmax(logits / 3, dim=1) for logits in (target, answer))
    torch.testing.assert_close(model.distance(answer, target), 9 * (p * (p / q).log()).sum(1).mean())


@pytest.mark.parametrize("teacher", ["self", "mean"])
def test_a_control_that_sees_no_victim_never_reads_one(teacher):
    data, found = pairs(), []
    for fill in (0.0, 1e6):
        train = data.train.batch
        train = Split(replace(train, features=(train.visible, torch.full_like(train.victim, fill))))
        model, _ = small.train("mm-align-plus", replace(data, train=train), model={"teacher": teacher})
        batch = data.test.batch
        found.append(model.predict(replace(batch, features=(batch.visible, torch.full_like(batch.victim, fill)))))
    assert found[0].equal(found[1])


def test_a_shuffle_of_the_answers_leaves_teacher_and_translator_alone():
    data = pairs()
    models = [build(data, teacher=one) for one in ("complete", "answers-shuffled", "shuffled")]
    batch = data.train.batch
    for loss, same in (("translation_loss", True), ("teaching_loss", True), ("student_loss", False)):
        found = []
        for model in models:
            torch.manual_seed(0)
            found.append(sum(getattr(model, loss)(batch).values()).item())
        assert (found[0] == found[1]) is same and found[0] != found[2], loss


def test_where_no_labelled_sample_has_its_victim_the_teacher_reads_imagined_ones():
    data = small.planted(survival=0.5)
    batch = data.train.missing.batch
    model = build(data)
    by_hand = model.teacher.task_loss(model.teacher.from_both(model.with_imagined(batch)), batch.labels)
    torch.testing.assert_close(model.teaching_loss(batch)["task"], by_hand)
    assert build(data, imagined=False).teaching_loss(batch) == {}


def test_the_mean_teacher_follows_slowly():
    data = pairs()
    model = build(data, teacher="mean", teacher_decay=0.75)
    before = model.teacher.embed[0].project.weight.clone()
    with torch.no_grad():
        model.backbone.embed[0].project.weight.add_(1)
    model.after_step(model.stages(0, 1)[0].steps[0], data.train.batch)
    torch.testing.assert_close(model.teacher.embed[0].project.weight, before + 0.25)


# ---- answers ------------------------------------------------------------------------------------------


def test_a_real_pair_is_answered_by_the_teacher_and_a_lone_sequence_by_the_student():
    data = pairs()
    model, batch = build(data).eval(), data.test.batch
    assert model.predict(batch).equal(model.teacher.from_both(batch))
    imagined = model.with_imagined(batch)
    assert model.predict(batch.hidden()).equal(model.backbone.from_both(imagined)) and imagined.victim.isfinite().all()
    alone = build(data, imagined=False).eval()
    assert alone.predict(batch.hidden()).equal(alone.backbone.from_visible(batch))


@pytest.mark.parametrize("weights", KNOWN)
def test_what_data_know_of_their_alignment_is_asked_of_those_that_know(weights):
    data = pairs()
    model = build(data, weights=weights)
    assert model.predict(data.test.batch.hidden()).isfinite().all()
    for other in (small.planted(pair=("second", "first")), mmalign.load("smartwatch")):
        with pytest.raises(InputError, match="know their alignment"):
            build(other, weights=weights)


def test_a_model_that_was_restored_has_no_oracle(tmp_path):
    data = pairs()
    build(data, weights="oracle").save(tmp_path / "model")
    with pytest.raises(InputError, match="oracle"):
        MMAlignPlus.restore(tmp_path / "model").predict(data.test.batch.hidden())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"teacher": "self", "distil": 0.0}, "distil=0"),
        ({"teacher": "self", "weights": "transport"}, "weights"),
        ({"teacher": "mean", "imagined": False}, "imagined"),
        ({"space": False}, "space"),
        ({"weights": "best"}, "weights"),
        ({"teacher": "wise"}, "teacher"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(changes, says):
    with pytest.raises(InputError, match=says):
        MMAlignPlusConfig(**changes)


def test_all_teachers_but_two_see_victims():
    assert {*TEACHERS} - {*SEEING} == {"self", "mean"}
