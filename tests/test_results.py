"""The tables of the results chapters are what `mmalign table` makes of the stored rows."""

import re
from pathlib import Path

import nbformat
import pytest

from mmalign import cli
from mmalign.experiments import verdicts

ROOT = Path(__file__).resolve().parents[1]
NUMBER = r"[-+]?\d+\.\d{3}"
MEAN, DIFFERENCE = re.compile(rf"{NUMBER} ± {NUMBER}"), re.compile(rf"{NUMBER} \[{NUMBER}, {NUMBER}\]")


def told(path, capsys, against):
    """Every mean and every difference that the command prints."""
    assert cli.main(["table", str(path), "--against", against]) == 0
    text = capsys.readouterr().out
    return {*MEAN.findall(text)} | {*DIFFERENCE.findall(text)}


def decided(path):
    """Every difference among the primary comparisons of a grid, as far as they have runs."""
    return {*DIFFERENCE.findall(verdicts.markdown(verdicts.answered(ROOT / f"book/grids/{path.stem}.yaml", path)))}


def shown(name):
    """Every mean and every difference in the tables of a stored chapter."""
    chapter = nbformat.read(ROOT / f"notebooks/{name}.ipynb", as_version=4)
    tables = [
        output["data"]["text/markdown"]
        for cell in chapter.cells
        for output in cell.get("outputs", [])
        if "text/markdown" in output.get("data", {})
    ]
    return [one for table in tables for one in MEAN.findall(table) + DIFFERENCE.findall(table)]


DECIDE = ("spelling", "planted_order", "watch_people", "films", "tuning")  # chapter "Results", what decides
OPPONENTS = ("single", "copy", "zero-fill", "mfm", "smil", "modal-trans", "mm-align")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("chapter", "files"), [("08_results", ("smartwatch", "planted", "ict-mmmo")), ("09_ablations", ("ablations",))]
)
def test_the_command_prints_every_number_of_the_chapter(chapter, files, capsys):
    printed = set()
    for path in (ROOT / f"book/results/{name}.jsonl" for name in files):
        text = path.read_text(encoding="utf-8")
        for against in (name for name in OPPONENTS if f'"system":"{name}"' in text):
            printed |= told(path, capsys, against)
    for name in DECIDE:
        if (path := ROOT / f"book/results/{name}.jsonl").exists():
            printed |= decided(path)
    numbers = shown(chapter)
    assert len(numbers) >= 6
    assert [one for one in numbers if one not in printed] == []
