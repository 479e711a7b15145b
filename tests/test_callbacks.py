"""What watches a training."""

import builtins
import csv

import pytest
import small

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
