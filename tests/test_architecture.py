"""The house: who may import whom, and that everything says what it is."""

import ast
import importlib
from pathlib import Path

import pytest

import mmalign
from mmalign import moved

PACKAGE = Path(mmalign.__file__).parent
ORDER = (
    "interrupt errors files named gate settings compiling config masks batch losses metrics clusters system transport "
    "method baselines neighbours data checkpoint training callbacks prediction registry estimators experiments "
    "figures diagnosis terminal cli extras moved __init__ __main__"
).split()  # each may use only what stands before it
INSIDE = {  # the same rule inside the rooms
    "gate": "limits kinds unpickle torches seal hdf5_child hdf5 documents tensors __init__".split(),
    "transport": "plan checks log_domain compiled compiled_slanted official solver __init__".split(),
    "method": (
        "__init__ official gru_compiled gru encoders readout backbone dynamics denoising model controls shared_space "
        "mixing translator plus"
    ).split(),
    "neighbours": "senses late_fusion certainty mla language deepmlf scale deep_sets __init__".split(),
    "baselines": "bounds constant trees fills mfm modal_trans smil __init__".split(),
    "data": (
        "speech missing ragged source pairs windows arrays assemble hdf5 cmu meld padded imported folders published "
        "fetch planted bayes smartwatch spelling stored splits __init__"
    ).split(),
    "experiments": (
        "traces origin runs grids crew sweep statistics tables pivots verdicts cost reproduce bench __init__"
    ).split(),
    "figures": "__init__ palette pages plots overview widgets".split(),
    "figures/widgets": (
        "base absence alignment attention claims decoding departures epochs fusion gains playground story __init__"
    ).split(),
}
FILES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def places(room):
    """What stands in a room, in its order: ("figures", "widgets"), say; () is the package itself."""
    return INSIDE["/".join(room)] if room else ORDER


def dotted(path):
    """data/splits.py -> ("mmalign", "data", "splits"); a package is its folder."""
    return ("mmalign", *path.with_suffix("").parts) if path.stem != "__init__" else ("mmalign", *path.parts[:-1])


def is_file(name):
    return len(name) > 1 and PACKAGE.joinpath(*name[1:]).with_suffix(".py").is_file()


def is_module(name):
    return is_file(name) or PACKAGE.joinpath(*name[1:], "__init__.py").is_file()


def imported(path, text=None):
    """The modules of ours that a file imports anywhere in it, as tuples of names."""
    package = dotted(path) if path.stem == "__init__" else dotted(path)[:-1]
    for node in ast.walk(ast.parse((PACKAGE / path).read_text() if text is None else text)):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names if alias.name.split(".")[0] == "mmalign")
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            if base[:1] == ("mmalign",):
                for alias in node.names:
                    yield (*base, alias.name) if is_module((*base, alias.name)) else base


def test_every_module_has_its_place_in_the_order():
    for path in FILES:
        *room, name = path.with_suffix("").parts
        assert name in places(room), path
        assert not room or room[-1] in places(room[:-1]), path
    for room, names in INSIDE.items():
        assert {
            path.stem for path in (PACKAGE / room).iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
        } == {*names}


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_module_imports_only_modules_listed_before_it(path):
    own = path.with_suffix("").parts
    for target in imported(path):
        name = target[1:] if is_file(target) else (*target[1:], "__init__")
        depth = next(place for place, pair in enumerate(zip(own, name, strict=False)) if pair[0] != pair[1])
        order = places(own[:depth])
        assert order.index(name[depth]) < order.index(own[depth]), f"{path} imports {'.'.join(target)}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from . import masks", ("mmalign", "masks")),
        ("from .masks import real_steps", ("mmalign", "masks")),
        ("from .. import masks", None),
        ("import mmalign.masks", ("mmalign", "masks")),
        ("from mmalign import masks as m", ("mmalign", "masks")),
        ("from mmalign.data import planted", ("mmalign", "data", "planted")),
        ("from mmalign import load", ("mmalign",)),
        ("def late():\n    from .training import fit", ("mmalign", "training")),
        ("import numpy, torch.nn", None),
    ],
)
def test_the_reader_of_imports_understands_each_way_to_write_one(text, found):
    assert [*imported(Path("model.py"), text)] == ([found] if found else [])
    if text == "from .. import masks":
        assert [*imported(Path("data/arrays.py"), text)] == [("mmalign", "masks")]


def test_the_lightest_modules_import_nothing_of_ours():
    for name in ("errors", "masks", "metrics", "compiling", "experiments/statistics"):
        assert not [*imported(Path(f"{name}.py"))], name


def test_only_the_registry_knows_all_the_names():
    above = {"registry", "estimators", "experiments", "diagnosis", "cli", "__init__", "__main__"}
    for path in FILES:
        if not above & {*path.with_suffix("").parts}:
            assert not {target[1] for target in imported(path) if len(target) > 1} & above, path


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_module_class_and_public_function_says_what_it_is(path):
    tree = ast.parse((PACKAGE / path).read_text())
    assert ast.get_docstring(tree), path
    for node in tree.body:
        overloads = (
            [ast.unparse(one) == "overload" for one in node.decorator_list] if hasattr(node, "decorator_list") else []
        )
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_") and not any(overloads):
            assert ast.get_docstring(node), f"{path}: {node.name}"


@pytest.mark.parametrize("path", FILES, ids=str)
def test_no_file_names_a_place_of_one_machine(path):
    text = (PACKAGE / path).read_text()
    assert not [place for place in ("home", "work", "tmp", "root") if f"/{place}/" in text]


@pytest.mark.parametrize(("old", "new"), moved.PLACES.items(), ids=str)
def test_an_import_name_of_the_first_release_is_the_module_that_has_moved(old, new):
    with pytest.warns(DeprecationWarning, match=f"mmalign.{old} is mmalign.{new} now"):
        found = importlib.import_module(f"mmalign.{old}")
    assert found is importlib.import_module(f"mmalign.{new}")
    assert found.__name__ == found.__spec__.name == f"mmalign.{new}"


def test_a_name_that_never_was_is_not_found():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("mmalign.nothing")
