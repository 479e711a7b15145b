"""The translators: their decoder, what their losses ask for and of whom, their targets."""

import math
from dataclasses import replace

import pytest
import small
import torch
from torch import nn

import mmalign
from mmalign import InputError, masks
from mmalign.baselines.modal_trans import Coupled, ModalTransConfig, Seq2Seq
from mmalign.method.encoders import sinusoidal_positions

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol


def built(data, **changes):
    """A narrow model without dropout."""
    return small.build("modal-trans", data, **{"dropout": 0.0, **changes})


def translator(decoder, seed=0):
    torch.manual_seed(seed)
    return (Coupled(ModalTransConfig(width=8, decoder=decoder)) if decoder == "coupled" else Seq2Seq(8, 8)).eval()


def sequences(batch=4, steps=6, seed=0):
    """Two sequences (B, T, 8) and lengths (B,)."""
    torch.manual_seed(seed)
    return torch.randn(batch, steps, 8), torch.randn(batch, steps, 8), torch.randint(2, steps + 1, (batch,))


both = pytest.mark.parametrize("decoder", ["seq2seq", "coupled"])


# ---- the decoder -------------------------------------------------------------------------------------------


def test_a_step_is_told_from_the_true_steps_before_it_and_from_no_later_one():
    model, (source, target, _) = translator("seq2seq"), sequences()
    lengths = torch.full((4,), 6)
    before = model.forced(source, lengths, target)
    for t in range(6):
        other = target.clone()
        other[:, t] += 1
        same = (model.forced(source, lengths, other) == before).all(2).all(0)
        assert same[: t + 1].all() and not same[t + 1 :].any()


def test_told_what_it_would_have_said_it_says_the_same():
    model, (source, _, lengths) = translator("seq2seq"), sequences()
    spoken = model(source, lengths)
    torch.testing.assert_close(model.forced(source, lengths, spoken), spoken, atol=1e-6, rtol=1e-5)


def test_every_step_spoken_depends_on_every_step_heard():
    for decoder in ("seq2seq", "coupled"):
        model, (source, _, _) = translator(decoder), sequences()
        source.requires_grad_()
        for t in range(6):
            heard = torch.autograd.grad(model(source, torch.full((4,), 6))[:, t].sum(), source)[0]
            assert (heard.abs().sum(2) > 0).all(), (decoder, t)


# ---- what the losses ask for -------------------------------------------------------------------------------


class Same(nn.Module):
    """The translation of a language into itself."""

    def forward(self, source, lengths):
        return source

    def forced(self, source, lengths, target):
        return source


class Still(nn.Module):
    """A translator that hands no gradient to what it is given."""

    def __init__(self, translator):
        super().__init__()
        self.translator = translator

    def forward(self, source, lengths):
        return self.translator(source.detach(), lengths)

    def forced(self, source, lengths, target):
        return self.translator.forced(source.detach(), lengths, target)


def test_two_identities_lose_nothing_on_the_way_and_back():
    data = small.planted()
    model = built(data)
    model.forth, model.back = Same(), Same()
    complete = model.complete_loss(1.0, data.train.complete.batch)
    assert complete["cycle"] == 0 == model.missing_loss(data.train.missing.batch)["cycle"]
    assert complete["translate"] > 0.1


@both
def test_a_rotation_is_learnt(decoder):
    torch.manual_seed(0)
    config = ModalTransConfig(width=16, decoder=decoder, dropout=0.0)
    model, lengths = Coupled(config) if decoder == "coupled" else Seq2Seq(16, 32), torch.randint(2, 7, (64,))
    # As hidden states are: what they say, and where they stand.
    source = torch.randn(64, 6, 4) @ torch.randn(4, 16) / 2 + sinusoidal_positions(6, 16, lengths.device)
    target, real = source @ torch.linalg.qr(torch.randn(16, 16)).Q, masks.real_steps(lengths, 6)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = (model.forced(source, lengths, target) - target)[real].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.1 * target[real].var(0).mean()


# ---- who is asked ------------------------------------------------------------------------------------------


@both
def test_missing_samples_do_not_read_the_victim_and_complete_ones_do_not_translate(decoder, monkeypatch):
    data = small.planted(survival=1.0)
    model, batch = built(data, decoder=decoder).eval(), data.train.batch
    blank = replace(batch, features=(batch.visible, torch.full_like(batch.victim, math.nan)))
    assert model.predict_missing(blank).equal(model.predict_missing(batch))
    assert model.missing_loss(blank) == model.missing_loss(batch)
    before = model.predict_complete(batch)
    for name in ("forth", "back"):
        monkeypatch.setattr(model, name, None)
    assert model.predict_complete(batch).equal(before)


def test_the_way_back_is_used_in_training_only():
    data = small.planted(setting="B")
    model = built(data).eval()
    model.back = None
    assert model.predict(data.test.batch).isfinite().all()


# ---- the targets stand still ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("decoder", "cycle_input"), [("seq2seq", "free"), ("seq2seq", "teacher"), ("coupled", "free")])
def test_a_translation_moves_the_states_it_comes_from_and_not_those_it_goes_to(decoder, cycle_input):
    data = small.planted()
    model, batch = built(data, decoder=decoder, cycle_input=cycle_input), data.train.complete.batch
    states = [model.backbone.encode(batch, place) for place in range(2)]
    for source in (0, 1):  # what comes from the other one is held still
        given = [one if place == source else one.detach().requires_grad_() for place, one in enumerate(states)]
        model.backbone.encode = lambda some, place, given=given: given[place]
        forth, back = model.forth, model.back
        model.forth, model.back = (forth, Still(back)) if source == 0 else (Still(forth), back)
        moved = torch.autograd.grad(model.complete_loss(1.0, batch)["translate"], given, allow_unused=True)
        model.forth, model.back = forth, back
        assert moved[source].any() and moved[1 - source] is None


@both
def test_a_cycle_moves_only_what_it_starts_from(decoder):
    data = small.planted()
    model, batch = built(data, decoder=decoder), data.train.missing.batch
    first = model.backbone.encode(batch, 0)
    model.backbone.encode = lambda some, place: first
    model.forth = Still(model.forth)  # nothing goes through the translation, and the target stands still
    cycle = model.missing_loss(batch)["cycle"]
    assert torch.autograd.grad(cycle, first, allow_unused=True, retain_graph=True) == (None,)
    assert any(one.any() for one in torch.autograd.grad(cycle, [*model.back.project.parameters()]))


# ---- no collapse -----------------------------------------------------------------------------------------------


def test_the_victims_states_keep_their_variance():
    data = small.planted(survival=1.0, setting="B", samples=100)
    model = small.build("modal-trans", data, width=16, translator_width=16)
    variances, stages, batch = [], model.stages, data.valid.batch

    def watch(epoch, epochs):
        with torch.no_grad():
            variances.append(model.backbone.encode(batch, 1)[:, 1:][batch.real].var(0).mean())
        return stages(epoch, epochs)

    model.stages = watch
    mmalign.fit(model, data, mmalign.TrainConfig(epochs=8, lr=1e-2), progress=False)
    assert variances[-1] > 0.1 * variances[model.warmup]


# ---- lengths and neighbours --------------------------------------------------------------------------------------


@both
def test_a_sample_alone_is_translated_as_in_a_batch(decoder):
    model, (source, target, lengths) = translator(decoder), sequences()
    free, forced = model(source, lengths), model.forced(source, lengths, target)
    for one, length in enumerate(lengths.tolist()):
        only, cut = slice(one, one + 1), slice(length)
        alone = model(source[only, cut], lengths[only])
        assert alone.shape == (1, length, 8)
        torch.testing.assert_close(alone[0], free[one, cut], atol=1e-6, rtol=1e-5)
        told = model.forced(source[only, cut], lengths[only], target[only, cut])
        torch.testing.assert_close(told[0], forced[one, cut], atol=1e-6, rtol=1e-5)


@both
def test_what_padding_holds_changes_no_loss(decoder):
    data = small.planted()
    batch, model = data.train.complete.batch, built(data, decoder=decoder)
    other = replace(batch, features=tuple(one.masked_fill(~batch.real[..., None], 1e6) for one in batch.features))
    assert model.complete_loss(1.0, batch) == model.complete_loss(1.0, other)
    states = [model.backbone.encode(batch, place) for place in range(2)]
    filled = [torch.where(torch.cat([batch.real[:, :1], batch.real], 1)[..., None], one, 7.0) for one in states]
    found = []
    for pair in (states, filled):
        model.backbone.encode = lambda some, place, pair=pair: pair[place]
        found.append(model.complete_loss(1.0, batch))
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


# ---- switches ------------------------------------------------------------------------------------------------------


@both
def test_the_translation_stands_behind_the_victims_head(decoder):
    data = small.planted()
    model, batch = built(data, decoder=decoder).eval(), data.test.batch
    imagined, first = model.impute(batch), model.backbone.encode(batch, 0)
    assert imagined[:, 1:].equal(model.forth(first[:, 1:], batch.lengths))
    assert imagined[:, :1].equal(model.victim_head(first))


def test_with_a_teacher_complete_samples_are_never_translated_freely():
    data = small.planted()
    for cycle_input in ("free", "teacher"):
        model, calls = built(data, cycle_input=cycle_input), []
        for one in (model.forth, model.back):
            one.register_forward_hook(lambda module, given, made, calls=calls: calls.append(module))
        model.complete_loss(1.0, data.train.complete.batch)
        assert len(calls) == (2 if cycle_input == "free" else 0)


@both
def test_it_learns_with_either_decoder_and_with_the_missing_samples_only_if_asked(decoder):
    data = small.planted()
    for use in (True, False):
        _, history = small.train("modal-trans", data, model={"decoder": decoder, "use_missing_split": use})
        assert math.isfinite(history.rows[-1]["valid_loss"])
        assert ("denoise/task" in history.rows[-1]) == use


@both
def test_the_translators_are_at_most_60_percent_of_the_backbone(decoder):
    data = mmalign.load("smartwatch", survival=0.5)
    model = mmalign.baselines.ModalTrans.from_data(data, ModalTransConfig(decoder=decoder))
    backbone = sum(one.numel() for one in model.backbone.parameters())
    assert sum(one.numel() for one in model.parameters()) <= 1.6 * backbone


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"decoder": "gru"}, "unknown decoder 'gru'"),
        ({"cycle_input": "none"}, "unknown cycle_input 'none'"),
        ({"alpha": -1.0}, "alpha must be a number of at least 0"),
        ({"translator_width": 5}, "translator_width must be even, for two directions, found 5"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        ModalTransConfig(**wrong)
