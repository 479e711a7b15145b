"""Would the tests notice? One operator or number at a time is changed, and a module's own tests are run.

    python tests/mutants.py [--count 4] [--seed 0] [--modules losses.py ...]

What is changed is drawn by the seed from all places of a module; a change is killed where its tests fail, crash or do
not end. The package is copied first: the checkout stays as it is. Survivors are shown, those of `EQUIVALENT` apart.
"""

import argparse
import ast
import copy
import importlib
import os
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
SECONDS = 240  # of computing, after which a change counts as one that never ends

OWN_TESTS = {
    "transport/solver.py": "solver plan compiled_slanted",
    "transport/compiled.py": "solver",
    "transport/compiled_slanted.py": "compiled_slanted",
    "transport/log_domain.py": "solver compiled_slanted",
    "transport/plan.py": "plan",
    "transport/checks.py": "solver",
    "transport/official.py": "solver",
    "masks.py": "masks plan compiled_slanted",
    "losses.py": "losses",
    "method/dynamics.py": "dynamics",
    "training.py": "training",
    "data/splits.py": "splits",
    "experiments/statistics.py": "statistics",
}

# Changes that are tried every time: before -> after, as text.
BY_HAND = {
    "transport/compiled.py": [("1e-10 if", "1e-37 if"), ("else 1e-60", "else 1e-307")],
    "transport/compiled_slanted.py": [("1e-10 if", "1e-37 if"), ("else 1e-60", "else 1e-307")],
    "training.py": [('(-row["valid"]["accuracy"], row["valid_loss"])', '(row["valid_loss"],)')],
    "data/splits.py": [("condition.seed * 3 + part", "condition.seed")],
}
# Changes that no test can notice, and why: file, the text of the line, what is changed, what it becomes.
EQUIVALENT = {
    (
        "transport/compiled.py",
        "return series * two_to_power if x > kind(least) else kind(0)",
        "x > kind(least)",
        "x >= kind(least)",
    ): "at that one number the answer is 1e-38 or 0",
    (
        "transport/compiled.py",
        "k = reach - end + 1 if reach - end + 1 > 0 else 0",
        "reach - end + 1",
        "reach - end - 1",
    ): "of the condition: it begins an offset or two too early, where every weight is 0",
    (
        "method/dynamics.py",
        "mixing = mixing / mixing.sum(2, keepdim=True).masked_fill(~real[:, :, None], 1)",
        "1",
        "2",
    ): "on padding the mixture is 0, whatever it is divided by",
    (
        "transport/compiled_slanted.py",
        "scale = share / (total if total > least else least)",
        "total > least",
        "total >= least",
    ): "of two equal numbers either will do",
    (
        "transport/compiled_slanted.py",
        "gap = abs(row * rows - 1) if abs(row * rows - 1) > gap else gap",
        "abs(row * rows - 1) > gap",
        "abs(row * rows - 1) >= gap",
    ): "likewise",
    (
        "transport/official.py",
        "def released(cost: Tensor, window: int, lam: float, sweeps: int, barrier: float = 100.0, eps: float = 1e-7) "
        "-> Tensor:",
        "1e-07",
        "1.5e-07",
    ): "the second pass changes nothing: any tolerance ends there",
    (
        "transport/official.py",
        "if (before - plan.sum(1)).abs().max() <= eps:  # it always ends after two passes",
        "(before - plan.sum(1)).abs().max() <= eps",
        "(before - plan.sum(1)).abs().max() < eps",
    ): "likewise",
    (
        "transport/official.py",
        "plan *= (1 / steps / before)[:, None]",
        "1 / steps",
        "1 * steps",
    ): "the next line divides by the sums of what this one has scaled",
    (
        "transport/official.py",
        "real = masks.real_steps(lengths, cost.shape[1])",
        "1",
        "2",
    ): "the costs of the released code are square",
}


class Mutant(NamedTuple):
    """One change of one module."""

    module: str
    line: int
    text: str  # of that line
    before: str
    after: str
    source: str  # of the whole module


# ---- changes ---------------------------------------------------------------------------------------------

SWAPPED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def changed(node):
    """Another node in place of this one; None where nothing is changed."""
    node = copy.deepcopy(node)
    match node:
        case ast.Compare(ops=[operator, *_]) if type(operator) in SWAPPED:
            node.ops[0] = SWAPPED[type(operator)]()
        case ast.BinOp(op=operator) | ast.AugAssign(op=operator) | ast.BoolOp(op=operator) if type(operator) in SWAPPED:
            node.op = SWAPPED[type(operator)]()
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            return operand
        case ast.IfExp(body=body, orelse=orelse):
            node.body, node.orelse = orelse, body
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value)):
            node.value = value + 1
        case ast.Constant(value=float(value)):
            node.value = value * 1.5 if value else 1.0
        case _:
            return None
    return node


def places(tree):
    """(parent, field, position) of all that can be changed: neither types nor texts nor messages of errors."""
    waiting = [tree]
    while waiting:
        parent = waiting.pop()
        for name, value in ast.iter_fields(parent):
            if name in ("annotation", "returns", "decorator_list", "type_params") or _says_nothing(parent):
                continue
            for position, child in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(child, ast.JoinedStr) or not isinstance(child, ast.AST):
                    continue
                waiting.append(child)
                if changed(child) is not None:
                    yield parent, name, position if isinstance(value, list) else None


def _says_nothing(node):
    """Whether it is for readers alone: what is raised, and the overloads that type checkers read."""
    return isinstance(node, ast.Raise) or "overload" in [getattr(one, "id", "") for one in decorators(node)]


def decorators(node):
    return getattr(node, "decorator_list", [])


def mutants(module, count, draw):
    """So many changes of a module, drawn without repetition, in the order of its lines."""
    text = (ROOT / "mmalign" / module).read_text()
    tree = ast.parse(text)
    every = [*places(tree)]
    found = []
    for parent, name, position in draw.sample(every, min(count, len(every))):
        held = getattr(parent, name)
        old = held if position is None else held[position]
        new = ast.copy_location(changed(old), old)
        before = " ".join(ast.unparse(old).split())
        _put(parent, name, position, new)
        after = " ".join(ast.unparse(new).split())
        line = text.splitlines()[old.lineno - 1].strip()
        found.append(Mutant(module, old.lineno, line, before, after, ast.unparse(ast.fix_missing_locations(tree))))
        _put(parent, name, position, old)
    return sorted(found, key=lambda one: one.line)


def by_hand(module):
    """The changes that are tried every time."""
    text = (ROOT / "mmalign" / module).read_text()
    for before, after in BY_HAND.get(module, []):
        assert text.count(before) == 1, f"{module} must hold {before!r} once"
        number = text[: text.index(before)].count("\n")
        line = text.splitlines()[number].strip()
        yield Mutant(module, number + 1, line, before, after, text.replace(before, after))


def _put(parent, name, position, node):
    if position is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[position] = node


# ---- what becomes of them --------------------------------------------------------------------------------


def survives(mutant, folder):
    """Whether the module's own tests, its examples included, find nothing wrong with it in a copy of the package."""
    path = folder / "mmalign" / mutant.module
    sound = path.read_text()
    path.write_text(mutant.source)
    child = os.fork()
    if child == 0:
        verdict = 1
        try:
            verdict = _tested(mutant.module, folder)
        finally:
            os._exit(verdict)
    status = os.waitpid(child, 0)[1]
    path.write_text(sound)
    return status == 0


def _tested(module, folder):
    """pytest's verdict, in a process of its own."""
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1), os.dup2(nowhere, 2)
    os.chdir(folder)
    sys.path[:0] = [str(folder)]
    sys.dont_write_bytecode = True
    tests = [f"tests/test_{name}.py" for name in OWN_TESTS[module].split()]
    return pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", f"mmalign/{module}", *tests])


def copied(folder):
    """A copy of what the tests need."""
    for name in ("mmalign", "tests", "book"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def tried(modules, count, seed):
    """(mutant, whether it survives) one after the other; nothing changed must survive first."""
    with tempfile.TemporaryDirectory() as place:
        folder = copied(Path(place))
        for module in modules:
            text = (ROOT / "mmalign" / module).read_text()
            sound = Mutant(module, 0, "", "", "", ast.unparse(ast.parse(text)))
            if not survives(sound, folder):
                sys.exit(f"{module}: its tests fail with nothing changed")
            for mutant in [*by_hand(module), *mutants(module, count, random.Random(f"{seed} {module}"))]:
                yield mutant, survives(mutant, folder)


def main():
    """Draw, try, tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=4, help="changes of each module")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--modules", nargs="*", default=[*OWN_TESTS], metavar="MODULE")
    options = parser.parse_args()
    for name in ("numba", "scipy.stats", "torch"):  # once for all that are forked
        importlib.import_module(name)

    tally = Counter()
    for mutant, alive in tried(options.modules, options.count, options.seed):
        same = (mutant.module, mutant.text, mutant.before, mutant.after) in EQUIVALENT
        verdict = "killed" if not alive else "equivalent" if same else "SURVIVED"
        tally[verdict] += 1
        print(f"{verdict:<10} {mutant.module}:{mutant.line}  {mutant.before}  ->  {mutant.after}", flush=True)
    print(", ".join(f"{count} {verdict}" for verdict, count in tally.items()))
    return int(tally["killed"] < 0.95 * (tally["killed"] + tally["SURVIVED"]))


if __name__ == "__main__":
    sys.exit(main())
