"""MM-Align: Algorithm 1, who moves when, and what the released code does instead."""

from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign import MMAlignConfig, TrainConfig
from mmalign.data import Split
from mmalign.method.official import TestSetHasASay
from mmalign.system import Stage

FIT_APART = {"merged_loop": False}


def only(model, data, stage, **changes):
    """Train for one epoch of this one stage."""
    model.stages = lambda epoch, epochs: [stage]
    model.warmup = 0
    mmalign.fit(model, data, TrainConfig(epochs=1, batch_size=8, **changes), progress=False)


def moved(model, data, stage):
    """The groups whose weights an epoch of this stage changes."""
    before = {name: small.copied(group) for name, group in model.groups().items()}
    only(model, data, stage)
    return {name for name, group in model.groups().items() if not small.same_weights(before[name], group)}


def stages(model, epoch=5):
    return model.stages(epoch, 10)


# ---- who is moved -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mm-align", "mm-align-official"])
def test_warming_up_leaves_the_fitter_bit_identical(name):
    data = small.planted()
    model = small.build(name, data)
    (stage,) = stages(model, epoch=0)
    assert stage.split == "complete" and moved(model, data, stage) == {"backbone"}


@pytest.mark.parametrize("changes", [FIT_APART, {"encoder_dropout": 0.1}, {**FIT_APART, "encoder_dropout": 0.1}])
def test_the_fit_step_leaves_the_backbone_bit_identical(changes):
    data = small.planted()
    model = small.build("mm-align", data, **changes)
    (fit,) = (step for stage in stages(model) for step in stage.steps if step.name == "fit")
    assert moved(model, data, Stage("complete", (fit,))) == {"dynamics"}


@pytest.mark.parametrize("name", ["mm-align", "mm-align-official"])
def test_the_missing_step_leaves_the_fitter_bit_identical(name):
    data = small.planted()
    model = small.build(name, data)
    stage = stages(model)[-1]
    assert stage.split == "imputed" and moved(model, data, stage) == {"backbone"}


def test_the_merged_step_moves_both():
    data = small.planted()
    model = small.build("mm-align", data)
    assert moved(model, data, stages(model)[0]) == {"backbone", "dynamics"}


# ---- gradient of the fitting loss --------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, FIT_APART, {"encoder_dropout": 0.1}, {"fitter_head": "linear"}])
def test_the_fitting_loss_has_gradient_on_the_fitter_and_on_nothing_else(changes):
    data = small.planted()
    model, batch = small.build("mm-align", data, **changes), data.train.complete.batch
    parts = [step.loss(batch) for stage in stages(model) for step in stage.steps if stage.split == "complete"]
    (fit,) = (part["fit"] for part in parts if "fit" in part)
    fit.backward()
    assert all(one.grad is not None and one.grad.any() for one in model.dynamics.parameters())
    assert all(one.grad is None for one in model.backbone.parameters())


# ---- the loop ----------------------------------------------------------------------------------------


def outline(model, epoch):
    return [(stage.split, [(step.name, step.moves) for step in stage.steps]) for stage in stages(model, epoch)]


def test_algorithm_1_warms_up_then_merges_then_denoises():
    model = small.build("mm-align", small.planted(), warmup=2)
    warm = [("complete", [("task", ("backbone",))])]
    both = ("complete", [("task", ("backbone", "dynamics"))])
    assert [outline(model, epoch) for epoch in (0, 1)] == [warm, warm]
    assert outline(model, 2) == [both, ("imputed", [("denoise", ("backbone",))])]


def test_each_ablation_is_a_different_list_of_stages():
    data, task = small.planted(), ("task", ("backbone",))
    fit, missing = ("fit", ("dynamics",)), ("imputed", [("denoise", ("backbone",))])
    separate = outline(small.build("mm-align", data, merged_loop=False), 5)
    assert separate == [("complete", [fit]), ("complete", [task]), missing]
    assert outline(small.build("mm-align", data, fitting_loss=False), 5) == [("complete", [task]), missing]
    assert outline(small.build("mm-align", data, encoder_dropout=0.1), 5) == [("complete", [fit, task]), missing]


def test_one_merged_step_does_what_fitting_first_and_the_task_second_do():
    data, found = small.planted(), []
    for changes in ({}, {"encoder_dropout": 1e-12}):  # the latter keeps the two steps apart
        model = small.build("mm-align", data, dropout=0.0, **changes)
        only(model, data, stages(model)[0])
        found.append([value.detach() for value in model.parameters()])
    torch.testing.assert_close(found[0], found[1], atol=1e-6, rtol=1e-4)


def test_without_the_fitting_loss_the_fitter_keeps_its_random_start():
    data = small.planted()
    start = small.copied(small.build("mm-align", data).dynamics.parameters())
    model, history = small.train("mm-align", data, model={"fitting_loss": False})
    assert small.same_weights(start, model.dynamics.parameters())
    assert not any("fit" in key for key in history.rows[-1])


def test_fitting_brings_the_fitter_nearer_to_the_plan():
    data = small.planted(samples=120)
    model = small.build("mm-align", data, mu=0.05, fitter_width=16, merged_loop=False)
    fit = stages(model)[0]
    batch, before = data.train.complete.batch, None
    before = model.fitting_loss(batch)["fit"].item()
    only(model.train(), data, fit, lr=0.01)
    assert model.eval().fitting_loss(batch)["fit"].item() < before


# ---- decoding ----------------------------------------------------------------------------------------


def test_what_is_imagined_is_the_fitters_mixture_behind_the_victims_cls():
    data = small.planted()
    model, batch = small.build("mm-align", data).eval(), data.test.batch
    imagined, first = model.impute(batch), model.backbone.encode(batch, 0)
    assert imagined.shape == (len(batch), batch.visible.shape[1] + 1, 8)
    torch.testing.assert_close(imagined[:, 0], model.backbone.embed[1].head().expand(len(batch), -1))
    torch.testing.assert_close(
        imagined[:, 1:], model.dynamics.imagine(model.alignment(batch), first[:, 1:], batch.real)
    )
    assert not imagined[:, 1:][~batch.real].any()


@pytest.mark.parametrize(("stop", "reaches"), [(False, True), (True, False)])
def test_gradient_reaches_the_alignment_weights_while_decoding_unless_stopped(stop, reaches):
    data = small.planted()
    model = small.build("mm-align", data, decode_stopgrad=stop)
    model.missing_loss(data.train.missing.batch)["task"].backward()
    assert any(one.grad is not None and one.grad.any() for one in model.dynamics.parameters()) == reaches
    assert model.backbone.embed[0].project.weight.grad.any()


def test_the_head_does_not_influence_the_plan_or_the_weights():
    data = small.planted()
    model, first = small.build("mm-align", data).eval(), torch.randn(2, 6, 8)
    other = torch.cat([torch.randn(2, 1, 8), first[:, 1:]], dim=1)
    assert model.aligned_steps(first).equal(model.aligned_steps(other)) and model.aligned_steps(first).shape[1] == 5


def test_the_target_is_l_times_the_plan_of_the_two_hidden_sequences():
    data = small.planted()
    model, batch = small.build("mm-align", data, mu=0.3, window=3).eval(), data.train.complete.batch
    first, second = (model.backbone.encode(batch, place)[:, 1:] for place in range(2))
    plan = mmalign.transport.align(first, second, batch.lengths, window=3, mu=0.3)
    assert model.transport_target(batch).equal(plan.band * batch.lengths[:, None, None])


# ---- the released code's way -------------------------------------------------------------------------


def test_the_released_positions_include_the_head_and_forget_the_last_step():
    data = small.planted()
    model = small.build("mm-align", data, ot_positions="official", impute_head="mixture").eval()
    batch, first = data.test.batch, torch.randn(len(data.test), 9, 8)
    batch = replace(batch, features=tuple(torch.randn(len(batch), 8, 8) for _ in range(2)))
    assert model.aligned_steps(first).equal(first[:, :8])
    imagined = model.imagine(first, batch)
    rows = torch.arange(len(batch))
    assert not imagined[rows, batch.lengths].any() and imagined[rows, batch.lengths - 1].any(1).all()


def test_the_released_head_is_a_mixture_and_ours_the_embedding_of_cls():
    data = small.planted()
    batch = data.test.batch
    heads = {}
    for kind in ("cls", "mixture"):
        model = small.build("mm-align", data, ot_positions="official", impute_head=kind).eval()
        heads[kind], cls = model.impute(batch)[:, 0], model.backbone.embed[1].head()
    torch.testing.assert_close(heads["cls"], cls.expand(len(batch), -1))
    assert not torch.isclose(heads["mixture"], cls).all(1).any()


@pytest.mark.parametrize(("noisy", "same"), [(False, True), (True, False)])
def test_targets_are_free_of_dropout_unless_asked_for(noisy, same, monkeypatch):
    data, targets = small.planted(), []
    model = small.build("mm-align", data, encoder_dropout=0.5, target_dropout=noisy).train()
    solve = model.dynamics.target
    monkeypatch.setattr(model.dynamics, "target", lambda *inputs: targets.append(solve(*inputs)) or targets[-1])
    for _ in range(2):
        model.fitting_loss(data.train.complete.batch)
    assert targets[0].equal(targets[1]) == same and model.training and model.backbone.training


def test_the_official_preset_trains_and_reports_what_the_released_code_would():
    data = small.planted()
    model = small.build("mm-align-official", data)
    config, peek = (
        TrainConfig(epochs=3, clip_scope="all", select="official"),
        TestSetHasASay(lambda system: mmalign.evaluate(system, Split(data.test.samples))),
    )
    history = mmalign.fit(model, data, config, progress=False, callbacks=[peek])
    assert set(peek.reported(history)) == {"mae", "acc2", "f1"}


@pytest.mark.slow
def test_every_single_departure_of_the_released_code_can_be_switched_on_alone():
    data = small.planted()
    together = {"solver": ("barrier",), "impute_head": ("ot_positions",), "barrier": ("solver",)}
    together["target_dropout"] = ("encoder_dropout",)
    for name, value in mmalign.config.OFFICIAL_MODEL.items():
        others = {other: mmalign.config.OFFICIAL_MODEL[other] for other in together.get(name, ())}
        _, history = small.train("mm-align", data, epochs=4, model={name: value, **others})
        assert history.best_epoch >= 0, name


def test_a_window_of_zero_and_one_beyond_every_sequence_train():
    for window in (0, 20):
        _, history = small.train("mm-align", small.planted(), epochs=2, model={"window": window})
        assert history.best_epoch == 1, MMAlignConfig(window=window)
