"""The system of one's own that the book shows works, and the page shows that very file."""

from pathlib import Path

import pytest
import small

import mmalign
from mmalign import cli
from mmalign.experiments import sweep
from mmalign.registry import system

BOOK = Path(__file__).parents[1] / "book"
Linear = system(f"{BOOK / 'own_system.py'}:Linear").kind


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_it_trains_better_than_a_constant_is_saved_and_restored(task, tmp_path):
    data = small.planted(samples=200, task=task)
    model = Linear.from_data(data)
    history = mmalign.fit(model, data, mmalign.TrainConfig(lr=0.05), progress=False)
    column = [row["valid_loss"] for row in history.rows]
    assert min(column) < 0.95 * column[0]
    model.save(tmp_path / "linear")
    again = Linear.restore(tmp_path / "linear")
    assert again.predict(data.test.batch).equal(model.predict(data.test.batch))


def test_a_class_that_says_too_little_cannot_be_built():
    class Half(mmalign.System[Linear.config_type]):
        config_type = Linear.config_type

        def predict(self, batch):
            return batch.labels

    with pytest.raises(TypeError, match="stages"):
        Half(small.planted().spec, Linear.config_type())


LEAVING = """
import sys

from mmalign import Single


class Leaving(Single):
    def predict(self, batch):
        sys.exit({code})
"""


@pytest.mark.parametrize("code", ["", "1", "'bye'"])
def test_a_system_that_leaves_the_program_has_no_result(tmp_path, monkeypatch, capsys, code):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(LEAVING.format(code=code))
    words = "run --system own.py:Leaving --dataset planted --set data.samples=60 --epochs 1 --out out"
    assert cli.main(words.split()) == 2
    said = capsys.readouterr()
    assert "own.py:Leaving left the program before it had a result" in said.err and said.err.count("\n") == 1
    assert said.out == "" and not [*Path("out").glob("*.json")]
    Path("grid.yaml").write_text(
        "system: [own.py:Leaving, single]\ndataset: planted\ndata.samples: 60\ntrain.epochs: 1\n"
    )
    assert sweep.sweep("grid.yaml", "out") == (2, 0, 1, 1)  # the others are made


def test_the_page_shows_the_file_itself():
    assert "```{literalinclude} own_system.py" in (BOOK / "contribute.md").read_text(encoding="utf-8")
