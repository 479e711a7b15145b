"""Slides and the students' edition are made of the chapters, and hold what they should."""

import re
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted(ROOT.glob("notebooks/*.ipynb"))
course = SimpleNamespace(**run_path(str(ROOT / "book/course.py")))


def text_of(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def notebook_of(*sources):
    return new_notebook(cells=[new_markdown_cell(source) for source in sources])


def deck_of(*cells):
    return course.Deck(new_notebook(cells=list(cells)), {}).notebook.cells


def kinds(cells):
    return [cell.metadata["slideshow"]["slide_type"] for cell in cells]


# ---- students ----------------------------------------------------------------------------------------------


def test_a_solution_goes_with_all_cells_inside_it_and_nothing_else():
    text = "before\n\n```{solution-start} ex-a\n:class: dropdown\n```\n\ninside"
    notebook = notebook_of(text, "more of it", "the end\n\n```{solution-end}\n```\n\nbehind")
    notebook.cells.insert(1, new_code_cell("answer = 42"))
    left = course.without_solutions(notebook).cells
    assert [cell.source.strip() for cell in left] == ["before", "behind"]


def test_a_solution_that_is_one_directive_goes_though_it_holds_others():
    text = "kept\n\n````{solution} ex-a\n:class: dropdown\n\n```{note}\nno\n```\n````\n\nkept, too"
    assert course.without_solutions(notebook_of(text)).cells[0].source.split() == ["kept", "kept,", "too"]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_students_get_every_exercise_and_no_solution(path):
    whole, left = nbformat.read(path, 4), course.without_solutions(nbformat.read(path, 4))
    exercises = re.compile(r"\{exercise(?:-start)?\}.*\n:label: (\S+)")
    assert exercises.findall(text_of(left)) == exercises.findall(text_of(whole)) != []
    assert "{solution" not in text_of(left) and "{solution" in text_of(whole)


@pytest.mark.slow
def test_a_students_notebook_finds_the_files_that_it_reads(tmp_path):
    course.students(tmp_path, "08*")
    read = re.compile(r"""\.\./(book/[\w/.-]+)["']""")
    for path in (tmp_path / "notebooks").glob("*.ipynb"):
        code = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "code")
        asked = {name for name in read.findall(code) if (ROOT / name).exists()}
        assert {name for name in asked if not (tmp_path / name).exists()} == set(), path.name


def test_in_notebooks_exercises_are_quotes_that_any_markdown_knows():
    text = "Look at {numref}`fig-a`.\n\n```{exercise} Name (easy)\n:label: ex-a\n\nWhy $x$?\n```"
    (cell,) = course.Plain(notebook_of(text), {}).notebook().cells
    assert cell.source == "Look at another chapter.\n\n> **Exercise 1: Name (easy).** Why $x$?"


# ---- plain ----------------------------------------------------------------------------------------------------


def plain(*sources):
    return [cell.source for cell in course.Plain(notebook_of(*sources), {}).notebook().cells]


EXERCISE = "```{exercise} Name (easy)\n:label: ex-a\n\nWhy?\n```"


def test_a_solution_in_plain_markdown_is_folded_and_names_its_exercise():
    _, told = plain(EXERCISE, "````{solution} ex-a\n:class: dropdown\n\n```{note}\nSo.\n```\n````")
    assert told == "<details><summary>Solution to Exercise 1</summary>\n\n> **Note.** So.\n\n</details>"


def test_a_formula_in_a_quote_stands_in_one_line_and_everything_else_in_its_own():
    (told,) = plain("```{prf:lemma}\nSo $a\n= b$:\n\n$$\nc \\\\\nd\n$$\n\n* one\n* two\n```")
    assert told == "> **Lemma.** So $a = b$:\n>\n> $$ c \\\\ d $$\n>\n> * one\n> * two"


def test_a_solution_of_several_cells_ends_at_a_line_that_makes_no_heading():
    first, last = plain(f"{EXERCISE}\n\n```{{solution-start}} ex-a\n```", "So.\n```{solution-end}\n```")
    assert first.endswith("**Solution to Exercise 1**, down to the line:\n") and last == "So.\n\n---\n"


def test_an_exercise_from_its_start_to_its_end_is_one_quote_though_it_holds_code():
    code = "```python\n1 + 1\n```"
    (told,) = plain(f"```{{exercise-start}}\n:label: ex-a\n```\n**Name.** Why?\n\n{code}\n```{{exercise-end}}\n```")
    assert told == "> **Exercise 1.** **Name.** Why?\n>\n> ```python\n> 1 + 1\n> ```"


def test_a_figure_has_its_caption_below_it_and_is_called_there_as_in_the_text():
    figure = {"figure": {"name": "fig-a", "caption": "What {eq}`eq-b` says."}}
    notebook = notebook_of("Look at {numref}`fig-a`.\n\n$$\nx\n$$ (eq-b)")
    notebook.cells.append(new_code_cell("1", id="cell-01", metadata={"mystnb": figure}))
    text, _, caption = course.Plain(notebook, {}).notebook().cells
    assert text.source.startswith("Look at Figure 1.") and caption.source == "**Figure 1.** What (1) says."


def code_of(notebook):
    """The code of its cells with what they answer, and apart from it what they say in Markdown."""
    said, cells = [], [cell for cell in notebook.cells if cell.cell_type == "code"]
    for data in (output.get("data", {}) for cell in cells for output in cell.outputs):
        said.append(data.pop("text/markdown", ""))
    return cells, "\n".join(said)


@pytest.mark.slow
def test_a_plain_notebook_is_whole_and_finds_the_files_that_it_reads(tmp_path):
    course.plain(tmp_path)
    for path in CHAPTERS:
        whole, copy = (nbformat.read(one, 4) for one in (path, tmp_path / "notebooks" / path.name))
        (ours, said), (theirs, _) = (code_of(copy), code_of(whole))
        assert ours == theirs, path.name
        assert not re.search(r"^[`:]{3,}\{|\{[\w:]+\}`", text_of(copy) + said, re.M), path.name
        read = re.findall(r"\.\./(book/[\w/.-]+)[\"']", "\n".join(cell.source for cell in whole.cells))
        assert [name for name in read if (ROOT / name).exists() and not (tmp_path / name).exists()] == [], path.name


# ---- slides ------------------------------------------------------------------------------------------------


def test_a_heading_begins_a_slide_and_what_is_not_shown_is_a_note():
    cells = deck_of(
        new_markdown_cell("## Title\n\nOne. Two. Three.\n\nA second paragraph.\n\n$$\nx\n$$ (eq-x)\n\n### Below")
    )
    assert kinds(cells) == ["slide", "-", "-", "notes", "subslide"]
    assert [cell.source for cell in cells[1:3]] == ["One. Two.", "$$\nx\n\\tag{1} $$"]
    assert "Three." in cells[3].source and "second paragraph" in cells[3].source


def test_a_formula_is_led_in_and_no_sentence_is_cut_at_a_colon():
    cells = deck_of(new_markdown_cell("What it costs: Two. Three. Four.\n\n$$\nx\n$$"))
    assert kinds(cells) == ["subslide", "-", "notes"]
    assert cells[0].source == "What it costs: Two. Three."


def test_tags_say_what_becomes_of_a_cell():
    def tagged(kind, *tags):
        return kind("## One\n\nTwo. Three. Four." if kind is new_markdown_cell else "x = 1", metadata={"tags": [*tags]})

    assert deck_of(tagged(new_code_cell, "check"), tagged(new_code_cell, "parameters")) == []
    assert deck_of(tagged(new_code_cell, "hide-input"), tagged(new_markdown_cell, "no-slide")) == []
    assert kinds(deck_of(tagged(new_code_cell))) == ["subslide"]
    assert "notes" not in kinds(deck_of(tagged(new_markdown_cell, "slide")))


def test_statements_are_boxes_with_numbers_and_references_know_them():
    theorem = "```{prf:theorem} Name\n:label: thm-a\n\nBody.\n```"
    cells = deck_of(new_markdown_cell(f"## Title\n\nBy {{prf:ref}}`thm-a` all is well.\n\n{theorem}"))
    assert cells[1].source == "By Theorem 1 all is well."
    assert cells[2].source.startswith(course.BOX) and "**Theorem 1 (Name).** Body." in cells[2].source


def test_what_no_longer_fits_begins_a_slide():
    long = "Word " * (course.SCREEN // 5)
    theorem, proof = (f"```{{prf:{kind}}}\n{long}\n```" for kind in ("theorem", "proof"))
    assert kinds(deck_of(new_markdown_cell(f"## T\n\nLead.\n\n{theorem}\n\n{proof}"))) == [
        "slide", "-", "subslide", "subslide",
    ]  # fmt: skip
    short = theorem.replace(long, "So.")
    assert kinds(deck_of(new_markdown_cell(f"## T\n\nLead.\n\n{short}\n\n{short}"))) == ["slide", "-", "-", "-"]


def test_a_reference_to_another_chapter_names_it():
    cells = deck_of(new_markdown_cell("## Title\n\nBy {prf:ref}`prop-price` and {eq}`eq-scaling` it is so."))
    named = r"By Proposition \d of \*Optimal transport\* and \(\d\) of \*Optimal transport\* it is so\."
    assert re.fullmatch(named, cells[1].source)


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_a_deck_holds_every_figure_and_no_word_that_markdown_does_not_know(path):
    whole, deck = nbformat.read(path, 4), course.Deck(nbformat.read(path, 4), {}).notebook
    assert not re.search(r"^`{3,}\{|\{[\w:]+\}`", text_of(deck), re.M)
    captions = text_of(deck).count('<div class="caption">')
    without = course.without_solutions(whole)
    assert captions == sum("figure" in cell.metadata.get("mystnb", {}) for cell in without.cells)
    assert "{solution" not in text_of(deck)


@pytest.mark.slow
def test_a_page_of_slides_asks_for_nothing_that_does_not_lie_beside_it(tmp_path):
    course.slides(tmp_path, "07b_one_file")
    page = (tmp_path / "07b_one_file.html").read_text(encoding="utf-8")
    asked = re.findall(r"""<(?:script|link|img)[^>]*(?:src|href)="(?!data:)([^"]+)""", page)
    assert len(asked) >= 5 and [name for name in asked if not (tmp_path / name).is_file()] == []
    assert not re.search(r"""(?:import|url)\(?\s*['"]?https?:""", page)
    styles = [path.read_text(encoding="utf-8") for path in tmp_path.glob("reveal/dist/**/white.css")]
    assert styles and "https://fonts" not in styles[0]
