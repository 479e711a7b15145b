"""The two bounds: SS1 to SS4, SD1 to SD4."""

from dataclasses import replace

import pytest
import small
import torch

import mmalign
from mmalign import MMAlign, Single, TrainConfig
from mmalign.config import Condition
from mmalign.data import make_splits
from mmalign.registry import SYSTEMS, read

PRESPLIT = {"samples": 60, "shortest": 3, "longest": 8}


def outcome(name, data, **changes):
    """Test metrics, and the weights."""
    model, _ = small.train(name, data, **changes)
    return mmalign.evaluate(model, data.test), model.state_dict()


# ---- SS ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fusion", ["self", "none"])
def test_single_predicts_the_same_whether_the_victim_is_nan_permuted_or_absent(fusion):
    data = small.planted(survival=1.0)
    model, batch = small.build("single", data, fusion=fusion).eval(), data.train.batch
    before = model.predict(batch)
    for victim in ((torch.full_like(batch.victim, torch.nan),), (batch.victim.flip(0),), ()):
        assert model.predict(replace(batch, features=(batch.visible, *victim))).equal(before)


def test_single_is_the_same_in_both_settings():
    (first, ours), (second, theirs) = (outcome("single", small.planted(setting=setting)) for setting in "AB")
    assert first == second and small.same_weights(ours, theirs)


def test_single_does_not_depend_on_the_survival_rate_or_on_who_survives():
    source = read("planted", **PRESPLIT)
    source = replace(source, parts=torch.arange(60) % 5 // 3 + (torch.arange(60) % 5 == 4))  # it comes split, 3:1:1
    found = []
    for survival, seed in ((0.2, 0), (0.9, 0), (0.2, 1)):
        data = make_splits(source, Condition(pair=("first", "second"), survival=survival, seed=seed))
        found.append(outcome("single", data, seed=7))
    assert found[0][0] == found[1][0] == found[2][0]
    assert small.same_weights(found[0][1], found[1][1]) and small.same_weights(found[0][1], found[2][1])


@pytest.mark.slow
def test_single_can_overfit_32_samples():
    data = small.planted(samples=55)
    data = replace(data, train=replace(data.train, samples=data.train.samples.part(torch.arange(32))))
    data = replace(data, valid=data.train)  # keep what fits the training samples best
    model = Single.from_data(data, SYSTEMS["single"].configure(width=16, dropout=0.0))
    mmalign.fit(model, data, TrainConfig(epochs=80, patience=80, lr=1e-2), progress=False)
    labels = data.train.batch.labels
    assert (model.predict(data.train.batch) - labels).square().mean() < 0.05 * labels.var()


# ---- SD ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("fitting_loss", [False, True])
@pytest.mark.parametrize("name", [name for name in small.IMPUTING if name not in ("mfm", "modal-trans")])
def test_double_is_every_other_method_on_complete_data_with_its_extra_losses_off(name, fitting_loss):
    data = small.planted(survival=1.0, setting="B")
    ours = {"warmup": 0, "lambda_con": 0.0}
    if issubclass(SYSTEMS[name].kind, MMAlign):
        ours |= {"fitting_loss": fitting_loss, "target_dropout": False}  # the fitter's own loss does not touch the rest
    other, theirs = small.train(name, data, model=ours, clip_scope="group")
    shared = {key: value for key, value in SYSTEMS[name].model.items() if hasattr(mmalign.BoundConfig(), key)}
    double, history = small.train("double", data, model=shared)
    assert small.same_weights(double.backbone.state_dict(), other.backbone.state_dict())
    assert double.predict(data.test.batch).equal(other.predict_complete(data.test.batch))
    assert history.column("valid_loss") == theirs.column("valid_loss")


def contest(victim=None, seeds=3):
    """Test errors of both bounds over paired seeds, on data whose label the victim half decides."""
    errors = {"single": [], "double": []}
    for seed in range(seeds):
        data = small.planted(survival=1.0, setting="B", seed=seed, samples=200, private=1, content=2)
        if victim is not None:
            noise = torch.randn(data.source.features["second"].shape, generator=torch.Generator().manual_seed(seed))
            source = replace(data.source, features={**data.source.features, "second": noise})
            data = make_splits(source, Condition(pair=("first", "second"), seed=seed).whole)
        for name, found in errors.items():
            model, _ = small.train(name, data, seed=seed, epochs=10, model={"width": 16}, lr=5e-3)
            found.append(mmalign.evaluate(model, data.test)["mae"])
    return torch.tensor(errors["single"]), torch.tensor(errors["double"])


@pytest.mark.slow
def test_double_beats_single_where_the_victim_knows_something():
    single, double = contest()
    assert (double < single).all() and (single - double).mean() > 0.1, (single, double)


@pytest.mark.slow
def test_double_is_no_better_than_single_where_the_victim_is_noise():
    single, double = contest(victim="noise")
    assert (single - double).mean().abs() < 0.1, (single, double)
