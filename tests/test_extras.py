"""What is not installed is named with the line that installs it."""

import importlib.util
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from mmalign import InputError, cli, experiments, extras

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def named(requirement):
    return re.match(r"[\w.-]+", requirement)[0].lower().replace("_", "-")


def without(monkeypatch, *names):
    """As if these packages were not installed."""

    class Nothing:
        def find_spec(self, name, path=None, target=None):
            return None

    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        monkeypatch.delitem(sys.modules, name)
    kept = [finder for finder in sys.meta_path if isinstance(finder, extras._Extras)]
    hidden = [Hidden(finder, names) for finder in sys.meta_path if finder not in kept]
    monkeypatch.setattr(sys, "meta_path", [*hidden, *kept])


class Hidden:
    """A finder that overlooks some packages."""

    def __init__(self, finder, names):
        self.finder, self.names = finder, names

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            return None
        return self.finder.find_spec(name, path, target)


def test_the_extras_are_those_of_the_project():
    ours = {*PROJECT["optional-dependencies"]} - {"all"}
    assert {*extras.EXTRA.values()} == ours
    distributions = packages_distributions()
    for module, extra in extras.EXTRA.items():
        brought = {named(one) for one in PROJECT["optional-dependencies"][extra]}
        assert brought & {name.lower().replace("_", "-") for name in distributions[module]}, module


def test_what_is_for_trainings_brings_what_they_need():
    for extra in {*extras.EXTRA.values()} - {"train"}:
        assert "mmalign[train]" in PROJECT["optional-dependencies"][extra], extra


def test_all_of_them_together_are_one_extra():
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert {*re.findall(r"\w+", everything)} == {"mmalign", *extras.EXTRA.values()}


def test_who_imports_what_is_missing_is_told_the_line_that_installs_it(monkeypatch):
    without(monkeypatch, "seaborn")
    monkeypatch.delitem(sys.modules, "mmalign.figures.plots", raising=False)
    with pytest.raises(ModuleNotFoundError, match=re.escape('pip install "mmalign[book]"')) as caught:
        importlib.import_module("mmalign.figures.plots")
    assert isinstance(caught.value, InputError) and caught.value.name == "seaborn"


def test_on_the_command_line_it_is_one_line_and_status_2(monkeypatch, capsys):
    without(monkeypatch, "pandas")
    monkeypatch.delitem(sys.modules, "mmalign.experiments.tables", raising=False)
    monkeypatch.delattr(experiments, "tables", raising=False)
    assert cli.main(["table", "."]) == 2
    assert capsys.readouterr().err == 'mmalign: pandas is not installed; it comes with pip install "mmalign[train]"\n'


def test_others_may_do_without_it_as_ever(monkeypatch):
    without(monkeypatch, "seaborn")
    assert importlib.util.find_spec("seaborn") is None
    with pytest.raises(ModuleNotFoundError, match="No module named 'seaborn'"):
        importlib.import_module("seaborn")
