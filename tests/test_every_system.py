"""One test visits every system: the same promise, the same rules."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import small
import torch
import torch.nn.functional as F

import mmalign
from mmalign.data import Split
from mmalign.registry import SYSTEMS
from mmalign.system import Stage

CORE = ("single", "mm-align")  # whom `make fast` trains more than once


def shortly(names):
    """Systems as parameters: all of them, those of the core in `make fast` too."""
    return [pytest.param(name, marks=[] if name in CORE else [pytest.mark.slow]) for name in names]


every = pytest.mark.parametrize("name", small.light(small.NAMES))
every_in_turn = pytest.mark.parametrize("name", shortly(small.NAMES))  # of tests that train
blind_in_turn = pytest.mark.parametrize("name", shortly(small.BLIND))  # those that work without some victims
imputing = pytest.mark.parametrize("name", small.IMPUTING)
LATE = 5  # an epoch after every warm-up
PARTS = ("complete", "pairs", "labelled", "imputed", "paired", "mingled", "all")


def ready(name, **options):
    """A system with random weights that predicts, and its data."""
    data = small.data_for(name, **options)
    return small.build(name, data).eval(), data


def seen_by(stage, data):
    """The training samples of a stage; a paired one sees both parts, which are equally large here."""
    return data.train if stage.split == "paired" else data.train.part(stage.split)


def mixed(name):
    """A batch of unequal lengths; where the system can do without them, some victims are absent."""
    return small.data_for(name, setting="B").train.batch.rows(torch.arange(12))


# ---- the protocol ------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_it_keeps_the_protocol(name, task):
    model, data = ready(name, task=task)
    groups = model.groups()
    owned = Counter(id(one) for group in groups.values() for one in group)
    assert owned == Counter(id(one) for one in model.parameters())  # each parameter has exactly one optimiser
    for epoch in range(LATE):
        stages = model.stages(epoch, LATE)
        assert stages or name in small.IN_ONE_GO
        assert all(stage.split in PARTS and stage.steps for stage in stages)
        assert all({*step.moves} <= {*groups} and step.moves for stage in stages for step in stage.steps)
    answers = model.predict(data.test.batch)
    assert answers.shape == ((12,) if task == "regression" else (12, 3)) and answers.isfinite().all()


@every_in_turn
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_it_trains_and_reports_the_metrics_of_its_task(name, task):
    data = small.data_for(name, task=task)
    model, history = small.train(name, data)
    report = mmalign.evaluate(model, data.test)
    wanted = {"regression": {"mae", "acc2", "f1"}, "classification": {"accuracy", "f1_macro", "f1_weighted"}}
    assert set(report) == wanted[task] and len(history.rows) == 3 and not model.training


@every
def test_predicting_twice_gives_the_same_and_leaves_the_batch_alone(name):
    model, _ = ready(name)
    batch = mixed(name)
    before = [values.clone() for values in batch.features]
    assert model.predict(batch).equal(model.predict(batch))
    torch.testing.assert_close(batch.features, tuple(before), rtol=0, atol=0, equal_nan=True)


# ---- what may not be seen is not seen ----------------------------------------------------------------


@blind_in_turn
@pytest.mark.parametrize("setting", ["A", "B"])
def test_hidden_victims_change_nothing_whether_they_are_nan_or_numbers(name, setting):
    data, found = small.planted(setting=setting), []
    truth = data.source.features["second"]
    for fill in (None, 1e6, "truth"):
        parts = {}
        for part in ("train", "valid", "test"):
            split = getattr(data, part)
            value = truth[split.batch.ids] if fill == "truth" else fill
            parts[part] = split if fill is None else small.refilled(split, value)
        seen = replace(data, **parts)
        model, history = small.train(name, seen)
        found.append((model.state_dict(), mmalign.evaluate(model, seen.test), history.column("valid_loss")))
    for weights, metrics, losses in found[1:]:
        assert small.same_weights(weights, found[0][0]) and metrics == found[0][1]
        torch.testing.assert_close(losses, found[0][2], rtol=0, atol=0, equal_nan=True)


@every
def test_labels_are_not_read_while_predicting(name):
    model, _ = ready(name)
    batch = mixed(name)
    blank = replace(batch, labels=torch.full_like(batch.labels, math.nan))
    assert model.predict(batch).equal(model.predict(blank))


@pytest.mark.slow
@every
def test_labels_that_are_not_shown_are_not_learnt_from(name):
    data = small.data_for(name, labelled=0.4)
    model, history = small.train(name, data, batch_size=4)  # small, so that some batches show none
    assert all(math.isfinite(value) for row in history.rows for key, value in row.items() if key != "valid")
    assert all(value.isfinite().all() for value in model.state_dict().values())


@pytest.mark.parametrize("name", [*small.IMPUTING, "smil"])
def test_few_labels_serve_the_imputed_path_too_where_every_victim_is_there(name):
    data = small.data_for(name, labelled=0.4, survival=1.0)
    order, taught = torch.Generator().manual_seed(0), 0
    for stage in small.build(name, data).stages(LATE, 2 * LATE):
        for batch in data.train.part(stage.split).batches(8, order):
            taught += int((batch.labelled & ~batch.complete).sum())
            own_path = name == "mm-align-plus"  # which takes both paths with every complete sample
            taught += int((batch.labelled & batch.complete).sum()) if own_path else 0
    assert taught >= int(data.train.samples.labelled.sum())


# ---- the ends of p -----------------------------------------------------------------------------------


@pytest.mark.slow
@every
def test_with_every_victim_present_the_missing_part_is_empty_and_training_works(name):
    data = small.planted(survival=1.0, setting="B")
    assert len(data.train.missing) == 0
    model, _ = small.train(name, data)
    if name in small.IMPUTING:  # setting B equals complete evaluation
        assert model.predict(data.test.batch).equal(model.predict_complete(data.test.batch))


@blind_in_turn
def test_a_single_complete_sample_is_enough(name):
    data = small.planted(survival=1 / 36 + 1e-6)
    assert len(data.train.complete) == 1
    model, _ = small.train(name, data)
    assert all(value.isfinite().all() for value in model.state_dict().values())


# ---- seeds -------------------------------------------------------------------------------------------


@every_in_turn
def test_the_same_seed_gives_the_same_numbers_and_another_gives_others(name):
    found = []
    for seed in (0, 0, 1):
        data = small.data_for(name)
        model, _ = small.train(name, data, seed=seed)
        found.append((model.state_dict(), mmalign.evaluate(model, data.test)))
    assert small.same_weights(found[0][0], found[1][0]) and found[0][1] == found[1][1]
    assert name == "constant" or not small.same_weights(found[0][0], found[2][0])


# ---- leak detector -----------------------------------------------------------------------------------


@every_in_turn
def test_from_shuffled_labels_nothing_is_learnt(name):
    data = small.data_for(name, samples=200)
    batch = data.train.batch
    order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0))
    shuffled = replace(data, train=Split(replace(batch, labels=batch.labels[order])))
    model, _ = small.train(name, shuffled, epochs=4, lr=1e-2)
    truth = data.test.batch.labels
    of_the_mean = (truth - batch.labels.mean()).abs().mean().item()
    assert mmalign.evaluate(model, data.test)["mae"] > 0.93 * of_the_mean


# ---- the slot of the imputation ----------------------------------------------------------------------


@imputing
def test_with_the_true_states_in_place_of_the_imagined_ones_both_paths_agree(name, monkeypatch):
    model, data = ready(name, survival=1.0)
    batch = data.train.batch
    monkeypatch.setattr(model, "imagine", lambda first, some: model.backbone.encode(some, 1))
    torch.testing.assert_close(model.predict_missing(batch), model.predict_complete(batch), atol=1e-6, rtol=0)


@imputing
def test_what_is_imagined_matters_and_has_the_shape_of_the_states_it_stands_for(name, monkeypatch):
    model, data = ready(name)
    batch = data.test.batch
    before, imagined = model.predict(batch), model.impute(batch)
    assert imagined.shape == model.backbone.encode(batch, 0).shape
    monkeypatch.setattr(model, "imagine", lambda first, some: torch.randn_like(imagined))
    assert not torch.isclose(model.predict(batch), before).all()


# ---- who is moved ------------------------------------------------------------------------------------


@every
def test_each_part_of_a_loss_has_finite_gradient_on_exactly_the_group_it_names(name):
    data = small.data_for(name)
    model = small.build(name, data)
    owner = {id(one): group for group, members in model.groups().items() for one in members}
    for stage in model.stages(LATE, 2 * LATE):
        for step in stage.steps:
            reached = set()
            for part, loss in step.loss(seen_by(stage, data).batch).items():
                moved = [one for one in model.parameters() if owner[id(one)] in step.moves]
                gradients = torch.autograd.grad(loss, moved, retain_graph=True, allow_unused=True)
                assert loss.shape == () and all(one is None or one.isfinite().all() for one in gradients), part
                alive = {owner[id(one)] for one, grad in zip(moved, gradients, strict=True) if grad is not None}
                assert alive == ({"dynamics"} if part == "fit" else {*step.moves} - {"dynamics"}), (step.name, part)
                reached |= alive
            assert reached == {*step.moves}, step.name


@every_in_turn
def test_a_step_moves_the_groups_it_names_and_no_other(name):
    data = small.data_for(name)
    late = small.build(name, data).stages(LATE, 2 * LATE)
    places = [(place, number) for place, stage in enumerate(late) for number in range(len(stage.steps))]
    for place, number in places:
        model = small.build(name, data)
        stage = model.stages(LATE, 2 * LATE)[place]
        step = stage.steps[number]
        before = {group: small.copied(members) for group, members in model.groups().items()}
        only = [Stage(stage.split, (step,))]
        model.stages, model.warmup = (lambda epoch, epochs, only=only: only), 0
        mmalign.fit(model, data, mmalign.TrainConfig(epochs=1), progress=False)
        changed = {group for group, members in model.groups().items() if not small.same_weights(before[group], members)}
        assert changed == {*step.moves}, step.name


# ---- one way to count --------------------------------------------------------------------------------


@every_in_turn
def test_steps_parameters_and_seconds_are_counted_by_one_code_for_all(name):
    data = small.data_for(name)
    model, history = small.train(name, data, seed=1, batch_size=14)  # some of each modality in every batch
    expected = 0
    for epoch in range(3):
        for stage in model.stages(epoch, 3):
            sides = 2 if stage.split == "paired" else 1  # a batch holds that many times its size
            expected += math.ceil(len(seen_by(stage, data)) / sides / 14) * len(stage.steps)
    assert history.steps == expected
    assert history.train_seconds == sum(history.column("seconds")) > 0
    groups = [one.numel() for members in model.groups().values() for one in members]
    assert sum(groups) == sum(one.numel() for one in model.parameters()) > 0


@every_in_turn
def test_each_sample_is_visited_exactly_once_by_each_stage_of_an_epoch(name):
    data = small.data_for(name)
    model, seen = small.build(name, data), []
    spied = [
        stage._replace(
            steps=(
                stage.steps[0]._replace(
                    loss=lambda batch, place=place, loss=stage.steps[0].loss: (
                        seen.extend((place, one) for one in batch.ids.tolist()) or loss(batch)
                    )
                ),
            )
        )
        for place, stage in enumerate(model.stages(LATE, 2 * LATE))
    ]
    model.stages, model.warmup = (lambda epoch, epochs: spied), 0
    mmalign.fit(model, data, mmalign.TrainConfig(epochs=1, batch_size=7), progress=False)
    for place, stage in enumerate(spied):
        ids = sorted(one for where, one in seen if where == place)
        assert ids == sorted(seen_by(stage, data).batch.ids.tolist())
    if {stage.split for stage in spied} in ({"complete", "imputed"}, {"paired"}):
        assert {one for _, one in seen} == {*data.train.batch.ids.tolist()}


# ---- selection reads validation only -----------------------------------------------------------------


@every_in_turn
def test_the_test_split_is_sealed_while_training(name):
    data = small.data_for(name)
    model, tried = small.build(name, data), []
    stages = model.stages

    def peek(epoch, epochs):
        with pytest.raises(RuntimeError, match="sealed"):
            next(data.test.batches(4))
        tried.append(epoch)
        return stages(epoch, epochs)

    model.stages = peek
    mmalign.fit(model, data, mmalign.TrainConfig(epochs=3), progress=False)
    assert tried == [0, 1, 2] and len([*data.test.batches(4)]) == 3


@pytest.mark.slow
@every
def test_what_the_test_split_holds_cannot_change_the_training(name):
    data = small.data_for(name)
    test = data.test.batch
    garbage = replace(test, features=tuple(values * 0 + 1e6 for values in test.features), labels=test.labels - 1e6)
    (ours, first), (theirs, second) = (small.train(name, one) for one in (data, replace(data, test=Split(garbage))))
    assert small.same_weights(ours.state_dict(), theirs.state_dict())
    assert first.best_epoch == second.best_epoch


# ---- files -------------------------------------------------------------------------------------------


@every_in_turn
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_what_is_saved_comes_back_bit_for_bit(name, task, tmp_path):
    data = small.data_for(name, task=task)
    model, _ = small.train(name, data)
    model.save(tmp_path / "first")
    other = SYSTEMS[name].kind.restore(tmp_path / "first")
    assert other.state_dict().keys() == model.state_dict().keys()
    assert small.same_weights(other.state_dict(), model.state_dict())
    assert (other.spec, other.config) == (model.spec, model.config)
    assert other.predict(data.test.batch).equal(model.predict(data.test.batch))
    other.save(tmp_path / "second")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


# ---- batches and padding -----------------------------------------------------------------------------


@every
def test_a_batch_of_one_is_the_same_row_of_a_batch(name):
    model, _ = ready(name)
    batch = mixed(name)
    alone = torch.cat([model.predict(batch.rows(torch.tensor([place]))) for place in range(len(batch))])
    torch.testing.assert_close(alone, model.predict(batch), atol=1e-5, rtol=0)
    order = torch.randperm(len(batch))
    torch.testing.assert_close(model.predict(batch.rows(order)), model.predict(batch)[order], atol=1e-5, rtol=0)


@every
@pytest.mark.parametrize(("fill", "extra"), [(1e6, 0), (0.0, 5), (math.nan, 2)])
def test_padding_never_matters(name, fill, extra):
    model, _ = ready(name)
    batch = mixed(name)
    before = model.predict(batch)
    wide = replace(batch, features=tuple(F.pad(values, (0, 0, 0, extra)) for values in batch.features))
    wide = replace(wide, features=tuple(one.masked_fill(~wide.real[..., None], fill) for one in wide.features))
    torch.testing.assert_close(model.predict(wide), before, atol=1e-5, rtol=0)


@pytest.mark.slow
@imputing
def test_what_padding_holds_never_matters_for_what_is_learnt(name):
    data = small.planted()
    batch = data.train.batch
    other = replace(batch, features=tuple(one.masked_fill(~batch.real[..., None], 1e6) for one in batch.features))
    (ours, _), (theirs, _) = (small.train(name, one) for one in (data, replace(data, train=Split(other))))
    assert small.same_weights(ours.state_dict(), theirs.state_dict())
