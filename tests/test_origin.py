"""A digest of the source follows what decides a result, and nothing else."""

import inspect

import pytest

from mmalign.experiments import origin
from mmalign.registry import SYSTEMS

SINGLE, OURS = SYSTEMS["single"].kind, SYSTEMS["mm-align"].kind


@pytest.fixture
def edited(monkeypatch):
    """The digest of a class after a module was edited."""
    plain = inspect.getsource

    def after(kind, module, edit):
        with monkeypatch.context() as patch:
            patch.setattr(inspect, "getsource", lambda one: edit(plain(one)) if one.__name__ == module else plain(one))
            return origin.digest.__wrapped__(kind)

    return after


@pytest.mark.slow
def test_a_line_that_computes_changes_it(edited):
    for module in ("mmalign.training", "mmalign.data.splits", "mmalign.system"):
        assert edited(SINGLE, module, lambda text: text + "\nMORE = 3\n") != origin.digest(SINGLE), module


@pytest.mark.slow
def test_comments_docstrings_and_what_decides_nothing_do_not(edited):
    assert edited(SINGLE, "mmalign.training", lambda text: text + "\n# more\n") == origin.digest(SINGLE)
    retold = edited(SINGLE, "mmalign.training", lambda text: text.replace('"""The', '"""It is the', 1))
    assert retold == origin.digest(SINGLE)
    assert edited(SINGLE, "mmalign.errors", lambda text: text + "\nMORE = 3\n") == origin.digest(SINGLE)


@pytest.mark.slow
def test_a_system_is_touched_by_its_own_modules_only(edited):
    def more(text):
        return text + "\nMORE = 3\n"

    assert edited(OURS, "mmalign.method.dynamics", more) != origin.digest(OURS)
    assert edited(SINGLE, "mmalign.method.dynamics", more) == origin.digest(SINGLE) != origin.digest(OURS)
