"""What watches a training."""

import builtins
import csv

import pytest
import small

import mmalign
from mmalign import InputError
from mmalign.callbacks import CSVLog, TensorBoardLog, numbers
from mmalign.training import History

ROWS = [
    {"epoch": 0, "seconds": 0.5, "task/task": 2.0},  # a warm-up epoch is not validated
    {"epoch": 1, "seconds": 0.25, "task/task": 1.0, "valid_loss": 3.0, "valid": {"mae": 0.5, "acc2": 0.75}},
]


class Writer:
    def __init__(self):
        self.told = []

    def add_scalar(self, tag, value, step):
        self.told.append((tag, value, step))


def test_nested_metrics_get_flat_names():
    assert numbers(ROWS[1]) == {
        "epoch": 1, "seconds": 0.25, "task/task": 1, "valid_loss": 3, "valid/mae": 0.5, "valid/acc2": 0.75,
    }  # fmt: skip


def test_the_csv_file_is_whole_after_every_epoch(tmp_path):
    log = CSVLog(tmp_path / "deep" / "curve.csv")
    for count in (1, 2):
        log(None, History(rows=ROWS[:count]))
        with open(log.path, newline="", encoding="utf-8") as file:
            told = list(csv.DictReader(file))
        assert [row["task/task"] for row in told] == ["2.0", "1.0"][:count]
    assert told[0]["valid/mae"] == "" and told[1]["valid/mae"] == "0.5"


def test_tensorboard_is_told_each_number_of_the_epoch_once():
    writer = Writer()
    log = TensorBoardLog(writer)
    for count in (1, 2):
        log(None, History(rows=ROWS[:count]))
    assert ("task/task", 2.0, 0) in writer.told and ("valid/mae", 0.5, 1) in writer.told
    assert len(writer.told) == len({*writer.told}) == 2 + 5


def test_both_logs_watch_a_training_through_fit(tmp_path):
    data, writer = small.planted(), Writer()
    system = small.build("mm-align", data)
    logs = [CSVLog(tmp_path / "curve.csv"), TensorBoardLog(writer)]
    history = mmalign.fit(system, data, mmalign.TrainConfig(epochs=3), progress=False, callbacks=logs)
    with open(tmp_path / "curve.csv", newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    for epoch, row in enumerate(history.rows):
        expected = {name: value for name, value in numbers(row).items() if name != "epoch"}
        assert {name: value for name, value, step in writer.told if step == epoch} == expected
        assert {name: float(value) for name, value in written[epoch].items() if value} == numbers(row)


def test_tensorboard_itself_reads_back_what_it_was_told(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data, log = small.planted(), TensorBoardLog(tmp_path)
    config = mmalign.TrainConfig(epochs=3)
    history = mmalign.fit(small.build("single", data), data, config, progress=False, callbacks=[log])
    log.writer.close()
    read = EventAccumulator(str(tmp_path)).Reload()
    told = [event.value for event in read.Scalars("valid_loss")]
    assert told == pytest.approx(history.column("valid_loss"), rel=1e-6)


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    given = builtins.__import__

    def without(name, *rest, **more):
        if name.startswith("torch.utils.tensorboard"):
            raise ImportError(name)
        return given(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match="pip install tensorboard"):
        TensorBoardLog(tmp_path)


def test_the_rows_of_a_real_training_can_be_written(tmp_path):
    data = small.planted()
    _, history = small.train("mm-align", data)
    CSVLog(tmp_path / "curve.csv")(None, history)
    with open(tmp_path / "curve.csv", newline="", encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    assert len(told) == len(history.rows)
    assert float(told[-1]["valid/mae"]) == pytest.approx(history.rows[-1]["valid"]["mae"])
