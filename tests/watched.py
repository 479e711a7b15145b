"""A trial in a process of its own, whose memory, seconds, streams and end are looked at: for `fuzzing.py`."""

import json
import os
import random
import re
import resource
import select
import shutil
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from trials import TRIALS

from mmalign import cli
from mmalign.gate import hdf5, hdf5_child

SECONDS, BYTES = 20, 1e9  # that a trial may take


class Outcome(NamedTuple):
    """What became of a trial."""

    seed: int
    kind: str
    said: str
    status: int  # negative: the signal that killed it
    seconds: float
    peak: int  # bytes
    wrong: str  # empty where all is right


class _Forked:
    """What stands for the process that reads HDF5: the same program, without a new interpreter."""

    def __init__(self):
        there, self._out = os.pipe()
        self._in, here = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.close(self._out), os.close(self._in)
            try:
                hdf5_child.serve(os.fdopen(there, "rb"), os.fdopen(here, "wb"))
            finally:
                os._exit(0)
        os.close(there), os.close(here)
        self.stdin, self.stdout = os.fdopen(self._out, "wb"), os.fdopen(self._in, "rb")

    def kill(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        os.waitpid(self.pid, 0)
        self.pid = 0


def act(seed, sound, place):
    """What happens in the process of a trial: its exit status."""
    draw = random.Random(seed)
    torch.manual_seed(seed), torch.set_num_threads(1)
    kind = draw.choices(list(TRIALS), [share for *_, share in TRIALS.values()])[0]
    spoil, files, _ = TRIALS[kind]
    shutil.copytree(sound / files, place, dirs_exist_ok=True)
    os.chdir(place)
    Path(".kind").write_text(kind)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # of those who spoil; of those who read none is allowed
        todo = spoil(draw, Path())
    told = todo if isinstance(todo, str) else " ".join(todo)[:3000] if isinstance(todo, list) else ""
    Path(".kind").write_text(f"{kind}: {told}", errors="backslashreplace")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdf5, "start", _Forked)
        patch.setattr(hdf5, "COMPUTING", 1)  # one of four hundred files is read without end, in make test too
        if callable(todo):  # no command of its own: the command line says what comes of it
            call, todo = todo, "data list"
            patch.setattr(cli, "_data_list", lambda _: call() and None)
        return cli.main(todo.split() if isinstance(todo, str) else todo)


BATCH = 25  # trials of one process, while none kills it


def batch(seeds, sound, places):
    """Run the trials of some seeds in one process; what each said lies beside its place. Yields their outcomes."""
    there, here = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(there)
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for seed, place in zip(seeds, places, strict=True):
            os.write(here, json.dumps(_one(seed, sound, place)).encode() + b"\n")
        os._exit(0)
    os.close(here)
    done, told, ended = 0, b"", False
    began = time.monotonic()
    try:
        while done < len(seeds):
            ready, _, _ = select.select([there], [], [], 1)
            piece = os.read(there, 2**16) if ready else b""
            told += piece
            while b"\n" in told:
                line, _, told = told.partition(b"\n")
                yield _outcome(seeds[done], places[done], *json.loads(line))
                done, began = done + 1, time.monotonic()
            if ready and not piece:
                break
            if time.monotonic() - began > 6 * SECONDS:
                os.killpg(pid, signal.SIGKILL)
        _, code, used = os.wait4(pid, 0)
        ended = True
        if done < len(seeds):
            yield _outcome(seeds[done], places[done], os.waitstatus_to_exitcode(code) or 1, 0.0, used.ru_maxrss * 1024)
    finally:
        os.close(there)
        if not ended:  # nobody asks for the rest: it must not go on in a folder that is being removed
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def _one(seed, sound, place):
    """Status, seconds and most memory of a trial that this process survives."""
    os.makedirs(place)
    for number, name in ((1, ".out"), (2, ".err")):
        handle = os.open(f"{place}{name}", os.O_WRONLY | os.O_CREAT, 0o666)
        os.dup2(handle, number), os.close(handle)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115, it lasts until the next trial
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, children = used(), largest_child()
    try:
        status = act(seed, sound, place)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush(), sys.stderr.flush()
    peak = int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
    return status, used() - before, max(1024 * peak, largest_child(children))


def used():
    """Seconds of computing, of this process and of those that read HDF5 for it."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


def largest_child(before=0):
    """Bytes of the largest process so far that was waited for, by this one or by those; 0 if not above `before`."""
    most = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return most if most > before else 0


def _outcome(seed, place, status, seconds, peak):
    out, err = (Path(f"{place}{name}").read_bytes() for name in (".out", ".err"))
    told = Path(place) / ".kind"
    kind = told.read_text(errors="replace") if told.exists() else "?"
    wrong = judge(status, out, err, seconds, peak)
    return Outcome(seed, kind, err.decode(errors="replace"), status, seconds, peak, wrong)


def without_bar(err):
    """What was said, less the bar of a sweep, whose rate is in runs a second or in seconds a run."""
    return re.sub(rb"\r[^\r\n]*(run/s|s/run|\?run)[^\r\n]*\n?", b"", err)


def judge(status, out, err, seconds, peak):
    """What is wrong with an outcome; nothing, if nothing is."""
    if status < 0:
        return f"killed by signal {-status}"
    if status not in (0, 2):
        return f"status {status}"
    if b"Traceback" in err:
        return "a traceback"
    err = without_bar(err)
    if any((byte < 32 and byte not in b"\n") or byte == 127 for byte in out + err):
        return "control bytes"
    if "\x9b" in (out + err).decode(errors="replace"):
        return "control letters"
    if status == 2 and not (err.startswith(b"mmalign: ") and err.count(b"\n") == 1 and len(err) < 1500):
        return "not one line"
    if seconds > SECONDS:
        return f"{seconds:.1f} s"
    if peak > BYTES:
        return f"{peak / 1e9:.2f} GB"
    return ""
