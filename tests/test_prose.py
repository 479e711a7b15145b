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


def second_meanings(notation):
    """Symbols that two tables give a meaning to. Chapters that keep another paper's letters, and rows that begin with
    "here only", may.
    """
    ours = notation.partition("## Letters of other papers")[0]
    owner = {}
    for name, found, meaning, _ in prose.told(ours):
        for one in sorted(found):
            if not meaning.startswith("here only") and owner.setdefault(one, name) != name:
                yield one, owner[one] or "all chapters", name


def told_elsewhere(text, name, notation):
    """Symbols that the text gives a meaning to, though the notation says that other chapters do."""
    own, anywhere = set(), set()
    for table, found, _, chapters in prose.told(notation):
        own |= found if table == name else set()
        anywhere |= found if table == "" and {"anywhere", name.split("_")[0]} & {*chapters.split()} else set()
    return prose.defined(text) - own - anywhere


def test_no_letter_has_two_meanings():
    assert list(second_meanings(NOTATION.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("path", prose.chapters(), ids=lambda path: path.stem)
def test_a_chapter_gives_a_letter_no_meaning_but_the_one_that_the_notation_has_for_it(path):
    assert told_elsewhere(prose.chapter(path), path.stem, NOTATION.read_text(encoding="utf-8")) == set()


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


TWO = """
| symbol | meaning | told in |
|---|---|---|
| $d$ | a difference | 01 |
| $n$ | how many | anywhere |

### [One](../notebooks/01_one.ipynb)

| $h_i$ | entropy |

### [Two](../notebooks/02_two.ipynb)

| symbol | meaning |
|---|---|
"""


def test_a_letter_of_two_tables_is_found_unless_it_says_so():
    assert list(second_meanings(TWO + "| $h$ | half-width |")) == [("h", "01_one", "02_two")]
    assert list(second_meanings(TWO + "| $d$ | a lag |")) == [("d", "all chapters", "02_two")]
    assert list(second_meanings(TWO + "| $h$ | here only: half-width |")) == []
    assert list(second_meanings(TWO + "| $\\hat h$, $h_{\\text{half}}$ | half-width |")) == []
    assert (
        list(second_meanings(TWO + "## Letters of other papers\n### [T](../notebooks/03_t.ipynb)\n| $h$ | x |")) == []
    )


@pytest.mark.parametrize(
    ("text", "chapter", "found"),
    [
        ("Let $d$ be a lag.", "02_two", {"d"}),
        ("Let $d_s$ be the difference.", "01_one", set()),
        ("With $h$ the half-width, $h$ is the answer.", "02_two", {"h"}),
        ("Let $h_i$ be its entropy.", "01_one", set()),
        ("Let $n$ be the number of $d$.", "02_two", set()),
        ("$d$ is 3 here, for $d$ large.", "02_two", set()),
    ],
)
def test_a_letter_that_is_given_another_meaning_is_found(text, chapter, found):
    assert told_elsewhere(text, chapter, TWO) == found
