"""Chapters for Colab: a first cell that installs there, and does nothing anywhere else."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

ROOT = Path(__file__).parents[1]
TOOL = ROOT / "book/colab.py"
CHAPTER = "https://colab.research.google.com/github/one/two/blob/main/notebooks/05_backbone.ipynb"


@pytest.fixture
def cell():
    chapter = new_notebook(cells=[new_code_cell("1 + 1")])
    made = run_path(str(TOOL))["for_colab"](chapter, "https://example.org/one/two", "main")
    nbformat.validate(made)
    assert [cell.source for cell in made.cells][1:] == ["1 + 1"]
    return made.cells[0].source


def test_the_first_cell_does_nothing_elsewhere(cell, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("something was installed"))
    exec(cell, {})
    assert Path.cwd() == tmp_path and capfd.readouterr() == ("", "")


def test_on_colab_it_fetches_installs_and_goes_to_the_chapters(cell, monkeypatch):
    done = []
    monkeypatch.setitem(sys.modules, "google.colab", SimpleNamespace())
    monkeypatch.setattr(subprocess, "run", lambda words, check: done.append(words))
    monkeypatch.setattr(os, "chdir", done.append)
    monkeypatch.setattr(os.path, "exists", lambda _: False)
    exec(cell, {})
    fetch, install, folder = done
    assert fetch[:2] == ["git", "clone"] and fetch[-3:] == [
        "--branch=main",
        "https://example.org/one/two",
        "/content/mmalign",
    ]
    assert install[1:4] == ["-m", "pip", "install"] and install[-1].startswith("/content/mmalign[")
    assert folder == "/content/mmalign/notebooks"
    monkeypatch.setattr(os.path, "exists", lambda _: True)  # the cell is run a second time
    exec(cell, {})
    assert done[3:] == ["/content/mmalign/notebooks"]


def test_it_asks_for_every_extra_but_the_cluster(cell):
    words = cell.partition('"/content/mmalign[')[2].partition("]")[0].split(",")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {*words} == {*project["optional-dependencies"]} - {"dask", "all"}


@pytest.mark.slow
def test_the_copies_are_in_markdown_that_colab_knows(monkeypatch, tmp_path):
    tool = run_path(str(TOOL))
    monkeypatch.setitem(tool["main"].__globals__, "TARGET", tmp_path / "colab")
    monkeypatch.setitem(tool["main"].__globals__, "repository", lambda: ("https://example.org/one/two", "main"))
    assert tool["main"]() == 0
    copies = sorted((tmp_path / "colab/notebooks").glob("*.ipynb"))
    assert [path.name for path in copies] == sorted(path.name for path in ROOT.glob("notebooks/*.ipynb"))
    for path in copies:
        first, *cells = nbformat.read(path, 4).cells
        assert "git" in first.source and first.metadata.cellView == "form"
        text = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        assert "<details><summary>Solution to Exercise" in text or "**Solution to Exercise" in text, path.name
        assert not re.search(r"^[`:]{3,}\{|\{[\w:]+\}`", text, re.M), path.name


def test_without_an_address_the_command_says_what_is_missing(monkeypatch, tmp_path):
    tool = run_path(str(TOOL))
    (tmp_path / "_config.yml").write_text('repository: {url: "", branch: main}\n', encoding="utf-8")
    monkeypatch.setitem(tool["repository"].__globals__, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="names no repository"):
        tool["repository"]()
    (tmp_path / "_config.yml").write_text('repository: {url: "https://a/b", branch: x}\n', encoding="utf-8")
    assert tool["repository"]() == ("https://a/b", "x")


def test_buttons_of_colab_lead_to_the_chapters_that_install():
    lead = run_path(str(ROOT / "book/_ext/mmalign_book.py"))["lead_to_colab"]
    app = SimpleNamespace(config=SimpleNamespace(html_theme_options={"repository_branch": "main"}))
    colab, binder = (
        {"text": "Colab", "url": CHAPTER},
        {"text": "Binder", "url": "https://mybinder.org/v2/gh/one/two/main"},
    )
    lead(app, "", "", {"header_buttons": [{"type": "group", "buttons": [binder, colab]}, {"text": "theme"}]}, None)
    assert colab["url"] == CHAPTER.replace("/main/", "/colab/") and binder["url"].endswith("/main")
