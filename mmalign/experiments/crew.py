"""Who makes the runs of a sweep: this process, several processes of this machine, or the workers of a Dask scheduler.

Each way yields names and outcomes as they come; writing them down is the sweep's.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import traceback
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import islice
from multiprocessing import connection
from typing import NamedTuple

from tqdm import tqdm

from .. import named
from ..errors import InputError
from . import runs
from .runs import Experiment

# ---- one run, whatever happens to it -----------------------------------------------------------------------


class Job(NamedTuple):
    """What is sent to whoever does the work."""

    experiment: Experiment
    data_dir: str | None = None
    own: bytes | None = None  # the file of a system of one's own, as it was when the sweep began


class Outcome(NamedTuple):
    """How a run ended: with a record, or with an error."""

    record: dict[str, object] | None
    trace: bytes = b""  # its answers and its curve, as `traces` keeps them
    error: str = ""  # in one line
    where: str = ""  # the traceback


Jobs = Mapping[str, Job]  # the name of each run's file -> what to run
_ALONE = threading.Lock()  # the random numbers of torch belong to the process: no two runs at once


def attempt(job: Job) -> Outcome:
    """Run it. What goes wrong is an outcome as well."""
    experiment = job.experiment
    try:
        if job.own is not None:
            experiment = replace(experiment, system=named.unpacked(experiment.system, job.own))
        with _ALONE:
            made = runs.make(experiment, job.data_dir, progress=False)
        return Outcome(made.record, made.trace.to_bytes())
    except (Exception, SystemExit) as error:  # a system of one's own may call sys.exit
        return Outcome(None, error=_line(error), where=traceback.format_exc())


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


# ---- here --------------------------------------------------------------------------------------------------


def in_process(jobs: Jobs) -> Iterator[tuple[str, Outcome]]:
    """One after the other, in this process."""
    for name, job in jobs.items():
        yield name, attempt(job)


def in_workers(jobs: Jobs, workers: int) -> Iterator[tuple[str, Outcome]]:
    """In processes of this machine. A killed one costs its run, which is tried once more.

    Raises:
        ValueError: processes cannot even begin, as when a script that calls this has no `__main__` guard.
    """
    waiting, deaths = deque(jobs), Counter()
    crew: dict[connection.Connection, _Worker] = {}
    try:
        while waiting or crew:
            while waiting and len(crew) < workers:
                worker = _Worker()
                crew[worker.line] = worker
                worker.give(waiting[0], jobs[waiting.popleft()])
            for line in connection.wait([*crew]):
                worker = crew[line]
                name, outcome = worker.take()
                if outcome is READY:
                    continue
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


READY = Outcome(None, error="ready")  # what a worker says first


class _Worker:
    """A process that runs one experiment after the other, and the line to it."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.ready, (self.line, far) = False, context.Pipe()
        self.process = context.Process(target=serve, args=(far,), daemon=True)
        with _deaf():
            self.process.start()
        far.close()  # so that the line breaks when the worker dies

    def give(self, name: str, job: Job) -> None:
        self.name = name
        with suppress(OSError):  # it died while idle; `take` will notice
            self.line.send(job)

    def take(self) -> tuple[str, Outcome | None]:
        """The name of the run and its outcome, None where the worker died."""
        try:
            outcome = self.line.recv()
        except (EOFError, OSError):
            if not self.ready:
                self.process.join()
                raise InputError(
                    f"a worker process ended before it could begin, with exit code {self.process.exitcode}; a script "
                    "that asks for workers must do so under: if __name__ == '__main__':"
                ) from None
            return self.name, None
        if not self.ready:
            self.ready, outcome = True, READY
        return self.name, outcome

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.line.close()


@contextmanager
def _deaf() -> Iterator[None]:
    """Ctrl-C reaches every process of a terminal. Only the sweep is to act on it, so a worker starts deaf."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows has none: there a worker dies with the sweep
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(line: connection.Connection) -> None:
    """What a worker does until it is killed."""
    tqdm.set_lock(threading.RLock())  # the default one would outlive a killed process
    threading.Thread(target=_die_with_parent, daemon=True).start()
    with suppress(EOFError, OSError):  # the sweep was killed, and the line tells it before that thread does
        line.send(READY)
        while True:
            line.send(attempt(line.recv()))


def _die_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def begun_by_a_worker() -> bool:
    """Whether this is a worker that, before it begins, reads a script that lacks its `__main__` guard."""
    return getattr(multiprocessing.current_process(), "_inheriting", False)


# ---- elsewhere ---------------------------------------------------------------------------------------------

PATIENCE = 5.0  # seconds in which a scheduler says its first word
AT_ONCE = 1000  # runs that Dask knows of at a time: it slows down with many thousands


def on_dask(jobs: Jobs, address: str) -> Iterator[tuple[str, Outcome]]:
    """By the workers of a Dask scheduler, which looks after those that die. Records come back to be written here.

    Raises:
        ValueError: there is no Dask here, or no scheduler there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise InputError("--scheduler needs Dask; install it with: pip install 'mmalign[dask]'") from None
    _greet(address)
    for name in ("distributed", "distributed.client", "tornado"):  # what matters of it is said below, in one line
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=2 * PATIENCE)
    except Exception as error:  # whatever it is, there is nobody to hand runs to
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there ({_line(error)})") from None
    return _from_dask(client, jobs)


def _greet(address: str) -> None:
    """A scheduler speaks first. Whatever keeps silent, or speaks of something else, would be waited for."""
    scheme, slashes, rest = address.rpartition("://")
    host, colon, port = rest.rpartition(":")
    if (slashes and scheme != "tcp") or not (colon and host and port.isascii() and port.isdigit()):
        raise InputError(f"--scheduler {address}: HOST:PORT was expected; no Dask scheduler is reached otherwise")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as line:
            first = line.recv(8)
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there ({error})") from None
    if not 0 < int.from_bytes(first, "little") < 2**20:  # the length of its greeting
        raise InputError(f"--scheduler {address}: no Dask scheduler answers there, but something else")


def _from_dask(client: "Client", jobs: Jobs) -> Iterator[tuple[str, Outcome]]:  # noqa: F821
    from distributed import CancelledError, as_completed

    waiting = iter(jobs.items())
    with client:

        def submit(count: int) -> list:
            return [client.submit(attempt, job, key=f"mmalign-{name}") for name, job in islice(waiting, count)]

        under_way = as_completed(submit(AT_ONCE))
        for future in under_way:
            try:
                error = future.exception()  # Dask's own: `attempt` has none
                outcome = future.result() if error is None else Outcome(None, error=_line(error))
            except (OSError, CancelledError):  # before it could hand over what was done, or take more
                gone = "--scheduler: it has gone away; the same command goes on from what is there"
                raise InputError(gone) from None
            yield future.key.removeprefix("mmalign-"), outcome
            under_way.update(submit(1))
