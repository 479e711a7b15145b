"""What stands beside a record says the same as the record."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

import mmalign
from mmalign import InputError, cli
from mmalign.experiments import runs, traces
from mmalign.experiments.runs import Experiment

SMALL = {"dataset": "planted", "train": {"epochs": 3}, "model": {"width": 8}, "threads": 1}
KNOBS = {"samples": 60, "shortest": 3, "longest": 8}


def made(task="regression", system="copy", seed=0):
    return runs.make(Experiment(system=system, seed=seed, data={**KNOBS, "task": task}, **SMALL), progress=False)


@pytest.fixture(scope="module")
def four():
    """Two tasks, two systems: what stands in one packed file of each."""
    asked = [(task, system) for task in ("regression", "classification") for system in ("single", "copy")]
    return [made(*one) for one in asked]


def by_name(some):
    return {runs.name_of(one.record): one.trace for one in some}


def same(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, trace in ours.items():
        for mine, other in zip(trace, theirs[name], strict=True):
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)


def test_a_trace_gives_the_metric_of_its_record_and_names_the_test_samples(four):
    for one in four:
        metrics = one.record["metrics"]
        told = metrics.get("mae", 1 - metrics.get("accuracy", 0))
        assert one.trace.errors().mean() == pytest.approx(told, abs=1e-4)
        knobs = {key: value for key, value in one.record["config"]["data"].items() if key != "digest"}
        data = mmalign.load("planted", survival=0.5, seed=0, **knobs)
        assert one.trace.ids.tolist() == data.test.samples.ids.tolist() == one.trace.groups.tolist()


def test_a_curve_holds_an_epoch_a_row_and_its_best_is_the_one_that_was_chosen(four):
    for one in four:
        loss, valid, score = one.trace.curve.T
        assert (
            len(loss) == one.record["epochs"] and np.isfinite(loss).all() and np.isnan(valid[: one.system.warmup]).all()
        )
        best = one.record["best_epoch"]
        assert np.nanargmin(valid) == best if "mae" in one.record["metrics"] else np.nanargmax(score) == best
        assert valid[best] == pytest.approx(one.history.rows[best]["valid_loss"], rel=2e-4)


def test_samples_of_one_person_carry_one_group():
    groups = torch.tensor([7, 7, 9, 9, 9])
    labels = answers = torch.zeros(2)
    assert traces.trace_of(torch.tensor([4, 1]), groups, labels, answers, []).groups.tolist() == [9, 7]


def test_scores_keep_their_range_and_one_part_in_8000():
    values = np.float32([0, 1, -3.1415927, 1e-30, -6e37, 3.4e38, np.inf, -np.inf, np.nan])
    kept = traces._rounded(values)
    np.testing.assert_allclose(kept[:5], values[:5], rtol=1 / 8000)
    np.testing.assert_array_equal(kept[5:], values[5:])
    assert (kept[:5].view(np.uint32) & 0x7FF == 0).all()


def test_packed_traces_come_back_as_they_were_and_shared_samples_are_kept_once(four, tmp_path):
    packed = by_name(four)
    (tmp_path / "rows.npz").write_bytes(traces.pack(packed))
    same(packed, traces.read(tmp_path / "rows.jsonl", packed))
    with np.load(tmp_path / "rows.npz") as file:
        assert len(file["ids"]) == 2 * 12  # two tasks, twelve test samples; four runs
    (one, *_) = packed
    assert [*traces.read(tmp_path / "rows.jsonl", [one, "absent.json"])] == [one]


def test_a_folder_is_read_as_the_file_that_is_packed_of_it(four, tmp_path):
    for one in four:
        runs.store(one.record, tmp_path, one.trace.to_bytes())
    same(by_name(four), traces.read(tmp_path, by_name(four)))


def test_rows_without_traces_have_none(tmp_path):
    assert traces.read(tmp_path, ["0123.json"]) == traces.read(tmp_path / "old.jsonl", ["0123.json"]) == {}
    (tmp_path / "rows.npz").write_bytes(traces.pack({}))
    assert traces.read(tmp_path / "rows.jsonl", []) == {}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x93NUMPY", b"word"])
def test_a_file_that_holds_none_is_refused_in_one_line(tmp_path, content):
    for name in ("rows.npz", "0123.npz"):
        (tmp_path / name).write_bytes(content)
    for place in (tmp_path, tmp_path / "rows.jsonl"):
        with pytest.raises(InputError, match="does not hold the traces"):
            traces.read(place, ["0123.json"])


def test_a_run_leaves_weights_curve_and_answers_and_its_record_last(tmp_path, capsys, monkeypatch):
    order, plain = [], runs.write_whole
    monkeypatch.setattr(runs, "write_whole", lambda path, content: order.append(path.suffix) or plain(path, content))
    words = "run --system copy --dataset planted --epochs 3 --threads 1 --set data.samples=60 --set model.width=8"
    assert cli.main([*words.split(), "--out", str(tmp_path), "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    stem = runs.name_of(record).removesuffix(".json")
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{stem}.{kind}" for kind in ("json", "npz", "csv", "safetensors")
    }
    assert order[-1] == ".json"
    curve = pd.read_csv(tmp_path / f"{stem}.csv")
    assert len(curve) == 3 and {"epoch", "seconds", "valid_loss", "valid/mae"} < {*curve}
    data = mmalign.load("planted", survival=0.5, seed=0, samples=60)
    again = mmalign.evaluate(mmalign.Copy.restore(tmp_path / f"{stem}.safetensors"), data.test)
    assert again == record["metrics"]
    (trace,) = traces.read(tmp_path, [f"{stem}.json"]).values()
    assert trace.errors().mean() == pytest.approx(record["metrics"]["mae"], abs=1e-4)


def test_a_trace_takes_few_bytes(four):
    many = {f"{place}.json": one.trace for place in range(100) for one in four}
    assert len(traces.pack(many)) < 400 * 200
