"""Other systems, emulated: what they lack is taken away from every process that a command starts.

Emulated are: Windows' standard library (no `fcntl`, `resource`, `pthread_sigmask`, no flags for pipes and links; locks
by `msvcrt`, binary files by `O_BINARY`), consoles and locales that are not UTF-8 (C, cp1252), Windows' paths,
`.venv/Scripts`, folders with spaces and letters of many scripts. Not emulated are Windows' own file system and
processes, macOS and arm64: nobody has run the package there.
"""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import h5py
import numpy as np
import pytest
from forked import Command

from mmalign import InputError, cli, files
from mmalign.experiments import runs
from mmalign.registry import system

ROOT = Path(__file__).parents[1]
OURS = [*(ROOT / "mmalign").rglob("*.py"), *(ROOT / "book").rglob("*.py")]

# Run by each Python before anything else. What asks for `msvcrt` to learn whether this is Windows is loaded first.
WINDOWS = """
import multiprocessing.util, os, select, selectors, signal, subprocess, sys, tempfile, types

for name in ("fcntl", "resource", "pwd", "grp", "termios"):
    sys.modules[name] = None
for place, names in ((os, "O_NONBLOCK O_NOFOLLOW sysconf sched_getaffinity"), (signal, "pthread_sigmask")):
    for name in names.split():
        delattr(place, name)
msvcrt = types.ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2


def locking(number, mode, length):
    place, mark = os.lseek(number, 0, os.SEEK_CUR), f"/proc/self/fd/{number}"
    assert place >= 2**20, "a byte that somebody reads"
    name = os.readlink(mark) + ".taken"
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise PermissionError(13, "Permission denied") from None


msvcrt.locking = locking
sys.modules["msvcrt"] = msvcrt
"""

GRID = """
system: [copy, mm-align]
dataset: planted
data.samples: 60
model.width: 8
train.epochs: 3
"""


@pytest.fixture
def command(tmp_path):
    """The command line in a process of its own, on an emulated system."""

    def run(*words, prelude="", **variables):
        (tmp_path / "before").mkdir(exist_ok=True)
        (tmp_path / "before" / "sitecustomize.py").write_text(prelude, encoding="utf-8")
        path = os.pathsep.join([str(tmp_path / "before"), *sys.path])
        asked = [sys.executable, "-m", "mmalign", *map(str, words)]
        return subprocess.run(
            asked, env={**os.environ, "PYTHONPATH": path, **variables}, capture_output=True, check=False
        )

    return run


# ---- Windows' standard library -------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_sweep_with_workers_needs_nothing_that_windows_lacks(command, tmp_path):
    (tmp_path / "grid.yaml").write_text(GRID, encoding="utf-8")
    words = ("sweep", tmp_path / "grid.yaml", "--out", tmp_path / "out", "--workers", 2)
    done = command(*words, prelude=WINDOWS)
    assert done.stdout.splitlines() == [b"2 runs: 0 were there, 2 done, 0 failed"], done.stderr
    refused = command(*words, prelude=WINDOWS)  # the emulated lock stays when its process has gone
    assert refused.returncode == 2 and b"belongs to another sweep: process" in refused.stderr
    assert b"mm-align" in command("table", tmp_path / "out", prelude=WINDOWS).stdout


@pytest.mark.slow
def test_hdf5_is_read_by_a_child_that_windows_cannot_limit(command, tmp_path):
    folder = tmp_path / "ict_mmmo"
    folder.mkdir()
    with h5py.File(folder / "audio_train.h5", "w") as file:
        file["else"] = np.zeros(3)
    done = command("data", "check", "ict-mmmo", "--data-dir", tmp_path, prelude=WINDOWS)
    assert done.returncode == 2 and done.stderr.startswith(b"mmalign: "), done.stderr
    assert b"Traceback" not in done.stderr and b"audio_train.h5" in done.stderr


def test_files_are_opened_as_bytes_where_that_is_a_choice(tmp_path, monkeypatch):
    asked, opened = [], os.open

    def record(path, flags, *mode):
        asked.append(flags)
        return opened(path, flags & ~BINARY, *mode)

    BINARY = 2**29
    monkeypatch.setattr(files, "_BINARY", BINARY)
    monkeypatch.setattr(os, "open", record)
    files.write_whole(tmp_path / "file", b"a\nb\n")
    files.own(tmp_path / "file").close()
    files.opened(tmp_path / "file").close()
    assert len(asked) == 3 and all(flags & BINARY for flags in asked)


# ---- texts and consoles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_no_text_is_read_or_written_in_the_encoding_of_the_day(path):
    for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(call, ast.Call):
            continue
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        told = {one.arg for one in call.keywords}
        words = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        binary = any("b" in word for word in words[-1:])
        texts = name in ("read_text", "write_text") and isinstance(call.func, ast.Attribute)
        if texts or (isinstance(call.func, ast.Name) and name == "open") or "text" in told:
            assert binary or "encoding" in told or "utf-8" in words, f"{path.name}, line {call.lineno}"


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [{"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONUTF8": "0", "PYTHONIOENCODING": "cp1252"}],
    ids=["C", "cp1252"],
)
def test_a_locale_without_utf_8_changes_no_file_and_breaks_no_command(command, tmp_path, variables):
    (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
    words = ("run", "--system", f"{tmp_path / 'own.py'}:Mine", "--dataset", "planted", "--set", "data.samples=60")
    plain = Command(*words, "--epochs", 3, "--json", "--out", tmp_path / "plain")
    out, _ = plain.communicate()
    other = command(*words, "--epochs", 3, "--json", "--out", tmp_path / "other", **variables)
    assert plain.returncode == other.returncode == 0, other.stderr
    first, second = json.loads(out), json.loads(other.stdout)
    assert first["metrics"] == second["metrics"] and first["system"] == "own.py:Mine"
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {
        path.name for path in (tmp_path / "other").iterdir()
    }
    told = command("table", tmp_path / "other", **variables)
    assert told.returncode == 0 and b"Traceback" not in told.stderr


OWN = '''
"""Ein System mit Umlauten: µ, 平均."""
import mmalign
from mmalign.neighbours import LateFusion


class Mine(LateFusion):
    """Nichts Neues."""
'''


# ---- paths -------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["two words", "Löwe 平均 кот", "a%20b&c;d'e"])
def test_folders_may_have_any_name(tmp_path, monkeypatch, capsys, name):
    out = tmp_path / name / "out"
    monkeypatch.chdir(tmp_path)
    words = ["run", "--system", "copy", "--dataset", "planted", "--set", "data.samples=60", "--epochs", "3"]
    assert cli.main([*words, "--out", str(out)]) == 0
    (record,) = out.glob("*.json")
    assert str(record) in capsys.readouterr().err
    assert cli.main(["table", str(out)]) == 0


@pytest.mark.parametrize("folder", ["C:\\work", "C:\\Users\\Ada L\\own", "\\\\server\\share", "..\\own", "D:own"])
def test_a_system_of_ones_own_may_lie_where_windows_has_its_files(folder):
    place = f"{PureWindowsPath(folder) / 'own.py'}:Mine"
    assert runs.label(place) == "own.py:Mine"
    with pytest.raises(InputError, match=r"cannot read .*own\.py: it is not there"):
        _ = system(place).kind


def test_without_make_the_same_commands_find_scripts_where_windows_has_them(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT), *sys.path])
    from book import __main__ as book

    assert book.scripts_of(Path(".venv")) == Path(".venv/bin")
    monkeypatch.setattr(book.os, "name", "nt")
    assert book.scripts_of(PureWindowsPath(".venv")) == PureWindowsPath(".venv\\Scripts")


def test_what_is_printed_fits_any_console(monkeypatch):
    narrow = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", narrow)
    assert cli.main(["data", "list"]) == 0
    assert b"smartwatch" in narrow.buffer.getvalue()
