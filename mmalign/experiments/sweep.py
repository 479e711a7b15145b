"""Many experiments: what a grid holds and a folder does not hold yet.

A run is planned before it is made, so that its file has a name from the start. A record that is there is a run
that is done: to go on after any accident, say the same again.
"""

import json
import os
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from .. import named
from ..errors import THREADS, InputError, check
from ..files import locked, read_text, write_whole
from ..registry import system
from . import crew, grids, origin, runs
from .crew import Job, Jobs, Outcome

FAILED = "failed"  # the folder, inside the sweep's own, of what went wrong


class Tally(NamedTuple):
    """How many runs of a grid there are, and what became of them."""

    runs: int
    there: int  # done before
    done: int
    failed: int  # now or before


class Part(NamedTuple):
    """Which runs of a grid: the `place`-th of `count` parts, about equal, whoever counts."""

    place: int
    count: int

    @classmethod
    def of(cls, text: str) -> "Part":
        """From "2/5".

        Raises:
            ValueError: it is none.
        """
        place, slash, count = text.partition("/")
        if not (slash and place.isdecimal() and count.isdecimal() and 1 <= int(place) <= int(count)):
            raise InputError(f"part must be PLACE/COUNT, such as 2/5, found {text!r}")
        return cls(int(place), int(count))

    def holds(self, name: str) -> bool:
        """Whether a run belongs to it: names are hashes, so parts are about equal in everything."""
        return int(Path(name).stem, 16) % self.count == self.place - 1


def sweep(
    grid: str | Path,
    out: str | Path,
    *,
    data_dir: str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    retry: bool = False,
    renew: bool = False,
    part: str | None = None,
) -> Tally:
    """Run what a grid asks for and `out` does not hold yet.

    Args:
        grid: a YAML file, see `grids.read_grid`.
        out: where each run leaves its record and its trace, and in `failed/` its error.
        data_dir: where files are looked for.
        workers: processes of this machine; with 1 the runs happen in this one.
        scheduler: HOST:PORT of a Dask scheduler, whose workers are to do it.
        retry: run what failed before once more.
        renew: run once more what is there but was computed by another source of its system.
        part: "2/5" for the second of five parts; sweeps of other parts may write into the same folder meanwhile.

    Raises:
        ValueError: the grid does not fit, or another sweep is writing there.
    """
    if crew.begun_by_a_worker():
        raise SystemExit(1)  # the sweep says why
    check("workers", workers, THREADS)
    out, jobs = Path(out), planned(grid, data_dir, part)
    with alone_in(out, part):
        there = {name: record["versions"].get("source") for name, record in finished(out, jobs)}
        stale = {name for name, source in there.items() if source not in (None, _source(jobs[name].system))}
        if renew:
            there = {name: source for name, source in there.items() if name not in stale}
        elif stale:
            told = "were computed by another source of their systems than today's; --renew computes them again"
            print(f"mmalign: {len(stale)} of the {len(there)} runs in {out} {told}", file=sys.stderr)
        failed = (jobs.keys() & _names(out / FAILED)) - there.keys()
        todo = [name for name in jobs if name not in there and (retry or name not in failed)]
        failed -= {*todo}
        done = 0
        try:
            with closing(_made(jobs, todo, data_dir, workers, scheduler)) as made, _bar(jobs, todo) as bar:
                for name, outcome in made:
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


def planned(grid: str | Path, data_dir: str | None, part: str | None) -> grids.Jobs:
    """What a grid, or a part of it, asks for."""
    chosen = Part.of(part) if part else Part(1, 1)
    return {name: one for name, one in grids.plan(grids.read_grid(grid), data_dir).items() if chosen.holds(name)}


def _made(
    jobs: grids.Jobs, todo: Iterable[str], data_dir: str | None, workers: int, scheduler: str | None
) -> Iterator[tuple[str, Outcome]]:
    content = cache(named.content)
    sent: Jobs = {
        name: Job(jobs[name], data_dir, content(jobs[name].system) if ":" in jobs[name].system else None)
        for name in todo
    }
    if scheduler is not None:
        return crew.on_dask(sent, scheduler)
    return crew.in_process(sent) if workers == 1 else crew.in_workers(sent, workers)


def _bar(jobs: grids.Jobs, todo: list[str]) -> tqdm:
    """How far it is; seldom said where nobody watches, so that the log of a batch job stays short."""
    pause = 0.1 if sys.stderr is not None and sys.stderr.isatty() else 60
    return tqdm(total=len(jobs), initial=len(jobs) - len(todo), unit="run", mininterval=pause)


# ---- the folder ----------------------------------------------------------------------------------------------


def _names(folder: Path) -> set[str]:
    """What a folder holds, read once: asking for each of many thousand names would take minutes on a shared disk."""
    try:
        return {*os.listdir(folder)}
    except FileNotFoundError:
        return set()
    except OSError as error:
        raise InputError(f"{folder} must be a folder of ours, and cannot be listed: {error.strerror}") from None


def finished(out: Path, jobs: Iterable[str]) -> Iterator[tuple[str, dict[str, object]]]:
    """The runs that are done, and their records. What is no whole record, an empty file say, is no run that is done."""
    held = _names(out)
    for name in jobs:
        if name in held:
            try:
                record = json.loads(read_text(out / name))
                runs.name_of(record)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            yield name, record


@cache
def _source(name: str) -> str:
    return origin.digest(system(name).kind)


def _keep(out: Path, name: str, experiment: runs.Experiment, outcome: Outcome) -> bool:
    """Write the record, or what went wrong; whether there was a record."""
    record, error = outcome.record, outcome.error
    trouble = out / FAILED / name
    if record is not None and (
        runs.name_of(record) != name or record["versions"].get("source") != _source(experiment.system)
    ):
        error = "it was run on other data, with other versions or by another source than were planned here: "
        error += json.dumps({"digest": record["config"]["data"]["digest"], **record["versions"]})
    if error:
        about = {"experiment": asdict(experiment), "error": error, "trace": outcome.where.splitlines()}
        write_whole(trouble, (json.dumps(about, indent=1) + "\n").encode())
        return False
    runs.store(record, out, outcome.trace)
    trouble.unlink(missing_ok=True)
    return True


@contextmanager
def alone_in(out: Path, part: str | None = None) -> Iterator[None]:
    """Nobody else sweeps the same part into `out` meanwhile. The lock goes with its process, however that ends."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out} cannot be written: {error.strerror}") from None
    name = f".lock-{part.replace('/', '-of-')}" if part else ".lock"
    with ExitStack() as stack:
        file = stack.enter_context(locked(out / name, f"--out {out} belongs to another sweep: "))
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        file.flush()
        yield
