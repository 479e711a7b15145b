"""A sweep leaves the same files whatever happens to it, and whoever does the work."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from functools import partial
from itertools import chain
from pathlib import Path

import forked
import pytest
from forked import Command

from mmalign import InputError, cli
from mmalign.experiments import crew, runs, sweep

pytestmark = pytest.mark.slow

GRID = """
system: [single, copy, mm-align]
dataset: planted
survival: [0.3, 0.6]
setting: [A, B]
seed: [0, 1]
data.samples: 60
data.shortest: 3
data.longest: 8
model.width: 8
train.epochs: 3
"""
SIX = GRID.replace("[single, copy, mm-align]", "single").replace("[0.3, 0.6]", "0.5").replace("[A, B]", "A")
SIX = SIX.replace("[0, 1]", "[0, 1, 2, 3, 4, 5]")


def rows(folder):
    """What a sweep has left, by file name, without what the clock says: records, and the bits of their traces."""
    found = {path.name: json.loads(path.read_text()) for path in Path(folder).glob("*.json")}
    timed = ("train_seconds", "seconds_per_epoch")
    found = {name: {key: row[key] for key in row if key not in timed} for name, row in found.items()}
    return {name: (row, (Path(folder) / name).with_suffix(".npz").read_bytes()) for name, row in found.items()}


def written(folder, text):
    path = folder / "grid.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The 24 rows of a sweep that nothing happens to, in this process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    assert sweep.sweep(written(folder, GRID), folder / "out") == (24, 0, 24, 0)
    found = rows(folder / "out")
    assert len(found) == 24
    return found


def wait_for(folder, count, process):
    """Until so many runs are done."""
    while process.poll() is None and len([*folder.glob("*.json")]) < count:
        time.sleep(0.002)


def children(process):
    return Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()


def until_gone(processes):
    deadline = time.time() + 60
    while any(Path(f"/proc/{process}").exists() for process in processes):
        assert time.time() < deadline, "a worker outlives its sweep"
        time.sleep(0.01)


# ---- whatever happens ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_killed_five_times_and_resumed_a_sweep_ends_with_the_rows_of_an_undisturbed_one(undisturbed, tmp_path, workers):
    draw, grid, out = random.Random(workers), written(tmp_path, GRID), tmp_path / "out"
    for _ in range(5):
        process, before = Command("sweep", grid, "--out", out, "--workers", workers, crew="fork"), rows(out)
        wait_for(out, len(before) + draw.randint(1, 4), process)
        time.sleep(draw.uniform(0, 0.1))
        crew = children(process)
        process.kill()
        assert process.wait() == -signal.SIGKILL and len(rows(out)) < 24
        until_gone(crew)  # being forks, they hold the lock of their sweep
        assert before.items() <= rows(out).items() <= undisturbed.items()
    assert sweep.sweep(grid, out).failed == 0 and rows(out) == undisturbed
    assert sweep.sweep(grid, out) == (24, 24, 0, 0)  # and then there is nothing left to do


@pytest.mark.parametrize(
    ("blow", "workers", "status"),
    [(signal.SIGINT, 1, 130), (signal.SIGTERM, 2, 130), (signal.SIGKILL, 2, -signal.SIGKILL)],
)
def test_an_interrupted_sweep_says_how_to_go_on_and_leaves_no_process_behind(
    undisturbed, tmp_path, blow, workers, status
):
    grid, out = written(tmp_path, GRID), tmp_path / "out"
    process = Command("sweep", grid, "--out", out, "--workers", workers)
    wait_for(out, 3, process)
    crew = children(process)
    process.send_signal(blow)
    _, err = process.communicate()
    with sweep.alone_in(out):  # at once, whoever still ends
        pass
    assert process.returncode == status and "Traceback" not in err, err
    if status == 130:
        last = err.splitlines()[-1]
        assert last.startswith("mmalign: interrupted; ") and f"of 24 runs are in {out}" in last
    assert len(crew) >= workers - 1
    until_gone(crew)
    assert 3 <= len(rows(out)) < 24 and rows(out).items() <= undisturbed.items()


def test_a_worker_whose_sweep_has_gone_ends_without_a_word():
    """Which of its two signs it sees first is chance: here only the line is broken."""
    near, far = forked.FROM.Pipe()
    near.close()
    worker = forked.FROM.Process(target=crew.serve, args=(far,))
    worker.start()
    worker.join(60)
    assert worker.exitcode == 0


def fragile(met, line):
    """What a worker does that is killed the first time it meets seed 1, and every time it meets seed 3."""
    plain = runs.fit

    def fit(model, data, training, *rest):
        with met.open("a") as file:
            file.write(f"{training.seed}\n")
        if training.seed == 3 or (training.seed == 1 and met.read_text().split().count("1") == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(model, data, training, *rest)

    runs.fit = fit
    crew.serve(line)


@pytest.fixture
def warm(monkeypatch):
    """Workers are forked from a process that has imported torch: a start costs next to nothing."""
    monkeypatch.setattr(crew.multiprocessing, "get_context", lambda kind: forked.FROM)


def test_a_killed_worker_costs_only_its_run_which_is_tried_once_more(tmp_path, monkeypatch, warm):
    grid, out, met = written(tmp_path, SIX), tmp_path / "out", tmp_path / "met"
    with monkeypatch.context() as patch:
        patch.setattr(crew, "serve", partial(fragile, met))
        assert sweep.sweep(grid, out, workers=2) == (6, 0, 5, 1)
    assert sorted(met.read_text().split()) == [*"01123345"]
    (trouble,) = (out / sweep.FAILED).iterdir()
    about, before = json.loads(trouble.read_text()), rows(out)
    assert about["experiment"]["seed"] == 3 and "died twice" in about["error"] and "-9" in about["error"]
    assert sweep.sweep(grid, tmp_path / "again") == (6, 0, 6, 0)
    assert before == {name: row for name, row in rows(tmp_path / "again").items() if name != trouble.name}


def test_a_failed_run_is_recorded_with_its_error_and_retried_on_demand_while_the_rest_goes_on(tmp_path, monkeypatch):
    grid, out, plain = written(tmp_path, SIX), tmp_path / "out", runs.fit
    called = []

    def fit(model, data, training, *rest):
        called.append(training.seed)
        if training.seed == 2:
            raise RuntimeError("two\nlines")
        return plain(model, data, training, *rest)

    monkeypatch.setattr(runs, "fit", fit)
    assert sweep.sweep(grid, out) == (6, 0, 5, 1) and called == [0, 1, 2, 3, 4, 5]
    (trouble,) = (out / sweep.FAILED).iterdir()
    about = json.loads(trouble.read_text())
    assert about["error"] == "RuntimeError: two lines" and about["experiment"]["seed"] == 2 and about["trace"]
    assert trouble.name not in rows(out)

    assert sweep.sweep(grid, out) == (6, 5, 0, 1) and len(called) == 6  # not unasked
    assert sweep.sweep(grid, out, retry=True) == (6, 5, 0, 1) and called[6:] == [2]
    monkeypatch.setattr(runs, "fit", plain)
    assert sweep.sweep(grid, out, retry=True) == (6, 5, 1, 0)
    assert len(rows(out)) == 6 and not [*(out / sweep.FAILED).iterdir()]


def test_two_sweeps_never_share_a_folder(tmp_path, capsys):
    grid, out = written(tmp_path, SIX), tmp_path / "out"
    with sweep.alone_in(out):
        assert cli.main(["sweep", str(grid), "--out", str(out)]) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and f"process {os.getpid()} on " in err and str(out) in err
        assert not rows(out)
    with sweep.alone_in(out):  # it is free again
        pass


# ---- whoever does the work -----------------------------------------------------------------------------------


def test_two_workers_leave_the_rows_of_one_process(undisturbed, tmp_path):
    assert sweep.sweep(written(tmp_path, GRID), tmp_path / "out", workers=2) == (24, 0, 24, 0)
    assert rows(tmp_path / "out") == undisturbed


BAR = re.compile(r"\d+/\d+ \[|\?run/s|run/s")
CLUSTER = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=2, processes=True, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""
WARM = """
import dask
from distributed.utils import get_mp_context

dask.config.set({"distributed.worker.multiprocessing-method": "forkserver"})
get_mp_context().set_forkserver_preload(["distributed", "mmalign.experiments.sweep", "mmalign.method.model"])
"""


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    """The address of a Dask scheduler with two workers in processes of their own, forked where torch is there."""
    folder = tmp_path_factory.mktemp("cluster")
    (folder / "cluster.py").write_text(WARM + CLUSTER)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, folder / "cluster.py"], cwd=folder, **pipes) as cluster:
        try:
            yield cluster.stdout.readline().strip().removeprefix("tcp://")
        finally:
            cluster.stdin.close()


def test_a_dask_cluster_leaves_the_rows_of_one_process(undisturbed, tmp_path, scheduler):
    """Its workers have two threads each, which must not meet: random numbers belong to a process."""
    done = Command("sweep", written(tmp_path, GRID), "--out", tmp_path / "out", "--scheduler", scheduler)
    out, err = done.communicate()
    assert (done.returncode, out) == (0, "24 runs: 0 were there, 24 done, 0 failed\n"), err
    assert rows(tmp_path / "out") == undisturbed


def test_a_scheduler_that_is_killed_costs_one_line_and_the_same_command_goes_on(tmp_path):
    """Its workers are begun as Dask begins them."""
    (tmp_path / "cluster.py").write_text(CLUSTER)
    cluster = subprocess.Popen(
        [sys.executable, tmp_path / "cluster.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    with cluster:
        address = cluster.stdout.readline().strip().removeprefix("tcp://")
        done = Command("sweep", written(tmp_path, GRID), "--out", tmp_path / "out", "--scheduler", address)
        while not [*(tmp_path / "out").glob("*.json")] and done.poll() is None:
            time.sleep(0.05)
        os.killpg(cluster.pid, signal.SIGKILL)
        out, err = done.communicate(timeout=120)
    told = [line for line in err.splitlines() if line.strip() and not BAR.search(line)]
    assert (done.returncode, out, len(told)) == (2, "", 1), err
    assert "it has gone away; the same command goes on from what is there" in told[0]
    assert 0 < len(rows(tmp_path / "out")) < 24 and not (tmp_path / "out" / sweep.FAILED).exists()


def test_a_worker_with_other_data_or_versions_is_found_out(tmp_path, monkeypatch):
    grid, plain = written(tmp_path, SIX.replace("[0, 1, 2, 3, 4, 5]", "0")), runs.make

    def elsewhere(*told, **more):
        made = plain(*told, **more)
        return made._replace(record={**made.record, "versions": {"torch": "0.1"}})

    monkeypatch.setattr(runs, "make", elsewhere)
    assert sweep.sweep(grid, tmp_path / "out") == (1, 0, 0, 1)
    about = json.loads(next((tmp_path / "out" / sweep.FAILED).iterdir()).read_text())
    assert "0.1" in about["error"] and not rows(tmp_path / "out")


def test_the_order_of_a_grid_changes_no_row(undisturbed, tmp_path):
    backwards = GRID.replace("[single, copy, mm-align]", "[mm-align, single]").replace("[0, 1]", "[1, 0]")
    sweep.sweep(written(tmp_path, backwards), tmp_path / "out")
    found = rows(tmp_path / "out")
    assert len(found) == 16 and found.items() <= undisturbed.items()


OWN = """
from mmalign.baselines import Copy


class Mine(Copy):
    pass
"""


def test_a_system_of_ones_own_is_carried_to_processes_and_to_dask_and_known_by_its_file(
    tmp_path, monkeypatch, warm, scheduler
):
    """Dask's workers stand in another folder and never see the file."""
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path / "mine")
    Path("own.py").write_text(OWN)
    grid = written(tmp_path, SIX.replace("single", "own.py:Mine").replace(", 2, 3, 4, 5", ""))
    assert sweep.sweep(grid, tmp_path / "one") == (2, 0, 2, 0)
    assert sweep.sweep(grid, tmp_path / "two", workers=2) == (2, 0, 2, 0)
    assert sweep.sweep(grid, tmp_path / "dask", scheduler=scheduler) == (2, 0, 2, 0)
    assert rows(tmp_path / "one") == rows(tmp_path / "two") == rows(tmp_path / "dask")
    (record, _), *_ = rows(tmp_path / "one").values()
    assert record["system"] == "own.py:Mine" and record["versions"]["system"]
    Path("own.py").write_text(OWN + "# changed\n")
    assert sweep.sweep(grid, tmp_path / "one") == (2, 0, 2, 0) and len(rows(tmp_path / "one")) == 4


def test_a_grid_is_split_over_machines_that_share_only_a_folder(undisturbed, tmp_path):
    grid, out = written(tmp_path, GRID), tmp_path / "out"
    crowd = [Command("sweep", grid, "--out", out, "--part", f"{place}/3") for place in (1, 2, 3)]
    for one in crowd:
        said, err = one.communicate()
        assert one.returncode == 0 and " 0 failed" in said, err
    assert rows(out) == undisturbed
    assert sweep.sweep(grid, out) == (24, 24, 0, 0)  # whoever asks for the whole finds it whole


def test_parts_are_about_equal_hold_each_run_once_and_may_be_swept_together(tmp_path):
    names = [runs.name_of({"versions": {}, "seed": seed}) for seed in range(3000)]
    parts = [[name for name in names if sweep.Part(place, 3).holds(name)] for place in (1, 2, 3)]
    assert sorted(chain(*parts)) == sorted(names) and min(map(len, parts)) > 900
    with ExitStack() as held:
        for part in ("1/3", "2/3"):
            held.enter_context(sweep.alone_in(tmp_path, part))
        with pytest.raises(InputError, match="another sweep"):
            held.enter_context(sweep.alone_in(tmp_path, "2/3"))


# ---- what lies in the folder -----------------------------------------------------------------------------------


@pytest.fixture
def done(undisturbed, tmp_path):
    """A folder in which every run of the grid is done."""
    (tmp_path / "out").mkdir()
    for name, (record, trace) in undisturbed.items():
        seconds = {"train_seconds": 1.0, "seconds_per_epoch": 1.0}
        runs.store(record | seconds, tmp_path / "out", trace)
        assert (tmp_path / "out" / name).exists()
    return tmp_path / "out"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"versions": 3}'])
def test_what_is_no_whole_record_is_made_again(undisturbed, done, content):
    spoilt = sorted(undisturbed)[0]
    (done / spoilt).write_text(content)
    assert sweep.sweep(written(done.parent, GRID), done) == (24, 23, 1, 0) and rows(done) == undisturbed


def test_runs_of_another_source_are_told_and_made_again_on_demand(undisturbed, done, capsys):
    grid, old = written(done.parent, GRID), sorted(undisturbed)[:2]
    for name in old:
        record = json.loads((done / name).read_text())
        record["versions"]["source"] = "0123"
        (done / name).write_text(json.dumps(record))
    assert sweep.sweep(grid, done) == (24, 24, 0, 0)
    assert "2 of the 24 runs" in capsys.readouterr().err
    assert sweep.sweep(grid, done, renew=True) == (24, 22, 2, 0) and rows(done) == undisturbed
    assert "another source" not in capsys.readouterr().err


def test_runs_from_before_sources_were_written_down_are_not_suspected(undisturbed, done, capsys):
    for name in undisturbed:
        record = json.loads((done / name).read_text())
        del record["versions"]["source"]
        (done / name).write_text(json.dumps(record))
    assert sweep.sweep(written(done.parent, GRID), done) == (24, 24, 0, 0)
    assert "another source" not in capsys.readouterr().err


def test_a_file_in_the_place_of_the_failures_is_refused_in_one_line(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/failed").write_text("")
    assert cli.main(["sweep", str(written(tmp_path, SIX)), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "failed must be a folder" in said


# ---- nobody there ------------------------------------------------------------------------------------------------


def answering(first):
    """A port whose owner says `first` to whoever comes, and then nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=lambda: greet(server, first), daemon=True).start()
    return server


def greet(server, first):
    with suppress(OSError):
        line, _ = server.accept()
        with line:
            line.sendall(first)
            line.recv(1000)
            time.sleep(8)


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xff" * 8])
def test_a_port_of_something_else_is_told_within_seconds(tmp_path, first):
    with answering(first) as server:
        begun = time.perf_counter()
        with pytest.raises(InputError, match="no Dask scheduler answers there"):
            sweep.sweep(written(tmp_path, SIX), tmp_path / "out", scheduler=f"127.0.0.1:{server.getsockname()[1]}")
        assert time.perf_counter() - begun < 20


@pytest.mark.parametrize("address", ["tls://here:1", "here", "here:port", ":1", "here:99999999", "http://here:1/"])
def test_an_address_of_another_kind_is_refused(tmp_path, address):
    with pytest.raises(InputError, match="no Dask scheduler"):
        sweep.sweep(written(tmp_path, SIX), tmp_path / "out", scheduler=address)


UNGUARDED = """
from mmalign.experiments.sweep import sweep

print(sweep("grid.yaml", "out", workers=2))
"""


def test_a_script_without_its_guard_is_told_so_and_no_run_counts_as_failed(tmp_path):
    written(tmp_path, SIX)
    (tmp_path / "script.py").write_text(UNGUARDED)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "under: if __name__ == '__main__':" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / sweep.FAILED).exists()


# ---- the command --------------------------------------------------------------------------------------------


def test_the_status_says_that_runs_failed_and_where_to_look(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runs, "fit", lambda *arguments: 1 / 0)
    out = tmp_path / "out"
    assert cli.main(["sweep", str(written(tmp_path, SIX)), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert said.out == "6 runs: 0 were there, 0 done, 6 failed\n"
    assert str(out / sweep.FAILED) in said.err and "--retry" in said.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--workers", "0"], ["workers", "0"]),
        (["--workers", "two"], ["--workers", "two"]),
        (["--workers", "2", "--scheduler", "here:1"], ["--workers", "--scheduler"]),
        (["--scheduler", "nowhere"], ["--scheduler", "nowhere", "no Dask scheduler"]),
    ],
)
def test_a_mistake_is_answered_in_one_line(tmp_path, capsys, words, says):
    assert cli.main(["sweep", str(written(tmp_path, SIX)), "--out", str(tmp_path / "out"), *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and not [word for word in says if word not in said.err]
    assert not rows(tmp_path / "out")


def test_without_dask_a_scheduler_is_refused_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"mmalign\[dask\]"):
        sweep.sweep(written(tmp_path, SIX), tmp_path / "out", scheduler="localhost:8786")


def test_an_out_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"--out .*file"):
        sweep.sweep(written(tmp_path, SIX), tmp_path / "file")
