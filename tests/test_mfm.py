"""The multimodal factorization model: its prior, its read-out, its teachers, its codes."""

import math
from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign import InputError
from mmalign.baselines.mfm import MFMConfig, mmd

pytestmark = pytest.mark.slow  # `make fast` keeps to the method, its bounds and the protocol


def gaussian(size, features, seed=0):
    return torch.randn(size, features, generator=torch.Generator().manual_seed(seed))


def built(data, **changes):
    """A narrow model without dropout."""
    return small.build("mfm", data, dropout=0.0, **changes)


def gradients(loss, parameters):
    return torch.autograd.grad(loss, [*parameters], retain_graph=True, allow_unused=True)


# ---- the prior's loss --------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["scaled", "official"])
def test_the_distance_from_a_gaussian_is_what_two_samples_estimate(kernel):
    codes, normal, other = 0.5 * gaussian(50, 8) + 1, gaussian(50_000, 8, 1), gaussian(50_000, 8, 2)

    def alike(a, b):
        return (-(a - b).square().sum(-1) / (16 if kernel == "scaled" else 64)).exp().mean()

    estimate = alike(codes[:, None], codes) + alike(normal, other) - 2 * alike(codes[:, None], normal)
    torch.testing.assert_close(mmd(codes, kernel), estimate, atol=3e-3, rtol=0)


def test_the_distance_is_0_for_a_gaussian_and_grows_under_shift_and_scale():
    codes = gaussian(1000, 16)
    assert -1e-6 < mmd(codes) < 2e-3
    shifts = [mmd(codes + by) for by in (0.0, 0.3, 1.0, 3.0)]
    scales = [mmd(codes * by) for by in (1.0, 1.5, 3.0, 6.0)]
    assert shifts == sorted(shifts) and scales == sorted(scales) and min(shifts[1], scales[1]) > 1e-2


@pytest.mark.parametrize("size", [1, 3, 40])
def test_the_distance_is_never_negative_however_few_the_samples(size):
    for seed in range(5):
        assert mmd(gaussian(size, 4, seed)) >= -1e-6


def test_the_official_kernel_goes_blind_where_codes_have_many_features():
    far = [3 * gaussian(500, features) + 1 for features in (8, 80)]
    assert mmd(far[1], "official") < 0.1 * mmd(far[1]) and mmd(far[1]) > 0.3
    assert mmd(far[1], "official") < 0.2 * mmd(far[0], "official")


# ---- the native read-out -----------------------------------------------------------------------------------


def shuffle_the_rest(model):
    """Other weights in everything that only concerns the modalities' own factors."""
    for module in (model.own_code, model.own_factor, model.decoder):
        for weight in module.parameters():
            weight.data.normal_(generator=torch.Generator().manual_seed(5))


def test_the_label_is_read_from_its_own_factor_alone_and_by_the_backbone_from_all():
    data = small.planted(setting="B")
    batch = data.test.batch
    for readout in ("factor", "backbone"):
        model = built(data, readout=readout).eval()
        before = model.predict(batch)
        shuffle_the_rest(model)
        same = torch.isclose(model.predict(batch), before)
        assert same.all() if readout == "factor" else same[batch.complete].all() and not same[~batch.complete].any()


def test_with_perfect_guesses_both_paths_of_the_factor_readout_agree(monkeypatch):
    data = small.planted(survival=1.0)
    model, batch = built(data, readout="factor").eval(), data.train.batch
    assert not torch.isclose(model.predict_missing(batch), model.predict_complete(batch)).all()
    states = [model.backbone.encode(batch, place) for place in range(2)]
    true = model.label_code(model.backbone.fuse(*states, batch.real)), model.code_of(1, states[1], batch)
    monkeypatch.setattr(model, "guessed_codes", lambda first, some: true)
    torch.testing.assert_close(model.predict_missing(batch), model.predict_complete(batch))
    rebuilt = model.reencode(model.decode(1, *true, batch), batch)
    torch.testing.assert_close(model.impute(batch), rebuilt)


# ---- the victim is not read --------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["backbone", "factor"])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_neither_prediction_nor_loss_of_missing_samples_reads_the_victim(readout, task):
    data = small.planted(survival=1.0, task=task)
    model, batch = built(data, readout=readout).eval(), data.train.batch
    blank = replace(batch, features=(batch.visible, torch.full_like(batch.victim, math.nan)))
    assert model.predict_missing(blank).equal(model.predict_missing(batch))
    assert model.missing_loss(blank) == model.missing_loss(batch)
    assert model.complete_loss(1.0, blank)["rebuild"].isnan()


# ---- teachers stand still ----------------------------------------------------------------------------------


def test_matching_moves_the_guesses_and_not_the_codes_they_are_matched_with():
    data = small.planted()
    model = built(data)
    match = model.complete_loss(1.0, data.train.complete.batch)["match"]
    teachers = [*model.label_code.parameters(), *model.own_code.parameters(), *model.backbone.encoders[1].parameters()]
    assert gradients(match, teachers) == (None,) * len(teachers)
    assert all(one.abs().sum() > 0 for one in gradients(match, model.guess.parameters()))


def test_the_label_teaches_both_the_code_and_its_guess():
    data = small.planted()
    for readout in ("backbone", "factor"):
        model = built(data, readout=readout)
        parts = model.complete_loss(1.0, data.train.complete.batch)
        taught = parts["factor"] if readout == "backbone" else parts["task"] + parts["imputed"]
        for module in (model.label_code, model.guess, model.classifier):
            assert all(one.abs().sum() > 0 for one in gradients(taught, module.parameters()))


# ---- lengths -----------------------------------------------------------------------------------------------


def test_what_is_decoded_has_the_true_length_and_padding_does_not_count():
    data = small.planted()
    batch = data.train.complete.batch
    model = built(data).eval()
    for one in range(3):  # a sample alone, without padding, is decoded as in the batch
        alone = batch.rows(torch.tensor([one]))
        together = model.impute(batch)[one, : batch.lengths[one] + 1]
        torch.testing.assert_close(model.impute(alone)[0], together, atol=1e-5, rtol=1e-5)
    wrong = torch.randn(len(batch), batch.real.shape[1], data.spec.widths[1])
    worse = torch.where(batch.real[..., None], wrong, 1e6)
    assert model._gap(1, wrong, batch) == model._gap(1, worse, batch)


def test_a_perfect_decoder_rebuilds_at_no_cost_and_hands_the_backbone_the_true_states(monkeypatch):
    data = small.planted()
    batch, model = data.train.complete.batch, built(data).eval()
    truth = [model.backbone.embed[place].standardise(batch.features[place], batch.real) for place in range(2)]
    monkeypatch.setattr(model, "decode", lambda place, label, own, some: truth[place])
    assert model.complete_loss(1.0, batch)["rebuild"] == 0
    torch.testing.assert_close(model.predict_missing(batch), model.predict_complete(batch), atol=1e-5, rtol=0)


# ---- no collapse ---------------------------------------------------------------------------------------------


def test_codes_keep_their_variance_and_victims_are_decoded_better_than_by_their_mean():
    data = small.planted(survival=1.0, setting="B", samples=100)
    model, history = small.train("mfm", data, epochs=10, lr=1e-2, model={"width": 16})
    batch = data.test.batch
    states = [model.backbone.encode(batch, place) for place in range(2)]
    codes = [model.label_code(model.backbone.fuse(*states, batch.real))]
    codes += [model.code_of(place, states[place], batch) for place in range(2)]
    assert min(code.var(0).mean() for code in codes) > 0.1
    # A guess knows only the visible, so it must vary less; it may not stand still.
    assert min(code.var(0).mean() for code in model.guessed_codes(states[0], batch)) > 0.01
    assert history.column("task/rebuild")[-1] < 0.97 * 3 * model.config.lambda_rec


# ---- switches ----------------------------------------------------------------------------------------------------


def test_the_missing_samples_are_used_only_if_asked():
    data = small.planted()
    for use in (True, False):
        stages = small.build("mfm", data, use_missing_split=use).stages(3, 5)
        assert [stage.split for stage in stages] == ["complete", "imputed"][: 1 + use]
    assert [stage.split for stage in small.build("mfm", data).stages(0, 5)] == ["complete"]


def test_the_contrastive_loss_joins_only_if_asked():
    data = small.planted()
    batch = data.train.complete.batch
    assert "contrast" not in built(data).complete_loss(1.0, batch)
    assert built(data, lambda_con=0.1).complete_loss(1.0, batch)["contrast"] > 0


def test_the_generators_are_at_most_60_percent_of_the_backbone():
    data = mmalign.load("smartwatch", survival=0.5)
    model = mmalign.baselines.MFM.from_data(data)
    backbone = sum(one.numel() for one in model.backbone.parameters())
    assert sum(one.numel() for one in model.parameters()) <= 1.6 * backbone


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"readout": "both"}, "unknown readout 'both'"),
        ({"prior_kernel": "linear"}, "unknown prior_kernel 'linear'"),
        ({"latent": 0}, "latent must be a whole number"),
        ({"decoder_width": 5}, "decoder_width must be even, for two directions, found 5"),
        ({"lambda_prior": -1.0}, "lambda_prior must be a number of at least 0"),
    ],
)
def test_a_wrong_setting_is_named(wrong, message):
    with pytest.raises(InputError, match=message):
        MFMConfig(**wrong)
