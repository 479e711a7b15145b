"""Trials with spoilt files, words and surroundings: `python tests/fuzzing.py --minutes 60`, or `make fuzz MINUTES=60`.

A seed is a trial: it draws a kind of file, spoils a sound one as its format allows (`trials.py`, `spoil.py`), and
lets a command meet it in a process that is watched (`watched.py`). Right is status 0, or status 2 with one line.
Whatever else happens is kept in `_build/fuzz/SEED`, the files and what was said.
"""

import argparse
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import islice
from pathlib import Path

from trials import prepare
from watched import BATCH, BYTES, Outcome, batch, largest_child, used, without_bar

from mmalign import cli, errors, system, training  # noqa: F401, loaded once for all trials

KEPT = Path("_build/fuzz")

# ---- surroundings ----------------------------------------------------------------------------------------

COMMANDS = [
    "data list",
    "data check planted",
    "data info mosi",
    "table {sound}/records/rows.jsonl",
    "--help",
    "run --system single --dataset planted --epochs 1 --set data.samples=60 --threads 1 --json --out {place}/out",
    "sweep {sound}/grid/grid.yaml --out {place}/out --data-dir /nowhere",
    "data check arrays --data-dir {sound}/arrays",
]
STREAMS = ["", ">&-", "2>&-", ">&- 2>&-", "<&-", ">/dev/full", "2>/dev/full", ">/dev/full 2>/dev/full", "<&- >&- 2>&-"]
STREAMS += ["| true"]
PLACES = [
    {},
    {"HOME": None},
    {"HOME": "/nonexistent"},
    {"HOME": ""},
    {"TMPDIR": "/nonexistent"},
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    {"NUMBA_CACHE_DIR": "/nonexistent"},
    {"NUMBA_DISABLE_JIT": "1"},
    {"NUMBA_NUM_THREADS": "0"},
    {"XDG_CACHE_HOME": "/dev/null/x"},
    {"COLUMNS": "1"},
    {"MMALIGN_DATA": "\x1b[1m"},
]
LIMITS = ["", "", "ulimit -n 64;", "ulimit -f 1;", "ulimit -v 4000000;", "ulimit -c 0;"]


def surroundings(seed, sound, place):
    """A whole process in odd surroundings: (outcome)."""
    draw = random.Random(seed)
    words = draw.choice(COMMANDS).format(sound=sound, place=place)
    env = dict(os.environ)
    for name, value in draw.choice(PLACES).items():
        env.pop(name, None)
        if value is not None:
            env[name] = value
    stream, limit = draw.choice(STREAMS), draw.choice(LIMITS)
    os.makedirs(place)
    line = f"{limit} {sys.executable} -m mmalign {words} {stream}; echo status $? >{place}/status"
    if "|" in stream:
        line = f"{limit} ({sys.executable} -m mmalign {words}; echo status $? >{place}/status) {stream}"
    began, children = used(), largest_child()
    try:
        done = subprocess.run(["bash", "-c", line], env=env, capture_output=True, timeout=900, check=False, cwd=place)
        out, err = done.stdout, done.stderr
        told = Path(place, "status").read_text().split() if Path(place, "status").exists() else ["status", "1"]
        status = int(told[1])
    except subprocess.TimeoutExpired as late:
        out, err, status = late.stdout or b"", late.stderr or b"", 1
    except (OSError, IndexError, ValueError):
        status = 2 if "ulimit -f" in limit else 1  # the status could not be written either
    lines = without_bar(err).splitlines(True)
    err = b"".join(line for line in lines if not line.startswith(b"mmalign: wrote") and b"runs:" not in line)
    right = status in (0, 2) and b"Traceback" not in err and err.count(b"\n") <= 1 and b"\x1b" not in out + err
    told = f"surroundings: {limit} {words} {stream} { ({k: v for k, v in env.items() if os.environ.get(k) != v}) }"
    peak = largest_child(children)  # 0: some other trial was larger, and is told
    wrong = f"status {status}" if not right else f"{peak / 1e9:.2f} GB" if peak > BYTES else ""
    return Outcome(seed, told, err.decode(errors="replace"), status, used() - began, peak, wrong)


# ---- many trials -----------------------------------------------------------------------------------------


def series(seeds, sound, every=0):
    """The outcomes of many trials; every so many it is a whole process in odd surroundings."""
    seeds = iter(seeds)
    with tempfile.TemporaryDirectory() as folder:
        number, waiting, next_odd = 0, [], every
        while waiting := waiting or list(islice(seeds, BATCH)):
            places = [f"{folder}/{number + place}" for place in range(len(waiting))]
            if every and number >= next_odd:
                next_odd += every
                outcomes = [surroundings(waiting[0], sound, places[0])]
            else:
                outcomes = batch(waiting, sound, places)
            done = 0
            for outcome, place in zip(outcomes, places, strict=False):
                if outcome.wrong:
                    keep(outcome, place)
                shutil.rmtree(place, ignore_errors=True)
                for end in (".out", ".err"):
                    Path(place + end).unlink(missing_ok=True)
                done += 1
                yield outcome
            number, waiting = number + done, waiting[done:]


def keep(outcome, place):
    """The files of a finding, and what was said."""
    there = KEPT / str(outcome.seed)
    shutil.rmtree(there, ignore_errors=True)
    there.mkdir(parents=True)
    (there / "outcome.json").write_text(json.dumps(outcome._asdict(), indent=1))
    if sum(path.stat().st_size for path in Path(place).rglob("*") if path.is_file() and not path.is_symlink()) < 2**22:
        subprocess.run(["cp", "-a", place, there / "files"], check=False)


def report(outcomes, seconds):
    """Figures for people."""
    kinds = Counter(outcome.kind.partition(":")[0] for outcome in outcomes)
    wrong = Counter(outcome.wrong for outcome in outcomes if outcome.wrong)
    slowest, largest = max(outcomes, key=lambda one: one.seconds), max(outcomes, key=lambda one: one.peak)
    read = sum(outcome.status == 0 for outcome in outcomes)
    computing = sum(outcome.seconds for outcome in outcomes)
    return (
        f"{len(outcomes)} trials in {seconds / 60:.1f} minutes ({computing:.0f} s of computing), "
        f"{read} read, {sum(o.status == 2 for o in outcomes)} refused; wrong: {dict(wrong) or 'none'}\n"
        f"slowest {slowest.seconds:.1f} s (seed {slowest.seed}, {slowest.kind[:60]}), "
        f"largest {largest.peak / 1e6:.0f} MB (seed {largest.seed}, {largest.kind[:60]})\n{dict(kinds)}"
    )


def main():
    """Trials for so many minutes, or those of given seeds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--first", type=int, default=int(time.time()) * 1000, help="the first seed")
    parser.add_argument("--seeds", type=int, nargs="*", help="these, and no others")
    parser.add_argument("--every", type=int, default=200, help="a whole process in odd surroundings every so many")
    options = parser.parse_args()
    outcomes, began = [], time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        gc.collect(), gc.freeze()  # so that a trial copies little of what it is forked from
        seeds = options.seeds or range(options.first, options.first + 10**9)
        told = began
        for outcome in series(seeds, Path(folder), 0 if options.seeds else options.every):
            outcomes.append(outcome)
            if outcome.wrong or options.seeds:
                print(
                    f"seed {outcome.seed}: {outcome.wrong or 'right'}; {outcome.kind[:200]}; {outcome.said[-300:]!r}",
                    flush=True,
                )
            if time.monotonic() - told > 60:
                told = time.monotonic()
                print(report(outcomes, told - began), flush=True)
            if not options.seeds and time.monotonic() - began > 60 * options.minutes:
                break
    print(report(outcomes, time.monotonic() - began))
    return int(any(outcome.wrong for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
