"""MLA: the guard of the head, isolation of the encoders, fusion by entropy."""

import copy
import itertools
from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign.data import Split
from mmalign.neighbours.certainty import Classes
from mmalign.neighbours.mla import OFFICIAL_MLA, MLAConfig, entropy_weights, guard
from mmalign.registry import SYSTEMS

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol

STILL = {"encoder_dropout": 0.0}


def features(count=6, width=5, seed=0):
    """Mean features of some steps, in doubles, and their lambdas."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=draw, dtype=torch.float64), [0.1 * 0.7**step for step in range(count)]


def guarded(means, lambdas):
    """P after each step, the identity first."""
    found = [torch.eye(means.shape[1], dtype=means.dtype)]
    for mean, resistance in zip(means, lambdas, strict=True):
        found.append(guard(found[-1], mean, resistance))
    return found


def ready(task="classification", pair=None, seed=0, **model):
    """An untrained model in training mode without dropout, and training samples."""
    data = small.planted(setting="R", task=task, pair=pair)
    return small.build("mla", data, seed, **{**STILL, **model}), data


def head_gradients(model, batch, place=0):
    """Gradients of a step: of the head's weight, its bias and the encoder."""
    model.zero_grad()
    step = model.stages(0, 1)[0].steps[place]
    step.loss(batch)["task"].backward()
    model.after_step(step, batch)
    head = model.heads[0]
    return head.weight.grad.clone(), head.bias.grad.clone(), [one.grad.clone() for one in model.senses.owned(place)]


# ---- the guard ---------------------------------------------------------------------------------------


def test_the_golden_guards():
    first = guard(torch.eye(2), torch.tensor([1.0, 0.0]), 0.1)
    torch.testing.assert_close(first, torch.tensor([1 / 11, 1.0]).diag())
    torch.testing.assert_close(guard(first, torch.tensor([0.0, 2.0]), 0.01), torch.tensor([1 / 11, 1 / 401]).diag())


def test_the_recursion_is_the_inverse_of_the_sum_of_outer_products():
    means, lambdas = features()
    total = torch.eye(5, dtype=torch.float64)
    for mean, resistance, after in zip(means, lambdas, guarded(means, lambdas)[1:], strict=True):
        total = total + torch.outer(mean, mean) / resistance
        torch.testing.assert_close(after, torch.linalg.inv(total), atol=1e-5, rtol=0)


def test_it_stays_symmetric_between_zero_and_one_and_never_grows():
    found = guarded(*features())
    for before, after in itertools.pairwise(found):
        assert after.equal(after.T)
        values = torch.linalg.eigvalsh(after)
        assert values.min() > 0 and values.max() <= 1 + 1e-12
        assert torch.linalg.eigvalsh(before - after).min() > -1e-12


def test_without_resistance_it_becomes_the_projector_off_what_was_seen():
    means, _ = features(count=3)
    basis = torch.linalg.qr(means.T)[0]
    projector = torch.eye(5, dtype=torch.float64) - basis @ basis.T
    torch.testing.assert_close(guarded(means, [1e-9] * 3)[-1], projector, atol=1e-6, rtol=0)


def test_how_much_of_a_direction_is_left_is_known_exactly():
    means, lambdas = features()
    found = guarded(means, lambdas)
    for mean, resistance, before, after in zip(means, lambdas, found, found[1:], strict=False):
        left = resistance / (resistance + mean @ before @ mean)
        torch.testing.assert_close(after @ mean, left * before @ mean)
        assert (after @ mean).norm() > 1e-4  # not orthogonal: lambda is not 0


def test_thousands_of_steps_leave_it_positive():
    model, _ = ready()
    model.resistance = lambda done: 0.01
    for step in range(1500):
        model.guards = model._guards_after(model.guards, 0, torch.ones(8) + 1e-3 * step)
    assert torch.linalg.eigvalsh(model.guards[0]).min() > 0 and model.guards.isfinite().all()


# ---- steps -------------------------------------------------------------------------------------------


def test_the_first_step_is_plain_and_later_ones_change_the_weight_of_the_head_alone():
    model, data = ready()
    plain = copy.deepcopy(model)
    plain.config = replace(model.config, hgm=False)
    one, other = data.train.batch.rows(torch.arange(0, 18)), data.train.batch.rows(torch.arange(18, 36))
    for batch, same in ((one, True), (other, False)):
        ours, theirs = head_gradients(model, batch), head_gradients(plain, batch)
        assert ours[0].equal(theirs[0]) == same
        assert ours[1].equal(theirs[1]) and small.same_weights(ours[2], theirs[2])


def test_a_copy_of_a_model_is_guarded_too():
    model, data = ready()
    head_gradients(model, data.train.batch)
    twin = copy.deepcopy(model)
    assert head_gradients(twin, data.train.batch)[0].equal(head_gradients(model, data.train.batch)[0])
    assert twin.guards.equal(model.guards) and not twin.guards[0].equal(torch.eye(8, dtype=torch.float64))


def test_the_gradient_is_multiplied_by_what_earlier_steps_left_and_then_the_mean_enters():
    model, data = ready()
    batch, free = data.train.batch, copy.deepcopy(model)
    free.config = replace(model.config, hgm=False)
    expected = torch.eye(8, dtype=torch.float64)
    for place in (0, 1, 0):
        gradient = head_gradients(model, batch, place)[0]
        torch.testing.assert_close(gradient, (head_gradients(free, batch, place)[0].double() @ expected).float())
        mean = model.senses.pooled(batch.rows(batch.present[:, place]), place).mean(0).double()
        expected = guard(expected, mean.detach(), 0.1)
        torch.testing.assert_close(model.guards[0], expected)


def test_a_step_after_a_mean_moves_the_answer_to_it_by_the_known_ratio():
    model, data = ready()
    batch = data.train.batch
    head_gradients(model, batch, 0)  # now the mean of the first modality is in P
    mean = model.senses.pooled(batch.rows(batch.present[:, 0]), 0).mean(0).double().detach()
    free = copy.deepcopy(model)
    free.config = replace(model.config, hgm=False)
    changes = [head_gradients(one, batch, 1)[0].double() @ mean for one in (model, free)]
    torch.testing.assert_close(changes[0], changes[1] * 0.1 / (0.1 + mean @ mean), rtol=1e-4, atol=1e-7)


def test_a_step_on_one_modality_leaves_the_others_bit_for_bit_even_with_momentum_and_decay():
    data = small.planted(survival=1.0, setting="B")
    present = data.train.batch.present.clone()
    present[6:, 1] = False  # the second modality is there in few batches
    model = small.build("mla", data)
    steps, before = model.stages(0, 1)[0].steps, small.copied(model.groups()["second"])
    model.stages = lambda epoch, epochs: [mmalign.system.Stage("all", steps[:1])]
    config = SYSTEMS["mla"].configure_training(epochs=1, optimiser="sgd", lr=0.05, weight_decay=0.1)
    mmalign.fit(model, replace(data, train=Split(replace(data.train.batch, present=present))), config, progress=False)
    assert small.same_weights(before, model.groups()["second"])


def test_without_a_modality_its_step_is_skipped_and_the_guard_stands_still():
    model, data = ready()
    nobody = data.train.batch.present.clone()
    nobody[:, 1] = False
    assert model.loss_of(1, replace(data.train.batch, present=nobody)) == {}
    assert model.guards[0].equal(torch.eye(8, dtype=torch.float64))


def test_lambda_falls_within_an_epoch_and_starts_again():
    model, data = ready()
    seen = []
    model.resistance = lambda done: seen.append(done) or 0.1
    for epoch in range(2):
        model.prepare(epoch, data.train)
        for batch in data.train.batches(9):
            head_gradients(model, batch)
    assert seen == [0, 0.25, 0.5, 0.75] * 2
    fresh, _ = ready()
    assert fresh.resistance(0) == 0.1 and fresh.resistance(1.0) == pytest.approx(0.01)


def test_plasticity_is_one_before_training_and_falls():
    model, data = ready()
    mmalign.fit(model, data, mmalign.TrainConfig(epochs=3), progress=False)
    assert model.plasticity[0] == 1 and model.plasticity == sorted(model.plasticity, reverse=True)


def test_a_guard_of_the_others_knows_nothing_of_its_own_modality():
    model, data = ready(pair=("first", "second", "third"), p_scope="other")
    head_gradients(model, data.train.batch, 1)
    untouched = [one.equal(torch.eye(8, dtype=torch.float64)) for one in model.guards]
    assert untouched == [False, True, False]


def test_the_released_normalisation_gives_the_guard_length_one():
    model, data = ready(p_norm="fro")
    head_gradients(model, data.train.batch)
    assert model.guards[0].norm().item() == pytest.approx(1)


def test_all_at_once_is_the_sum_of_the_steps_losses():
    model, data = ready(alternate=False, hgm=False)
    [step] = model.stages(0, 1)[0].steps
    parts = step.loss(data.train.batch)
    assert {*parts} == {"first", "second"} and step.moves == ("first", "second", "head")
    torch.testing.assert_close(parts["second"], model.loss_of(1, data.train.batch)["task"])


# ---- fusion ------------------------------------------------------------------------------------------


def test_the_golden_weights():
    logits = torch.tensor([[[0.0, 0.0], [1e5, -1e5], [3.0, 1.0]]])
    weights = entropy_weights(Classes(2).entropy(logits), torch.tensor([[True, True, False]]))
    torch.testing.assert_close(weights, torch.tensor([[1 / 3, 2 / 3, 0.0]]))
    weights = entropy_weights(Classes(2).entropy(logits[:, :2]), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(weights, torch.tensor([[1 / 3, 2 / 3]]))


def test_weights_sum_to_one_over_what_is_present_and_prefer_the_surer_but_boundedly():
    draw = torch.Generator().manual_seed(0)
    logits = 5 * torch.randn(200, 3, 4, generator=draw)
    present = torch.rand(200, 3, generator=draw) < 0.6
    present[:, 0] |= ~present.any(1)
    entropies = Classes(4).entropy(logits)
    weights = entropy_weights(entropies, present)
    assert (weights >= 0).all() and (weights[~present] == 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(200))
    assert (weights[present.sum(1) == 1].amax(1) == 1).all()
    both = present[:, 0] & present[:, 1]
    assert ((weights[both, 0] >= weights[both, 1]) == (entropies[both, 0] <= entropies[both, 1])).all()
    ratio = weights[both, 0] / weights[both, 1]
    assert ratio.max() <= 4 and ratio.min() >= 1 / 4 and ratio.max() > 2  # C = 4 classes
    even = entropy_weights(torch.ones(1, 3), torch.tensor([[True, False, True]]))
    assert even.tolist() == [[0.5, 0.0, 0.5]]


def test_one_modality_alone_speaks_for_itself():
    model, data = ready()
    batch = data.train.batch.rows(data.train.batch.present.sum(1) == 1)
    model.eval()
    own = model.outputs(batch)[batch.present]
    assert model.predict(batch).equal(own) and model.weights(batch)[batch.present].eq(1).all()


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_the_names_of_modalities_do_not_matter_to_the_fused_answer(task):
    model, data = ready(task=task)
    model.eval()
    swapped = copy.deepcopy(model)
    for parts in (swapped.senses.embed, swapped.senses.encoders):
        parts[0], parts[1] = parts[1], parts[0]
    batch = data.train.batch
    turned = replace(batch, features=batch.features[::-1], present=batch.present.flip(1))
    torch.testing.assert_close(swapped.predict(turned), model.predict(batch))


def test_as_released_the_weight_of_a_sample_depends_on_who_else_is_in_the_batch():
    ours, data = ready()
    released = copy.deepcopy(ours)
    released.config = replace(ours.config, **OFFICIAL_MLA)
    batch = data.train.batch.rows(data.train.batch.complete)
    few = batch.rows(torch.arange(3))
    torch.testing.assert_close(ours.weights(few), ours.weights(batch)[:3])
    assert not torch.isclose(released.weights(few), released.weights(batch)[:3]).any()
    assert (released.weights(batch) == released.weights(batch)[0]).all()


def test_equal_fusion_is_the_plain_mean():
    model, data = ready(fusion="equal")
    weights = model.weights(data.train.batch)
    torch.testing.assert_close(weights, data.train.batch.present / data.train.batch.present.sum(1, keepdim=True))


def test_a_head_for_each_unguarded_and_equal_weights_is_late_fusion():
    data = small.planted(setting="R", task="classification")
    mla = small.build("mla", data, shared_head=False, hgm=False, fusion="equal").eval()
    late = small.build("late-fusion", data, seed=1).eval()
    late.senses.load_state_dict(mla.senses.state_dict())
    for ours, theirs in zip(late.heads, mla.heads, strict=True):
        ours.head.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(late.predict(data.train.batch), mla.predict(data.train.batch))
    for place in range(2):
        losses = [one.loss_of(place, data.train.batch)["task"] for one in (late, mla)]
        torch.testing.assert_close(*losses)


@pytest.mark.parametrize("numbers", ["binned", "gaussian"])
def test_numbers_are_learnt_in_their_own_unit(numbers):
    data = small.planted(samples=200)
    batch = data.train.batch
    moved = replace(data, train=Split(replace(batch, labels=100 + 50 * batch.labels)))
    for one, scale in ((data, 1.0), (moved, 50.0)):
        model, _ = small.train("mla", one, model={"numbers": numbers}, epochs=1)
        answers = model.predict(one.train.batch)
        assert (answers - one.train.batch.labels).abs().mean() < 1.5 * scale


def test_a_configuration_refuses_a_guard_of_heads_that_nobody_shares():
    with pytest.raises(mmalign.errors.InputError, match="hgm=False"):
        MLAConfig(shared_head=False)
