"""Settings check themselves, and the official preset is complete."""

import dataclasses

import pytest

from mmalign import BoundConfig, InputError, MMAlignConfig, TrainConfig, config, settings


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        (MMAlignConfig, {"width": 0}, "width"),
        (MMAlignConfig, {"width": 30}, "width"),  # not a multiple of 4 heads
        (MMAlignConfig, {"width": 3, "heads": 3}, "width"),  # odd
        (MMAlignConfig, {"kernel": 2}, "kernel"),
        (MMAlignConfig, {"dropout": 1.0}, "dropout"),
        (MMAlignConfig, {"encoder_dropout": -0.1}, "encoder_dropout"),
        (MMAlignConfig, {"clip_features": 0.0}, "clip_features"),
        (MMAlignConfig, {"positional": "learned"}, "positional"),
        (MMAlignConfig, {"backbone": "gru"}, "backbone"),
        (MMAlignConfig, {"warmup": -1}, "warmup"),
        (MMAlignConfig, {"warmup": 1.5}, "warmup"),
        (MMAlignConfig, {"lambda_con": float("nan")}, "lambda_con"),
        (MMAlignConfig, {"tau_end": 0.0}, "tau_end"),
        (MMAlignConfig, {"window": -1}, "window"),
        (MMAlignConfig, {"mu": 0.0}, "mu"),
        (MMAlignConfig, {"mu": float("inf")}, "mu"),
        (MMAlignConfig, {"tol": -1e-3}, "tol"),
        (MMAlignConfig, {"max_sweeps": 0}, "max_sweeps"),
        (MMAlignConfig, {"solver": "magic"}, "solver"),
        (MMAlignConfig, {"barrier": 100.0}, "barrier"),  # sinkhorn's is infinite
        (MMAlignConfig, {"solver": "official", "barrier": None}, "barrier"),
        (MMAlignConfig, {"solver": "official", "barrier": 100.0, "window": 0}, "window"),
        (MMAlignConfig, {"impute_head": "mixture"}, "impute_head"),
        (MMAlignConfig, {"fitting_loss": "maybe"}, "fitting_loss"),
        (MMAlignConfig, {"merged_loop": 2}, "merged_loop"),
        (MMAlignConfig, {"target_dropout": None}, "target_dropout"),
        (MMAlignConfig, {"decode_stopgrad": "no"}, "decode_stopgrad"),
        (BoundConfig, {"fusion": "both"}, "fusion"),
        (TrainConfig, {"epochs": 0}, "epochs"),
        (TrainConfig, {"batch_size": 0}, "batch_size"),
        (TrainConfig, {"patience": 0}, "patience"),
        (TrainConfig, {"seed": -1}, "seed"),
        (TrainConfig, {"lr": 0.0}, "lr"),
        (TrainConfig, {"weight_decay": -1.0}, "weight_decay"),
        (TrainConfig, {"clip": 0.0}, "clip"),
        (TrainConfig, {"clip_scope": "none"}, "clip_scope"),
        (TrainConfig, {"select": "test"}, "select"),
    ],
)
def test_a_bad_value_is_refused_by_its_name(kind, change, named):
    with pytest.raises(InputError, match=named):
        kind(**change)


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TrainConfig().lr = 1.0


def test_an_unknown_field_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match=r"TrainConfig has no field 'speed'; known: .*epochs"):
        config.settings(TrainConfig, {}, speed=3)


def test_a_whole_number_for_a_real_setting_leaves_the_same_record():
    ours, theirs = config.settings(MMAlignConfig, {}, mu=1), config.settings(MMAlignConfig, {}, mu=1.0)
    assert repr(ours) == repr(theirs)


def test_changes_win_over_the_preset():
    assert config.settings(MMAlignConfig, config.OFFICIAL_MODEL, mu=0.5).mu == 0.5


def test_the_official_preset_switches_on_every_departure_that_the_settings_mark():
    kinds = (MMAlignConfig, TrainConfig)
    marked = {one.name for kind in kinds for one in settings.described(kind) if "code: " in one.about}
    assert marked | {"heads"} == {*config.OFFICIAL_MODEL, *config.OFFICIAL_TRAIN}


@pytest.mark.parametrize(("kind", "preset"), [(MMAlignConfig, "OFFICIAL_MODEL"), (TrainConfig, "OFFICIAL_TRAIN")])
def test_every_official_setting_differs_from_the_default(kind, preset):
    for name, value in getattr(config, preset).items():
        assert getattr(kind(), name) != value, name


def test_the_defaults_are_those_of_the_reproduction():
    ours = MMAlignConfig()
    assert (ours.mu, ours.window, ours.tol, ours.max_sweeps) == (0.2, 2, 1e-3, 400)
    assert (ours.solver, ours.fitter_head, ours.impute_orientation) == ("sinkhorn", "softmax", "transposed")
    assert (ours.impute_head, ours.impute_norm, ours.fit_reduction, ours.warmup) == ("cls", "none", "window", 2)
    assert (ours.lambda_con, ours.tau_start, ours.tau_end) == (0.1, 1.0, 0.1)
