"""Classes that are named in words."""

import os
import re
import subprocess
import sys

import pytest

from mmalign import InputError, named
from mmalign.method.model import MMAlign

OWN = "class Base:\n    pass\n\n\nclass Mine(Base):\n    pass\n"


@pytest.fixture(autouse=True)
def _as_before(monkeypatch):
    """The search path and the imported modules of the process stay as they were."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        del sys.modules[name]


def test_a_class_of_a_module_is_the_very_class():
    assert named.find("mmalign.method.model:MMAlign") is MMAlign


def test_a_class_of_a_file_is_one_class_however_often_it_is_asked_for(tmp_path, monkeypatch):
    (tmp_path / "own.py").write_text(OWN)
    kind = named.find(f"{tmp_path / 'own.py'}:Mine")
    monkeypatch.chdir(tmp_path)
    assert kind.__name__ == "Mine" and kind is named.find("own.py:Mine") and kind is named.find("./own.py:Mine")


def test_a_changed_file_is_another_class_with_another_digest(tmp_path):
    place = f"{tmp_path / 'own.py'}:Mine"
    (tmp_path / "own.py").write_text(OWN)
    first, digest = named.find(place), named.digest(named.find(place))
    assert digest == named.digest(named.find(place))
    (tmp_path / "own.py").write_text(OWN.replace("pass", "depth = 3"))
    assert named.find(place) is not first and named.find(place).depth == 3
    assert named.digest(named.find(place)) != digest


def test_what_lies_beside_a_file_can_be_imported_by_it_and_hides_nothing(tmp_path):
    (tmp_path / "own.py").write_text(
        "import json\n\nfrom beside_own import Base\n\n\nclass Mine(Base):\n    j = json\n"
    )
    (tmp_path / "beside_own.py").write_text("class Base:\n    depth = 5\n")
    (tmp_path / "json.py").write_text("")
    kind = named.find(f"{tmp_path / 'own.py'}:Mine")
    assert kind.depth == 5 and kind.j.dumps([]) == "[]"


def test_a_module_of_the_working_folder_is_found_by_the_console_script_too(tmp_path):
    (tmp_path / "own_module.py").write_text(OWN)
    script = "import sys; sys.path.remove(''); from mmalign import named; print(named.find('own_module:Mine').__name__)"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "Mine\n", done.stderr


@pytest.mark.parametrize(
    ("content", "place", "says"),
    [
        (OWN, "own.py", "package.module:Class or folder/file.py:Class was expected, found"),
        (OWN, ":Mine", "was expected, found ':Mine'"),
        (OWN, "own.py:", "was expected"),
        (OWN, "own.py:1", "was expected"),
        (OWN, "other.py:Mine", "other.py:Mine: cannot read other.py: it is not there"),
        (OWN, "own.py:Yours", "has no class Yours; it has Base, Mine"),
        (OWN, "pipe.py:Mine", "cannot read pipe.py: a plain file was expected, found a pipe"),
        (OWN, "zero\0byte.py:Mine", "cannot read zero\\x00byte.py: embedded null byte"),
        (OWN, "lone\ud800letter.py:Mine", "surrogates not allowed"),
        (
            "import sys\n\nsys.exit('bye')\n",
            "own.py:Mine",
            "own.py:Mine cannot be imported: SystemExit: bye (own.py, line 3)",
        ),
        ("import json\n\nMine = 3\n", "own.py:Mine", "has no class Mine; it has none"),
        ("\n\nclass Mine(\n", "own.py:Mine", "cannot be imported: SyntaxError: '(' was never closed (own.py, line 3)"),
        (
            "\nclass Mine(Nobody):\n    pass\n",
            "own.py:Mine",
            "NameError: name 'Nobody' is not defined (own.py, line 2)",
        ),
        ("import nothing_of_that_name\n", "own.py:Mine", "No module named 'nothing_of_that_name' (own.py, line 1)"),
        (OWN, "nothing_there.deep:Mine", "there is no module nothing_there"),
        (OWN, "mmalign.nothing:Mine", "there is no module mmalign.nothing"),
        (
            OWN,
            "own_too:Mine",
            "own_too:Mine cannot be imported: ZeroDivisionError: division by zero (own_too.py, line 3)",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path, monkeypatch, content, place, says):
    (tmp_path / "own.py").write_text(content)
    (tmp_path / "own_too.py").write_text("\n\n1 / 0\n")
    os.mkfifo(tmp_path / "pipe.py")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=re.escape(says)) as caught:
        named.find(place)
    assert "\n" not in str(caught.value)
