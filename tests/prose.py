"""The book's prose, without its code: what the tests of spelling and of symbols read."""

import ast
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)[^`]+\1(?!`)")
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$]+?)(?<!\\)\$", re.S)
LINKS = re.compile(r"\]\([^)\s]*\)|https?://\S+|^:\w+:.*$|\{[\w:]+\}", re.M)  # addresses, options, names of roles

GREEK = (
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi|rho|sigma|tau|phi|varphi|chi|psi|pi"
    "|omega|ell"
)
WORD = re.compile(r"\\(?:text|mathrm|operatorname\*?|begin|end)\{[^{}]*\}")
NAME = re.compile(r"_\{(?:\\text\{)?([A-Za-z]{3,})\}+")  # of a subscript that is a word: \mathcal L_{fit}
INDEX = re.compile(r"_(?:\{[^{}]*\}|\\?[A-Za-z]+|\d)")  # any other: h_i, S_{ij}
LETTER = rf"\\(?:{GREEK})(?![A-Za-z])|[A-Za-z]"
ONE = rf"(?:\\(?:hat|bar|tilde|mathcal|mathbb)\s*\{{?)?(?:{LETTER})\}}?"
SAYS = r"(?:is|are|be|denote|denotes|hold|holds|stand|stands)"
DEFINITION = re.compile(  # a sentence that gives a letter its meaning: the formula that stands in it
    rf"\b(?:[Ll]et|[Ww]rite|[Cc]all (?:it|them|this)|with)\s+\$([^$=]+?)\$\s+(?:{SAYS}|for|the|its|their)\b"
    rf"|\$([^$=]+?)\$\s+(?:is|are)\s+(?:the|what|called)\b"
)
SYMBOL = re.compile(rf"(?:\\(hat|bar|tilde|mathcal|mathbb)\s*\{{?\s*)?({LETTER})\}}?(<\w+>)?|<\w+>|\\[A-Za-z]+")


def without_code(text):
    """Markdown without code: directives (```{exercise}) stay, blocks and spans of code go."""
    kept, fences = [], []  # the fences that are open, outermost first
    for line in text.splitlines():
        fence = re.match(r"(`{3,})(.*)", line)
        if not fence and not any(is_code for _, is_code in fences):
            kept.append(line)
        elif fence and fences and fence.groups() == (fences[-1][0], ""):
            fences.pop()
        elif fence:
            fences.append((fence[1], not fence[2].startswith("{")))
    return SPAN.sub(" ", "\n".join(kept))


def chapters():
    return sorted(ROOT.glob("notebooks/*.ipynb"))


def chapter(path):
    """Markdown cells, captions and alt texts of a stored chapter."""
    told = []
    for cell in nbformat.read(path, as_version=4).cells:
        options = cell.metadata.get("mystnb", {})
        told += [cell.source] if cell.cell_type == "markdown" else []
        told += [options.get("figure", {}).get("caption", ""), options.get("image", {}).get("alt", "")]
    return without_code("\n\n".join(told))


def docstrings(path):
    """Every docstring of a module."""
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    nodes = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]
    return without_code("\n\n".join(ast.get_docstring(node) or "" for node in nodes))


def words(text):
    """Without math, addresses and the names of roles."""
    return LINKS.sub(" ", MATH.sub(" ", text))


def symbols(text):
    r"""The letters of its math, with marks and worded subscripts, each once.

    >>> sorted(symbols(r"$\hat A_{ij}=\mu\,\mathcal L_{fit}$"))
    ['<fit>mathcal L', 'hat A', 'mu']
    """
    found = set()
    for pair in MATH.findall(text):
        tex = INDEX.sub(" ", WORD.sub(" ", NAME.sub(r"<\1>", "".join(pair))))
        found |= {
            f"{name}{mark} {letter}".strip().replace("\\", "") for mark, letter, name in SYMBOL.findall(tex) if letter
        }
    return found


def symbol(tex):
    r"""The symbol that a formula is, whatever its indices; None for a formula of several.

    >>> symbol(r"h_i"), symbol(r"\bar A^*"), symbol("lA"), symbol(r"1/l")
    ('h', 'bar A', None, None)
    """
    bare = re.sub(r"[_^](?:\{[^{}]*\}|\\?\w|\*)", "", tex).strip()
    return next(iter(symbols(f"${bare}$"))) if re.fullmatch(ONE, bare) else None


def defined(text):
    """The symbols that the sentences of a text give a meaning to.

    >>> sorted(defined("Let $h_i$ be its entropy; $U$ is the set of plans, $lA$ is the target, $l$ is 3."))
    ['U', 'h']
    """
    return {symbol(next(filter(None, found))) for found in DEFINITION.findall(text)} - {None}


def told(notation):
    """Every row of the notation's tables: its table, its symbols, its meaning, and in which chapters it is told.

    A table is named by its chapter; the ones for all chapters together are "". Their last column says "anywhere",
    numbers of chapters, or, where the column is missing, nothing.
    """
    common, *sections = re.split(r"^### .*notebooks/(\w+).*$", notation, flags=re.M)
    for name, text in [("", common), *zip(sections[::2], sections[1::2], strict=True)]:
        for line in re.findall(r"^\| (.*\$.*) \|$", text, re.M):
            first, meaning, *rest = line.split(" | ")
            yield name, symbols(re.sub(r"=[^$]*\$", "$", first)), meaning, rest[-1] if rest else ""
