"""What every stored chapter promises its readers. nbval and papermill check that it still runs."""

import ast
import contextlib
import csv
import importlib
import inspect
import re
from pathlib import Path

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = sorted(ROOT.glob("notebooks/*.ipynb"))
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def chapter(path):
    return nbformat.read(path, as_version=4)


def code_cells(chapter):
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


def outputs(chapter):
    return [output for cell in code_cells(chapter) for output in cell.outputs]


def prose(chapter):
    return "\n\n".join(cell.source for cell in chapter.cells if cell.cell_type == "markdown")


def test_every_chapter_stands_in_the_table_of_contents():
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [page["file"] for part in contents["parts"] for page in part["chapters"]]
    assert sorted(name for name in listed if name.startswith("notebooks/")) == [f"notebooks/{p.stem}" for p in CHAPTERS]


def test_every_code_cell_was_run_once_from_top_to_bottom(chapter):
    counts = [cell.execution_count for cell in code_cells(chapter)]
    assert counts == list(range(1, len(counts) + 1)), "run `make refresh`"


def imported(tree):
    """The names that a cell binds to something of ours: {"grids": module}."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.partition(".")[0] == "mmalign":
                    module = importlib.import_module(alias.name)
                    yield (alias.asname, module) if alias.asname else ("mmalign", importlib.import_module("mmalign"))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "mmalign":
            module = importlib.import_module(node.module)
            for alias in node.names:
                with contextlib.suppress(ModuleNotFoundError):  # an attribute, or missed below
                    importlib.import_module(f"{node.module}.{alias.name}")
                yield alias.asname or alias.name, getattr(module, alias.name)


def test_every_code_cell_parses_and_what_it_asks_of_the_package_is_there(chapter):
    known = {}
    for cell in code_cells(chapter):
        tree = ast.parse(TransformerManager().transform_cell(cell.source))
        known |= dict(imported(tree))
        stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        stored |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        known = {name: owner for name, owner in known.items() if name not in stored}  # these are something else
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = known.get(node.value.id)
                assert not inspect.ismodule(owner) or hasattr(owner, node.attr), f"{cell.id}: {ast.unparse(node)}"


def test_no_error_and_no_stderr_is_stored(chapter):
    unwanted = [
        output for output in outputs(chapter) if output.output_type == "error" or output.get("name") == "stderr"
    ]
    assert unwanted == []


def test_no_memory_address_is_stored(chapter):
    texts = [
        str(output.get("text", "")) + str(output.get("data", {}).get("text/plain", "")) for output in outputs(chapter)
    ]
    assert [text for text in texts if re.search(r"\b0x[0-9a-f]{6,}", text)] == []


def test_it_is_stored_as_refresh_writes_it(path, chapter):
    assert [cell.id for cell in chapter.cells] == [f"cell-{number:02d}" for number in range(len(chapter.cells))]
    assert path.read_text(encoding="utf-8") == nbformat.writes(chapter) + "\n", "run `make refresh`"


def test_it_takes_less_than_800_kilobytes(path):
    assert path.stat().st_size < 800_000


def test_it_starts_with_a_title_that_has_no_number(chapter):
    assert re.match(r"# (?!\d)\S", chapter.cells[0].source)


def is_folded(cell):
    return "hide-input" in cell.metadata.get("tags", [])


def test_no_line_of_code_is_wider_than_the_page(chapter):
    lines = [line for cell in code_cells(chapter) for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 88] == [], "run `ruff format notebooks`, or break the words yourself"


def test_imports_and_checks_are_folded_so_that_the_lesson_is_what_one_sees(chapter):
    first_imports = next(cell for cell in code_cells(chapter) if re.search("^import ", cell.source, re.M))
    checks = [cell for cell in code_cells(chapter) if "check" in cell.metadata.get("tags", [])]
    assert [cell.id for cell in [first_imports, *checks] if not is_folded(cell)] == [], "tag them hide-input"


def test_one_cell_holds_the_parameters_and_the_small_ones_are_among_them(chapter):
    tagged = [cell for cell in code_cells(chapter) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    assignments = [node for node in ast.parse(tagged[0].source).body if isinstance(node, ast.Assign)]
    assigned = {node.targets[0].id for node in assignments if isinstance(node.targets[0], ast.Name)}
    assert set(chapter.metadata["mmalign"]["small"]) <= assigned, "papermill wants one `NAME = value` to a line"


def test_it_computes_on_one_thread(chapter):
    assert any("torch.set_num_threads(1)" in cell.source for cell in code_cells(chapter))


def test_it_has_three_exercises_or_more_each_with_a_folded_solution(chapter):
    text = prose(chapter)
    exercises = re.findall(r"\{exercise(?:-start)?\}.*\n:label: (\S+)", text)
    solved = re.findall(r"\{solution(?:-start)?\} (\S+)\n(?::.*\n)*?:class: dropdown", text)
    assert len(exercises) >= 3
    assert len(set(exercises)) == len(exercises)
    assert set(exercises) == set(solved)


def test_every_exercise_is_graded_and_one_of_them_is_open(chapter):
    exercises = re.findall(r"^`{3,}\{exercise(?:-start)?\}.*?^`{3,} *$", prose(chapter), re.M | re.S)
    begun = [re.search(r"\{exercise(?:-start)?\} *(.*)\n:label: (\S+)", one).groups() for one in exercises]
    bold = dict(re.findall(r":label: (\S+)\n`{3,} *\n\*\*(.*?)\.\*\*", prose(chapter)))
    titles = [title or bold.get(label, label) for title, label in begun]
    grades = [title.rpartition("(")[2].rstrip(")") for title in titles]
    assert {*grades} <= {"easy", "standard", "hard", "open"}, titles
    assert "open" in grades


def test_every_figure_has_alt_text_a_caption_and_a_name(chapter):
    for cell in code_cells(chapter):
        pictures = [
            output
            for output in cell.outputs
            if {"image/png", "image/svg+xml"} & {*output.get("data", {})} and "text/html" not in output.data
        ]
        if not pictures:
            continue
        assert len(pictures) == 1, f"{cell.id} draws {len(pictures)} figures; one caption fits one figure"
        options = cell.metadata.get("mystnb", {})
        assert options.get("image", {}).get("alt"), f"{cell.id}: metadata.mystnb.image.alt is missing"
        assert options.get("figure", {}).get("caption"), f"{cell.id}: metadata.mystnb.figure.caption is missing"
        assert options["figure"].get("name", "").startswith("fig-"), f"{cell.id}: name the figure fig-..."


def test_one_figure_of_a_chapter_is_the_one_to_keep(chapter):
    tagged = [cell for cell in code_cells(chapter) if "takeaway" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1
    shown = [kind for output in tagged[0].outputs for kind in output.get("data", {})]
    assert {"image/svg+xml", "text/html"} & {*shown}, "the tag is for a figure or a picture that moves"


def test_no_figure_shows_the_source_of_a_formula(chapter):
    shown = [text for picture in pictures(chapter) for text in re.findall(r"<text[^>]*>([^<]*)", picture)]
    assert [text for text in shown if "\\math" in text] == []


def pictures(chapter):
    """Every figure, and its twin for phones."""
    found = [output.get("data", {}) for output in outputs(chapter)]
    return [picture for data in found for kind, picture in data.items() if "svg" in kind or "narrow" in kind]


def test_every_letter_of_a_figure_is_one_that_readers_fonts_have(chapter):
    private = {letter for picture in pictures(chapter) for letter in picture if "\ue000" <= letter <= "\uf8ff"}
    assert private == set(), "a font of TeX's, as \\mathcal asks for, is not on the page"


def test_any_reader_of_notebooks_finds_a_kernel_and_can_show_every_output(chapter):
    """VS Code and Colab choose among what they know: pictures as SVG or PNG, HTML without scripts, Markdown, text."""
    about = chapter.metadata
    assert (about.kernelspec.name, about.kernelspec.language, about.language_info.name) == (
        "python3",
        "python",
        "python",
    )
    for data in [output.data for output in outputs(chapter) if "data" in output]:
        assert "text/plain" in data
        assert {*data} & {"image/svg+xml", "image/png", "text/html", "text/markdown"} or {*data} == {"text/plain"}
        assert not re.search(r"<(script|iframe|link|object)\b|\bsrc=\"(?!data:)", data.get("text/html", ""))


def test_formulas_are_written_as_every_reader_of_notebooks_takes_them(chapter):
    text = re.sub(r"(`+).+?\1", "", prose(chapter), flags=re.S)
    assert re.findall(r"(?<!\\)\\[(\[]|\{math\}", text) == []  # dollars alone
    assert text.replace("$$", "").replace("\\$", "").count("$") % 2 == 0


def test_every_widget_has_a_still_twin(chapter):
    for data in [output.get("data", {}) for output in outputs(chapter)]:
        still = data.get("text/html", "")
        assert WIDGET_VIEW not in data, "a plain ipywidget shows nothing on a static page (or: run `make refresh`)"
        if "mmalign-widget" in still:
            assert re.search(r'<img[^>]* alt="[^"]', still), "the still twin needs a picture with alt text"


def test_every_chapter_was_timed_and_nobody_waits_long_for_one():
    with (ROOT / "book/results/chapters.csv").open(encoding="utf-8") as file:
        *rows, total = csv.DictReader(file)
    seconds = {row["chapter"]: int(row["seconds"]) for row in rows}
    assert list(seconds) == [path.stem for path in CHAPTERS], "run `make times`"
    assert {name: taken for name, taken in seconds.items() if taken > 40} == {}
    assert max(int(row["slowest cell (s)"]) for row in rows) <= 40
    assert int(total["seconds"]) == sum(seconds.values())
