"""The chapters for Colab, where nothing is installed: `python -m book colab` writes them to _build/colab.

Colab opens one notebook, without the repository around it. So each copy begins with a cell that fetches the
repository, installs the package beside the torch that is there, and goes to the folder of the chapters, whose stored
results lie one up. Colab knows no MyST, so the copies are in plain Markdown. Publish them as the branch `colab`: the
buttons lead there.
"""

import shutil
import sys
from pathlib import Path
from runpy import run_path

import nbformat
import yaml
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "_build/colab"
CELL = """\
# @title Installs what this chapter needs (a minute; on Colab only)
import os, subprocess, sys

if "google.colab" in sys.modules and not os.path.exists("/content/mmalign"):
    fetch = ["git", "clone", "-q", "--depth=1", "--branch={branch}", "{url}", "/content/mmalign"]
    subprocess.run(fetch, check=True)
    wanted = "/content/mmalign[train,book,language,bench]"
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", wanted], check=True)
if "google.colab" in sys.modules:
    os.chdir("/content/mmalign/notebooks")"""


def repository() -> tuple[str, str]:
    """Address and branch, as `_config.yml` names them.

    Raises:
        SystemExit: it names no address.
    """
    named = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["repository"]
    if not named["url"]:
        raise SystemExit(
            "_config.yml names no repository, so Colab could fetch none: put its address into `repository`"
        )
    return named["url"], named["branch"]


def for_colab(notebook: NotebookNode, url: str, branch: str) -> NotebookNode:
    """The chapter behind a first cell that installs."""
    cell = new_code_cell(CELL.format(url=url, branch=branch), id="colab", metadata={"cellView": "form"})
    notebook.cells.insert(0, cell)
    return notebook


def main() -> int:
    url, branch = repository()
    shutil.rmtree(TARGET, ignore_errors=True)
    (TARGET / "notebooks").mkdir(parents=True)
    for path, notebook in run_path(str(ROOT / "book/course.py"))["in_plain_words"]():
        nbformat.write(for_colab(notebook, url, branch), TARGET / "notebooks" / path.name)
    print(f"made: {TARGET}, to be published as the branch colab")
    return 0


if __name__ == "__main__":
    sys.exit(main())
