"""The backbone: shapes, padding, attention, positions, the exchange of modalities, the residual wiring."""

import math
from dataclasses import replace

import oracles
import pytest
import small
import torch
import torch.nn.functional as F

from mmalign import masks
from mmalign.batch import Batch, DataSpec
from mmalign.config import BackboneConfig
from mmalign.method.backbone import Attention, Backbone, CrossStack

SPEC = DataSpec(("first", "second"), (3, 5), "regression")
KINDS = [{}, {"backbone": "official", "positional": "none", "cls": "zeros", "head": "official", "kernel": 1}]
each_kind = pytest.mark.parametrize("changes", KINDS, ids=["mult", "official"])


def backbone(spec=SPEC, encoders=2, **changes):
    return Backbone(spec, BackboneConfig(**{"width": 8, "heads": 2, **changes}), encoders).eval()


def samples(lengths=(6, 4, 1), widths=(3, 5)):
    lengths = torch.tensor(lengths)
    features = tuple(torch.randn(len(lengths), int(lengths.max()), width) for width in widths)
    present = torch.ones(len(lengths), 2, dtype=torch.bool)
    return Batch(features, lengths, torch.randn(len(lengths)), present, torch.arange(len(lengths)))


def predict(model, batch):
    return model.read(model.encode(batch, 0), model.encode(batch, 1), batch.real)


def head_vector(model, first, second, real):
    """(B, 2D): what the head reads, z12 then z21."""
    caught = []
    with model.answer.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0])):
        model.read(first, second, real)
    return caught[0]


# ---- answers ------------------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, task="classification", classes=4)], ids=lambda one: one.task)
def test_predictions_have_the_shape_of_the_task_and_are_finite_for_a_single_step(changes, spec):
    batch = samples(lengths=(1, 1))
    out = predict(backbone(spec, **changes), batch)
    assert out.shape == ((2,) if spec.task == "regression" else (2, 4)) and out.isfinite().all()


# ---- padding is inert --------------------------------------------------------------------------------


@each_kind
def test_padding_changes_nothing_whatever_it_holds_and_however_long_it_is(changes):
    model, batch = backbone(**changes), samples()
    before = predict(model, batch)
    for fill, extra in ((1e6, 0), (0.0, 3), (math.nan, 2)):
        features = tuple(F.pad(values, (0, 0, 0, extra)) for values in batch.features)
        wide = replace(batch, features=features)
        features = tuple(values.masked_fill(~wide.real[..., None], fill) for values in features)
        torch.testing.assert_close(predict(model, replace(batch, features=features)), before, atol=1e-5, rtol=0)


# ---- attention ---------------------------------------------------------------------------------------


def test_attention_rows_sum_to_one_and_are_zero_on_padding():
    attend = Attention(8, 2)
    real = torch.tensor([[True] * 5, [True] * 2 + [False] * 3])
    weights = attend.weights(torch.randn(2, 4, 8), torch.randn(2, 5, 8), real)
    assert weights.shape == (2, 2, 4, 5) and not weights[1, :, :, 2:].any()
    torch.testing.assert_close(weights.sum(3), torch.ones(2, 2, 4))


@torch.no_grad()
def test_attention_equals_a_loop_over_target_steps():
    attend = Attention(6, 1)
    target, source, real = torch.randn(1, 3, 6), torch.randn(1, 4, 6), torch.tensor([[True, True, True, False]])
    key, value = attend.key_value(source[0]).split(6, dim=1)
    rows = torch.stack(oracles.attention(attend.query(target[0]), key, value, real[0]))
    torch.testing.assert_close(attend(target, source, real)[0], attend.out(rows), atol=1e-5, rtol=1e-5)


def test_the_maps_to_look_at_are_the_weights_that_were_used():
    model = backbone(fusion_layers=2)
    batch = samples()
    first, second = model.encode(batch, 0), model.encode(batch, 1)
    real = F.pad(batch.real, (1, 0), value=True)
    maps = model.fusion[0].maps(first, second, real)
    assert len(maps) == 2 and maps[0].shape == (3, 2, 7, 7)
    block = model.fusion[0].blocks[0]
    value = block.attend.key_value(block.norm_in(second))[..., 8:].unflatten(2, (2, 4)).transpose(1, 2)
    read = block.attend.out((maps[0] @ value).transpose(1, 2).flatten(2))
    torch.testing.assert_close(block.attend(block.norm_in(first), block.norm_in(second), real), read)


# ---- positions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("positional", ["sinusoidal", "none"])
def test_the_order_of_steps_matters_if_and_only_if_positions_are_on(place, positional):
    model, batch = backbone(positional=positional, kernel=1), samples(lengths=(6, 6))
    turned = list(batch.features)
    turned[place] = turned[place][:, [1, 0, 2, 3, 5, 4]]
    change = (predict(model, replace(batch, features=tuple(turned))) - predict(model, batch)).abs().min()
    assert change > 1e-4 if positional == "sinusoidal" else change < 1e-5


def test_the_convolution_alone_also_sees_order():
    model, batch = backbone(positional="none", kernel=3), samples(lengths=(6, 6))
    turned = replace(batch, features=(batch.visible[:, [1, 0, 2, 3, 5, 4]], batch.victim))
    assert (predict(model, turned) - predict(model, batch)).abs().min() > 1e-5


# ---- exchange ----------------------------------------------------------------------------------------


@each_kind
def test_swapping_modalities_with_their_modules_swaps_the_two_heads(changes):
    ours, theirs = backbone(**changes), backbone(replace(SPEC, widths=(5, 3)), **changes)
    for name in ("embed", "encoders", "fusion"):
        for place in range(2):
            getattr(theirs, name)[place].load_state_dict(getattr(ours, name)[1 - place].state_dict())
    batch = samples()
    turned = replace(batch, features=batch.features[::-1])
    z12, z21 = head_vector(ours, ours.encode(batch, 0), ours.encode(batch, 1), batch.real).chunk(2, dim=1)
    w12, w21 = head_vector(theirs, theirs.encode(turned, 0), theirs.encode(turned, 1), batch.real).chunk(2, dim=1)
    torch.testing.assert_close((w12, w21), (z21, z12), atol=1e-5, rtol=1e-5)


# ---- residual wiring ---------------------------------------------------------------------------------


def test_with_silent_blocks_the_head_is_the_normalised_cls():
    model, batch = backbone(encoder_layers=2, fusion_layers=2), samples()
    for stack in (*model.encoders, *model.fusion):
        for block in stack.blocks:
            for layer in (block.attend.out, block.feed[2]):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
    vector = head_vector(model, model.encode(batch, 0), model.encode(batch, 1), batch.real)
    for place, half in enumerate(vector.chunk(2, dim=1)):
        position = torch.tensor([0.0, 1.0]).repeat(4)  # sine and cosine of 0
        cls = math.sqrt(8) * model.embed[place].cls + position
        expected = F.layer_norm(F.layer_norm(cls, (8,)), (8,))
        torch.testing.assert_close(half, expected.expand(3, -1), atol=1e-5, rtol=1e-5)


# ---- company and gradients ----------------------------------------------------------------------------


@each_kind
def test_a_batch_of_one_is_the_same_row_of_a_batch(changes):
    model, batch = backbone(**changes), samples()
    together = predict(model, batch)
    alone = torch.cat([predict(model, batch.rows(torch.tensor([place]))) for place in range(3)])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=0)


@each_kind
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_gradient_reaches_every_parameter(changes, task):
    model = backbone(replace(SPEC, task=task, classes=4), encoder_layers=2, fusion_layers=2, **changes)
    out = predict(model, samples())
    (out * torch.randn_like(out)).sum().backward()
    untouched = [name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()]
    assert untouched == []


# ---- scales ------------------------------------------------------------------------------------------


def test_scales_come_from_what_may_be_seen_only():
    split = small.planted(labelled=0.5).train
    model = backbone(DataSpec(("first", "second"), (8, 8), "regression"))
    model.learn_scales(split.batch)
    batch = split.batch
    steps = batch.victim[batch.complete][batch.real[batch.complete]]
    torch.testing.assert_close(model.embed[1].standardise.mean.float(), steps.mean(0))
    torch.testing.assert_close(model.answer.label_mean, batch.labels[batch.labelled].mean())
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_predictions_are_in_the_units_of_the_labels_and_the_loss_is_not():
    """Scaling every label by 10 scales the predictions of the same network, and leaves its loss alone."""
    batch = small.planted(survival=1.0).train.batch
    found = []
    for unit in (1.0, 10.0):
        torch.manual_seed(0)
        model = backbone(DataSpec(("first", "second"), (8, 8), "regression"))
        scaled = replace(batch, labels=unit * batch.labels)
        model.learn_scales(scaled)
        answer = predict(model, scaled)
        found.append((answer / unit, model.task_loss(answer, scaled.labels)))
    torch.testing.assert_close(found[0], found[1], atol=1e-4, rtol=1e-4)


def test_equal_labels_do_not_divide_by_zero():
    batch = replace(small.planted(survival=1.0).train.batch, labels=torch.full((36,), 2.0))
    model = backbone(DataSpec(("first", "second"), (8, 8), "regression"))
    model.learn_scales(batch)
    assert model.task_loss(predict(model, batch), batch.labels).isfinite()


# ---- the head alone ----------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [1, 3])
def test_reading_only_the_head_gives_what_the_whole_sequence_gives_and_the_same_gradients(layers):
    stack = CrossStack(8, 2, layers, dropout=0.1).double().eval()
    target, source = torch.randn(3, 6, 8).double(), torch.randn(3, 6, 8).double()
    real = masks.real_steps(torch.tensor([6, 4, 1]), 6)
    found = []
    for read in (lambda *states: stack(*states)[:, 0], stack.read_head):
        inputs = [target.clone().requires_grad_(), source.clone().requires_grad_()]
        out = read(*inputs, real)
        upstream = torch.arange(out.numel()).view_as(out).double()
        found.append((out, *torch.autograd.grad(out, [*inputs, *stack.parameters()], upstream)))
    torch.testing.assert_close(*found, rtol=1e-9, atol=1e-9)
