"""What every neighbour promises: nothing absent is read, whatever is absent, for two modalities and for three."""

import itertools
from dataclasses import replace

import pytest
import small
import torch
import torch.nn.functional as F

import mmalign
from mmalign.data import Split
from mmalign.neighbours.senses import Neighbour
from mmalign.registry import SYSTEMS

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol

NAMES = [name for name, entry in SYSTEMS.items() if issubclass(entry.kind, Neighbour)]
PAIRS = {2: ("first", "second"), 3: ("first", "second", "third")}
every = pytest.mark.parametrize("name", small.light(NAMES))
count = pytest.mark.parametrize("modalities", PAIRS)
LATE = 5  # an epoch after every warm-up


def data_for(setting="R", modalities=2, task="regression", survival=0.5):
    return small.planted(survival, setting, pair=PAIRS[modalities], task=task)


def ready(name, data):
    """A system with random weights that predicts, and training samples that lack some modalities."""
    model = small.build(name, data)
    model.prepare(0, data.train)
    return model.eval(), data.train.batch


def hidden_behind(split, value):
    """The same samples; what hides the absent modalities is `value` and no longer NaN."""
    here = split.batch.present.T[:, :, None, None]
    features = (torch.where(one, values, value) for one, values in zip(here, split.batch.features, strict=True))
    return Split(replace(split.batch, features=tuple(features)))


# ---- what is absent is not read ----------------------------------------------------------------------


@every
@count
@pytest.mark.parametrize("setting", ["A", "B", "R"])
def test_what_hides_an_absent_modality_changes_no_output_and_no_gradient(name, modalities, setting):
    data, found = data_for(setting, modalities), []
    for value in (None, 1e6):
        parts = {part: getattr(data, part) for part in ("train", "valid", "test")}
        seen = data if value is None else replace(data, **{k: hidden_behind(v, value) for k, v in parts.items()})
        model, batch = ready(name, seen)
        answers = [model.predict(batch), model.predict(seen.test.batch)]
        model.train()
        for epoch in (0, LATE):
            for stage in model.stages(epoch, 2 * LATE):
                samples = next(seen.train.part(stage.split).batches(40, torch.Generator().manual_seed(0)))
                for step in stage.steps:
                    torch.manual_seed(0)
                    loss = sum(step.loss(samples).values())
                    moved = [one for group in step.moves for one in model.groups()[group]]
                    answers += torch.autograd.grad(loss, moved, materialize_grads=True, allow_unused=True)
        found.append(answers)
    assert all(one.isfinite().all() for one in found[0])
    assert small.same_weights(*found)


# ---- padding and company -----------------------------------------------------------------------------


@every
@count
def test_more_padding_changes_nothing(name, modalities):
    model, batch = ready(name, data_for(modalities=modalities))
    wider = replace(batch, features=tuple(F.pad(values, (0, 0, 0, 3), value=9.0) for values in batch.features))
    torch.testing.assert_close(model.predict(wider), model.predict(batch), atol=1e-5, rtol=0)


@every
@count
def test_a_prediction_does_not_depend_on_who_else_is_in_the_batch(name, modalities):
    model, batch = ready(name, data_for(modalities=modalities))
    alone = torch.cat([model.predict(batch.rows(torch.tensor([place]))) for place in range(len(batch))])
    torch.testing.assert_close(alone, model.predict(batch), atol=1e-5, rtol=0)


# ---- settings, tasks, seeds --------------------------------------------------------------------------


@every
@pytest.mark.parametrize(
    ("setting", "modalities", "task"),
    [("A", 3, "classification"), ("B", 3, "regression"), ("R", 2, "regression"), ("R", 3, "classification")],
)
def test_it_trains_on_any_pattern_of_absence_and_a_seed_repeats_it(name, setting, modalities, task):
    data, found = data_for(setting, modalities, task), []
    for _ in range(2):
        model, history = small.train(name, data, seed=3)
        found.append((mmalign.evaluate(model, data.test), history.column("valid_loss")))
    assert repr(found[0]) == repr(found[1])
    assert model.predict(data.test.batch).shape == ((12,) if task == "regression" else (12, 3))


@every
@count
def test_one_model_answers_from_every_subset_of_modalities(name, modalities):
    model, batch = ready(name, data_for("B", modalities, survival=1.0))
    answers = []
    for kept in itertools.product([True, False], repeat=modalities):
        if any(kept):
            answers.append(model.predict(replace(batch, present=torch.tensor(kept).expand(len(batch), -1))))
    assert torch.stack(answers).isfinite().all()
    assert all(not one.equal(other) for one, other in itertools.combinations(answers, 2))


@every
def test_what_each_modality_says_alone_is_told_where_it_is_there(name):
    model, batch = ready(name, data_for(modalities=3, task="classification"))
    alone = model.alone(batch)
    assert alone.shape == (len(batch), 3, 3) and alone.isnan().all(2).equal(~batch.present)
    lonely = batch.present.sum(1) == 1
    torch.testing.assert_close(alone[lonely].nansum(1), model.predict(batch.rows(lonely)), atol=1e-5, rtol=0)


@every
def test_a_modality_that_no_training_sample_has_does_no_harm(name):
    data = data_for()
    nobody = data.train.batch.present.clone()
    nobody[:, 1], nobody[:, 0] = False, True
    batch = replace(
        data.train.batch, present=nobody, features=tuple(one.nan_to_num() for one in data.train.batch.features)
    )
    model, _ = small.train(name, replace(data, train=Split(batch)))
    assert all(value.isfinite().all() for value in model.state_dict().values())
