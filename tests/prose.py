"""The book's prose, without its code: what the tests of spelling and of symbols read."""

import ast
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
SPAN = re.compile(r"(?<!`)(`{1,2})(?!`)[^`]+\1(?!`)")
MATH = re.compile(r"\$\$(.+?)\$\$|(?<![\\$])\$([^$]+?)(?<!\\)\$", re.S)
LINKS = re.compile(r"\]\([^)\s]*\)|https?://\S+|^:\w+:.*$|\{[\w:]+\}", re.M)  # addresses, options, names of roles

GREEK = "alpha|beta|gamma|delta|varepsilon|eta|theta|kappa|lambda|mu|rho|sigma|tau|phi|varphi|pi|omega|ell"
WORD = re.compile(r"\\(?:text|mathrm|operatorname\*?|begin|end)\{[^{}]*\}")
NAME = re.compile(r"_\{(?:\\text\{)?([A-Za-z]{3,})\}+")  # of a subscript that is a word: \mathcal L_{fit}
INDEX = re.compile(r"_(?:\{[^{}]*\}|\\?[A-Za-z]+|\d)")  # any other: h_i, S_{ij}
LETTER = rf"\\(?:{GREEK})(?![A-Za-z])|[A-Za-z]"
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
