"""The way out of the command line: streams that are closed or full, Ctrl-C at any moment, nobody's home."""

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from forked import Command

COMMAND = f"{sys.executable} -m mmalign"
RUN = "run --system single --dataset planted --epochs 1 --set data.samples=60 --threads 1 --json".split()
GRID = "system: single\ndataset: planted\ndata.samples: 60\ntrain.epochs: 1\nseed: [0, 1]\n"


def shell(line, **options):
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, errors="replace", timeout=300, check=False, **options
    )


STREAMS = {  # what is wrong with them, in the words of a shell, and what they then are
    ">&-": {1: None},
    "2>&-": {2: None},
    ">&- 2>&-": {1: None, 2: None},
    "<&- >&- 2>&-": {0: None, 1: None, 2: None},
    ">/dev/full": {1: "/dev/full"},
    "2>/dev/full": {2: "/dev/full"},
}
NO_ROOM = "No space left on device"


@pytest.mark.slow
@pytest.mark.parametrize("streams", STREAMS)
def test_streams_that_are_closed_or_full_cost_no_traceback_and_no_record(tmp_path, streams):
    out, full = tmp_path / "out", streams == ">/dev/full"
    run = Command(*RUN, "--out", out, streams=STREAMS[streams])
    said = run.communicate()[1]
    assert run.returncode == 2 * full and "Traceback" not in said and (NO_ROOM in said) == full
    assert len([*out.glob("*.json")]) == 1, "the run was finished, whoever listened"
    done = shell(f"{COMMAND} data list {streams}")  # in a process that has begun like this
    assert done.returncode == 2 * full and "Traceback" not in done.stderr and (NO_ROOM in done.stderr) == full


@pytest.mark.slow
def test_a_reader_who_has_gone_costs_no_traceback_and_no_record(tmp_path):
    done = shell(f"set -o pipefail; {COMMAND} {' '.join(RUN)} --out {tmp_path}/out | true")
    assert done.returncode == 0 and "Traceback" not in done.stderr
    assert len([*(tmp_path / "out").glob("*.json")]) == 1, "the run was finished, whoever listened"


@pytest.mark.slow
@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full"])
def test_a_sweep_needs_nobody_to_listen(tmp_path, streams):
    (tmp_path / "grid.yaml").write_text(GRID)
    done = Command("sweep", tmp_path / "grid.yaml", "--out", tmp_path / "out", streams=STREAMS[streams])
    out, _ = done.communicate()
    assert done.returncode == 0 and out == "2 runs: 0 were there, 2 done, 0 failed\n"


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin1", "utf-8"])
def test_a_table_can_be_shown_in_any_encoding(encoding):
    rows = os.path.join(os.path.dirname(__file__), "../book/results/ablations.jsonl")
    done = shell(f"{COMMAND} table {rows}", env={**os.environ, "PYTHONIOENCODING": encoding, "LC_ALL": "C"})
    assert done.returncode == 0 and "|" in done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("after", [0.3, 0.7, 1.5, 3.0])
@pytest.mark.parametrize("words", ["run --system mm-align --dataset planted", "data check planted"])
def test_ctrl_c_is_one_line_and_130_once_a_command_has_begun(words, after):
    """Before that it is Python's own: nothing of ours has been read yet."""
    start = "import sys, mmalign.cli as c; print('begun', flush=True); sys.exit(c.main())"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", start, *words.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    if process.returncode:  # else it had done its work
        assert process.returncode == 130 and said.count("\n") == 1 and said.startswith("mmalign: interrupted"), said


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0 or not shutil.which("setpriv"), reason="only root can become nobody")
def test_a_user_without_a_home_or_an_entry_needs_none_where_nothing_is_read_from_it(tmp_path):
    nobody = "env -u HOME setpriv --reuid 54321 --regid 54321 --clear-groups"
    if shell(f"{nobody} {COMMAND} --help").returncode:
        pytest.skip("nobody may not read this checkout")
    assert shell(f"{nobody} {COMMAND} data check planted").returncode == 0
    done = shell(f"{nobody} {COMMAND} data info mosi")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "HOME is not set" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "--threads 1000000",
        "--set model.width=1048576",
        "--set model.width=8192",
        "--set train.clip=" + "9" * 400,
        "--seed " + "9" * 5000,
        "--set model.width=0x" + "f" * 6000,
        "--set model.width=" + "[" * 300,
        "--out " + "x" * 5000,
        "--data-dir " + "x" * 5000 + " --pair a:b",
        "--set data.samples=1000000000",
    ],
)
def test_numbers_and_names_without_measure_are_refused_in_one_line(words, capsys):
    from mmalign import cli

    assert cli.main(["run", "--system", "single", "--dataset", "planted", *words.split()]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and len(said.err) < 1500


BEYOND = "\udcff\ud800"  # what Python makes of bytes that are no text, and a letter that there is not


@pytest.mark.parametrize(
    "words",
    [
        f"data check {BEYOND}",
        f"data check mosi --data-dir {BEYOND}",
        f"data import mosi {BEYOND}",
        f"table {BEYOND}",
        f"table {BEYOND} --format {BEYOND}",
        f"sweep {BEYOND} --out out",
        f"run --system {BEYOND} --dataset planted",
        f"run --system single --dataset planted --pair first:{BEYOND}",
        f"run --system single --dataset planted --set data.samples=60 --epochs 1 --out {BEYOND}",
    ],
    ids=range(9),
)
def test_names_beyond_unicode_are_refused_in_one_line(words, capsys, tmp_path, monkeypatch):
    from mmalign import cli

    monkeypatch.chdir(tmp_path)
    assert cli.main(words.split()) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and said.err.isascii() and not [*tmp_path.iterdir()]


def test_a_window_without_measure_is_refused(capsys):
    from mmalign import cli

    words = "run --system mm-align --dataset planted --set data.samples=60 --window 1000000000"
    assert cli.main(words.split()) == 2
    assert capsys.readouterr().err.count("\n") == 1
