"""What people with data of their own run into, each situation with its right answer; the silent ones first.

The situations come from public bug reports of neighbouring libraries and from trials with tables and pickles.
"""

import json
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import small
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import mmalign
from mmalign import InputError, Pairs, registry
from mmalign.config import TrainConfig
from mmalign.data import Split

N, T = 60, 6
QUICK = TrainConfig(epochs=30, lr=1e-2)
DULL = np.arange(N) % 2


def easy(seed=0, classes=("sit", "walk"), **changes):
    """Two classes that a glance at the visible sequence tells apart; the victim is noise."""
    draw = np.random.default_rng(seed)
    which = np.arange(N) % len(classes)
    visible = draw.normal(size=(N, T, 2)) + 3 * which[:, None, None]
    given = {"visible": visible, "victim": draw.normal(size=(N, T, 3)), "labels": np.array(classes)[which]}
    return {**given, **changes}


def trained(data, kind=mmalign.Single, **settings):
    model = kind.from_data(data, kind.config_type(width=8, **settings))
    mmalign.fit(model, data, QUICK, progress=False)
    return model


@pytest.fixture(scope="module")
def three():
    """A model of three classes and its data."""
    data = mmalign.from_arrays(**easy(classes=("run", "sit", "walk")))
    return trained(data), data


# ---- a model keeps what its answers mean ------------------------------------------------------------


@pytest.mark.slow
def test_a_class_that_the_test_data_lack_does_not_shift_the_others(three):
    model, data = three
    own = easy(classes=("run", "sit", "walk"))
    some = own["labels"] != "run"
    few = mmalign.from_arrays(**{name: values[some] for name, values in own.items()})
    assert few.spec.class_names == ("sit", "walk")
    assert mmalign.evaluate(model, few.test)["accuracy"] == mmalign.evaluate(model, data.test)["accuracy"] == 1


@pytest.mark.slow
def test_a_model_can_be_trained_further_on_data_that_lack_a_class(three):
    own = easy(classes=("run", "sit", "walk"))
    some = own["labels"] != "run"
    few = mmalign.from_arrays(**{name: values[some] for name, values in own.items()})
    model = trained(three[1])
    mmalign.fit(model, few, QUICK, progress=False)
    assert mmalign.evaluate(model, few.test)["accuracy"] == 1


def test_a_class_that_the_model_does_not_know_is_named(three):
    other = mmalign.from_arrays(**easy(classes=("sit", "swim", "walk")))
    with pytest.raises(InputError, match="the model knows the classes run, sit, walk; found 'swim'"):
        mmalign.evaluate(three[0], other.test)


def test_labels_of_another_task_are_no_classes(three):
    other = mmalign.from_arrays(**easy(labels=1.0 * DULL))
    with pytest.raises(InputError, match="the model was built for a classification; found labels of a regression"):
        mmalign.evaluate(three[0], other.test)
    with pytest.raises(InputError, match="built for a classification"):
        mmalign.fit(three[0], other, QUICK, progress=False)


def test_modalities_the_other_way_round_are_refused():
    forth, back = (
        mmalign.load("smartwatch", pair, survival=0.5, setting="B") for pair in (("acc", "gyro"), ("gyro", "acc"))
    )
    model = mmalign.Single.from_data(forth)
    with pytest.raises(InputError, match=r"built for acc \(6 features\), gyro \(6 features\); found gyro \(6 feat"):
        mmalign.evaluate(model, back.test)


def test_other_widths_are_refused_even_where_nobody_named_the_modalities(three):
    own = easy(classes=("run", "sit", "walk"))
    wide = mmalign.from_arrays(**{**own, "visible": np.concatenate([own["visible"]] * 2, axis=2)})
    with pytest.raises(InputError, match=r"visible \(2 features\), .*; found visible \(4 features\)"):
        mmalign.evaluate(three[0], wide.test)
    with pytest.raises(InputError, match=r"found visible \(4 features\)"):
        mmalign.evaluate(three[0], Split(wide.test.batch))  # also where a split does not say what it is


def test_a_saved_model_knows_its_classes_modalities_and_widths(three, tmp_path):
    model, data = three
    model.save(tmp_path / "model.safetensors")
    again = mmalign.Single.restore(tmp_path / "model.safetensors")
    assert again.spec == data.spec
    assert again.spec.class_names == ("run", "sit", "walk") and again.spec.modalities == ("visible", "victim")


def test_a_file_of_the_first_release_is_still_read(three, tmp_path):
    model, data = three
    path = tmp_path / "model.safetensors"
    model.save(path)
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["mmalign"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    del about["spec"]["class_names"]
    tensors = {name: value.float() if value.is_floating_point() else value for name, value in tensors.items()}
    save_file(tensors, path, {"mmalign": json.dumps(about)})
    again = mmalign.Single.restore(path)
    assert mmalign.evaluate(again, data.test) == mmalign.evaluate(model, data.test)
    with pytest.raises(InputError, match="built for 3 classes; found 2"):
        mmalign.evaluate(again, mmalign.from_arrays(**easy()).test)


# ---- a feature counts whatever its unit -------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "offset"), [(5e-13, 0.0), (1e-30, 0.0), (1e30, 0.0), (1.0, 1e8), (1.0, -1e12), (1e-3, 1e6)]
)
def test_a_feature_counts_whatever_its_unit_and_its_offset(scale, offset):
    own = easy()
    plain, moved = (
        mmalign.from_arrays(**{**own, "visible": visible})
        for visible in (own["visible"], own["visible"] * scale + offset)
    )
    scores = [mmalign.evaluate(trained(data), data.test)["accuracy"] for data in (plain, moved)]
    assert scores == [1, 1]


@pytest.mark.slow
@pytest.mark.parametrize("name", small.NAMES)
def test_no_system_sees_an_offset(name):
    own = easy()
    near, far = (
        mmalign.from_arrays(**{**own, "visible": own["visible"] + one, "victim": own["victim"] + one})
        for one in (0, 2.0**30)  # a sum with a power of two rounds little: float64 holds 22 binary digits behind it
    )
    assert (near.train.batch.visible.dtype, far.train.batch.visible.dtype) == (torch.float32, torch.float64)
    answers = []
    for data in (near, far):
        system = small.build(name, data)
        with torch.no_grad():
            answers.append(system.eval().predict(data.test.batch))
    torch.testing.assert_close(*answers, atol=1e-3, rtol=0)
    system, _ = small.train(name, far)
    assert mmalign.evaluate(system, far.test)["accuracy"] >= 0


@pytest.mark.slow
def test_a_constant_feature_is_nothing_whatever_its_value():
    own = easy()
    constant = np.full((N, T, 1), 123456.789)
    data = mmalign.from_arrays(**{**own, "visible": np.concatenate([own["visible"], constant], axis=2)})
    model = trained(data)
    batch = data.test.batch
    clean = model.backbone.embed[0].standardise(batch.visible, batch.real)
    assert not clean[:, :, 2].any() and mmalign.evaluate(model, data.test)["accuracy"] == 1


def test_a_feature_too_small_for_single_precision_is_refused():
    own = easy()
    with pytest.raises(InputError, match=r"visible must hold numbers of 1e-37 or more.*take a smaller unit"):
        mmalign.from_arrays(**{**own, "visible": own["visible"] * 1e-50})


# ---- what is hidden stays hidden, what is ambiguous is asked -----------------------------------------


def test_what_a_numpy_mask_hides_is_not_read():
    own = easy()
    hidden = np.zeros((N, T, 3), bool)
    hidden[::3] = True
    victim = np.ma.masked_array(np.where(hidden, -999.0, own["victim"]), hidden)
    batch = mmalign.from_arrays(**{**own, "victim": victim}).train.batch
    assert batch.complete.equal(batch.ids % 3 != 0) and not (batch.victim == -999).any()
    labels = np.ma.masked_array(1.0 * DULL, DULL == 1)
    with pytest.raises(InputError, match="found nan at sample 1; mark samples that have no label in unlabelled="):
        mmalign.from_arrays(**{**own, "labels": labels})
    hidden[1, 2, 0] = True
    visible = np.ma.masked_array(own["visible"], hidden[:, :, :2])
    with pytest.raises(InputError, match="visible must be finite, found NaN or infinity at sample 0, step 0"):
        mmalign.from_arrays(**{**own, "visible": visible})


def test_whole_numbers_as_labels_must_say_what_they_are():
    with pytest.raises(InputError, match="whole numbers: say task='classification' or task='regression'"):
        mmalign.from_arrays(**easy(labels=DULL))
    assert mmalign.from_arrays(**easy(labels=DULL), task="classification").spec.class_names == ("0", "1")
    assert mmalign.from_arrays(**easy(labels=DULL), task="regression").spec.task == "regression"


def test_names_as_labels_are_classes_without_being_told():
    assert mmalign.from_arrays(**easy()).spec.task == "classification"
    with pytest.raises(InputError, match="for classes say task='classification'"):
        mmalign.from_arrays(**easy(), task="regression")


def test_arrays_with_time_in_the_last_place_are_told():
    draw = np.random.default_rng(0)
    sensors = {name: draw.normal(size=(N, 3, 100)) for name in ("visible", "victim")}
    with pytest.warns(UserWarning, match=r"\(60, 3, 100\) is read as 3 steps of 100 features; .*transpose\(0, 2, 1\)"):
        mmalign.from_arrays(**easy(**sensors))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mmalign.from_arrays(**easy(**{name: one.transpose(0, 2, 1) for name, one in sensors.items()}))
    with pytest.raises(InputError, match=r"found \(60, 3, 100\) and \(60, 2, 100\)"):
        mmalign.from_arrays(**easy(visible=sensors["visible"], victim=sensors["victim"][:, :2]))


def test_a_label_that_is_no_number_is_named_with_its_place():
    labels = 1.0 * np.arange(N)
    labels[7] = np.nan
    with pytest.raises(InputError, match="found nan at sample 7; mark samples that have no label in unlabelled="):
        mmalign.from_arrays(**easy(labels=labels))


# ---- a bench that others may use ----------------------------------------------------------------------


def test_the_system_of_the_page_on_extending_trains_from_its_file(tmp_path, monkeypatch):
    page = (Path(__file__).parents[1] / "book" / "extend.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(page.split("```python\n")[1].split("```")[0])
    monkeypatch.chdir(tmp_path)
    data = mmalign.from_arrays(**easy())
    model = registry.system("mine.py:Means").kind.from_data(data)
    mmalign.fit(model, data, QUICK, progress=False)
    assert mmalign.evaluate(model, data.test)["accuracy"] > 0.9
    pairs = Pairs(easy()["visible"], easy()["victim"])
    estimator = mmalign.MissingModalityClassifier("mine.py:Means", train={"epochs": 20, "lr": 0.05}, random_state=0)
    estimator.fit(pairs, easy()["labels"]).save(tmp_path / "model.safetensors")
    again = mmalign.MissingModalityClassifier.restore(tmp_path / "model.safetensors")
    assert again.score(pairs, easy()["labels"]) > 0.9


# ---- words for people ---------------------------------------------------------------------------------


def test_data_are_told_in_a_few_words():
    data = mmalign.from_arrays(**easy())
    for one in (data, data.train, data.source, data.train.samples, data.train.batch):
        assert len(repr(one)) < 400, type(one).__name__
    assert "36 samples" in repr(data.train) and "visible (2 features)" in repr(data)


def test_a_learning_rate_that_is_far_too_high_is_told():
    data = mmalign.from_arrays(**easy(labels=easy()["visible"].mean((1, 2))))
    model = mmalign.Single.from_data(data, mmalign.BoundConfig(width=8))
    with pytest.warns(UserWarning, match=r"times that of a constant: training went astray, lower lr, 100"):
        mmalign.fit(model, data, TrainConfig(epochs=3, lr=100.0), progress=False)


# ---- whole programs, as short as they are promised ------------------------------------------------------


def wear(people=12, seconds=24, rate=10):
    """A table of sensor readings with three kinds of dirt: lost packets, a sensor that was off, labels missing."""
    draw, parts = np.random.default_rng(0), []
    for person in range(people):
        t = np.arange(rate * seconds) / rate
        fast = (t // 6).astype(int) % 2
        readings = np.sin((1 + 4 * fast[:, None]) * t[:, None] + np.arange(6)) + 0.1 * draw.normal(size=(len(t), 6))
        part = pd.DataFrame(readings, columns=["ax", "ay", "az", "gx", "gy", "gz"]).assign(t=t, person=person)
        part["activity"] = np.where(fast, "run", "sit")
        part.loc[draw.integers(0, len(t), 9), ["gx", "gy", "gz"]] = np.nan
        if person % 3 == 0:
            part.loc[len(t) // 2 :, ["gx", "gy", "gz"]] = np.nan
        part.loc[: len(t) // 10, "activity"] = None
        parts.append(part.drop(index=draw.integers(0, len(t), 5)))
    return pd.concat(parts)


FROM_A_TABLE = """
import mmalign
import pandas as pd
from sklearn.model_selection import GroupKFold, cross_val_score
table = pd.read_csv("wear.csv")
pairs, labels, groups = mmalign.windows(
    table, time="t", group="person", label="activity",
    visible=["ax", "ay", "az"], victim=["gx", "gy", "gz"], length=2.0, hop=2.0,
)
few = {"model": {"width": 8, "least": 50}, "train": {"epochs": 2}}
model = mmalign.MissingModalityClassifier("mm-align-plus", **few, random_state=0)
scores = cross_val_score(model, pairs, labels, groups=groups, cv=GroupKFold(3))
model.fit(pairs, labels).save("model.safetensors")
model = mmalign.MissingModalityClassifier.restore("model.safetensors")
answer = model.predict(pairs[0])
"""

FROM_RAGGED_LISTS = """
import mmalign
import numpy as np
from sklearn.model_selection import KFold, cross_val_score
draw = np.random.default_rng(0)
visible = [draw.normal(size=(draw.integers(4, 9), 3)) + k % 2 for k in range(40)]
victim = [None if k % 5 == 0 else draw.normal(size=(len(one), 2)) for k, one in enumerate(visible)]
pairs, labels = mmalign.Pairs(visible, victim), [None if k % 7 == 0 else k % 2 + 0.5 for k in range(40)]
model = mmalign.MissingModalityRegressor("mm-align", train={"epochs": 3}, random_state=0)
scores = cross_val_score(model, pairs, labels, cv=KFold(3))
model.fit(pairs, labels).save("model.safetensors")
answer = mmalign.MissingModalityRegressor.restore("model.safetensors").predict(pairs[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [FROM_A_TABLE, FROM_RAGGED_LISTS], ids=["a table on disk", "ragged lists"])
def test_data_become_a_score_and_a_saved_model_in_fifteen_lines(program, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wear().to_csv("wear.csv", index=False)
    assert len(program.strip().splitlines()) <= 15
    found = {}
    exec(compile(program, "program", "exec"), found)
    assert len(found["scores"]) == 3 and np.isfinite(found["scores"]).all()
    assert len(found["answer"]) == 1 and (tmp_path / "model.safetensors").is_file()
