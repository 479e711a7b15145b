"""What computed a run: a digest of our own source that a training of a system goes through.

A changed source does not make its stored runs other runs, for most changes decide nothing. It is written into the
record, so that a sweep can say which of the runs that are there came from another source.
"""

import ast
import hashlib
import importlib.util
import inspect
from collections.abc import Iterator
from functools import cache
from types import ModuleType

OURS = "mmalign."
EVERY = ("mmalign.training", "mmalign.data.splits", "mmalign.metrics")  # what each system's training goes through
IDLE = ("mmalign.errors", "mmalign.files", "mmalign.checkpoint")  # they decide no result


@cache
def digest(kind: type) -> str:
    """Of the modules of ours that a class and its training are made of, comments and docstrings left aside.

    One's own file beside them has a digest of its own, see `named.digest`.
    """
    waiting, seen = [*EVERY, *(parent.__module__ for parent in kind.__mro__)], {}
    while waiting:
        name = waiting.pop()
        if name.startswith(OURS) and name not in seen and name not in IDLE:
            seen[name] = tree = ast.parse(inspect.getsource(importlib.import_module(name)))
            waiting += used(importlib.import_module(name), tree)
    whole = hashlib.sha256()
    for name in sorted(seen):
        whole.update(f"{name} {ast.dump(_bare(seen[name]))}".encode())
    return whole.hexdigest()[:16]


def used(module: ModuleType, tree: ast.Module) -> Iterator[str]:
    """The modules in which that stands defined what a module imports: what its parts are, not where they are shown."""
    package = module.__name__ if hasattr(module, "__path__") else module.__name__.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            if base.startswith(OURS.rstrip(".")):
                for alias in node.names:
                    found = getattr(importlib.import_module(base), alias.name, None)
                    yield found.__name__ if isinstance(found, ModuleType) else getattr(found, "__module__", base)


def _bare(tree: ast.Module) -> ast.Module:
    """Without the strings that only people read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return tree
