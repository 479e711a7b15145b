"""Many experiments: what a grid holds, and three ways to run it that leave the same files.

A run is planned before it is made, so that its file has a name from the start. A file that is there is a run
that is done: to go on after any accident, say the same again.
"""

import fcntl
import json
import multiprocessing
import os
import signal
import socket
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from multiprocessing import connection
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from ..errors import THREADS, InputError, check
from ..files import write_whole
from . import grids, runs
from .grids import Jobs
from .runs import Experiment

FAILED = "failed"  # the folder, inside the sweep's own, of what went wrong

# ---- one run, whatever happens to it -----------------------------------------------------------------------


class Outcome(NamedTuple):
    """How a run ended: with a record, or with an error."""

    record: dict[str, object] | None
    trace: bytes = b""  # its answers and its curve, as `traces` keeps them
    error: str = ""  # in one line
    where: str = ""  # the traceback


_ALONE = threading.Lock()  # the random numbers of torch belong to the process: no two runs at once


def attempt(experiment: Experiment, data_dir: str | None = None) -> Outcome:
    """Run it. What goes wrong is an outcome as well."""
    try:
        with _ALONE:
            made = runs.make(experiment, data_dir, progress=False)
        return Outcome(made.record, made.trace.to_bytes())
    except Exception as error:
        return Outcome(None, error=_line(error), where=traceback.format_exc())


# ---- three ways to run them all ----------------------------------------------------------------------------


def in_process(jobs: Jobs, data_dir: str | None) -> Iterator[tuple[str, Outcome]]:
    """One after the other, here."""
    for name, experiment in jobs.items():
        yield name, attempt(experiment, data_dir)


def in_workers(jobs: Jobs, data_dir: str | None, workers: int) -> Iterator[tuple[str, Outcome]]:
    """In processes of this machine. A killed one costs its run, which is tried once more."""
    waiting, deaths = deque(jobs), Counter()
    crew: dict[connection.Connection, _Worker] = {}
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                worker = _Worker(data_dir)
                crew[worker.line] = worker
                worker.give(waiting[0], jobs[waiting.popleft()])
            for line in connection.wait([*crew]):
                worker = crew[line]
                name, outcome = worker.take()
                if outcome is not None and waiting:
                    worker.give(waiting[0], jobs[waiting.popleft()])
                else:
                    del crew[line]
                    worker.end()
                if outcome is None:
                    deaths[name] += 1
                    if deaths[name] == 1:
                        waiting.appendleft(name)
                        continue
                    code = worker.process.exitcode
                    outcome = Outcome(None, error=f"its worker died twice, the last with exit code {code}")
                yield name, outcome
    finally:
        for worker in crew.values():
            worker.end()


class _Worker:
    """A process that runs one experiment after the other, and the line to it."""

    def __init__(self, data_dir: str | None) -> None:
        context = multiprocessing.get_context("spawn")
        self.line, far = context.Pipe()
        self.process = context.Process(target=serve, args=(far, data_dir), daemon=True)
        # Ctrl-C reaches every process of a terminal. Only the sweep is to act on it, so a worker starts deaf.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        self.process.start()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        far.close()  # so that the line breaks when the worker dies

    def give(self, name: str, experiment: Experiment) -> None:
        self.name = name
        with suppress(OSError):  # it died while idle; `take` will notice
            self.line.send(experiment)

    def take(self) -> tuple[str, Outcome | None]:
        """The name of the run and its outcome, None where the worker died."""
        try:
            return self.name, self.line.recv()
        except (EOFError, OSError):
            return self.name, None

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.line.close()


def serve(line: connection.Connection, data_dir: str | None) -> None:
    """What a worker does until it is killed."""
    tqdm.set_lock(threading.RLock())  # the default one would outlive a killed process
    threading.Thread(target=_die_with_parent, daemon=True).start()
    while True:
        line.send(attempt(line.recv(), data_dir))


def _die_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def on_dask(jobs: Jobs, data_dir: str | None, address: str) -> Iterator[tuple[str, Outcome]]:
    """By the workers of a Dask scheduler, which looks after those that die. Records come back to be written here."""
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--scheduler needs Dask; install it with: pip install 'mmalign[dask]'") from None
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    return _from_dask(client, jobs, data_dir)


def _from_dask(client: "Client", jobs: Jobs, data_dir: str | None) -> Iterator[tuple[str, Outcome]]:  # noqa: F821
    from distributed import as_completed

    with client:
        names = {client.submit(attempt, one, data_dir, key=f"mmalign-{name}"): name for name, one in jobs.items()}
        for future in as_completed(names):
            if future.cancelled():
                raise InputError("--scheduler: it has gone away; the same command goes on from what is there")
            error = future.exception()  # Dask's own: `attempt` has none
            yield names[future], future.result() if error is None else Outcome(None, error=_line(error))


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


# ---- the sweep -------------------------------------------------------------------------------------------


class Tally(NamedTuple):
    """How many runs of a grid there are, and what became of them."""

    runs: int
    there: int  # done before
    done: int
    failed: int  # now or before


def sweep(
    grid: str | Path,
    out: str | Path,
    *,
    data_dir: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    retry: bool = False,
) -> Tally:
    """Run what a grid asks for and `out` does not hold yet.

    Args:
        grid: a YAML file, see `grids.read_grid`.
        out: where each run leaves its record, and in `failed/` its error.
        data_dir: where files are looked for.
        workers: processes of this machine; with 1 the runs happen in this one.
        scheduler: HOST:PORT of a Dask scheduler, whose workers are to do it.
        retry: run what failed before once more.

    Raises:
        ValueError: the grid does not fit, or another sweep is writing there.
    """
    check("workers", workers, THREADS)
    out, jobs = Path(out), grids.plan(grids.read_grid(grid), data_dir)
    with alone_in(out):
        there = {name for name in jobs if (out / name).exists()}
        failed = {name for name in jobs if (out / FAILED / name).exists()} - there
        todo = {name: one for name, one in jobs.items() if name not in there and (retry or name not in failed)}
        failed -= {*todo}
        done = 0
        try:
            with closing(_runs(todo, data_dir, workers, scheduler)) as runs, _bar(jobs, todo) as bar:
                for name, outcome in runs:
                    if _keep(out, name, jobs[name], outcome):
                        done += 1
                    else:
                        failed.add(name)
                    bar.set_postfix_str(f"{len(failed)} failed", refresh=False)
                    bar.update()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(there) + done} of {len(jobs)} runs are in {out}; the same command goes on from there"
            ) from None
    return Tally(len(jobs), len(there), done, len(failed))


def _runs(todo: Jobs, data_dir: str | None, workers: int, scheduler: str | None) -> Iterator[tuple[str, Outcome]]:
    if scheduler is not None:
        return on_dask(todo, data_dir, scheduler)
    return in_process(todo, data_dir) if workers == 1 else in_workers(todo, data_dir, workers)


def _bar(jobs: Jobs, todo: Jobs) -> tqdm:
    """How far it is; seldom said where nobody watches, so that the log of a batch job stays short."""
    pause = 0.1 if sys.stderr.isatty() else 60
    return tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="run", mininterval=pause)


def _keep(out: Path, name: str, experiment: Experiment, outcome: Outcome) -> bool:
    """Write the record, or what went wrong; whether there was a record."""
    record, error = outcome.record, outcome.error
    trouble = out / FAILED / name
    if record is not None and runs.name_of(record) != name:
        error = "it was run on other data or with other versions than were planned here: "
        error += json.dumps({"digest": record["config"]["data"]["digest"], **record["versions"]})
    if error:
        about = {"experiment": asdict(experiment), "error": error, "trace": outcome.where.splitlines()}
        write_whole(trouble, (json.dumps(about, indent=1) + "\n").encode())
        return False
    runs.store(record, out, outcome.trace)
    trouble.unlink(missing_ok=True)
    return True


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Nobody else sweeps into `out` meanwhile. The lock goes with its process, however that ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = open(out / ".lock", "a+")  # noqa: SIM115, closed below
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(f"--out {out} belongs to another sweep: {file.read()}") from None
        except OSError as error:
            raise InputError(f"--out {out} cannot be locked: {error.strerror}") from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
