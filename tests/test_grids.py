"""What a grid means, and that a mistake in it is found before anything runs."""

import os
from pathlib import Path

import pytest

import mmalign
from mmalign import InputError, cli
from mmalign.experiments import grids, runs
from mmalign.experiments.runs import Experiment

GRIDS = sorted((Path(mmalign.__file__).parents[1] / "book/grids").glob("*.yaml"))
SMALL = {"dataset": "planted", "data.samples": 60, "model.width": 8, "train.epochs": 3}


def read(folder, text):
    (folder / "grid.yaml").write_text(text)
    return grids.read_grid(folder / "grid.yaml")


def test_a_mapping_is_every_combination_and_a_list_is_one_mapping_after_the_other(tmp_path):
    text = "- {system: [single, copy], seed: [0, 1], pair: 'acc:gyro'}\n- {system: mm-align, model.window: [1, 4]}\n"
    shared = {"pair": ("acc", "gyro"), "threads": 1}
    expected = [Experiment(system=name, seed=seed, **shared) for name in ("single", "copy") for seed in (0, 1)]
    expected += [Experiment(system="mm-align", model={"window": window}, threads=1) for window in (1, 4)]
    assert read(tmp_path, text) == expected


def test_every_kind_of_value_arrives_as_it_is_meant(tmp_path):
    text = """
system: mm-align
pair: gyro:acc
threads: 2
train.lr: [1e-3, 0.01, 2.5e+1]
model.merged_loop: false
model.barrier: null
data.task: classification
"""
    found = read(tmp_path, text)
    assert [one.train["lr"] for one in found] == [0.001, 0.01, 25.0] and {one.threads for one in found} == {2}
    assert found[0].pair == ("gyro", "acc") and found[0].data == {"task": "classification"}
    assert found[0].model == {"merged_loop": False, "barrier": None}


def test_blocks_may_share_a_beginning(tmp_path):
    text = "- &base {system: single, seed: [0, 1]}\n- {<<: *base, system: copy}\n"
    assert [(one.system, one.seed) for one in read(tmp_path, text)] == [
        ("single", 0), ("single", 1), ("copy", 0), ("copy", 1),
    ]  # fmt: skip


def test_a_run_is_named_before_it_is_made_as_its_record_is_afterwards():
    (job,) = grids.plan([*grids.combinations({"system": "single", **SMALL})]).items()
    assert job[0] == runs.name_of(runs.run(job[1]))


def test_a_run_that_two_mappings_ask_for_is_one_run():
    one = [*grids.combinations({"system": "single", **SMALL})]
    explicit = [*grids.combinations({"system": "single", "survival": 0.5, "train.lr": 0.001, **SMALL})]
    assert len(grids.plan(one + explicit)) == 1


def test_the_plan_keeps_the_order_of_the_grid_and_reads_each_data_set_once(monkeypatch):
    plain, reads = runs.sources, []
    monkeypatch.setattr(runs, "sources", lambda *told: reads.append(told) or plain(*told))
    small = {**SMALL, "system": ["copy", "single"], "data.draw": [1, 0], "seed": [0, 1]}
    jobs = [*grids.plan([*grids.combinations(small)]).values()]
    assert jobs == [*grids.combinations(small)] and len(reads) == 2


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.name)
def test_every_grid_of_the_book_can_be_read(path):
    assert grids.read_grid(path)


def test_the_smoke_grid_holds_24_runs():
    (path,) = (path for path in GRIDS if path.name == "smoke.yaml")
    assert len(grids.plan(grids.read_grid(path))) == 24


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["mapping", "None"]),
        ("just words", ["mapping", "just words"]),
        ("[single, copy]", ["mapping", "single"]),
        ("{dataset: planted}", ["systems", "dataset"]),
        ("system: [single", ["not YAML"]),
        ("\x00", ["not YAML"]),
        ("{system: single, sytem: copy}", ["field", "sytem", "survival", "train.FIELD"]),
        ("{system: single, window: 3}", ["field", "window", "model.FIELD"]),
        ("{system: single, shop.width: 3}", ["field", "shop.width"]),
        ("{system: single, model: {width: 3}}", ["field", "model", "model.FIELD"]),
        ("{system: single, 3: 4}", ["field", "3"]),
        ("{system: single, seed: 1, seed: 2}", ["seed", "2 times"]),
        ("{system: single, seed: []}", ["seed", "value"]),
        ("{system: single, seed: [[1]]}", ["seed", "value"]),
        ("{system: single, seed: 2020-01-01}", ["seed", "value"]),
        ("{system: single, seed: 2020-13-01}", ["not YAML"]),
        ("{system: single, seed: one}", ["seed", "one"]),
        ("{system: single, survival: 0}", ["survival", "(0, 1]"]),
        ("{system: single, setting: C}", ["setting", "C"]),
        ("{system: single, threads: null}", ["threads", "None"]),
        ("{system: best}", ["system", "best"]),
        ("{system: [single, best]}", ["system", "best"]),
        ("{system: single, dataset: mars}", ["dataset", "mars"]),
        ("{system: single, pair: acc}", ["pair", "acc"]),
        ("{system: single, pair: 3}", ["3"]),
        ("{system: single, pair: 'acc:smell'}", ["single on smartwatch", "smell"]),
        ("{system: [mm-align, single], dataset: planted, model.window: 3}", ["single on planted", "window"]),
        ("{system: single, train.lr: fast}", ["single on smartwatch", "lr", "fast"]),
        ("{system: single, dataset: planted, data.tempo: 3}", ["single on planted", "tempo"]),
        ("[]", ["this one 0"]),
        ("{runs: []}", ["this one 0"]),
        ("{runs: {system: single}, seed: 3}", ["beside runs", "seed", "matters"]),
        ("{system: single, dataset: ict-mmmo}", ["single on ict-mmmo", "audio_train.h5"]),
    ],
)
def test_a_mistyped_grid_is_answered_in_one_line_and_nothing_runs(tmp_path, monkeypatch, capsys, text, says):
    monkeypatch.setattr(runs, "make", lambda *told: pytest.fail("it ran"))
    (tmp_path / "grid.yaml").write_text(text)
    words = ["sweep", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--data-dir", tmp_path]
    assert cli.main([*map(str, words)]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.startswith("mmalign: "), said.err
    assert not [word for word in says if word not in said.err], said.err
    assert [path.name for path in tmp_path.iterdir()] == ["grid.yaml"]


@pytest.mark.parametrize(
    ("place", "says"), [("absent.yaml", "absent.yaml: it is not there"), (".", "a folder"), ("/dev/zero", "a device")]
)
def test_a_grid_that_cannot_be_opened_is_named(tmp_path, place, says):
    with pytest.raises(InputError, match=says):
        grids.read_grid(tmp_path / place)


def test_a_grid_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "grid.yaml").write_bytes(b"\xff\xfe\x00\xff")
    with pytest.raises(InputError, match="is not text"):
        grids.read_grid(tmp_path / "grid.yaml")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "grid.yaml")
    with pytest.raises(InputError, match="a pipe"):
        grids.read_grid(tmp_path / "grid.yaml")


# ---- much in few bytes -----------------------------------------------------------------------------------------


def test_runs_are_counted_without_being_multiplied_out(tmp_path):
    many = ", ".join(map(str, range(100)))
    text = "system: single\n" + "".join(f"model.knob{place}: [{many}]\n" for place in range(9))
    (tmp_path / "grid.yaml").write_text(text)
    assert grids.open_grid(tmp_path / "grid.yaml").size == 10**18
    with pytest.raises(InputError, match=f"1 to {grids.MOST} runs, this one {10**18}"):
        grids.read_grid(tmp_path / "grid.yaml")


# ---- what is said before the runs ------------------------------------------------------------------------------


def test_a_head_stands_above_the_runs(tmp_path):
    text = "matters: {mae: 0.1}\nprimary: []\nruns:\n- {system: single, seed: [0, 1]}\n- {system: copy}\n"
    (tmp_path / "grid.yaml").write_text(text)
    grid = grids.open_grid(tmp_path / "grid.yaml")
    assert grid.head == {"matters": {"mae": 0.1}, "primary": []} and grid.size == 3
    assert len(grids.read_grid(tmp_path / "grid.yaml")) == 3
