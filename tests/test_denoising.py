"""The frame of every system that stands something in for the victim."""

from dataclasses import replace
from itertools import pairwise

import pytest
import small
import torch

from mmalign import FillConfig
from mmalign.method.denoising import temperature


def test_the_temperature_falls_evenly_on_a_log_scale_from_start_to_end():
    taus = [temperature(FillConfig(tau_start=2.0, tau_end=0.5), epoch, 5) for epoch in range(5)]
    assert taus[0] == 2.0 and taus[-1] == pytest.approx(0.5)
    assert [b / a for a, b in pairwise(taus)] == pytest.approx([0.25**0.25] * 4)
    assert temperature(FillConfig(), 0, 1) == 1.0  # a single epoch


def test_the_contrastive_loss_uses_the_temperature_of_its_epoch():
    data = small.planted()
    model, batch = small.build("copy", data, dropout=0.0), data.train.complete.batch
    found = [model.stages(epoch, 5)[0].steps[0].loss(batch) for epoch in (0, 4)]
    torch.testing.assert_close(found[0]["task"], found[1]["task"])
    assert not torch.isclose(found[0]["contrast"], found[1]["contrast"])


@pytest.mark.parametrize("name", small.IMPUTING)
def test_without_its_weight_there_is_no_contrastive_loss(name):
    data = small.planted()
    stage = small.build(name, data, lambda_con=0.0).stages(0, 5)[0]
    assert "contrast" not in stage.steps[-1].loss(data.train.complete.batch)


def test_zero_fill_imagines_nothing_and_copy_the_visible_steps_both_behind_the_victims_head():
    data = small.planted()
    batch = data.valid.batch
    for name in ("zero-fill", "copy"):
        model = small.build(name, data).eval()
        first, imagined = model.backbone.encode(batch, 0), model.impute(batch)
        assert imagined[:, 1:].equal(first[:, 1:] if name == "copy" else torch.zeros_like(first[:, 1:]))
        torch.testing.assert_close(imagined[:, 0], model.backbone.embed[1].head().expand(len(batch), -1))


@pytest.mark.parametrize("name", small.IMPUTING)
def test_the_path_for_missing_victims_never_reads_them_and_the_complete_path_does(name):
    data = small.planted(survival=1.0)
    model, batch = small.build(name, data).eval(), data.train.batch
    other = replace(batch, features=(batch.visible, torch.full_like(batch.victim, torch.nan)))
    assert model.predict_missing(batch).equal(model.predict_missing(other))
    assert model.predict(batch).isfinite().all() and model.predict_complete(other).isnan().all()
