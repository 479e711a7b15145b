"""What is made from the stored chapters for a course, or for readers of notebooks that do not know MyST.

    course.py slides      _build/slides: a deck a chapter (reveal.js), read offline; S opens the speaker's notes
    course.py students    _build/students: the book without solutions, its sources in src to be rendered, and its
                          notebooks in plain Markdown, where theorems are quotes
    course.py plain       _build/plain: every notebook whole, in plain Markdown, solutions folded: for VS Code

What becomes of a cell is said by its tags, and by what it is:

    parameters, check       no slide, but for a figure
    hide-input              its figure, without the code
    no-slide                no slide, whatever it is
    slide                   all of a text; of any other text the heading, two sentences, formulas, tables, lists
                            and statements are shown, and the rest are the speaker's notes
"""

import argparse
import base64
import html
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

ROOT = Path(__file__).resolve().parents[1]
CHAPTERS = ROOT / "notebooks"
BUILD = ROOT / "_build"

FENCE = re.compile(r"^(`{3,})\{([\w:-]+)\}[ ]*(.*?)\n(.*?)^\1[ ]*$", re.M | re.S)
OPTION = re.compile(r"^:(\w+):(.*)\n?", re.M)
SPREAD = re.compile(r"^(`{3,})\{exercise-start\}([^\n]*\n(?::[^\n]*\n)*)\1\n(.*?)^\1\{exercise-end\}\n\1", re.M | re.S)
SCREEN = 900  # letters that fit on a slide
BOX = '<div class="statement" style="border-left: 4px solid #0072B2; padding-left: 1em">'
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+\$", re.S)
SOLUTION = re.compile(r"^(`{3,})\{solution\}.*?^\1[ ]*\n?", re.M | re.S)
OPENED = re.compile(r"^`{3,}\{solution-start\}", re.M)
CLOSED = re.compile(r"^`{3,}\{solution-end\}\n`{3,}[ ]*\n?", re.M)


# ---- without solutions -------------------------------------------------------------------------------------


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """The chapter as students get it: neither a solution nor the cells inside one."""
    kept, inside = [], False
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source, inside = _outside(SOLUTION.sub("", cell.source), inside)
            if not cell.source.strip():
                continue
        elif inside:
            continue
        kept.append(cell)
    notebook.cells = kept
    return notebook


def _outside(text: str, inside: bool) -> tuple[str, bool]:
    """What of a text stands outside solutions, and whether one is still open behind it."""
    kept = ""
    while text:
        border = (CLOSED if inside else OPENED).search(text)
        kept += "" if inside else text[: border.start() if border else None]
        if border is None:
            break
        text, inside = text[border.end() if inside else border.start() :], not inside
    return kept, inside


def students(target: Path = BUILD / "students", chapters: str = "*") -> None:
    """The sources of the book, every chapter without its solutions."""
    source, notebooks = target / "src", target / "notebooks"
    for folder in (source, notebooks, target / "book"):
        shutil.rmtree(folder, ignore_errors=True)
    (source / "notebooks").mkdir(parents=True)
    notebooks.mkdir()
    titles = titles_of_all()
    for path in sorted(CHAPTERS.glob(f"{chapters}.ipynb")):
        notebook = without_solutions(nbformat.read(path, 4))
        nbformat.write(notebook, source / "notebooks" / path.name)
        nbformat.write(Plain(notebook, titles).notebook(), notebooks / path.name)
    shutil.copytree(ROOT / "book", source / "book", ignore=shutil.ignore_patterns("__pycache__"))
    _copy_results(target / "book")
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy(ROOT / name, source)


def _copy_results(target: Path) -> None:
    """What notebooks read from the folder beside theirs."""
    for part in ("grids", "results"):
        shutil.copytree(ROOT / "book" / part, target / part)


# ---- whole, in plain Markdown --------------------------------------------------------------------------------


def plain(target: Path = BUILD / "plain", chapters: str = "*") -> None:
    """Every chapter with its solutions, in the Markdown that any reader of notebooks knows."""
    shutil.rmtree(target, ignore_errors=True)
    (target / "notebooks").mkdir(parents=True)
    for path, notebook in in_plain_words(chapters):
        nbformat.write(notebook, target / "notebooks" / path.name)
    _copy_results(target / "book")


def in_plain_words(chapters: str = "*") -> Iterator[tuple[Path, NotebookNode]]:
    """Where each chapter is stored, and the chapter itself in plain Markdown."""
    titles = titles_of_all()
    for path in sorted(CHAPTERS.glob(f"{chapters}.ipynb")):
        yield path, Plain(nbformat.read(path, 4), titles).notebook()


# ---- slides ------------------------------------------------------------------------------------------------


def slides(target: Path = BUILD / "slides", chapters: str = "*") -> None:
    """A deck for each chapter, and a page that lists them."""
    from nbconvert import SlidesExporter

    shutil.rmtree(target, ignore_errors=True)
    extension = SimpleNamespace(**run_path(str(ROOT / "book/_ext/mmalign_book.py")))
    extension.add_mathjax(SimpleNamespace(outdir=target))
    reveal = Path(find_spec("sphinx_revealjs").origin).parent / "_static/revealjs"  # which only carries it
    for part in ("dist", "plugin/notes"):
        shutil.copytree(reveal / part, target / "reveal" / part, ignore=shutil.ignore_patterns("*.map"))
    style = (ROOT / "book/slides/style.css").read_text(encoding="utf-8")
    exporter = SlidesExporter(
        template_name="slides", extra_template_basedirs=[str(ROOT / "book")], reveal_url_prefix="reveal",
        exclude_input_prompt=True, exclude_output_prompt=True, reveal_theme="white",
    )  # fmt: skip
    titles = titles_of_all()
    for name in [path.stem for path in sorted(CHAPTERS.glob(f"{chapters}.ipynb"))]:
        deck = Deck(nbformat.read(CHAPTERS / f"{name}.ipynb", 4), titles).notebook
        deck.metadata["title"] = titles[name]
        page, _ = exporter.from_notebook_node(deck, {"style": style, "metadata": {"name": titles[name]}})
        (target / f"{name}.html").write_text(page, encoding="utf-8")
    links = "".join(f'<li><a href="{name}.html">{html.escape(title)}</a></li>' for name, title in titles.items())
    head = '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Slides</title>'
    (target / "index.html").write_text(f"{head}<h1>Slides</h1><ol start=0>{links}</ol></html>", encoding="utf-8")


def titles_of_all() -> dict[str, str]:
    """name of a chapter's file -> its title"""
    first = {path.stem: nbformat.read(path, 4).cells[0].source for path in sorted(CHAPTERS.glob("*.ipynb"))}
    return {name: source.splitlines()[0].removeprefix("# ") for name, source in first.items()}


@cache
def names_elsewhere() -> dict[str, tuple[str, str]]:
    """label -> what it is called in its own chapter, and which that is: ("Proposition 5", " of *Optimal transport*")"""
    titles = titles_of_all()
    return {
        label: (name, f" of *{titles[path.stem]}*")
        for path in sorted(CHAPTERS.glob("*.ipynb"))
        for label, name in _numbered(nbformat.read(path, 4)).items()
    }


class Deck:
    """One chapter, cell by cell, as nbconvert wants its slides."""

    def __init__(self, notebook: NotebookNode, titles: dict[str, str]) -> None:
        self.notebook = without_solutions(notebook)
        self.plain = Plain(self.notebook, titles, boxed)
        self.cells: list[NotebookNode] = []
        for cell in self.notebook.cells:
            tags = {*cell.metadata.get("tags", [])}
            figure = "figure" in cell.metadata.get("mystnb", {})
            if tags & {"parameters", "no-slide"} or ("check" in tags and not figure):
                continue
            if cell.cell_type == "markdown":
                self._text(cell.source, whole="slide" in tags)
            else:
                self._code(cell, "hide-input" in tags)
        self.notebook.cells = self.cells

    def _add(self, text: str, kind: str) -> None:
        self.cells.append(new_markdown_cell(text, metadata={"slideshow": {"slide_type": kind}}))

    def _text(self, source: str, whole: bool) -> None:
        """Each heading begins a slide, and so does what no longer fits; what is not shown becomes a note."""
        for section in re.split(r"^(?=#{1,3} )", source, flags=re.M):
            heading, body = re.match(r"(#{1,3} [^\n]*)?\n?(.*)", section, re.S).groups()
            shown, told = self._parts(body, whole, bool(heading) or "$$" in body)
            if heading:
                self._add(self.plain(heading), "subslide" if heading.startswith("###") else "slide")
            filled = len(heading or "")
            for text in shown:
                room = max(len(text), 150 if text.startswith("$$") else 0)
                fresh = "**Exercise" in text or not filled or filled + room > SCREEN
                filled = room if fresh else filled + room
                self._add(text, "subslide" if fresh else "-")
            if told and self.cells:
                self._add("\n\n".join(told), "notes")

    def _parts(self, body: str, whole: bool, lead: bool) -> tuple[list[str], list[str]]:
        shown, told = [], []
        for block in _blocks(body):
            text = self.plain(block)
            if whole or text.startswith(BOX) or re.match(r"\$\$|[*-] |\d+\. |\|", text):
                shown.append(text)
            elif lead and not shown and "proof" not in block[:16]:
                sentences = re.split(r"(?<=[.?!])\s+(?=[A-Z*`$])", text)
                shown.append(" ".join(sentences[:2]))
                told += [" ".join(sentences[2:])] if sentences[2:] else []
            else:
                told.append(text)
        return shown, told

    def _code(self, cell: NotebookNode, folded: bool) -> None:
        """A figure as it is, its caption below; code that is not folded with what it prints."""
        options = cell.metadata.get("mystnb", {})
        caption, alt = options.get("figure", {}).get("caption"), options.get("image", {}).get("alt", "")
        pictures = [data for output in cell.outputs if (data := output.get("data", {})).get("image/svg+xml")]
        for data in pictures:
            address = base64.b64encode(data["image/svg+xml"].encode()).decode()
            picture = f'<img alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{address}">'
            data.clear()
            data["text/html"] = picture
        looked_at = caption or any("<img" in output.get("data", {}).get("text/html", "") for output in cell.outputs)
        if folded and not looked_at:
            return
        cell.outputs = [output for output in cell.outputs if not folded or "data" in output]
        cell.metadata = {"slideshow": {"slide_type": "subslide"}}
        if looked_at:
            cell.metadata["transient"] = {"remove_source": True}
        self.cells.append(cell)
        if caption:
            self._add(f'<div class="caption">\n\n{self.plain(caption)}\n\n</div>', "-")


# ---- in words that Markdown has ------------------------------------------------------------------------------


def boxed(text: str) -> str:
    return f"{BOX}\n\n{text}\n\n</div>"


def quoted(text: str) -> str:
    """A formula comes into one line: Jupyter takes formulas out before it looks for the marks of a quote."""
    text = FORMULA.sub(lambda formula: formula[0].replace("\n", " "), text)
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


class Plain:
    """The words of one chapter without MyST's: for slides, and for readers that know plain Markdown alone.

    `frame` sets a statement off. Quotes are understood everywhere; in HTML some readers leave formulas as they are.
    """

    def __init__(self, chapter: NotebookNode, titles: dict[str, str], frame: Callable[[str], str] = quoted) -> None:
        self.chapter, self.titles, self.names, self.frame = chapter, titles, _numbered(chapter), frame

    def notebook(self) -> NotebookNode:
        """The chapter itself, all of its texts in plain Markdown; below a figure stands its caption."""
        cells = []
        for cell in self.chapter.cells:
            cells.append(cell)
            for said in (output.get("data", {}) for output in cell.get("outputs", [])):
                if "text/markdown" in said:
                    said["text/markdown"] = self(said["text/markdown"])
            figure = cell.metadata.get("mystnb", {}).get("figure")
            if cell.cell_type == "markdown":
                cell.source = self(cell.source)
            elif figure:
                head = self.names[figure["name"]]
                cells.append(new_markdown_cell(f"**{head}.** {self(figure['caption'])}", id=f"{cell.id}-caption"))
        self.chapter.cells = cells
        return self.chapter

    def __call__(self, text: str) -> str:
        """MyST in the words of plain Markdown: statements in their frame, references by number."""
        text = FENCE.sub(self._directive, _joined(text))
        text = re.sub(r"\$\$\s*\(([\w-]+)\)", lambda found: rf"\tag{{{self.names.get(found[1], '')}}} $$", text)
        text = re.sub(r"\s*\{cite[\w:]*\}`[^`]+`", "", text)
        return re.sub(r"\{([\w:]+)\}`([^`]+)`", self._role, text)

    def _directive(self, found: re.Match[str]) -> str:
        kind, title, body = found[2].removeprefix("prf:"), found[3], FENCE.sub(self._directive, found[4])
        label, words = dict(OPTION.findall(body)).get("label", "").strip(), OPTION.sub("", body).strip()
        if kind in ("exercise-end", "solution-end"):
            return "\n---\n" if kind == "solution-end" else ""
        if kind.startswith("solution"):
            head = f"Solution to {self.names.get(title, 'the exercise')}"
            if kind == "solution-start":  # cells cannot be folded together: a line says where it ends
                return f"**{head}**, down to the line:\n"
            return f"<details><summary>{head}</summary>\n\n{words}\n\n</details>"
        head = self.names.get(label, kind.removesuffix("-start").capitalize())
        title = f" ({title})" if title and not title.endswith(")") else f": {title}" if title else ""
        return self.frame(f"**{head}{title}.** {words}")

    def _role(self, found: re.Match[str]) -> str:
        role, target = found.groups()
        if role == "doc":
            return f"*{self.titles.get(Path(target).name, Path(target).name)}*"
        name, place = self.names.get(target), ""
        if name is None:
            name, place = names_elsewhere().get(target, ("another chapter", ""))
            role = role if place else ""
        return (f"({name})" if role == "eq" else name) + place


def _numbered(notebook: NotebookNode) -> dict[str, str]:
    """label -> what it is called on the slides: Theorem 2, Figure 1; of an equation its number."""
    found: dict[str, str] = {}
    counts: dict[str, int] = {}

    def count(kind: str, label: str, name: str) -> None:
        counts[kind] = counts.get(kind, 0) + 1
        found[label] = f"{name}{counts[kind]}"

    for cell in notebook.cells:
        figure = cell.metadata.get("mystnb", {}).get("figure", {}).get("name")
        if figure:
            count("figure", figure, "Figure ")
        if cell.cell_type == "markdown":
            for label in re.findall(r"\$\$\s*\(([\w-]+)\)", cell.source):
                count("equation", label, "")
            for kind, body in re.findall(r"^`{3,}\{(?:prf:)?([\w-]+)\}.*\n((?::.*\n)*)", cell.source, re.M):
                label = dict(OPTION.findall(body)).get("label", "").strip()
                if label:
                    kind = kind.removesuffix("-start")
                    count("exercise" if kind == "exercise" else "statement", label, f"{kind.capitalize()} ")
    return found


def _joined(text: str) -> str:
    """An exercise from its start to its end as one directive."""
    return SPREAD.sub(r"``````{exercise}\2\3``````", text)


def _blocks(text: str) -> list[str]:
    """Paragraphs, with formulas and directives in one piece."""
    text = _joined(text)
    whole = re.compile(r"^(`{3,})\{.*?^\1[ ]*$|^\$\$.*?\$\$[^\n]*$", re.M | re.S)
    blocks, place = [], 0
    for found in [*whole.finditer(text), None]:
        before = text[place : found.start() if found else None]
        blocks += [part.strip() for part in re.split(r"\n\s*\n", before) if part.strip()]
        if found:
            blocks.append(found.group())
            place = found.end()
    return blocks


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["slides", "students", "plain"])
    sys.exit({"slides": slides, "students": students, "plain": plain}[parser.parse_args().command]())
