"""SCALE: score matrix, pair loss, masked loss, presence, the two phases."""

import math
from dataclasses import replace

import pytest
import small
import torch
import torch.nn.functional as F

import mmalign
from mmalign.batch import Batch, DataSpec
from mmalign.config import TrainConfig
from mmalign.data import Split
from mmalign.errors import InputError
from mmalign.neighbours import SCALE
from mmalign.neighbours.scale import SCALEConfig, cosines, harmonise, pair_loss, unit_rows

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol

TINY = {"width": 8, "pooled": 12, "joint_layers": 1, "pretrain_epochs": 1}


def three(setting="R", survival=0.6, **knobs):
    """60 planted samples of three modalities, each absent from some."""
    knobs = {"samples": 60, "shortest": 3, "longest": 8, **knobs}
    return mmalign.load("planted", ("first", "second", "third"), survival, setting, 0, 1.0, **knobs)


def build(data, **changes):
    return SCALE.from_data(data, SCALEConfig(**{**TINY, **changes}))


PAIRS = ((0, 1), (0, 2), (1, 2))


def sharp(vectors):
    """S' of some vectors."""
    return unit_rows(harmonise(cosines(vectors)))


def relu_vectors(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0)).relu()


# ---- the score matrix --------------------------------------------------------------------------------


def test_cosines_are_symmetric_with_ones_on_the_diagonal_and_never_negative_after_relu():
    scores = cosines(relu_vectors(50, 4, 16))
    torch.testing.assert_close(scores, scores.mT)
    torch.testing.assert_close(scores.diagonal(dim1=1, dim2=2), torch.ones(50, 4))
    assert scores.min() >= 0 and scores.max() <= 1 + 1e-6
    assert cosines(torch.randn(50, 4, 3)).abs().max() <= 1 + 1e-6


def test_identical_vectors_share_the_weight_and_unrelated_ones_keep_it():
    torch.testing.assert_close(sharp(torch.ones(1, 3, 5)), torch.full((1, 3, 3), 1 / math.sqrt(3)))
    torch.testing.assert_close(sharp(torch.eye(3)[None]), torch.eye(3)[None])


def test_rows_have_length_1_and_the_matrix_need_not_be_symmetric():
    weights = sharp(relu_vectors(50, 4, 16))
    torch.testing.assert_close(weights.norm(dim=2), torch.ones(50, 4))
    assert (weights - weights.mT).abs().max() > 0.01


def test_the_denominator_of_the_softmax_cancels_in_rows_of_length_1():
    scores = cosines(relu_vectors(50, 4, 16))
    torch.testing.assert_close(unit_rows(harmonise(scores)), F.normalize(scores * scores.exp(), dim=2))


def test_a_weight_rises_with_its_score_from_0_at_0():
    score = torch.linspace(0, 1, 21)
    others = torch.tensor([1.0, 0.4]).expand(21, 2)
    raised = harmonise(torch.cat([score[:, None], others], dim=1)[:, None])[:, 0, 0]
    assert raised[0] == 0 and (raised.diff() > 0).all()


def test_the_diagonal_stays_in_its_range_and_favours_the_odd_one_out():
    vectors = relu_vectors(500, 3, 16)
    own = sharp(vectors).diagonal(dim1=1, dim2=2)
    assert own.min() >= 1 / math.sqrt(3) - 1e-6 and own.max() <= 1 + 1e-6
    raw = harmonise(cosines(vectors)).diagonal(dim1=1, dim2=2)
    assert raw.min() >= 1 / 3 - 1e-6 and raw.max() <= math.e / (math.e + 2) + 1e-6
    signed = sharp(torch.randn(500, 3, 8)).diagonal(dim1=1, dim2=2)  # v may point anywhere
    assert signed.min() >= 1 / math.sqrt(3) - 1e-6 and signed.max() <= 1 + 1e-6
    odd = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])  # the third is unlike the other two
    assert sharp(odd)[0].diagonal().argmax() == 2 and sharp(odd)[0, 2, 2] == 1


# ---- the pair loss -----------------------------------------------------------------------------------


def slow_pair_loss(first, second, weights, tau):
    """Anchor by anchor: its partner against all others but itself."""
    views = [*F.normalize(first, dim=1), *F.normalize(second, dim=1)]
    count, total = len(first), 0.0
    for anchor, one in enumerate(views):
        partner = (anchor + count) % (2 * count)
        logit = {k: weights[anchor % count] * (one @ view) / tau for k, view in enumerate(views) if k != anchor}
        total += torch.stack([*logit.values()]).logsumexp(0) - logit[partner]
    return total / (2 * count)


def test_the_pair_loss_is_the_slow_one():
    first, second, weights = relu_vectors(5, 7), relu_vectors(9, 7)[4:], torch.rand(5)
    torch.testing.assert_close(pair_loss(first, second, weights, 0.2), slow_pair_loss(first, second, weights, 0.2))


def test_at_weight_0_the_loss_is_the_log_of_the_candidates_and_no_vector_moves():
    first, second = relu_vectors(4, 7).requires_grad_(), relu_vectors(8, 7)[4:]
    weights = torch.zeros(4, requires_grad=True)
    loss = pair_loss(first, second, weights, 0.07)
    assert loss.item() == pytest.approx(math.log(7), abs=1e-6)
    to_vectors, to_weights = torch.autograd.grad(loss, (first, weights))
    assert not to_vectors.any() and to_weights.all()


def test_a_weight_is_a_temperature():
    first, second = relu_vectors(6, 7), relu_vectors(12, 7)[6:]
    ones = torch.ones(6)
    torch.testing.assert_close(pair_loss(first, second, 0.5 * ones, 0.1), pair_loss(first, second, ones, 0.2))


def test_the_pair_loss_knows_no_order_of_samples_and_no_first_view():
    first, second, weights = relu_vectors(6, 7), relu_vectors(12, 7)[6:], torch.rand(6)
    loss, order = pair_loss(first, second, weights, 0.1), torch.randperm(6)
    torch.testing.assert_close(pair_loss(first[order], second[order], weights[order], 0.1), loss)
    torch.testing.assert_close(pair_loss(second, first, weights, 0.1), loss)


@pytest.mark.parametrize(("weight", "tau"), [(1.0, 0.07), (0.5, 0.5), (0.1, 1.0)])
def test_with_equal_partners_and_unrelated_others_the_loss_is_known(weight, tau):
    views = torch.eye(5)
    found = pair_loss(views, views, torch.full((5,), weight), tau)
    assert found.item() == pytest.approx(math.log(1 + 8 * math.exp(-weight / tau)), abs=1e-6)


# ---- the model's weights -----------------------------------------------------------------------------


def test_pair_weights_are_never_negative():
    data = three()
    for changes in ({}, {"score": "learned"}, {"symmetrise": True}, {"strict": False}):
        model = build(data, **changes)
        mmalign.fit(model, data, TrainConfig(epochs=2), progress=False)
        pairs, _ = model.harmony(data.train.batch)
        assert pairs.min() >= 0 and pairs.isfinite().all()


def test_what_is_absent_has_rows_and_columns_of_zeros_and_the_released_form_lets_it_count():
    data = three()
    absent = ~data.train.batch.present
    for weights in build(data).harmony(data.train.batch):
        assert not weights[absent].any() and not weights.mT[absent].any()
        torch.testing.assert_close(weights.norm(dim=2), data.train.batch.present.float())
    for weights in build(data, strict=False).harmony(data.train.batch):
        assert weights[absent].any(dim=1).all()


def test_without_weights_every_present_pair_weighs_1():
    data = three()
    present = data.train.batch.present.float()
    for weights in build(data, weights=False).harmony(data.train.batch):
        torch.testing.assert_close(weights, present[:, :, None] * present[:, None])


def test_a_learned_score_starts_at_0_where_only_the_score_itself_is_moved_by_the_pairs():
    data = three(survival=1.0)
    model = build(data, score="learned", dropout=0.0, encoder_dropout=0.0)
    pooled, _ = model.encode(data.train.batch)
    loss = model.contrast(pooled, data.train.batch)["contrast"]
    assert loss.item() == pytest.approx(math.log(2 * 36 - 1), abs=1e-5)
    to_score, to_encoder = torch.autograd.grad(loss, (model.score, model.senses.embed[0].project.weight))
    assert to_score[torch.ones(3, 3).triu(1).bool()].all() and not to_encoder.any()
    raised = torch.autograd.functional.jacobian(harmonise, torch.zeros(3, 3))
    torch.testing.assert_close(raised, torch.eye(9).view(3, 3, 3, 3) / 3)


def test_symmetrised_weights_do_not_ask_who_comes_first():
    data = three(survival=1.0)
    batch = data.train.batch
    for symmetrise, same in ((True, True), (False, False)):
        model = build(data, symmetrise=symmetrise)
        pooled, _ = model.encode(batch)
        loss, other = model.contrast(pooled, batch), model.contrast(pooled.flip(1), batch)
        assert torch.isclose(loss["contrast"], other["contrast"]).item() == same


def test_without_its_gradient_a_weight_is_a_constant_of_the_loss():
    data = three(survival=1.0)
    batch = data.train.batch
    found = {}
    for through in (True, False):
        model = build(data, weight_gradient=through).eval()
        pooled, _ = model.encode(batch)
        weights = model.weigh(pooled, batch)
        by_hand = sum(pair_loss(pooled[:, i], pooled[:, j], weights[:, i, j].detach(), 0.07) for i, j in PAIRS) / 3
        loss = model.contrast(pooled, batch)["contrast"]
        torch.testing.assert_close(loss, by_hand)
        of_loss, of_hand = (torch.autograd.grad(one, pooled, retain_graph=True)[0] for one in (loss, by_hand))
        found[through] = torch.allclose(of_loss, of_hand, atol=1e-6)
    assert found == {True: False, False: True}


def test_the_head_starts_from_the_mean_of_the_steps():
    data = three(setting="B", survival=1.0)
    batch = data.train.batch
    spread = {}
    for token in ("mean", "none"):
        pooled, _ = build(data, token=token).eval().encode(batch)
        spread[token] = 1 - cosines(pooled.transpose(0, 1)).mean().item()
    assert spread["mean"] > 3 * spread["none"]  # without it, all samples look alike at first


# ---- masked steps ------------------------------------------------------------------------------------


def test_about_15_in_100_of_the_steps_that_are_there_are_hidden():
    data = three(samples=600)
    batch = data.train.batch
    there = batch.real[:, None] & batch.present[:, :, None]
    hidden = build(data).draw_hidden(batch)
    assert not (hidden & ~there).any()
    assert (hidden.sum() / there.sum()).item() == pytest.approx(0.15, abs=0.01)


def test_the_masked_loss_is_the_slow_one_and_its_targets_are_the_unmasked_inputs():
    data = three()
    batch = data.train.batch
    model = build(data).eval()
    hidden = model.draw_hidden(batch)
    _, joint = model.encode(batch, hidden)
    own = model.weigh(joint[:, :, 0], batch).diagonal(dim1=1, dim2=2)  # (B, M)
    expected = 0.0
    for place in range(3):
        errors = [
            (own[b, place] * model.rebuild[place](joint[b, place, t + 1]) - model.senses.clean(batch, place)[b, t])
            for b, t in hidden[:, place].nonzero().tolist()
        ]
        expected = expected + torch.stack(errors).square().mean()
    torch.testing.assert_close(model.rebuilding(joint, hidden, batch)["masked"], expected)


def test_hidden_steps_are_not_seen_and_others_are():
    data = three(survival=1.0)
    batch = data.train.batch
    model = build(data).eval()
    hidden = model.draw_hidden(batch)
    noisy = [values.where(~hidden[:, place, :, None], 1e6) for place, values in enumerate(batch.features)]
    changed = model.encode(with_features(batch, noisy), hidden)
    for before, after in zip(model.encode(batch, hidden), changed, strict=True):
        assert after.equal(before)
    assert not model.encode(with_features(batch, noisy))[0].allclose(model.encode(batch)[0])


def with_features(batch, features):
    return Batch(tuple(features), batch.lengths, batch.labels, batch.present, batch.ids)


def test_the_masked_loss_reads_neither_shown_steps_nor_padding():
    data = three()
    batch = data.train.batch
    model = build(data).eval()
    hidden = model.draw_hidden(batch)
    _, joint = model.encode(batch, hidden)
    loss = model.rebuilding(joint, hidden, batch)["masked"]
    outside = F.pad(hidden, (1, 0))[..., None]  # the head and the hidden steps stay
    outside[:, :, 0] = True
    spoilt = with_features(batch, [one.where(hidden[:, m, :, None], 1e6) for m, one in enumerate(batch.features)])
    torch.testing.assert_close(model.rebuilding(joint.where(outside, 1e6), hidden, spoilt)["masked"], loss)


def test_with_nothing_hidden_and_no_pair_there_is_no_step():
    data = three()
    model = build(data, masked=False)
    assert set(model.pretrain_loss(data.train.batch)) == {"contrast"}
    assert model.pretrain_loss(data.train.batch.rows(torch.tensor([0]))) == {}
    assert build(data, masked=False, contrastive=False).pretrain_loss(data.train.batch) == {}


# ---- presence ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strict", [True, False])
def test_the_content_of_what_is_absent_changes_no_loss_and_no_gradient(strict):
    data = three()
    batch = data.train.batch
    loud = [
        values.where(here[:, None, None], 1e6) for values, here in zip(batch.features, batch.present.T, strict=True)
    ]
    found = []
    for one in (batch, with_features(batch, loud)):
        model = build(data, strict=strict)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = sum({**model.pretrain_loss(one), **model.task_loss(one)}.values())
        found.append((loss, *torch.autograd.grad(loss, [*model.parameters()])))
    assert all(one.isfinite().all() for one in found[0]) and small.same_weights(*found)


def test_a_pair_is_compared_among_the_samples_that_have_both():
    data = three()
    batch = data.train.batch
    model = build(data).eval()
    pooled, _ = model.encode(batch)
    weights = model.weigh(pooled, batch)
    expected = []
    for i, j in PAIRS:
        both = batch.present[:, i] & batch.present[:, j]
        expected.append(slow_pair_loss(pooled[both, i], pooled[both, j], weights[both, i, j], 0.07))
    torch.testing.assert_close(model.contrast(pooled, batch)["contrast"], sum(expected) / 3)


def test_no_gradient_reaches_the_encoder_of_a_modality_that_nobody_has():
    data = three(setting="A", survival=0.5)
    batch = data.train.missing.batch  # all lack the second
    model = build(data)
    loss = sum(model.pretrain_loss(batch).values())
    of_absent, of_present = (
        torch.autograd.grad(loss, model.senses.embed[place].project.weight, retain_graph=True)[0] for place in (1, 2)
    )
    assert not of_absent.any() and of_present.any()


# ---- the two phases ----------------------------------------------------------------------------------


def test_pre_training_reads_no_label_and_no_head():
    data = three()
    batch = data.train.batch
    model = build(data, pretrain_epochs=3)
    blank = replace(batch, labels=torch.full_like(batch.labels, math.nan))
    torch.manual_seed(0)
    first = model.pretrain_loss(batch)
    torch.manual_seed(0)
    second = model.pretrain_loss(blank)
    assert first == second and model.warmup == 3
    before = small.copied(model.answer.parameters())
    [stage] = model.stages(2, 9)
    sum(stage.steps[0].loss(batch).values()).backward()
    assert stage.split == "all" and all(one.grad is None for one in model.answer.parameters())
    assert small.same_weights(before, [*model.answer.parameters()])


def test_an_epoch_of_pre_training_is_never_the_best():
    data = three()
    model = build(data, pretrain_epochs=2)
    history = mmalign.fit(model, data, TrainConfig(epochs=4), progress=False)
    assert history.best_epoch >= 2
    assert [*map(math.isnan, history.column("pretrain/masked"))] == [False, False, True, True]
    assert [*map(math.isnan, history.column("task/task"))] == [True, True, False, False]


def test_what_repeats_in_time_and_across_modalities_is_found_by_pre_training():
    data = small.planted(survival=1.0, setting="B", samples=200)
    batch = data.train.batch
    same = batch.visible[:, :1].expand_as(batch.visible)
    data = replace(data, train=Split(with_features(batch, [same, -same])))
    model = build(data, pretrain_epochs=14, width=16)
    history = mmalign.fit(model, data, TrainConfig(epochs=15, lr=5e-3, batch_size=40), progress=False)
    assert history.column("pretrain/contrast")[13] < math.log(2 * 40 - 1) - 0.4  # of chance
    assert history.column("pretrain/masked")[13] < 1.5  # of two modalities of variance 1


def test_a_probe_moves_the_head_and_nothing_else():
    data = three()
    model = build(data, readout="probe", pretrain_epochs=0)
    before = {name: small.copied(group) for name, group in model.groups().items()}
    mmalign.fit(model, data, TrainConfig(epochs=2), progress=False)
    assert small.same_weights(before["backbone"], model.groups()["backbone"])
    assert not small.same_weights(before["head"], model.groups()["head"])


def test_a_probe_is_linear():
    model = build(three()).eval()
    one, other = torch.randn(2, 5, 24)
    head = model.answer.head
    torch.testing.assert_close(head(one) + head(other), head(one + other) + head(torch.zeros(5, 24)))


def test_incomplete_samples_can_be_left_out_of_either_phase():
    model = build(three(), pretrain_on="complete", finetune_on="complete")
    assert [model.stages(epoch, 4)[0].split for epoch in (0, 1)] == ["complete", "complete"]


def test_one_modality_has_no_pairs_and_is_rebuilt_and_answered():
    data = three(survival=1.0)
    batch = data.train.batch
    alone = Batch(batch.features[:1], batch.lengths, batch.labels, batch.present[:, :1], batch.ids)
    spec = DataSpec(data.spec.modalities[:1], data.spec.widths[:1], "regression")
    model = SCALE(spec, SCALEConfig(**TINY))
    model.learn_scales(alone)
    assert set(model.pretrain_loss(alone)) == {"masked"} and model.predict(alone).shape == (36,)


@pytest.mark.parametrize(
    "wrong",
    [
        {"tau": 0},
        {"masked_share": 1.5},
        {"score": "dot"},
        {"token": "sum"},
        {"readout": "both"},
        {"pretrain_epochs": -1},
        {"score": "learned", "weight_gradient": False},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError):
        SCALEConfig(**wrong)
