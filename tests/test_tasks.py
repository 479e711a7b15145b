"""`python -m book`, the commands of the repository without make."""

import csv
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def tasks(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    import book.__main__ as module

    return module


def test_make_and_python_know_the_same_commands(tasks):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search("^COMMANDS := (.*)$", makefile, re.M)[1].split() == [*tasks.COMMANDS]


def test_help_says_what_each_command_does(tasks):
    done = subprocess.run([sys.executable, "-m", "book", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*tasks.COMMANDS] and all(len(line.split()) > 3 for line in lines)


def test_a_command_that_is_none_is_refused_before_anything_is_installed(tmp_path):
    words = [sys.executable, "-m", "book", "fly", "--venv", tmp_path / "venv"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "fly" in done.stderr and not (tmp_path / "venv").exists()


def test_every_step_is_taken_and_those_that_failed_are_named_at_the_end(tasks, capsys):
    taken = []

    def step(status):
        def take():
            taken.append(status)
            subprocess.run([sys.executable, "-c", f"raise SystemExit({status})"], check=True)

        return take

    with pytest.raises(SystemExit, match=r"failed:\n.*SystemExit\(3\)\n.*SystemExit\(2\)$"):
        tasks.all_of(step(3), step(0), step(2))
    assert taken == [3, 0, 2]
    tasks.all_of(step(0))


def test_steps_side_by_side_meet_and_a_failure_of_either_is_told(tasks):
    meeting = threading.Barrier(2, timeout=60)
    tasks.side_by_side(meeting.wait, meeting.wait)

    def fail():
        subprocess.run([sys.executable, "-c", "raise SystemExit(3)"], check=True)

    for steps in ([fail, list], [list, fail]):
        with pytest.raises(subprocess.CalledProcessError, match="status 3"):
            tasks.side_by_side(*steps)


def test_the_slowest_chapters_come_first_and_none_is_left_out(tasks):
    names = [path.stem for path in tasks.chapters()]
    with (ROOT / "book/results/chapters.csv").open(encoding="utf-8") as file:
        seconds = {row["chapter"]: int(row["seconds"]) for row in csv.DictReader(file)}
    assert sorted(names) == sorted(path.stem for path in ROOT.glob("notebooks/*.ipynb"))
    told = [seconds[name] for name in names if name in seconds]  # one that was never timed stands before them
    assert told == sorted(told, reverse=True) and told[0] > told[-1]


def test_what_is_older_than_a_source_is_made_again(tasks, tmp_path):
    source, stamp = tmp_path / "source", tmp_path / "stamp"
    source.write_text("")
    assert tasks.is_stale(stamp, [source])
    stamp.write_text("")
    assert not tasks.is_stale(stamp, [source])
    stamp_time = stamp.stat().st_mtime_ns
    os.utime(source, ns=(stamp_time + 1_000_000_000,) * 2)
    assert tasks.is_stale(stamp, [source])
