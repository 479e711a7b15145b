"""Systems x conditions, as a paper prints them."""

import pytest
from test_tables import accuracies, record

from mmalign import cli
from mmalign.experiments import pivots, tables

SINGLE, COPY = (0.70, 0.80, 0.75, 0.71, 0.66), (0.74, 0.83, 0.80, 0.75, 0.71)
WORSE = tuple(value - 0.03 - seed / 1000 for seed, value in enumerate(SINGLE))


@pytest.fixture
def rows():
    found = accuracies("single", SINGLE)
    for survival in (0.1, 0.5):
        found += accuracies("copy", COPY if survival == 0.5 else SINGLE[::-1], survival=survival)
        found += accuracies("mfm", WORSE, survival=survival)
    return found


def test_a_cell_is_what_the_summary_says_and_its_mark_what_the_interval_says(rows):
    cells = pivots.pivot(tables.summary(tables.frame(rows), against="single"), ["system"], ["survival"])
    assert [*cells.index] == ["single", "copy", "mfm"] and [*cells.columns] == [0.1, 0.5]
    assert cells.loc["copy", 0.5] == "0.766 ± 0.048 ↑↑" and cells.loc["mfm", 0.1] == "0.692 ± 0.054 ↓↓"
    assert cells.loc["copy", 0.1] == "0.724 ± 0.053"


def test_a_bound_that_was_run_once_stands_under_every_survival(rows):
    cells = pivots.pivot(tables.summary(tables.frame(rows)), ["system"], ["survival"])
    assert cells.loc["single", 0.1] == cells.loc["single", 0.5] == "0.724 ± 0.053"


def test_a_mark_that_chance_explains_among_so_many_comparisons_stands_once():
    faint = [value + 0.01 * ((seed * 3) % 5 + 1.5) for seed, value in enumerate(SINGLE)]
    found = accuracies("single", SINGLE) + accuracies("copy", faint)
    alone = pivots.pivot(tables.summary(tables.frame(found), against="single"), ["system"], ["pair"])
    assert alone.loc["copy", "acc:gyro"].endswith(" ↑↑")
    for name in ("mfm", "smil", "zero-fill", "modal-trans", "mm-align", "late-fusion", "mla"):
        found += accuracies(name, SINGLE[::-1])
    among = pivots.pivot(tables.summary(tables.frame(found), against="single"), ["system"], ["pair"])
    assert among.loc["copy", "acc:gyro"].endswith(" ↑")


def test_the_caption_says_what_the_marks_are(rows):
    table = tables.summary(tables.frame(rows), against="single")
    told = pivots.caption(table)
    assert (
        "accuracy" in told and "5 seeds" in told and "↑ better, ↓ worse than single" in told and "4 comparisons" in told
    )
    assert "↑" not in pivots.caption(tables.summary(tables.frame(rows)))


@pytest.fixture
def folder(rows, tmp_path):
    (tmp_path / "rows.jsonl").write_text(tables.lines(rows))
    return str(tmp_path / "rows.jsonl")


WORDS = ["--against", "single", "--rows", "system", "--columns", "pair,survival"]


def test_the_command_prints_it_for_a_page(folder, capsys):
    assert cli.main(["table", folder, *WORDS]) == 0
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert [word.strip() for word in header.strip("|").split("|")] == ["system", "acc:gyro, 0.1", "acc:gyro, 0.5"]
    assert [line.split("|")[1].strip() for line in lines[:3]] == ["single", "copy", "mfm"]
    assert "± standard deviation" in lines[-1]


def test_the_command_prints_it_for_a_paper(folder, capsys):
    assert cli.main(["table", folder, *WORDS, "--format", "latex"]) == 0
    out = capsys.readouterr().out
    for word in (
        "\\begin{table}",
        "\\caption{",
        "\\toprule",
        "\\multicolumn{2}{c}{acc:gyro}",
        "$\\uparrow$",
        "$\\pm$",
        "95 \\%",
    ):
        assert word in out
    assert not {*"↑↓±"} & {*out} and out.count("{") == out.count("}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--rows", "system"], ["--rows and --columns"]),
        (["--rows", "system", "--columns", "system"], ["different columns"]),
        (["--rows", "system", "--columns", "weather"], ["column", "weather", "survival"]),
        (["--rows", "system", "--columns", "mean"], ["column", "mean"]),
        (["--rows", "system", "--columns", "pair"], ["several numbers", "survival"]),
        ([*WORDS, "--format", "csv"], ["--format", "csv", "latex"]),
    ],
)
def test_a_mistake_is_answered_in_one_line(folder, capsys, words, says):
    assert cli.main(["table", folder, *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and not [word for word in says if word not in said.err], (
        said.err
    )


def test_two_metrics_are_never_mixed_in_a_cell():
    found = [*accuracies("copy", COPY), record("copy", 0, {"mae": 1.0}, dataset="planted")]
    with pytest.raises(ValueError, match="dataset"):
        pivots.pivot(tables.summary(tables.frame(found)), ["system"], ["pair"])
