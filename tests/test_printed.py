"""Columns that a cell prints become tables of the page, and sentences stay sentences."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "book/_ext"))
printed = pytest.importorskip("printed", reason="Sphinx is not installed")
CHAPTERS = sorted(ROOT.glob("notebooks/*.ipynb"))


def told(path):
    """What the cells of a chapter have printed, one text an output."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {"": ""})
            if "text" in output or {*data} == {"text/plain"}:
                yield "".join(output.get("text", data.get("text/plain")))


def tables(text):
    return [part for part in printed.parts(text) if isinstance(part, list)]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_chapter_leaves_columns_in_what_it_says(path):
    words = [part for text in told(path) for part in printed.parts(text) if isinstance(part, str)]
    assert [line for part in words for line in part.splitlines() if re.search(r"\S  +\S", line)] == []


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_no_word_that_was_printed_is_lost_or_moved(path):
    for text in told(path):
        parts = [part if isinstance(part, str) else "\n".join(map(" ".join, part)) for part in printed.parts(text)]
        kept = [re.findall(r"[^\s,\[\]]+", words) for words in ("\n".join(parts), text)]
        assert sorted(kept[0]) == sorted(kept[1]) or len(kept[1]) - len(kept[0]) == 1  # a name under pandas' head


def test_every_row_of_a_table_has_as_many_cells():
    found = [table for path in CHAPTERS for text in told(path) for table in tables(text)]
    assert len(found) > 60
    assert [table for table in found if len({*map(len, table)}) > 1] == []


def test_columns_are_found_by_the_gaps_that_all_rows_leave():
    rows = tables("no positions            accuracy 0.47\nno positions, kernel 3  accuracy 0.99")
    assert rows == [[["no positions", "accuracy 0.47"], ["no positions, kernel 3", "accuracy 0.99"]]]


def test_a_name_that_fills_its_column_is_a_cell_all_the_same():
    assert tables("drift        warping  0.2\nconstant lag warping  0.1") == [
        [["drift", "warping", "0.2"], ["constant lag", "warping", "0.1"]]
    ]


def test_words_of_a_head_stay_together_over_a_column_of_numbers():
    (rows,) = tables("mu    cost - optimum\n1            +0.4384\n0.02         +0.0030")
    assert rows[0] == ["mu", "cost - optimum"] and printed.has_head(rows)


def test_an_index_that_pandas_leaves_out_where_it_repeats_stays_blank():
    text = "data     system\nplanted  constant     10\n         late-fusion  25\nwatch    trees         5"
    assert [row[0] for row in tables(text)[0]] == ["data", "planted", "", "watch"]


def test_the_name_of_pandas_rows_goes_into_the_head():
    assert tables("kind    before  after\nreader               \nlinear    0.55   0.47")[0][0] == [
        "reader",
        "before",
        "after",
    ]


def test_the_rows_of_an_array_become_cells():
    assert tables("[[1.   0.5]\n [0.25 0. ]]") == [[["1.", "0.5"], ["0.25", "0."]]]


def test_sentences_stay_and_stand_in_their_place():
    found = [*printed.parts("Two ways.\nby hand  0.5\npackage  0.2\nThey agree.")]
    assert [type(part) for part in found] == [str, list, str] and found[-1] == "They agree."


def test_a_sentence_whose_blanks_fall_into_a_gap_is_no_row():
    table = "acc minus nearest                    -0.05 [-0.06]\nacc minus balanced and all of that   +0.28 [+0.27]\n"
    sentence = "acc and gyro, nearest 0.9, balanced, 0.58, both 0.9"
    for text in (table + sentence, f"{sentence}\n{table}"):
        assert sum(map(len, tables(text))) == 2 and sentence in printed.parts(text)


def test_a_name_that_fills_its_column_up_to_a_colon_is_a_cell():
    (rows,) = tables("nearest step:    6 of 8\nbest assignment: mean cost 0.13")
    assert rows[1] == ["best assignment:", "mean cost 0.13"]


def test_an_indented_text_keeps_its_indents():
    model = "Model(\n  (head): Linear(1, 2)\n  (drop): Dropout(p=0.1)\n)"
    assert [*printed.parts(model)] == [model]
