"""Killed at any moment, a run goes on to the same bits, and nothing that was finished is lost or doubled."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import pytest
from forked import Command

pytestmark = pytest.mark.slow

RUN = "run --system mm-align --dataset planted --set data.samples=200 --epochs 30 --threads 1 --json".split()
RUN += ["--set", "train.patience=30"]
KILLS = 10  # as many again hit sweeps, in test_sweep


def result(process):
    out, _ = process.communicate()
    return json.loads(out)


def timeless(record):
    return {key: value for key, value in record.items() if "seconds" not in key}


@pytest.fixture(scope="module")
def undisturbed():
    return result(Command(*RUN))


def wait_for_state(out, process):
    while not [*out.glob("*.state.safetensors")]:
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_killed_at_random_moments_a_run_goes_on_to_the_same_bits(tmp_path, undisturbed):
    draw = random.Random(0)
    for _ in range(KILLS):
        process = Command(*RUN, "--out", tmp_path, "--resume")
        wait_for_state(tmp_path, process)
        time.sleep(draw.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert not [*tmp_path.glob("*.json")], "it was quicker than we: give it more epochs"
    last = result(Command(*RUN, "--out", tmp_path, "--resume"))
    assert timeless(last) == timeless(undisturbed)
    left = [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert len({path.name.partition(".")[0] for path in left}) == 1  # of one run, and no state of it
    assert not [path for path in left if ".state." in path.name] and len(left) == 4


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_polite_stop_says_how_to_go_on(tmp_path, kind, undisturbed):
    process = Command(*RUN, "--out", tmp_path)
    wait_for_state(tmp_path, process)
    process.send_signal(kind)
    out, err = process.communicate()
    if process.returncode == 0:
        pytest.skip("it was quicker than we")
    assert process.returncode == 130 and out == "" and err.count("\n") == 1 and "--resume" in err
    assert timeless(result(Command(*RUN, "--out", tmp_path, "--resume"))) == timeless(undisturbed)


def test_without_resume_a_run_starts_again(tmp_path, undisturbed):
    process = Command(*RUN, "--out", tmp_path)
    wait_for_state(tmp_path, process)
    process.kill()
    process.communicate()
    for state in tmp_path.glob("*.state.safetensors"):
        state.write_bytes(b"not a state")
    again = Command(*RUN, "--out", tmp_path, "--resume")
    out, err = again.communicate()
    assert (again.returncode, out) == (2, "") and "not the state of a training" in err and err.count("\n") == 1
    assert timeless(result(Command(*RUN, "--out", tmp_path))) == timeless(undisturbed)


def test_where_the_disk_is_full_one_line_says_so_and_no_half_file_stays(tmp_path):
    def no_room():  # a file of more than 2 kB cannot be written
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048))

    quiet = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba"), "PYTHONDONTWRITEBYTECODE": "1"}
    (tmp_path / "out").mkdir()
    command = [sys.executable, "-m", "mmalign", *RUN, "--out", str(tmp_path / "out")]
    process = subprocess.run(
        command, preexec_fn=no_room, env=quiet, capture_output=True, text=True, timeout=300, check=False
    )
    out, err = process.stdout, process.stderr
    assert (process.returncode, out) == (2, "") and "cannot write" in err and err.count("\n") == 1, err
    assert not [*(tmp_path / "out").iterdir()]


def test_resume_needs_to_know_where():
    process = Command(*RUN, "--resume")
    out, err = process.communicate()
    assert (process.returncode, out) == (2, "") and "--out" in err
