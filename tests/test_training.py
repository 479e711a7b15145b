"""The one loop: the clock, clipping, selection, the sealed test split."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace

import pytest
import small
import torch
from torch import nn

import mmalign
from mmalign import InputError, TrainConfig, training
from mmalign.config import BackboneConfig
from mmalign.data import Split
from mmalign.method.official import TestSetHasASay
from mmalign.system import Stage, Step, System


class Toy(System):
    """A few weights; losses and predictions are whatever the test says."""

    config_type = BackboneConfig

    def __init__(self, spec, config=None):
        super().__init__(spec, config or BackboneConfig())
        self.weight, self.other = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(3))
        self.register_buffer("epoch", torch.tensor(-1))
        self.seen = []
        self.answer = lambda batch: batch.labels

    def groups(self):
        return {"weight": [self.weight], "other": [self.other]}

    def learn_scales(self, samples):
        pass

    def stages(self, epoch, epochs):
        self.epoch.fill_(epoch)
        return [Stage("all", (Step("task", self.loss, ("weight",)),))]

    def loss(self, batch):
        self.seen.append(batch.ids.tolist())
        return {"task": batch.ids.float().mean() + self.weight.sum() * 0}

    def predict(self, batch):
        return self.answer(batch)


def toy(data, **changes):
    model = Toy(data.spec)
    for name, value in changes.items():
        setattr(model, name, value)
    return model


def fit(model, data, callbacks=(), **changes):
    config = TrainConfig(**{"epochs": 3, "patience": 99, **changes})
    return mmalign.fit(model, data, config, progress=False, callbacks=callbacks)


def scripted(model, scores):
    """Predictions that miss the label by scores[epoch]."""
    model.answer = lambda batch: batch.labels + scores[int(model.epoch)]


# ---- what is seen ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 7, 100])
def test_each_sample_is_visited_exactly_once_an_epoch_in_a_new_order(size):
    data = small.planted()
    model = toy(data)
    history = fit(model, data, batch_size=size, epochs=2)
    per_epoch = len(model.seen) // 2
    orders = [[*chain(*model.seen[:per_epoch])], [*chain(*model.seen[per_epoch:])]]
    assert [sorted(order) for order in orders] == [sorted(data.train.batch.ids.tolist())] * 2
    assert orders[0] != orders[1] and history.steps == 2 * math.ceil(36 / size) == len(model.seen)


def test_the_order_is_the_seeds():
    data, found = small.planted(), []
    for seed in (0, 0, 1):
        model = toy(data)
        fit(model, data, seed=seed)
        found.append(model.seen)
    assert found[0] == found[1] != found[2]


# ---- what is reported ---------------------------------------------------------------------------------


def test_loss_averages_do_not_depend_on_the_batch_size():
    data = small.planted()
    mean = data.train.batch.ids.float().mean().item()
    for size in (1, 7, 32, 100):
        history = fit(toy(data), data, batch_size=size)
        assert history.column("task/task") == pytest.approx([mean] * 3)


def test_neither_do_predictions_and_validation():
    data = small.planted(setting="B", survival=0.6)
    model = small.build("mm-align", data)
    answers = [training.predictions(model, data.train, size)[0] for size in (1, 7, 256)]
    torch.testing.assert_close(answers[0], answers[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(answers[0], answers[2], atol=1e-5, rtol=0)
    labels = data.valid.batch.labels
    loss, scores = training.validate(model, data.valid)
    guess = training.predictions(model, data.valid)[0]
    assert loss == pytest.approx((guess - labels).square().mean().item())
    assert scores["mae"] == pytest.approx((guess - labels).abs().mean().item())


def test_the_test_split_cannot_be_read_before_training_ends_and_can_afterwards():
    data = small.planted()

    def peek(batch):
        next(data.test.batches(4))

    with pytest.raises(RuntimeError, match="sealed"):
        fit(toy(data, loss=peek), data)
    for part in (data.test, data.test.missing):  # nor through a part of it, and the seal is lifted again
        assert len([*part.batches(4)]) == 3
        with data.test.sealed("why"), pytest.raises(RuntimeError, match="why"):
            next(part.batches(4))


def test_the_released_selection_reads_the_test_split_and_keeps_its_best():
    data = small.planted()
    model = toy(data)
    scripted(model, [3.0, 1.0, 2.0])
    peek = TestSetHasASay(lambda system: mmalign.evaluate(system, Split(data.test.samples)))
    history = fit(model, data, callbacks=[peek], select="official")
    assert peek.reported(history)["mae"] == pytest.approx(1.0) and history.best_epoch == 1
    assert ["test" in row for row in history.rows] == [True, True, False]


def test_callbacks_are_told_of_every_epoch_in_turn_and_what_they_add_stays():
    data, told = small.planted(), []

    def first(system, history):
        history.rows[-1]["mine"] = len(history.rows)

    def second(system, history):
        told.append((history.rows[-1]["mine"], history.best_epoch, system.epoch.item()))

    model = toy(data)
    scripted(model, [3.0, 1.0, 2.0])
    history = fit(model, data, callbacks=[first, second])
    assert told == [(1, 0, 0), (2, 1, 1), (3, 1, 2)] and history.column("mine") == [1, 2, 3]


@pytest.mark.parametrize("parts", [{}, {"task": 1.0}])
def test_after_each_step_its_system_is_told_taken_or_not(parts):
    data, told = small.planted(), []
    losses = {name: torch.ones((), requires_grad=True) * value for name, value in parts.items()}
    model = toy(data, loss=lambda batch: {name: part + model.weight.sum() for name, part in losses.items()})
    model.after_step = lambda step, batch: told.append((step.name, len(batch)))
    history = fit(model, data, epochs=1, batch_size=20)
    assert told == [("task", 20), ("task", 16)] and history.steps == 2 * len(parts)


# ---- selection ---------------------------------------------------------------------------------------


def test_the_weights_of_the_best_validation_epoch_are_kept_and_the_test_split_has_no_say():
    data = small.planted()
    for test_labels in (data.test.batch.labels, torch.full((12,), math.nan)):
        model = toy(data)
        scripted(model, [4.0, 1.0, 3.0, 2.0])
        other = replace(data, test=replace(data.test, samples=replace(data.test.samples, labels=test_labels)))
        history = fit(model, other, epochs=4)
        assert (history.best_epoch, int(model.epoch), model.training) == (1, 1, False)
        assert history.column("valid_loss") == pytest.approx([16, 1, 9, 4], rel=1e-4)


@pytest.mark.parametrize(("select", "best"), [("validation", 2), ("official", 0)])
def test_of_classes_accuracy_chooses_the_epoch_and_where_it_ties_the_loss(select, best):
    """The released code goes by the loss alone."""
    data = small.planted(task="classification")
    model = toy(data)
    epochs = [(0.5, 0.1), (0.75, 20.0), (0.75, 10.0), (0.0, 0.01)]  # the share that is right, how sure it is

    def answer(batch):
        share, sure = epochs[int(model.epoch)]
        wrong = torch.arange(len(batch)) >= share * len(batch)
        return sure * torch.nn.functional.one_hot((batch.labels + wrong) % 3, 3)

    model.answer = answer
    history = fit(model, data, epochs=4, select=select)
    assert [row["valid"]["accuracy"] for row in history.rows] == pytest.approx([0.5, 0.75, 0.75, 0.0])
    assert history.best_epoch == best


def test_training_stops_when_validation_has_not_improved_for_the_patience():
    data = small.planted()
    model = toy(data)
    scripted(model, [5.0, 2.0, 3.0, 1.0, 4.0, 4.0, 0.5])
    history = fit(model, data, epochs=7, patience=2)
    assert (len(history.rows), history.best_epoch) == (6, 3)


def test_no_epoch_of_the_warm_up_can_be_the_best():
    data = small.planted()
    model = toy(data, warmup=2)
    scripted(model, [0.0, 0.1, 3.0, 2.0])
    history = fit(model, data, epochs=4)
    assert history.best_epoch == 3 and math.isnan(history.column("valid_loss")[1])


def test_epochs_must_outlast_the_warm_up():
    data = small.planted()
    with pytest.raises(InputError, match="epochs must exceed the warm-up of 3, found 3"):
        fit(toy(data, warmup=3), data)


def test_a_validation_loss_that_is_never_finite_is_said_aloud():
    data = small.planted()
    model = toy(data)
    scripted(model, [math.nan] * 3)
    with pytest.raises(InputError, match="never finite"):
        fit(model, data)


# ---- steps -------------------------------------------------------------------------------------------


def test_each_group_is_clipped_by_its_own_gradient_and_by_no_other():
    data, norms = small.planted(), {}
    for scope in ("group", "all"):
        model = toy(data)
        big = Step("big", lambda batch, model=model: {"task": 1e6 * (model.weight + model.other).sum()}, ("weight",))
        tiny = Step("tiny", lambda batch, model=model: {"task": 0.5 * model.other.sum()}, ("other",))
        model.stages = lambda epoch, epochs, both=(big, tiny): [Stage("all", both)]
        fit(model, data, epochs=1, batch_size=100, clip=1.0, clip_scope=scope)
        norms[scope] = model.other.grad.norm().item()
    assert norms["group"] == pytest.approx(0.5 * 3**0.5, rel=1e-4)  # below 1, so left alone
    assert norms["all"] < 0.9 * norms["group"]  # the stale gradient of the other group counted


def test_a_long_gradient_is_cut_to_the_clip():
    data = small.planted()
    model = toy(data)
    step = Step("big", lambda batch: {"task": 1e6 * model.weight.sum()}, ("weight",))
    model.stages = lambda epoch, epochs: [Stage("all", (step,))]
    fit(model, data, epochs=1, clip=0.5)
    assert model.weight.grad.norm().item() == pytest.approx(0.5, rel=1e-4)


def test_the_loss_is_the_sum_of_its_parts():
    data = small.planted()
    model = toy(data)
    step = Step("two", lambda batch: {"a": model.weight[0] * 0.2, "b": model.weight[1] * 0.3}, ("weight",))
    model.stages = lambda epoch, epochs: [Stage("all", (step,))]
    history = fit(model, data, epochs=1, batch_size=100)
    assert model.weight.grad.tolist() == pytest.approx([0.2, 0.3, 0]) and {"two/a", "two/b"} < set(history.rows[0])


def test_a_step_of_a_slower_pace_moves_by_that_share():
    data, moved = small.planted(), {}
    for pace in (1.0, 0.25):
        model = toy(data)
        step = Step("even", lambda batch, model=model: {"task": model.weight.sum()}, ("weight",), pace=pace)
        model.stages = lambda epoch, epochs, step=step: [Stage("all", (step,))]
        fit(model, data, epochs=1, batch_size=100, optimiser="sgd", lr=0.1)
        moved[pace] = -model.weight.sum().item()
    assert moved[1.0] > 0 and moved[0.25] == pytest.approx(0.25 * moved[1.0])


def test_the_state_of_another_training_is_refused(tmp_path):
    data = small.planted()

    def cut(system, history):
        if len(history.rows) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        mmalign.fit(toy(data), data, TrainConfig(epochs=3), False, tmp_path / "state", [cut])
    with pytest.raises(InputError, match="with other settings"):
        mmalign.fit(toy(data), data, TrainConfig(epochs=3, lr=0.5), False, tmp_path / "state")


# ---- the clock ---------------------------------------------------------------------------------------


def test_the_clock_counts_training_steps_and_no_evaluation(monkeypatch):
    data, now = small.planted(), [0.0]
    model = toy(data)
    loss = model.loss
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])

    def slow_loss(batch):
        now[0] += 1
        return loss(batch)

    def slower_answer(batch):
        now[0] += 1000
        return batch.labels

    model.loss, model.answer = slow_loss, slower_answer
    history = fit(model, data, batch_size=9)
    assert history.train_seconds == history.steps == 3 * 4


def test_waiting_for_the_compiler_is_no_training(monkeypatch):
    data, now, compiled = small.planted(), [0.0], [0.0]
    model = toy(data)
    loss = model.loss
    monkeypatch.setattr(training.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(training, "_seconds_compiling", lambda: compiled[0])

    def loss_that_compiles(batch):
        now[0] += 31 if not compiled[0] else 1
        compiled[0] = 30.0
        return loss(batch)

    model.loss = loss_that_compiles
    history = fit(model, data, batch_size=9)
    assert history.train_seconds == history.steps == 3 * 4


def test_what_has_waited_for_the_compiler_is_asked_only_where_one_was_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "mmalign.compiling", SimpleNamespace(seconds_compiling=lambda: 7.0))
    assert training._seconds_compiling() == 7
    monkeypatch.delitem(sys.modules, "mmalign.compiling")
    assert training._seconds_compiling() == 0


@pytest.mark.slow
def test_a_fresh_installation_books_no_compiling_as_training(tmp_path):
    """In a process of its own, whose compiler has nothing in its cache."""
    script = (
        "import mmalign; data = mmalign.load('planted', survival=0.5, samples=100)\n"
        "model, config = mmalign.MMAlign.from_data(data), mmalign.TrainConfig(epochs=3)\n"
        "history = mmalign.fit(model, data, config, progress=False)\n"
        "from mmalign import compiling; print(compiling.seconds_compiling(), history.train_seconds)"
    )
    variables = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, check=True)
    compiled, trained = map(float, done.stdout.split())
    assert 0 < trained < compiled  # a third of a second, and some


@pytest.mark.slow
def test_an_epoch_of_mm_align_costs_at_most_three_of_single():
    data, seconds = small.planted(samples=300, shortest=10, longest=20), {}
    for name in ("single", "mm-align"):
        _, history = small.train(name, data, epochs=9, patience=9, model={"width": 16})
        seconds[name] = sorted(history.column("seconds")[2:])[3]  # the median after warm-up
    assert seconds["mm-align"] <= 3 * seconds["single"], seconds


# ---- everything else ---------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_bar_is_shown_where_someone_watches_and_never_on_stdout(wanted, capsys):
    data = small.planted()
    mmalign.fit(toy(data), data, TrainConfig(epochs=2), progress=wanted)
    captured = capsys.readouterr()
    assert captured.out == "" and ("epoch" in captured.err) == (wanted is True)


def test_nothing_outside_notices_that_random_numbers_were_drawn():
    data, before = small.planted(), torch.get_rng_state()
    small.train("mm-align", data)
    assert torch.get_rng_state().equal(before)


def test_a_system_that_needs_every_victim_says_so_at_every_door():
    lacking, whole = small.planted(), small.planted(survival=1.0, setting="B")
    model = small.build("double", whole)
    for door in (
        lambda: small.build("double", lacking),
        lambda: fit(model, lacking),
        lambda: mmalign.evaluate(model, lacking.test),
    ):
        with pytest.raises(InputError, match=r"Double needs the victim of every sample: load .*survival=1"):
            door()


@pytest.mark.slow
def test_single_does_not_get_worse_as_pairs_without_a_label_are_added():
    """It cannot use them; but drawn together with them, its few labels would come one at a time."""
    alone, among = [], []
    for seed in range(3):
        data = mmalign.load("planted", seed=seed, labelled=0.05, samples=800, shortest=4, longest=8, victim_share=0.0)
        few = replace(data, train=Split(data.train.samples.part(data.train.samples.labelled)))
        for found, one in ((alone, few), (among, data)):
            model = mmalign.Single.from_data(one, seed=seed)
            mmalign.fit(model, one, TrainConfig(epochs=24, seed=seed), progress=False)
            found.append(mmalign.evaluate(model, one.test)["mae"])
    assert sum(among) / 3 < sum(alone) / 3 + 0.01


def test_with_absolute_errors_a_network_that_knows_nothing_answers_with_the_median(tmp_path):
    torch.manual_seed(0)
    labels = torch.distributions.Exponential(1.0).sample((300,))  # mean 1, median .69
    middle = {}
    for loss in ("squared", "absolute"):
        data = mmalign.from_arrays(torch.zeros(300, 2, 2), torch.zeros(300, 2, 2), labels)
        data = replace(data, spec=replace(data.spec, loss=loss))
        model = mmalign.Single.from_data(data, mmalign.BoundConfig(width=8, dropout=0.0))
        mmalign.fit(model, data, TrainConfig(epochs=30, lr=1e-2, batch_size=180), progress=False)
        middle[loss] = model.predict(data.test.batch).mean().item()
        model.save(tmp_path / "model")
        assert mmalign.Single.restore(tmp_path / "model").spec.loss == loss
    assert middle["squared"] - middle["absolute"] > 0.15
