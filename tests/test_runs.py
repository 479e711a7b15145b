"""One run, one record."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from mmalign import InputError
from mmalign.experiments import runs
from mmalign.experiments.runs import Experiment

KEYS = {
    "system", "dataset", "pair", "survival", "setting", "seed", "metrics", "labelled", "best_epoch", "epochs",
    "train_seconds", "seconds_per_epoch", "parameters", "config", "versions",
}  # fmt: skip
SMALL = Experiment(
    system="mm-align",
    dataset="planted",
    model={"width": 8, "warmup": 1},
    train={"epochs": 3},
    data={"samples": 60, "shortest": 3, "longest": 8},
    threads=1,
)
BOUND = replace(SMALL, system="double", model={"width": 8})


@pytest.fixture(scope="module")
def record():
    return runs.run(SMALL)


def test_a_record_has_exactly_the_keys_of_the_contract(record):
    assert set(record) == KEYS and set(record["metrics"]) == {"mae", "acc2", "f1"}
    assert set(runs.run(replace(SMALL, data={**SMALL.data, "task": "classification"}))["metrics"]) == {
        "accuracy", "f1_macro", "f1_weighted",
    }  # fmt: skip


def test_a_record_says_what_decided_it_in_plain_json(record):
    again = json.loads(json.dumps(record, allow_nan=False))
    assert again == record and record["pair"] == "first:second" and record["epochs"] == 3
    assert record["config"]["model"]["width"] == 8 and record["config"]["train"]["epochs"] == 3
    assert record["config"]["data"]["samples"] == 60 and record["config"]["data"]["digest"]
    assert record["seconds_per_epoch"] == record["train_seconds"] / 3 and record["best_epoch"] in (1, 2)


def test_the_same_experiment_gives_the_same_metrics_and_another_seed_others(record):
    assert runs.run(SMALL)["metrics"] == record["metrics"] != runs.run(replace(SMALL, seed=1))["metrics"]


@pytest.mark.slow
def test_the_upper_bound_depends_neither_on_p_nor_on_the_setting():
    found = [runs.run(replace(BOUND, survival=p, setting=s)) for p, s in ((0.1, "A"), (0.9, "A"), (0.5, "B"))]
    assert found[0]["metrics"] == found[1]["metrics"] == found[2]["metrics"]
    assert [one["survival"] for one in found] == [0.1, 0.9, 0.5]  # what was asked is what is recorded


def test_every_system_is_tested_on_the_same_samples():
    """Whatever a system needs, the seed alone decides who is tested: the means of their labels agree."""
    seen = {}
    for system in ("single", "double", "copy"):
        record = runs.run(replace(SMALL, system=system, model={"width": 8}, train={"epochs": 3}))
        seen[system] = record["config"]["data"]["digest"]
    assert len(set(seen.values())) == 1


def test_a_metric_that_is_not_defined_is_null_and_not_nan(monkeypatch):
    monkeypatch.setattr(runs.metrics, "of_task", lambda *told: {"mae": 1.0, "acc2": math.nan})
    assert runs.run(BOUND)["metrics"] == {"mae": 1.0, "acc2": None}


def test_the_official_preset_reports_the_epoch_that_validation_chose():
    official = replace(SMALL, system="mm-align-official", train={"epochs": 4}, model={"width": 8, "warmup": 1})
    chosen = replace(official, train={"epochs": 4, "select": "validation"})
    assert runs.run(official)["metrics"] == runs.run(chosen)["metrics"]


def test_a_file_is_named_by_what_decides_its_result(record, tmp_path):
    name = runs.name_of(record)
    assert runs.name_of({**record, "metrics": {}, "train_seconds": 0.0, "best_epoch": 0}) == name
    changes = ({"seed": 1}, {"survival": 0.4}, {"setting": "B"}, {"system": "copy"}, {"labelled": 0.5}, {"config": {}})
    names = {runs.name_of({**record, **change}) for change in changes}
    assert len(names) == len(changes) and name not in names
    path = runs.store(record, tmp_path / "new")
    assert json.loads(path.read_text()) == record and [one.name for one in path.parent.iterdir()] == [name]


def test_one_setting_of_the_data_has_one_name():
    one, two = (replace(SMALL, data={**SMALL.data, "first_noise": value}) for value in (1, 1.0))
    names = {runs.name_of(runs.plan(each, runs.sources(each))) for each in (one, two)}
    assert len(names) == 1


def test_what_a_system_lacks_in_any_part_is_said_before_the_training(tmp_path):
    draw, lacking = np.random.default_rng(0), np.arange(40) < 1
    own = {"visible": draw.normal(size=(40, 3, 2)), "victim": draw.normal(size=(40, 3, 2))}
    np.savez(tmp_path / "arrays.npz", **own, labels=draw.normal(size=40), missing=lacking)
    for seed in range(5):  # the one without its victim stands in every part in turn
        asked = Experiment(system="double", dataset="arrays", seed=seed)
        with pytest.raises(InputError, match="needs the victim of every sample"):
            runs.splits(asked, runs.sources(asked, tmp_path))


@pytest.mark.parametrize(
    "change",
    [{"system": "x"}, {"dataset": "x"}, {"device": "tpu"}, {"threads": 0}, {"threads": 1.5}],
)
def test_an_experiment_checks_its_names_at_once(change):
    with pytest.raises(InputError, match=next(iter(change))):
        replace(SMALL, **change)
