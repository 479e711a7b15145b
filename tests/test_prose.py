"""The words of the book: spelt right, in British English, and no symbol that the notation does not tell."""

import re

import prose
import pytest
from codespell_lib import main as codespell

AMERICAN = re.compile(
    r"\b\w*(?:color|favor|behavior|neighbor|labor\b|gray\b|center(?!ton)|fulfill\b|analyz|labeled|labeling|modeled|modeling"
    r"|(?:optim|normal|minim|maxim|regular|general|initial|summar|standard|visual|recogn|emphas|real|penal)iz)\w*",
    re.I,
)
PAGES = [*sorted(prose.ROOT.glob("book/*.md")), prose.ROOT / "README.md"]
MODULES = sorted(prose.ROOT.glob("mmalign/**/*.py"))
NOTATION = prose.ROOT / "book/notation.md"


def everything():
    """Path of each text, and the text."""
    for path in prose.chapters():
        yield path, prose.words(prose.chapter(path))
    for path in PAGES:
        yield path, prose.words(prose.without_code(path.read_text(encoding="utf-8")))
    for path in MODULES:
        yield path, prose.words(prose.docstrings(path))


def misspelt(texts, folder):
    """Whether a spelling checker knows a word of them to be wrong; it prints which, and where."""
    for number, (path, text) in enumerate(texts):
        (folder / f"{number}-{path.name}").write_text(text, encoding="utf-8")
    return codespell("--builtin", "clear,rare", "--ignore-words-list", "fro", str(folder)) != 0  # to and fro


def known(notation):
    """The symbols for all chapters, and those of each chapter by its name."""
    common, *sections = re.split(r"^### .*notebooks/(\w+).*$", notation, flags=re.M)
    own = dict(zip(sections[::2], map(prose.symbols, sections[1::2]), strict=True))
    return prose.symbols(prose.without_code(common)), own


def undefined(text, name, notation):
    common, own = known(notation)
    return prose.symbols(text) - common - own.get(name, set())


@pytest.mark.slow
def test_no_word_is_misspelt(tmp_path):
    assert not misspelt(everything(), tmp_path)


@pytest.mark.slow
def test_the_english_is_british():
    found = {path.name: AMERICAN.findall(text) for path, text in everything()}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize("path", prose.chapters(), ids=lambda path: path.stem)
def test_every_symbol_of_a_chapter_stands_in_the_notation(path):
    assert undefined(prose.chapter(path), path.stem, NOTATION.read_text(encoding="utf-8")) == set()


def test_the_notation_lists_no_symbol_that_its_chapter_does_not_use():
    _, own = known(NOTATION.read_text(encoding="utf-8"))
    texts = {path.stem: prose.chapter(path) for path in prose.chapters()}
    unused = {name: symbols - prose.symbols(texts[name]) for name, symbols in own.items()}
    assert not any(unused.values()), unused


# ---- the checks themselves, on samples that are wrong


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("We recieve `teh` plan.", True),
        ("We receive `teh` plan.", False),
        ("```python\nteh = 1\n```\nWe receive it.", False),
        ("```{exercise}\nWe recieve it.\n```", True),
    ],
)
def test_a_misspelt_word_is_found_and_code_is_not_read(text, wrong, tmp_path):
    assert misspelt([(NOTATION, prose.words(prose.without_code(text)))], tmp_path) == wrong


def test_an_american_word_is_found_outside_of_code_and_math():
    text = "We optimize the color of $color$, `colors` and [it](color.md)."
    assert AMERICAN.findall(prose.words(prose.without_code(text))) == ["optimize", "color"]


def test_a_symbol_without_an_entry_is_found():
    notation = r"$A$ and $\mathcal L_{fit}$" "\n### [One](../notebooks/01_one.ipynb)\n" r"$\hat A$"
    text = r"$$\hat A_{ij}+\mathcal L_{fit}$$ $\mathcal L_{con}$ ```{math} $\bar A$```"
    assert undefined(text, "01_one", notation) == {"<con>mathcal L", "bar A"}
    assert undefined(text, "02_two", notation) == {"<con>mathcal L", "bar A", "hat A"}
